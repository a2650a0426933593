#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One member's command against another's, through the whole agent: it sees nothing of it, from its
first instruction on, while a program outside the sandbox sees all but its text."""

import json
import os
import time

import common
import harness
from attacker import WAYS
from common import DENIED, POLLER, TIMEOUT, Poller, UsersCase
from harness import modes, own_user
from support import commands_file, gate, write_file

MARK = "a-word-of-another-member"
COMMANDS = 60
# Its text, a variable of it and its child, a file that is open, and time for a slow spy.
_VICTIM = f"export V={MARK}; echo $V > f$$; exec 3< f$$; sleep 0.02; rm f$$; cat <&3"
# The same, and it stays until the spy has looked.
HELD = 12
_HELD = (f"export V={MARK}; echo $V > f$$; exec 3< f$$; sleep 1000 > /dev/null 2>&1 & echo up >> up; "
         "until [ -e looked ]; do sleep 0.05; done; kill $!; rm f$$; cat <&3")


class Members(UsersCase):
    def setUp(self):
        super().setUp()
        self.attacker = self.script("attacker.py", os.path.join(common.HERE, "..", "token"))

    def online(self, isolate):
        return self.online_agent(token=self.token, args=["--isolate", isolate])

    def run_victims(self, agent, look):
        """Many, each as short as they come; and some that `look` finds, however busy the host is."""
        ids = [self.tower.send_command(_VICTIM) for _ in range(COMMANDS)]
        for id in ids:
            self.assertEqual(self.tower.wait_result(id, TIMEOUT).output, f"{MARK}\n".encode())
        ids = [self.tower.send_command(_HELD) for _ in range(HELD)]
        self.wait_lines(agent, "up", "up", HELD)
        look()
        write_file(agent.work_dir, "looked", "")
        for id in ids:
            self.assertEqual(self.tower.wait_result(id, TIMEOUT).output, f"{MARK}\n".encode())
        for name in ("up", "looked"):
            os.unlink(os.path.join(agent.work_dir, name))

    def wait_lines(self, agent, name, line, count):
        """Until a command's file has so many of these lines."""
        deadline = time.monotonic() + TIMEOUT
        while (commands_file(agent, name) or "").split("\n").count(line) < count:
            self.assertLess(time.monotonic(), deadline, f"{count} of {line} in {name}")
            time.sleep(0.01)

    def check_poller(self, names, blind):
        """`blind`: nothing may have been open but the list of processes."""
        self.assertGreaterEqual(names["sh"]["met"], HELD, names)
        for name, seen in names.items():
            self.assertEqual(seen["found"]["cmdline"], 0, name)
            if blind:
                del seen["opened"]["cmdline"]
                self.assertEqual((seen["opened"], seen["found"]),
                                 (dict.fromkeys(seen["opened"], 0), dict.fromkeys(seen["found"], 0)), name)
        if not blind:
            for way in ("environ", "mem", "fd"):
                self.assertGreater(sum(seen["found"][way] for seen in names.values()), 0, (way, names))

    def watched_from_the_start(self, isolate):
        agent = self.online(isolate)
        exec_pid = agent.process("tw-agent-exec").pid
        ways = ("environ", "cmdline", "mem", "fd")
        outside = Poller(self, MARK, own_user(), *ways, top=exec_pid)
        outside.look()
        self.run_victims(agent, outside.look)
        self.check_poller(outside.stop(), blind=False)
        gates = [gate(self, agent, f"gate-{number}") for number in range(3)]
        spy = self.tower.send_command(
            f"{{ echo {MARK}; {gates[0].text}; echo look; {gates[1].text}; echo look; {gates[2].text}; }} | "
            f"{POLLER} {exec_pid} {' '.join(ways)} 2>&1 | tee said")
        self.wait_lines(agent, "said", "ready", 1)  # all of it is there, and not new to the spy
        gates[0].open()
        self.wait_lines(agent, "said", "looked", 1)

        def look():
            gates[1].open()
            self.wait_lines(agent, "said", "looked", 2)

        self.run_victims(agent, look)
        gates[2].open()
        result = self.tower.wait_result(spy, TIMEOUT)
        self.assertEqual(result.exit_status, 0, result.output)
        self.check_poller(json.loads(result.output.splitlines()[-1])["names"], blind=True)

    @modes()
    def test_start_isolated(self):
        self.watched_from_the_start("full")

    @modes()
    def test_start_read_only(self):
        self.watched_from_the_start("read-only")

    def attacked(self, isolate):
        """Every way into a sibling; returns it and what a signal to it says."""
        agent = self.online(isolate)
        held = gate(self, agent)
        victim = self.tower.send_command(f"export V={MARK}; echo $$ > pid; echo {MARK} > file; {held.text}")
        held.reached()
        with open(os.path.join(agent.work_dir, "pid"), encoding="ascii") as file:
            pid = int(file.read())
        self.assertTrue(all(end == "ok" for way, end in self.outside(self.attacker, pid)[str(pid)].items()
                            if way not in ("stack", "syscall") and "ptrace" not in way),
                        "the baseline: outside the sandbox each way is open")
        own = self.inside(self.attacker, "--child")["child"]
        outcome = self.inside(self.attacker, pid)[str(pid)]
        self.assertEqual(set(outcome), set(WAYS))
        # The numbers of its descriptors can be listed, and none of them be looked at.
        self.assertEqual({way: end for way, end in outcome.items() if end not in DENIED}, {"fd list": "ok"})
        for way in ("environ", "maps", "mem", "fd list", "fd followed"):
            self.assertEqual(own[way], "ok", "it is the domain that denies this, not the filter")
        # Not promised, since both have one user: files are not separated.
        self.assertEqual(self.tower.run("cat file").output.decode(), MARK + "\n")
        return held, victim, self.tower.run(f"kill -TERM {pid}")

    @modes()
    def test_isolated(self):
        held, victim, kill = self.attacked("full")
        self.assertNotEqual(kill.exit_status, 0)
        self.assertIn(b"not permitted", kill.output)
        self.assertEqual(self.tower.results(victim), [])
        held.open()
        self.assertEqual(self.tower.wait_result(victim, TIMEOUT).exit_status, 0)

    @modes()
    def test_read_only(self):
        _, victim, kill = self.attacked("read-only")
        self.assertEqual((kill.exit_status, kill.output), (0, b""))
        self.assertEqual(self.tower.wait_result(victim, TIMEOUT).exit_status, 128 + 15)


if __name__ == "__main__":
    harness.main()
