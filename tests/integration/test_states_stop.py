#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in each state: bounded, and what runs is brought to its end (see also test_lifetime)."""

import os
import signal
import time

import harness
from harness import TIMEOUT, TowerCase, modes
from support import commands_file, gate, wait_status
from tower import Stall

OTHER_TOKEN = "tw-test-token-other-93c1f2aa71"
DRAIN = 30  # seconds for running commands and results, at most
AT_ONCE = DRAIN - 5  # on a machine that is slow, and stands still meanwhile


class Stops(TowerCase):
    def ends(self, agent, within=AT_ONCE, at_least=0):
        """Without another attempt to connect, should it end at once."""
        start, mark = time.monotonic(), self.tower.mark()
        agent.terminate()
        self.assertEqual(agent.wait(within + 30), 0)
        took = time.monotonic() - start
        self.assertLess(took, within)
        self.assertGreaterEqual(took, at_least)
        self.assertEqual(agent.children_left(), [])
        if within == AT_ONCE:
            self.assertEqual(self.tower.requests(after=mark), [])
            self.assertNotIn("does not answer in time", agent.log)

    def test_while_connecting(self):
        for step in ("user", "connect"):
            self.tower.on(step, Stall(), times=1)
            agent = self.start_agent()
            self.tower.wait_event("http-request", step=step)
            self.ends(agent)

    @modes()
    def test_in_standby(self):
        self.online_agent()
        first = self.tower.agent
        second = self.start_agent()
        second.wait_log("standby")
        self.ends(second)
        self.assertIs(self.tower.agent, first)

    def test_token_refused_with_a_result(self):
        """It cannot be delivered with this token, so there is nothing to wait for."""
        agent = self.online_agent()
        hold = gate(self, agent)
        self.tower.send_command(f"{hold.text}; echo kept")
        hold.reached()
        self.tower.token = OTHER_TOKEN
        self.tower.agent.drop()
        wait_status(agent, lambda status: status["state"] == "token-refused")
        hold.open()
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 1)
        self.ends(agent)

    def test_dropped_while_it_waits_for_a_command(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        first = self.tower.agent
        id = first.send_command(f"echo x >> count; {hold.text}; echo done")
        hold.reached()
        agent.terminate()
        agent.wait_log("stopping: no more commands; 1 running")
        first.drop()
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        hold.open()
        result = self.tower.wait_result(id)
        self.assertEqual((result.output, result.conn), (b"done\n", second.number))
        self.tower.wait_event("ws-close-received", conn=second.number, code=1000)
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(commands_file(agent, "count"), "x\n")

    def test_second_signal_while_offline(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        self.tower.send_command(hold.text)
        hold.reached()
        self.tower.stop_listening()
        self.tower.agent.drop()
        agent.wait_log("cannot connect")
        agent.terminate()
        agent.wait_log("stopping: no more commands; 1 running")
        self.assertIsNone(agent.popen.poll())
        self.ends(agent)

    def test_command_without_end(self):
        """The bound: then the connection is closed in order, and the command does not survive."""
        agent = self.online_agent()
        hold = gate(self, agent)
        number = self.tower.agent.number
        self.tower.send_command(f"trap '' TERM; {hold.text}; sleep 300")
        hold.reached()
        agent.processes()
        self.ends(agent, 2 * DRAIN, at_least=DRAIN - 1)
        agent.wait_log("stopping: no more time; 1 commands run, 0 results are not proven")
        self.tower.wait_event("ws-close-received", conn=number, code=1000)

    def test_silent_tower(self):
        """The results are on disk, so it is not worth the whole bound; the next start has them."""
        agent = self.online_agent(args=("--heartbeat", "120s"))
        first = self.tower.agent
        first.go_silent()
        first.send_command("echo done", id="kept")
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 1)
        self.ends(agent, DRAIN - 4, at_least=4)
        agent.wait_log("0 commands run, 1 results are not proven to have arrived")
        first.drop()
        self.online_agent(state_dir=agent.state_dir, work_dir=agent.work_dir)
        self.assertEqual(self.tower.wait_result("kept").output, b"done\n")

    def test_link_that_is_dead(self):
        """Nothing is left to deliver, but nobody answers our Close."""
        agent = self.online_agent()
        self.tower.agent.go_silent()
        # Not even our own session; the launcher, which would end what is stopped, cannot either.
        stopped = [agent.process(name) for name in ("tw-agent-net", "tw-agent-net-session")]
        for process in stopped:
            os.kill(process.pid, signal.SIGSTOP)
        agent.terminate()
        self.assertEqual(agent.wait(DRAIN - 4), 0)
        for process in reversed(stopped):
            os.kill(process.pid, signal.SIGCONT)
        self.assertEqual(agent.children_left(), [])


if __name__ == "__main__":
    harness.main()
