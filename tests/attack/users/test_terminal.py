#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent whose log goes to a terminal of its user, which that user's commands can open: stopping or
filling that terminal must not stop the agent."""

import os
import pty
import select
import subprocess
import unittest

import common
import harness
from common import TIMEOUT, UsersCase
from harness import PROGRAM, give, identity_of, modes, own_user

_STOP = "import os, sys, termios; termios.tcflow(os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY), termios.TCOOFF)"
# Writes as much as is asked for, or as the terminal takes, and says how much that was.
_FILL = """import os, select, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
most, n = int(sys.argv[2]), 0
while n < most:
    try:
        n += os.write(fd, b"x" * min(most - n, 64))
    except BlockingIOError:
        if not select.select([], [fd], [], 2)[1]:  # the kernel moves it on in the background
            break
print(n)
"""


@unittest.skipUnless(harness.AS_ROOT, "giving a terminal to another user needs root")
class Terminal(UsersCase):
    def terminal(self):
        control, terminal = pty.openpty()
        self.addCleanup(os.close, control)
        self.addCleanup(os.close, terminal)
        path = os.ttyname(terminal)
        give(path, own_user(), 0o620)
        self.control = control
        return path

    def read_all(self):
        """As the program behind the terminal does, until it is stopped."""
        while select.select([self.control], [], [], 0)[0]:
            os.read(self.control, 65536)

    def script_file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def writer_stops(self, path, patience):
        """Whether an ordinary program is held up for so long when it writes its log there."""
        with open(path, "wb", buffering=0) as terminal, \
                subprocess.Popen(["/bin/sh", "-c", "echo a line; echo done >&2"], stdout=terminal,
                                 stderr=subprocess.PIPE, **identity_of(own_user())) as child:
            done = select.select([child.stderr], [], [], patience)[0]
            child.kill()
        return not done

    def outside_terminal(self, script, *arguments):
        path = self.terminal()
        self.assertFalse(self.writer_stops(path, TIMEOUT))
        done = subprocess.run([common.PYTHON, script, path, *arguments], check=True, capture_output=True,
                              **identity_of(own_user()))
        return path, done.stdout

    def attack(self, script, *arguments):
        path = self.terminal()
        program = self.script_file("in-a-terminal", f"#!/bin/sh\nexec {PROGRAM} \"$@\" 2> {path}\n")
        agent = self.online_agent(token=self.token, program=program, args=["--heartbeat", "3s"])
        conversation = self.tower.agent
        self.read_all()
        result = self.tower.run(f"{common.PYTHON} {script} {path} {' '.join(arguments)}")
        self.assertEqual(result.exit_status, 0, result.output)
        self.assertIs(self.tower.agent, conversation)
        conversation.drop("rst")  # all its programs have something to say about that
        self.tower.wait_online(TIMEOUT, newer_than=conversation)
        self.assertEqual(self.tower.run("echo on", timeout=TIMEOUT).output, b"on\n")
        mark = self.tower.events.mark()
        self.tower.events.wait("ws-message", TIMEOUT, after=mark, type="heartbeat")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)

    @modes("user")
    def test_stopped(self):
        script = self.script_file("stop.py", _STOP)
        path, _ = self.outside_terminal(script)
        self.assertTrue(self.writer_stops(path, 0.5), "the baseline")
        self.attack(script)

    @modes("user")
    def test_filled(self):
        """To the last byte; and with room for a part of a line, which takes some bytes and then waits."""
        script = self.script_file("fill.py", _FILL)
        path, room = self.outside_terminal(script, str(1 << 30))
        self.assertTrue(self.writer_stops(path, 0.5), "the baseline")
        self.attack(script, str(1 << 30))
        for left in (64, 300):
            with self.subTest(left=left):
                self.attack(script, str(int(room) - left))


if __name__ == "__main__":
    harness.main()
