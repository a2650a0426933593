#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The token leaves memory neither by a core dump, whatever the host's settings, nor by swap."""

import fcntl
import os
import re
import resource
import signal
import subprocess
import time

import common  # noqa: F401  (finds the harness)
import harness
from common import PYTHON, TIMEOUT, VICTIM, UsersCase
from harness import PROGRAM, identity_of, modes, own_user
from support import build_has

SANITIZED = build_has("TW_SANITIZE")
_PATTERN, _SUID_DUMPABLE = "/proc/sys/kernel/core_pattern", "/proc/sys/fs/suid_dumpable"
# Becomes another user as a daemon does, which makes it "suid dumpable".
_DAEMON = "import os, sys; os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))\n" + VICTIM
_HELPER = "#!/bin/sh\nexec head -c 100000000 > '{}'/$1\n"


class Dumps(UsersCase):
    def setUp(self):
        super().setUp()
        if not harness.AS_ROOT:
            self.skipTest("changing where the kernel writes core dumps needs root")
        if SANITIZED:
            self.skipTest("a sanitizer's runtime takes the signals that dump")
        self.place = os.path.join(self.directory, "cores")
        os.mkdir(self.place)
        os.chmod(self.place, 0o777)
        # One run at a time: the settings are the host's.
        lock = self.enterContext(open("/run/lock/tw-agent-core-pattern", "w", encoding="ascii"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        if hard != resource.RLIM_INFINITY:
            self.skipTest("the hard limit of core dumps is not unlimited")
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))

    def set_host(self, pattern, suid_dumpable):
        for path, value in ((_PATTERN, pattern), (_SUID_DUMPABLE, suid_dumpable)):
            with open(path, encoding="ascii") as file:
                before = file.read()
            try:
                self.write(path, value)
            except OSError as reason:
                self.skipTest(f"{path} cannot be written here: {reason.strerror}")
            self.addCleanup(self.write, path, before)

    @staticmethod
    def write(path, value):
        with open(path, "w", encoding="ascii") as file:
            file.write(value)

    def dump_of(self, pid):
        """What was dumped of that process; None if nothing was."""
        try:
            with open(os.path.join(self.place, str(pid)), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def dies_of(self, pid, number):
        """Whether the kernel says that our child, ended by this signal, was dumped."""
        os.kill(pid, number)
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.assertEqual(end.si_status, number)
        return end.si_code == os.CLD_DUMPED

    def baseline(self, daemon):
        """An ordinary process that holds the token is dumped, and the token is in it."""
        if daemon:
            who = identity_of(own_user())
            command = [PYTHON, "-c", _DAEMON, str(who["user"]), str(who["group"])]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
                                     env={"TW_SECRET": self.token})
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.stdin.close)
            self.assertEqual(child.stdout.readline(), b"up\n")
        else:
            child = self.victim(secret=self.token)
        self.assertTrue(self.dies_of(child.pid, signal.SIGSEGV))
        child.wait()
        deadline = time.monotonic() + TIMEOUT  # a helper may still be writing
        while self.token.encode() not in (self.dump_of(child.pid) or b""):
            self.assertLess(time.monotonic(), deadline, "the baseline's dump")
            time.sleep(0.01)

    def nothing_of_the_agent(self, daemon):
        for number in (signal.SIGSEGV, signal.SIGABRT):
            conversation = self.tower.agent
            agent = self.start_agent(token=self.token)
            conversation = self.tower.wait_online(TIMEOUT, newer_than=conversation)
            processes = {process.pid: process.comm for process in agent.processes()}
            session = agent.process("tw-agent-net-session")
            os.kill(session.pid, number)
            self.assertTrue(session.wait_gone(TIMEOUT))
            self.tower.wait_online(TIMEOUT, newer_than=conversation)
            self.assertFalse(self.dies_of(agent.pid, number), "the parent was dumped")
            self.assertEqual(agent.wait(), -number)
            self.assertEqual(agent.children_left(), [])
            self.baseline(daemon)  # dumps later than those would have been
            for pid, name in processes.items():
                self.assertIsNone(self.dump_of(pid), f"{name} was dumped")

    @modes()
    def test_into_a_file(self):
        self.set_host(os.path.join(self.place, "%p"), "0")
        self.baseline(daemon=False)
        self.nothing_of_the_agent(daemon=False)

    @modes()
    def test_into_a_helper(self):
        """Which takes no notice of limits, and with suid_dumpable=2 gets programs that changed user."""
        helper = os.path.join(self.directory, "helper")
        self.write(helper, _HELPER.format(self.place))
        os.chmod(helper, 0o755)
        self.set_host(f"|{helper} %p", "2")
        self.baseline(daemon=True)
        self.nothing_of_the_agent(daemon=True)


class Pages(UsersCase):
    """The pages that hold the token, as root sees them."""

    def mappings(self, pid):
        """(name, flags) of each mapping."""
        with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
            text = file.read()
        return re.findall(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)\n(?:[A-Z]\w+:.*\n)*?VmFlags: (.*)$", text,
                          re.MULTILINE)

    def need(self):
        if not harness.AS_ROOT:
            self.skipTest("looking at the pages of a non-dumpable process needs root")

    @modes()
    def test_out_of_reach(self):
        self.need()
        agent = self.online_agent(token=self.token)
        if "no memfd_secret" in agent.log:
            self.skipTest("this kernel has no memfd_secret")
        found = self.mappings(agent.pid)
        self.assertGreater(len(found), 20, found)
        secret = [flags.split() for name, flags in found if "secretmem" in name]
        self.assertEqual(len(secret), 3, "two tokens, and what results are searched for")
        for flags in secret:
            self.assertLessEqual({"lo", "dd", "dc"}, set(flags), "locked, not dumped, not copied by a fork")
        with open(f"/proc/{agent.pid}/status", encoding="ascii") as file:
            self.assertRegex(file.read(), r"VmLck:\s+(?!0 kB)\d+ kB")

    @modes("user")
    def test_without_locked_memory(self):
        """RLIMIT_MEMLOCK of nothing: said, refused on demand, and it works otherwise."""
        if SANITIZED:
            self.skipTest("AddressSanitizer's mlock does nothing and says that it did")
        self.need()
        program = os.path.join(self.directory, "without-locked-memory")
        with open(program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nulimit -l 0 || exit 99\nexec {PROGRAM} \"$@\"\n")
        os.chmod(program, 0o755)
        agent = self.online_agent(token=self.token, program=program)
        refused = self.start_agent(token=self.token, program=program, connection_id="other",
                                   args=["--require", "secret-memory"])
        agent.wait_log(r"WARN .*not enforced: .*memfd_secret.*can be swapped out: raise RLIMIT_MEMLOCK")
        self.assertEqual(refused.wait(), 6)
        refused.wait_log(r"--require secret-memory cannot be met: .*RLIMIT_MEMLOCK")
        found = self.mappings(agent.pid)
        self.assertEqual([name for name, _ in found if "secretmem" in name], [])
        kept = [flags for name, flags in found if not name and {"dd", "wf"} <= set(flags.split())]
        self.assertGreaterEqual(len(kept), 1, "not dumped, wiped in a forked copy")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)


if __name__ == "__main__":
    harness.main()
