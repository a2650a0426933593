#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Through the whole agent: what commands start with is what the agent was started with; what they leave at its stop."""

import os
import pathlib
import pwd
import re
import resource
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import harness
from harness import TIMEOUT, Process, TowerCase, modes, own_user
from support import build_has

# Unlike the usual ones, where the agent and this process can live with them. What the agent sets for itself is among them.
SOFT = {"CORE": 1 << 20, "NOFILE": 512, "MEMLOCK": 128 << 10, "STACK": 6 << 20, "FSIZE": 1 << 30, "CPU": 100_000,
        "SIGPENDING": 1000, "MSGQUEUE": 400_000, "RTTIME": 1_000_000}
UMASK = 0o027
OOM = 200


def disturb():
    """This process's own state, which the agent is started with."""
    # A sanitized agent would forbid core dumps itself, before it looks.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "disable_coredump=0"]))
    for name, soft in SOFT.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        resource.setrlimit(number, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    os.nice(3)
    with open("/proc/self/oom_score_adj", "r+") as file:
        if int(file.read()) < OOM:  # to lower it takes a capability
            file.write(str(OOM))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN + 5})


@unittest.skipUnless(os.path.exists("/proc/self/loginuid"), "this kernel has no login uid")
class LoginUid(TowerCase):
    """Whose deed a command is in the system's audit, when an administrator started the agent."""

    OTHER = 54321

    def start(self, under):
        set_first = f'echo {self.OTHER} >/proc/self/loginuid && exec {under} "$@"'
        return self.online_agent(under=("sh", "-c", set_first, "sh"))

    def seen(self):
        return int(self.tower.run("cat /proc/self/loginuid").output)

    @modes("system")
    def test_of_the_user(self):
        agent = self.start("env")
        self.assertEqual(self.seen(), pwd.getpwnam(agent.user).pw_uid)
        self.assertNotIn("login uid", agent.log)

    @modes("system")
    def test_that_cannot_be_changed(self):
        agent = self.start("setpriv --bounding-set -audit_control")
        self.assertEqual(self.seen(), self.OTHER)
        self.assertEqual(agent.log.count("commands have the login uid 54321 of whoever started the agent"), 1)


class StartState(TowerCase):
    @modes()
    def test_all(self):
        mask = os.umask(UMASK)
        try:
            agent = self.online_agent()
        finally:
            os.umask(mask)
        with open("/proc/self/limits", "rb") as file:
            own = file.read()
        self.assertRegex(own, rb"Max open files +512 ")
        seen = self.tower.run("cat /proc/self/limits").output
        if build_has("TW_SANITIZE") and self.mode == "user":
            # A program that its user cannot read starts non-dumpable: the sanitizer's runtime cannot read its own
            # options in /proc, and forbids core dumps.
            own, seen = (re.sub(rb"(?m)^Max core file size .*", b"", text) for text in (own, seen))
        self.assertEqual(seen, own)
        self.assertEqual(int(self.tower.run("umask").output, 8), UMASK)
        with open("/proc/self/oom_score_adj", "rb") as file:
            self.assertEqual(self.tower.run("cat /proc/self/oom_score_adj").output, file.read())
        self.assertEqual(int(self.tower.run("nice").output), os.nice(0))
        # dash itself lets what it starts begin without a mask; what it becomes keeps it.
        status = self.tower.run("exec cat /proc/self/status").output.decode()
        signals = {name: int(value, 16) for name, value in re.findall(r"Sig(\w+):\t([0-9a-f]+)", status)}
        self.assertEqual(signals["Blk"], 1 << (signal.SIGRTMIN + 5 - 1))
        self.assertEqual(signals["Ign"], 1 << (signal.SIGUSR2 - 1))
        if self.mode == "system":
            groups = os.getgrouplist(own_user(), pwd.getpwnam(own_user()).pw_gid)
            self.assertEqual(set(map(int, self.tower.run("id -G").output.split())), set(groups))
        # None of it came from the agent's own processes.
        with open(f"/proc/{agent.process('tw-agent-exec').pid}/limits", "rb") as file:
            self.assertNotEqual(file.read(), own)


class Stop(TowerCase):
    @modes()
    def test_background_ends_and_detached_lives(self):
        agent = self.online_agent()
        quiet = "</dev/null >/dev/null 2>&1 & echo $!"
        # The answer comes when these have left the group: setsid is only about to when it is started.
        left = "until [ $(cut -d' ' -f6 /proc/$!/stat) = $! ]; do :; done"
        pids = self.tower.run(f"sleep 300 {quiet}; nohup sleep 300 {quiet}\n"
                              f"setsid sleep 300 {quiet}; {left}\n"
                              f"setsid nohup sleep 300 {quiet}; {left}").output.split()
        processes = [Process(int(pid)) for pid in pids]
        try:
            agent.terminate()
            self.assertEqual(agent.wait(), 0)
            for process in processes[:2]:
                self.assertTrue(process.wait_gone(TIMEOUT))
            for process in processes[2:]:
                self.assertFalse(process.wait_gone(0.2))
        finally:
            for process in processes:
                if not process.wait_gone(0):
                    os.kill(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    disturb()
    harness.main()
