#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A core that a hostile session has taken over: it cannot leave its directory, and gets from the
parent what the table has for it, at the parent's pace."""

import os
import signal
import socket
import subprocess
import sys
import time
import unittest

from puppets import PARENT, SIGSYS, PuppetCase, array, bare, frame, numbered, program_of
import harness
from harness import modes
from support import peak_memory, public_directory, write_file

SEARCH = frame("search", ticket=7)
OPEN_AGENT = frame("open_session", purpose=2)
# A receiver that maps what it gets, and believes its size.
VICTIM = """
import mmap, os, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
print("ready", flush=True)
fds = socket.recv_fds(channel, 65536, 1)[1]
size = os.fstat(fds[0]).st_size
with mmap.mmap(fds[0], size, prot=mmap.PROT_READ) as memory:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        sum(memory[::4096])
"""


class SystemCalls(PuppetCase):
    role = "core"
    ends = {"socket": "socket", "connect 127.0.0.1 {port}": "socket", "exec /bin/sh": "execve",
            "fork": "clone", "code": "mmap", "kill {pid} 0": "kill", "ptrace {pid}": "ptrace",
            "vm {pid}": "process_vm_readv"}  # from an order to the call that ends it

    def files(self, agent):
        pid = agent.pid
        return ["open /etc/passwd", f"open {agent.token_file}", f"open {agent.work_dir}",
                f"open {agent.directory}/stderr", f"memory {pid}", f"open /proc/{pid}/environ",
                f"create {agent.directory}/x", "create /tmp/tw-agent-core-was-here"]

    @modes()
    def test_files(self):
        agent = self.puppet_agent()
        own = os.path.join(agent.state_dir, os.listdir(agent.state_dir)[0], "status.json")
        self.assertRegex(bare("open /etc/passwd", "create /tmp/tw-agent-core-baseline")[1], "^ok")
        os.unlink("/tmp/tw-agent-core-baseline")
        self.assertRegex(self.obeyed(agent, f"open {own}"), "^ok", "baseline: its own")
        for order in self.files(agent):
            with self.subTest(order):
                self.assertIn(self.obeyed(agent, order), ("EACCES", "EPERM"))
        self.assertFalse(os.path.exists("/tmp/tw-agent-core-was-here"))
        self.goes_on()

    @modes()
    def test_metrics_directory(self):
        """Files there can be made and replaced, as that needs it, and none can be read."""
        with public_directory() as directory:
            harness.give(directory, "tw-agent" if self.mode == "system" else harness.own_user(),
                         0o755)
            theirs = write_file(directory, "theirs.prom", "x")
            agent = self.puppet_agent(config={"metrics_file": f"{directory}/tw-agent.prom"})
            self.assertRegex(bare(f"open {theirs}")[0], "^ok")
            self.assertRegex(self.obeyed(agent, f"create {directory}/made"), "^ok")
            for order in (f"open {theirs}", f"open {directory}", f"create {directory}/../tw-up"):
                self.assertIn(self.obeyed(agent, order), ("EACCES", "EPERM"), order)
            self.goes_on()

    @modes()
    def test_each(self):
        self.baseline(self.ends, port=self.tower.port)
        for number, order, agent in self.led_agents(self.ends, "core"):
            with self.subTest(order):
                self.order_of(f"core-{number}", order.format(pid=agent.pid, port=self.tower.port))
                self.ends_with_code_7(agent,
                                      rf"tw-agent\[core\]: {SIGSYS} {self.ends[order]} ")
                self.assertIn("core was stopped by its sandbox (SIGSYS)", agent.log)
                self.assertNotIn("puppet core:", agent.log)


