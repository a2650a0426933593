#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a member's command tries beyond its own domain: the kernel's dangerous parts, sockets and
descriptors of others, and the agent's files. Each way works for the same user outside."""

import os
import platform
import socket
import unittest

import common  # noqa: F401  (finds the harness)
import harness
from common import DENIED, TIMEOUT, UsersCase
from escape import ALLOWED_WAYS, DENIED_WAYS
from harness import modes, own_user
from support import gate, status_file

# What a host's settings may deny to every plain user; then attack.deny.exec alone shows the filter.
_SETTINGS = {"io_uring_setup", "userfaultfd", "unshare user", "clone user", "bpf", "perf_event_open", "TIOCSTI",
             "kcmp", "keys"}


@unittest.skipUnless(platform.machine() == "x86_64", "escape.py has x86-64's system call numbers")
class Escape(UsersCase):
    def setUp(self):
        super().setUp()
        self.path = self.script("escape.py")
        self.name = f"tw-escape-{os.getpid()}"
        self.listener = self.enterContext(socket.socket(socket.AF_UNIX))
        self.listener.bind("\0" + self.name)
        self.listener.listen()

    def ways(self, isolate):
        """What is open to the user, and is not to a command. /dev/null is the victim's stderr."""
        agent = self.online_agent(token=self.token, args=["--isolate", isolate])
        held = gate(self, agent)
        self.tower.send_command(f"echo $$ > pid; exec 2>/dev/null; {held.text}")
        held.reached()
        with open(os.path.join(agent.work_dir, "pid"), encoding="ascii") as file:
            victim = int(file.read())
        outside = self.outside(self.path, self.name, victim)
        inside = self.inside(self.path, self.name, victim)
        for way in DENIED_WAYS:
            if outside[way] != "ok":
                self.assertIn(way, _SETTINGS)
                print(f"SKIPPED: {way}: this host denies it to plain users as well ({outside[way]})")
            else:
                self.assertIn(inside[way], DENIED, way)
        for way in ALLOWED_WAYS:
            self.assertEqual(inside[way], outside[way], way)
            self.assertTrue(outside[way] == "ok" or way in _SETTINGS, (way, outside[way]))
        held.open()
        return agent

    def abstract_of_sibling(self, agent):
        """A server in one command, a client in another one, which finds it as the test does."""
        held = gate(self, agent, "server")
        name = self.name + "-sibling"
        server = self.tower.send_command(
            f"{common.PYTHON} -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); "
            f"s.bind(\"\\0{name}\"); s.listen(); print(open(sys.argv[1], \"w\").write(\"here\\n\")); "
            f"open(sys.argv[2]).read(1)' {agent.work_dir}/server.ready {agent.work_dir}/server.go")
        held.reached()
        with socket.socket(socket.AF_UNIX) as own:
            own.connect("\0" + name)
        client = self.tower.run(f"{common.PYTHON} -c 'import socket; "
                                f"socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")'")
        self.assertIn(b"PermissionError", client.output)
        held.open()
        self.assertEqual(self.tower.wait_result(server, TIMEOUT).exit_status, 0)

    @modes()
    def test_isolated(self):
        agent = self.ways("full")
        self.abstract_of_sibling(agent)

    @modes()
    def test_read_only(self):
        agent = self.ways("read-only")
        self.abstract_of_sibling(agent)

    @modes()
    def test_log(self):
        """The agent's log cannot be opened by way of its descriptor; that of a process that is
        anyone's can."""
        agent = self.online_agent(token=self.token)
        for process in self.agents_processes(agent).values():
            result = self.tower.run(f"echo forged >> /proc/{process.pid}/fd/2")
            self.assertNotEqual(result.exit_status, 0, process)
            self.assertIn(b"Permission denied", result.output)
        result = self.tower.run("exec 2> log; sleep 100 & echo own >> /proc/$!/fd/2; kill $!; cat log")
        self.assertEqual(result.output, b"own\n")
        self.assertNotIn("forged", agent.log)

    @modes()
    def test_files(self):
        """In system mode what the agent keeps is out of reach. In user mode it belongs to the
        commands' user, which the agent says at start."""
        agent = self.online_agent(token=self.token)
        kept = [os.path.join(folder, name) for folder, _, names in os.walk(agent.state_dir) for name in names
                if not name.endswith(".new")]  # on its way to its name
        self.assertIn(status_file(agent), kept)
        mine = self.mode == "user"
        for path in [agent.token_file] + kept:
            self.assertEqual(self.tower.run(f"cat '{path}' > copy").exit_status == 0, mine, path)
            new = os.path.join(os.path.dirname(path), "made-by-a-command")
            owns = mine and path != agent.token_file  # its directory is the test's
            self.assertEqual(self.tower.run(f"echo x > '{new}'").exit_status == 0, owns, path)
        if mine:
            agent.wait_log("not enforced: all processes have one UID")
            agent.wait_log(f"not enforced: user '{own_user()}', as whom commands run, can read the file")
            print("user mode: token file, status and state are readable by commands, as the agent says")


if __name__ == "__main__":
    harness.main()
