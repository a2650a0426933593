# SPDX-License-Identifier: Apache-2.0
"""A parent that breaks the table, or makes no sense: the launcher ends, and says why."""

import os
import socket
import unittest

import wire
from plays_parent import Case

START = wire.encode("start_session", serial=1, purpose=2)
TOKEN = wire.encode("start_session_token", serial=1)


class Hostile(Case):
    def setUp(self):
        self.pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel = self.pair[0].fileno()
        self.stream = socket.socketpair()
        self.file = os.open("/dev/null", os.O_RDONLY)

    def tearDown(self):
        for s in (*self.pair, *self.stream):
            s.close()
        os.close(self.file)

    def test_each(self):
        stream = self.stream[0].fileno()
        attacks = {
            "token first": [(TOKEN, self.channel)],
            "start twice": [(START, self.channel), (START, self.channel)],
            "another serial": [(START, self.channel),
                               (wire.encode("start_session_token", serial=2), self.channel)],
            "token twice": [(START, self.channel), (TOKEN, self.channel), (TOKEN, self.channel)],
            "no descriptor": [(START,)],
            "two descriptors": [(START, self.channel, self.channel)],
            "not a socket": [(START, self.file)],
            "not a channel": [(START, stream)],
            "token no channel": [(START, self.channel), (TOKEN, stream)],
            "purpose unknown": [(wire.array([wire.TABLE["start_session"][0], 1, 4]),
                                 self.channel)],
            "serial too large": [(wire.array([wire.TABLE["start_session"][0], 1 << 32, 2]),
                                  self.channel)],
            "type unknown": [(wire.array([len(wire.TABLE)]),)],
            "another direction": [(wire.encode("reload", unused=0),)],
            "configured twice": [(wire.encode(
                "launcher_config", uid=0, gid=0, log_level=0, log_format=0, port=1, timeout_ms=1,
                sandbox_log=0, host="h", proxy="", proxy_auth=""),)],
            "trailing bytes": [(START + b"\0", self.channel)],
            "field missing": [(wire.array([wire.TABLE["start_session"][0], 1]), self.channel)],
            "field too many": [(wire.array([wire.TABLE["start_session"][0], 1, 2, 3]),
                                self.channel)],
            "counts that lie": [(b"\xdd\x10\0\0\0",)],
            "too long": [(b"\xdc" + b"x" * 65536,)],
            "text": [(b"hello",)],
        }
        for name, packets in attacks.items():
            with self.subTest(name):
                launcher = self.launcher()
                for frame, *fds in packets:
                    launcher.send(frame, *fds)
                self.assertEqual(launcher.wait(), 1, launcher.lines())
                self.assertIn("its parent's channel", launcher.lines())

    def test_configuration_that_makes_no_sense(self):
        for frame in (b"", b"\xff", START, wire.encode("started", landlock_abi=1, landlock_scoped=1,
                                                      seccomp=1, syscalls=1)):
            launcher = self.launcher(configure=False)
            launcher.send(frame)
            self.assertEqual(launcher.wait(), 1)
            self.assertIn("no configuration", launcher.lines())

    def test_no_configuration(self):
        launcher = self.launcher(configure=False)
        launcher.parent.close()
        self.assertEqual(launcher.wait(), 1)


if __name__ == "__main__":
    unittest.main()
