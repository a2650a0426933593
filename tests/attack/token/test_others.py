#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No process of the agent can be looked into by its own user's programs, nor by the commands that
Tower sends; with a baseline that shows that each way in works on an ordinary process."""

import json
import os
import secrets
import shutil
import subprocess
import unittest

import cases
from attacker import WAYS
from harness import AS_ROOT, TIMEOUT, TowerCase, give, identity_of, modes, own_user
from scanner import pieces_in, token_patterns
from support import public_directory

_PYTHON = "/usr/bin/python3"  # one that every user may run
_DENIED = {"EACCES", "EPERM"}
# Needs CAP_SYS_ADMIN, or is a matter of kernel settings, on any process but one's own.
_NOT_FOR_USERS = {"stack", "syscall"}
# An ordinary process that any process of its user may trace, even under Yama.
_TARGET = ("import ctypes, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0); "
           "print('up', flush=True); sys.stdin.read()")


class Attackers(TowerCase):
    def setUp(self):
        super().setUp()
        self.token = self.tower.token = secrets.token_urlsafe(32)
        self.directory = self.enterContext(public_directory())
        self.attacker = shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                 "attacker.py"), self.directory)
        give(self.attacker, own_user(), 0o644)

    def online(self):
        return self.online_agent(token=self.token)

    def baseline_process(self, user=None):
        """An ordinary process of the plain user with the token in its environment."""
        child = subprocess.Popen([_PYTHON, "-c", _TARGET], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, cwd="/",
                                 env={"TOWER_ACCESS_TOKEN": self.token},
                                 **identity_of(user or own_user()))
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdin.close)
        self.assertEqual(child.stdout.readline(), b"up\n")
        return child.pid

    def from_outside(self, *arguments, user=None):
        """The attacker as a program of the plain user, or of another."""
        done = subprocess.run([_PYTHON, self.attacker, *map(str, arguments)], check=True,
                              capture_output=True, cwd="/", **identity_of(user or own_user()))
        return json.loads(done.stdout)

    def from_command(self, *arguments):
        """The attacker as a command that Tower sends."""
        result = self.tower.run(f"{_PYTHON} {self.attacker} {' '.join(map(str, arguments))}",
                                timeout=TIMEOUT)
        self.assertEqual(result.exit_status, 0, result.output)
        return json.loads(result.output)

    def agents_processes(self, agent):
        names = {process.pid: process for process in agent.processes()
                 if process.argv and b"tw-agent" in process.argv[0]}
        self.assertGreaterEqual(len(names), 5, names)
        return names

    def check_all_denied(self, outcomes, processes):
        self.assertEqual({int(pid) for pid in outcomes}, set(processes))
        for pid, outcome in outcomes.items():
            self.assertEqual(set(outcome), set(WAYS))
            let_in = {way: end for way, end in outcome.items() if end not in _DENIED}
            self.assertEqual(let_in, {}, f"{processes[int(pid)]}")

    def attack_from_outside(self, user):
        agent = self.online()
        baseline = self.baseline_process(user)
        outcome = self.from_outside(baseline, user=user)[str(baseline)]
        self.assertEqual({way for way, end in outcome.items() if end != "ok"} - _NOT_FOR_USERS,
                         set())
        processes = self.agents_processes(agent)
        self.check_all_denied(self.from_outside(*processes, user=user), processes)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    @modes()
    def test_programs_of_the_same_user(self):
        self.attack_from_outside(own_user())

    @unittest.skipUnless(AS_ROOT, "becoming another user needs root")
    @modes()
    def test_programs_of_another_user(self):
        self.attack_from_outside("nobody")

    @modes()
    def test_commands(self):
        agent = self.online()
        outcome = self.from_command("--child")["child"]
        for way in ("environ", "maps", "mem", "fd list"):
            self.assertEqual(outcome[way], "ok", "the command's own child")
        processes = self.agents_processes(agent)
        self.check_all_denied(self.from_command(*processes), processes)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    @modes()
    def test_environments(self):
        """Every environment there is: an ordinary process gives the token away, the agent not."""
        agent = self.online_agent(token=self.token, token_by="env")
        self.baseline_process()
        hunt = ("for d in /proc/[0-9]*; do tr '\\0' '\\n' < $d/environ && echo \"read $d\"; done "
                "2>/dev/null; tr '\\0' ' ' 2>/dev/null < /proc/self/environ; true")
        patterns = token_patterns(self.token)
        outside = subprocess.run(["/bin/sh", "-c", hunt], capture_output=True, check=True, cwd="/",
                                 **identity_of(own_user())).stdout
        self.assertIn("raw", pieces_in(outside, patterns), "the baseline gives it away")
        inside = self.tower.run(hunt, timeout=TIMEOUT).output
        self.assertEqual(pieces_in(inside, patterns), [])
        self.assertNotIn(b"withheld", inside)
        self.assertIn(b"read /proc/", inside)
        for output in (outside, inside):
            for pid in self.agents_processes(agent):
                self.assertNotIn(f"read /proc/{pid}\n".encode(), output)

    @modes()
    def test_arguments(self):
        """The list of all processes, with the token given by argument."""
        self.online_agent(token=self.token, token_by="arg")
        hunt = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true"
        inside = self.tower.run(hunt, timeout=TIMEOUT).output
        self.assertIn(b"tw-agent", inside)
        self.assertEqual(pieces_in(inside, token_patterns(self.token)), [])


if __name__ == "__main__":
    cases.main()
