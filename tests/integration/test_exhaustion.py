#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a server or a command can use up: descriptors, and files that the agent opens again."""

import json
import os
import resource

import harness
from harness import TIMEOUT, TowerCase
from support import commands_file, gate, status_file, wait_status
from tower import frames

HARD_DESCRIPTORS = 1024
RESULTS = 1500  # more than the descriptors that are allowed, each over 16 KiB


class Descriptors(TowerCase):
    @classmethod
    def setUpClass(cls):
        # For good, and for this program alone: agents inherit it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (HARD_DESCRIPTORS, HARD_DESCRIPTORS))

    def test_results_that_nobody_reads(self):
        """Each waits in memory; one descriptor each would be more than there are."""
        agent = self.online_agent(args=("--max-commands", "64", "--heartbeat", "400s"))
        core = agent.process("tw-agent-core")
        last = gate(self, agent)
        conversation = self.tower.agent
        mark = os.path.join(agent.work_dir, "ran")
        conversation.pause_reading()
        commands = [f"echo >> {mark}; printf %17000s"] * RESULTS + [last.text]
        conversation.send_raw(b"".join(
            frames.text(json.dumps({"@type": "command-request", "id": f"c{i}", "command": command}))
            for i, command in enumerate(commands)))
        last.reached(5 * TIMEOUT)  # all others have been started
        last.open()
        conversation.resume()
        for i in range(RESULTS):
            self.assertEqual(len(self.tower.wait_result(f"c{i}", TIMEOUT).output), 17000)
        with open(mark, encoding="ascii") as file:
            self.assertEqual(len(file.readlines()), RESULTS, "each ran once")
        self.assertEqual(agent.process("tw-agent-core").pid, core.pid)


class Files(TowerCase):
    @harness.modes("user")
    def test_something_in_place_of_the_status_file(self):
        """In user mode a command can put it there: it is replaced, not opened, and where that
        cannot be done, the agent goes on."""
        agent = self.online_agent(args=("--heartbeat", "500ms"))
        new = os.path.join(os.path.dirname(status_file(agent)), "status.json.new")
        # Again while the agent's own is there.
        for make in ("mkfifo {0}", "ln -s /etc/passwd {0}", "echo mine > f; ln f {0}"):
            before, _, last = make.format(new).rpartition("; ")
            text = f"{before or ':'}; until {last} 2> /dev/null; do :; done"
            self.assertEqual(self.tower.run(text).exit_status, 0)
            wait_status(agent, lambda status: not os.path.lexists(new))
        self.assertEqual(commands_file(agent, "f"), "mine\n")
        made = self.tower.run(f"until mkdir {new} 2> /dev/null; do :; done")
        self.assertEqual(made.exit_status, 0)
        agent.wait_log("status.json cannot be written")
        mark = self.tower.mark()
        self.tower.wait_event("ws-message", TIMEOUT, after=mark, type="heartbeat")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)


if __name__ == "__main__":
    harness.main()
