#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Log lines when descriptor 2 is the journal's stream, as JOURNAL_STREAM says, and when it is not."""

import json
import os
import re
import socket
import subprocess
import unittest

from harness import PROGRAM, TIMEOUT, TowerCase, main, modes
from support import public_directory

ROLES = {"parent", "core", "exec", "net", "net-connect", "net-session"}
PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ +tw-agent\[")
LEVELS = {"ERROR": 3, "WARN": 4, "INFO": 6, "DEBUG": 7, "TRACE": 7}


class Journal(TowerCase):
    def run_of_it(self, stream, *args):
        """Lines of an agent that came online and ended; stream: what JOURNAL_STREAM is, in sh."""
        with public_directory() as directory:
            program = os.path.join(directory, "tw-agent")
            with open(program, "w", encoding="ascii") as file:
                file.write(f'#!/bin/sh\nJOURNAL_STREAM={stream} exec "{PROGRAM}" "$@"\n')
            os.chmod(program, 0o755)
            agent = self.online_agent(program=program, args=["--log-level", "debug", *args])
            self.assertNotIn(b"JOURNAL_STREAM", self.tower.agent.run("env").output)
            agent.wait_log("attestation: [0-9]+ attacks")
            agent.terminate()
            self.assertEqual(agent.wait(), 0)
        return agent.log.splitlines()

    own = '"$(stat -L -c %d:%i /proc/self/fd/2)"'

    @modes("system", "user")
    def test_text(self):
        lines = self.run_of_it(self.own)
        found = [re.match(r"<([3467])>tw-agent\[([a-z-]+)\]: \S", line) for line in lines]
        self.assertNotIn(None, found, lines)
        self.assertEqual({match[2] for match in found} - ROLES, set())
        self.assertGreaterEqual({match[2] for match in found}, {"parent", "core"})
        self.assertGreaterEqual({match[1] for match in found}, {"6", "7"})

    def test_json(self):
        lines = self.run_of_it(self.own, "--log-format", "json")
        for line in lines:
            self.assertRegex(line, "^<[3467]>[{]")
            entry = json.loads(line[3:])
            self.assertEqual(set(entry), {"time", "level", "role", "pid", "message"})
            self.assertEqual(int(line[1]), LEVELS[entry["level"]])
            self.assertIn(entry["role"], ROLES)

    def test_another_stream(self):
        """Standard error was redirected from the journal to something else."""
        for stream in ("1:1", '"$(stat -L -c %d:%i /dev/null)"', "'' "):
            for line in self.run_of_it(stream):
                self.assertRegex(line, PLAIN)


class Early(unittest.TestCase):
    def test_a_socket_and_an_error_before_options_are_read(self):
        """The journal's stream is a socket; errors of the command line are among the lines."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            status = os.fstat(theirs.fileno())
            done = subprocess.run([PROGRAM, "--no-such-option", "x"], stderr=theirs, check=False,
                                  stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                  timeout=TIMEOUT, env={
                                      "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
            theirs.shutdown(socket.SHUT_RDWR)
            text = ours.recv(65536).decode()
        self.assertEqual(done.returncode, 2)
        self.assertRegex(text, r"^<3>tw-agent\[parent\]: unknown option")


if __name__ == "__main__":
    main()
