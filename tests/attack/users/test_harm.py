#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every way in which a process can end, stop, starve or slow another one of its user, tried by a
member's command on each process of the agent; the same ways work on ordinary processes."""

import os
import platform
import unittest

import common  # noqa: F401  (finds the harness)
import harness
from common import DENIED, TIMEOUT, UsersCase
from harm import WAYS
from harness import modes

# "nothing": the descriptor took the owner, and no signal came.
_HARMLESS = DENIED | {"nothing", "ENOSYS"}
# In user mode these processes have the commands' user, and ids that exec's filter does not know. The
# call is for threads as well, so it cannot be denied for all ids but the known ones.
_BY_ID_ALONE = {"sched_setaffinity"}
_UNKNOWN_TO_EXEC = {"tw-agent-core", "tw-agent-net", "tw-agent-net-se"}


@unittest.skipUnless(platform.machine() == "x86_64", "harm.py has x86-64's system call numbers")
class Harm(UsersCase):
    def setUp(self):
        super().setUp()
        self.path = self.script("harm.py")
        outcome = self.outside(self.path, "--victims")["victims"]
        if not os.path.exists("/proc/self/autogroup"):
            print(f"without a baseline, this kernel has none: autogroup, {outcome.pop('autogroup')}")
        self.assertEqual(outcome, dict.fromkeys(outcome, "ok"), "the baseline")

    def attack(self, isolate):
        agent = self.online_agent(token=self.token, args=["--heartbeat", "3s", "--isolate", isolate])
        agent.wait_log("attestation: [0-9]+ attacks")  # whose sessions come and go
        conversation = self.tower.agent
        processes = self.agents_processes(agent)
        for pid, outcome in self.inside(self.path, *processes).items():
            process = processes[int(pid)]
            known = (_BY_ID_ALONE if self.mode == "user" and process.comm in _UNKNOWN_TO_EXEC
                     else set())
            self.assertEqual(set(outcome), set(WAYS))
            done = {way: end for way, end in outcome.items() if end not in _HARMLESS}
            if done.get("directory as pidfd, group") == "ESRCH":  # it leads no group
                del done["directory as pidfd, group"]
            if known & set(done):
                print(f"not denied, user mode, {process.comm}: {sorted(known & set(done))}")
            self.assertEqual({way: end for way, end in done.items() if way not in known}, {},
                             f"{process}")
        self.alive(agent, conversation, processes)

    def alive(self, agent, conversation, processes):
        """The same processes, the same connection, a heartbeat and a command."""
        mark = self.tower.events.mark()
        self.tower.events.wait("ws-message", TIMEOUT, after=mark, type="heartbeat")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertIs(self.tower.agent, conversation)
        now = {pid: process for pid, process in self.agents_processes(agent).items()}
        self.assertEqual(set(now), set(processes))
        for process in now.values():
            self.assertNotIn(process.state, "Tt")
            self.assertEqual(os.sched_getscheduler(process.pid), os.SCHED_OTHER)

    @modes()
    def test_isolated(self):
        self.attack("full")

    @modes()
    def test_read_only(self):
        self.attack("read-only")


if __name__ == "__main__":
    harness.main()