class ToTheParent(PuppetCase):
    """The parent takes what the table has for core; anything else is the end of the agent."""

    role = "core"

    def broken(self):
        ask, raw = f"ask {PARENT}", f"raw {PARENT}"
        return {
            f"{ask} {array(99)}": "unknown type",
            f"{ask} {frame('token_request')}": "another direction",
            f"{ask} {frame('started')}": "message repeated",
            f"{ask} {frame('pong')}": "another direction",
            f"{ask} {numbered('pulse', 8, 0, 0)}": "state",
            f"{ask} {frame('session_ready')}": "another direction",
            f"{ask} {frame('launcher_config', host='evil', proxy='', proxy_auth='')}":
                "another direction",
            f"{ask} {'70' * 64}": "not an array",
            f"{ask} +65532:{OPEN_AGENT}": "packet too long",
            f"{ask} {numbered('open_session', 4, 0)}": "purpose",
            f"{ask} {OPEN_AGENT} sealed:1": "descriptor not expected",
            f"{ask} {frame('finish', code=2)}": "finish",
            f"{ask} {SEARCH}": "descriptor missing",
            f"{ask} {SEARCH} null": "not a sealed memfd",
            f"{ask} {SEARCH} channel": "not a sealed memfd",
            f"{ask} {SEARCH} directory": "not a sealed memfd",
            f"{ask} {SEARCH} sealed:1 sealed:1": "more than one descriptor",
            f"{ask} {SEARCH} unsealed:4096": "not a sealed memfd",
            f"{ask} {SEARCH} writable:4096": "not a sealed memfd",
            f"{ask} {SEARCH} growable:4096": "not a sealed memfd",
            f"{ask} {SEARCH} unsealing:4096": "not a sealed memfd",
            f"{ask} {SEARCH} sealed:11250001": "not a sealed memfd",
            f"{ask} {SEARCH} sealed:{1 << 40}": "not a sealed memfd",
            f"{raw} -": "closed its channel",
            f"shrink {PARENT} {SEARCH} shrinkable:11000000": "not a sealed memfd",
        }

    def test_each(self):
        broken = self.broken()
        self.baseline()
        for number, order, agent in self.led_agents(broken, "c", args=("--log-level", "debug")):
            why = broken[order]
            with self.subTest(order[:70], why=why):
                self.attested(agent)
                self.order_of(f"c-{number}", order)
                self.ends_with_code_7(agent, rf"tw-agent\[parent\].*core .*{why}")
                self.assertNotRegex(agent.log, r"puppet core: ask: ok [1-9]", "it was answered")

    def baseline(self):
        """What the table has is answered by the same way."""
        agent = self.puppet_agent(connection_id="baseline")
        self.assertRegex(self.obeyed(agent, f"ask {PARENT} {SEARCH} sealed:4096"), "^ok [1-9]")
        self.assertRegex(self.obeyed(agent, f"ask {PARENT} {SEARCH} sealed:11000000"), "^ok [1-9]")
        # The writes that the parent must not see: sealed, they are refused.
        mark = agent.log_mark()
        self.order(f"shrink {PARENT} {SEARCH} sealed:11000000", f"drain {PARENT} 1000 1")
        self.assertEqual(self.outcome(agent, "shrink", mark), "EPERM")
        # An answer; more if core's own searches of the outputs before were under way.
        self.assertRegex(self.outcome(agent, "drain", mark), "^ok [1-9]")
        self.assertIsNone(agent.popen.poll())


class Shrinking(unittest.TestCase):
    def test_baseline(self):
        """A receiver that does not ask for the seal dies of it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            with subprocess.Popen([sys.executable, "-c", VICTIM, str(ours.fileno())],
                                  stdout=subprocess.PIPE, pass_fds=[ours.fileno()]) as victim:
                victim.stdout.readline()
                ours.close()
                order = f"shrink {theirs.fileno()} {SEARCH} shrinkable:11000000"
                self.assertEqual(bare(order, user="root" if harness.AS_ROOT else None,
                                      pass_fds=[theirs.fileno()]), ["ok 0"])
                self.assertEqual(victim.wait(), -signal.SIGBUS)


class Floods(PuppetCase):
    role = "core"

    @modes()
    def test_connections(self):
        """As many as the parent's pace allows, and the agent goes on."""
        agent, count = self.puppet_agent(), 15000
        mark, begun = self.tower.mark(), time.monotonic()
        self.obeyed(agent, f"flood {PARENT} {count} {OPEN_AGENT}", f"drain {PARENT} 100 {count}")
        took = time.monotonic() - begun
        self.goes_on()
        opened = self.tower.events.count("tcp-accept", after=mark)
        print(f"{count} asked for, {opened} connections in {took:.1f} s", flush=True)
        self.assertGreaterEqual(opened, 1)
        self.assertLessEqual(opened, 10 + 5 * took + 1)
        self.assertEqual(self.tower.events.count("http-request", after=mark), 0)

    @modes()
    def test_searches(self):
        """The parent searches one after the other, and serves the others in between."""
        agent, count = self.puppet_agent(), 300
        parent = agent.processes()[0]
        before, mark = self.tower.agent, agent.log_mark()
        # Stopped until it has the signal and a channel full of searches: it must not end those first.
        agent.popen.send_signal(signal.SIGSTOP)
        self.order("swallow", f"flood {PARENT} {count} {SEARCH} sealed:11000000",
                   f"drain {PARENT} 1000 {count + 2}")
        self.outcome(agent, "swallow", mark)
        agent.signal(signal.SIGHUP)
        agent.popen.send_signal(signal.SIGCONT)
        answers = [self.outcome(agent, word, mark) for word in ("flood", "drain")]  # and SIGHUP's two
        self.assertEqual(sum(int(answer.split()[1]) for answer in answers), count + 2, answers)
        self.assertRegex(agent.log, r"(?s)tw-agent\[exec\]: obtaining the environment.*puppet core: flood")
        self.goes_on()
        self.assertIs(self.tower.agent, before)
        self.assertLess(peak_memory(parent), 32 << 20)

    def test_searches_without_reading(self):
        """Answers that nobody takes are bounded: then the agent ends."""
        agent = self.puppet_agent()
        watch = self.watch(agent)
        self.order(f"deaf {PARENT} 150000 {frame('search', ticket=1 << 63)} sealed:1")
        self.ends_with_code_7(agent, "core does not take its messages")
        self.bounded(watch)


if __name__ == "__main__":
    harness.main()
