#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A call that a role's filter does not have ends the role, by name; with sandbox_log the kernel
logs it and the role lives on."""

import contextlib
import os
import platform
import re
import select
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reduced"))

from kernels import AttackCase  # noqa: E402
import harness  # noqa: E402
from harness import AS_ROOT, BUILD, TIMEOUT, modes  # noqa: E402
from support import read_status  # noqa: E402

CALL_IN = os.path.join(BUILD, "tests", "call_in")
LISTEN, BPF = 50, 321
EPERM, EBADF = 1, 9
SIGSYS = 31
NETLINK_AUDIT, READLOG, SO_RCVBUFFORCE = 9, 1, 33
ROLES = {"tw-agent": "parent", "tw-agent-core": "core", "tw-agent-net-session": "net-session"}
ANSWER = {True: f"returned {-EBADF}", False: f"returned {-EPERM}"}


def call_in(pid, number):
    done = subprocess.run([CALL_IN, str(pid), str(number)], stdout=subprocess.PIPE,
                          check=True, text=True)
    return done.stdout.strip()


class Records:
    """What the kernel says of logged calls from now on, to whoever listens: its log leaves records out
    when many come at once, of whatever process, and an auditd takes them from there."""

    def __init__(self, test):
        self._seen = set()
        self._socket = None
        with contextlib.suppress(OSError):
            made = test.enterContext(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT))
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            made.bind((0, READLOG))
            self._socket = made

    def wait_for(self, wanted):
        """Waits for these (process name, call); what did not come."""
        if self._socket is None:
            print("SKIPPED: the kernel's records: nobody may listen to them here")
            return set()
        deadline = time.monotonic() + TIMEOUT
        while wanted - self._seen and (left := deadline - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                text = self._socket.recv(65536)[16:].decode(errors="replace")
                self._seen |= {(name, int(call)) for name, call in
                               re.findall(r' comm="([^"]+)".* syscall=(\d+)', text)}
        return wanted - self._seen


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
            before = self.tower.agent
            victim = agent.process(comm)
            self.assertEqual(call_in(victim.pid, LISTEN), f"ended by signal {SIGSYS}")
            agent.wait_log(rf"tw-agent\[{role}\]: sandbox violation: system call listen "
                           rf"\({LISTEN}\) is not allowed")
            if role == "net-session":  # a dropped connection
                self.tower.wait_online(TIMEOUT, newer_than=before)
                agent.terminate()
            self.assertEqual(agent.wait(), {"parent": -SIGSYS, "core": 7}.get(role, 0))

    @modes("system", "user")
    def test_others_refuse(self):
        agent = self.online_agent()
        self.assertEqual(call_in(agent.process("tw-agent-net").pid, LISTEN), ANSWER[False])
        self.assertEqual(call_in(agent.process("tw-agent-exec").pid, BPF), ANSWER[False])

    @modes("system", "user")
    def test_logged(self):
        records = Records(self)
        agent = self.online_agent(args=["--sandbox-log"])
        agent.wait_log("attestation: [0-9]+ attacks")  # whose processes come and go
        self.assertIn("not enforced: sandbox_log = yes", agent.log)
        self.assertTrue(read_status(agent)["sandbox"]["logOnly"])
        before = agent.processes()
        for comm in (*ROLES, "tw-agent-net"):
            self.assertEqual(call_in(agent.process(comm).pid, LISTEN), ANSWER[True], comm)
        self.assertEqual(call_in(agent.process("tw-agent-exec").pid, BPF), ANSWER[False],
                         "the deny-list of commands stays")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertEqual([p.pid for p in agent.processes()], [p.pid for p in before])
        self.assertEqual(records.wait_for({(comm[:15], LISTEN) for comm in (*ROLES, "tw-agent-net")}), set())

    @modes("system", "user")
    def test_demanded(self):
        agent = self.start_agent(config={"sandbox_log": "yes"}, args=["--require", "seccomp"])
        self.assertEqual(agent.wait(), 6)
        self.assertRegex(agent.log, "--require seccomp cannot be met: (with )?sandbox_log = yes")


if __name__ == "__main__":
    harness.main()
