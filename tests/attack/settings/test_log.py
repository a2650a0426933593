#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A call that a role's filter does not have ends the role, by name; with sandbox_log the kernel
logs it and the role lives on."""

import os
import platform
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reduced"))

from kernels import AttackCase  # noqa: E402
import harness  # noqa: E402
from harness import AS_ROOT, BUILD, modes  # noqa: E402
from support import read_status  # noqa: E402

CALL_IN = os.path.join(BUILD, "tests", "call_in")
LISTEN, BPF = 50, 321
EPERM, EBADF = 1, 9
SIGSYS = 31
ROLES = {"tw-agent": "parent", "tw-agent-core": "core", "tw-agent-net-session": "net-session"}
ANSWER = {True: f"returned {-EBADF}", False: f"returned {-EPERM}"}


def call_in(pid, number):
    while harness.Process(pid).state != "S":  # nothing tells that a process has come to wait
        time.sleep(0.001)
    done = subprocess.run([CALL_IN, str(pid), str(number)], stdout=subprocess.PIPE,
                          check=True, text=True)
    return done.stdout.strip()


def records_since(start):
    """The kernel's records of logged calls: (process name, call)."""
    text = subprocess.run(["dmesg", "--raw"], stdout=subprocess.PIPE, check=True, text=True).stdout
    found = re.findall(r"\[ *([\d.]+)\].*type=1326 .*comm=\"([^\"]+)\".*syscall=(\d+)", text)
    return {(name, int(call)) for when, name, call in found if float(when) >= start}


@unittest.skipUnless(AS_ROOT, "only root can make a call in another's process")
@unittest.skipUnless(platform.machine() == "x86_64", "call_in knows x86-64 alone")
class Log(AttackCase):
    def test_baseline(self):
        """Without a filter the kernel itself answers, and that is another answer."""
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            self.assertEqual(call_in(process.pid, LISTEN), ANSWER[True])
            process.stdin.close()

    @modes("system", "user")
    def test_each_trapping_role_is_ended_by_name(self):
        for comm, role in ROLES.items():
            agent = self.online_agent()
            victim = agent.process(comm)
            self.assertEqual(call_in(victim.pid, LISTEN), f"ended by signal {SIGSYS}")
            agent.wait_log(rf"tw-agent\[{role}\]: sandbox violation: system call listen "
                           rf"\({LISTEN}\) is not allowed")
            if role == "net-session":  # a dropped connection
                self.tower.wait_online(newer_than=self.tower.agent)
                agent.terminate()
            self.assertEqual(agent.wait(), {"parent": -SIGSYS, "core": 7}.get(role, 0))

    @modes("system", "user")
    def test_others_refuse(self):
        agent = self.online_agent()
        self.assertEqual(call_in(agent.process("tw-agent-net").pid, LISTEN), ANSWER[False])
        self.assertEqual(call_in(agent.process("tw-agent-exec").pid, BPF), ANSWER[False])

    @modes("system", "user")
    def test_logged(self):
        with open("/proc/uptime", encoding="ascii") as file:
            start = float(file.read().split()[0])
        agent = self.online_agent(args=["--sandbox-log"])
        self.assertIn("not enforced: sandbox_log = yes", agent.log)
        self.assertTrue(read_status(agent)["sandbox"]["logOnly"])
        before = agent.processes()
        for comm in (*ROLES, "tw-agent-net"):
            self.assertEqual(call_in(agent.process(comm).pid, LISTEN), ANSWER[True], comm)
        self.assertEqual(call_in(agent.process("tw-agent-exec").pid, BPF), ANSWER[False],
                         "the deny-list of commands stays")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertEqual([p.pid for p in agent.processes()], [p.pid for p in before])
        self.check_records(start)

    def check_records(self, start):
        if any(process.comm == "auditd" for process in harness.process_tree(1)):
            print("SKIPPED: the kernel's records: auditd takes them")
            return
        missing = {(comm[:15], LISTEN) for comm in (*ROLES, "tw-agent-net")} - records_since(start)
        self.assertEqual(missing, set())

    @modes("system", "user")
    def test_demanded(self):
        agent = self.start_agent(config={"sandbox_log": "yes"}, args=["--require", "seccomp"])
        self.assertEqual(agent.wait(), 6)
        self.assertRegex(agent.log, "--require seccomp cannot be met: (with )?sandbox_log = yes")


if __name__ == "__main__":
    harness.main()
