#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How the agent ends: when asked, when one of its processes dies, and what it leaves behind."""

import os
import signal

import harness
from harness import TIMEOUT, TowerCase, modes
from support import commands_file, gate, wait_status
from tower import Stall

DRAIN = 30  # seconds that the agent gives running commands and results when it is asked to stop


class Stops(TowerCase):
    @modes()
    def test_running_command_is_delivered(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        conversation = self.tower.agent
        id = self.tower.send_command(hold.text + "; echo last; exit 9")
        hold.reached()
        agent.terminate()
        agent.wait_log("stopping: no more commands")
        late = self.tower.run("echo late >> late")
        self.assertEqual(late.exit_status, 75)
        self.assertIn(b"being stopped", late.output)
        self.assertIsNone(agent.popen.poll())
        hold.open()
        result = self.tower.wait_result(id)
        self.assertEqual((result.output, result.exit_status), (b"last\n", 9))
        self.tower.wait_event("ws-close-received", conn=conversation.number, code=1000)
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(agent.children_left(), [])
        self.assertIsNone(commands_file(agent, "late"))

    def test_interrupt(self):
        agent = self.online_agent()
        agent.signal(signal.SIGINT)
        self.assertEqual(agent.wait(), 0)
        self.tower.wait_event("ws-close-received", code=1000)
        self.assertEqual(agent.children_left(), [])

    def test_terminal_interrupts_the_whole_group(self):
        """Ctrl-C goes to every process of the group; only the parent may act on it."""
        agent = self.online_agent()
        hold = gate(self, agent)
        id = self.tower.send_command(hold.text + "; echo finished")
        hold.reached()
        for process in agent.processes():
            if process.comm.startswith("tw-agent"):
                os.kill(process.pid, signal.SIGINT)
        agent.wait_log("stopping: no more commands")
        hold.open()
        self.assertEqual(self.tower.wait_result(id).output, b"finished\n")
        self.assertEqual(agent.wait(), 0)

    @modes()
    def test_second_signal_ends_at_once(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        self.tower.send_command("sleep 300 & " + hold.text)
        hold.reached()
        agent.terminate()
        agent.wait_log("stopping: no more commands; 1 running")
        agent.terminate()
        self.assertEqual(agent.wait(DRAIN - 5), 0)
        self.assertEqual(agent.children_left(), [])

    def test_before_it_is_online(self):
        """Without the ten seconds that the server had to answer."""
        self.tower.on("service-info", Stall())
        agent = self.start_agent()
        self.tower.wait_event("http-request")
        agent.terminate()
        self.assertEqual(agent.wait(DRAIN - 5), 0)
        self.assertNotIn("does not answer in time", agent.log)
        self.assertEqual(agent.children_left(), [])

    def test_while_it_waits(self):
        self.tower.stop_listening()
        agent = self.start_agent()
        agent.wait_log("cannot connect")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(agent.children_left(), [])

    def test_tower_does_not_answer_the_close(self):
        agent = self.online_agent()
        self.tower.agent.go_silent()
        agent.terminate()
        self.assertEqual(agent.wait(DRAIN - 5), 0)


class Deaths(TowerCase):
    def kill(self, agent, name):
        process = agent.process(name)
        os.kill(process.pid, signal.SIGKILL)
        return process

    def check_end(self, name):
        agent = self.online_agent()
        hold = gate(self, agent)
        self.tower.send_command(hold.text)
        hold.reached()
        self.kill(agent, name)
        self.assertEqual(agent.wait(DRAIN - 5), 7)
        self.assertEqual(agent.children_left(), [])
        self.assertRegex(agent.log, rf"ERROR .*{name.removeprefix('tw-agent-')}")

    @modes()
    def test_core(self):
        self.check_end("tw-agent-core")

    @modes()
    def test_exec(self):
        self.check_end("tw-agent-exec")

    @modes()
    def test_launcher(self):
        self.check_end("tw-agent-net")

    @modes()
    def test_parent(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        self.tower.send_command("sleep 300 & " + hold.text)
        hold.reached()
        tree = agent.processes()
        self.assertGreaterEqual(len(tree), 7, tree)
        agent.popen.kill()
        agent.wait()
        self.assertEqual(agent.children_left(), [])
        self.tower.wait_event("ws-end")

    @modes()
    def test_session(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        id = self.tower.send_command(hold.text + "; echo done")
        hold.reached()
        first = self.tower.agent
        self.kill(agent, "tw-agent-net-session")
        agent.wait_log(r"net-session .*ended by signal 9")
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        hold.open()
        result = self.tower.wait_result(id)
        self.assertEqual((result.output, result.conn), (b"done\n", second.number))
        wait_status(agent, lambda status: status["reconnects"] == 1)

    def test_sessions_leave_no_zombies(self):
        agent = self.online_agent()
        agent.wait_log("attestation: [0-9]+ attacks")  # whose processes come and go
        for _ in range(2):
            first = self.tower.agent
            self.kill(agent, "tw-agent-net-session")
            self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        names = sorted(process.comm for process in agent.processes())
        self.assertEqual(names, sorted(["tw-agent", "tw-agent-core", "tw-agent-exec",
                                        "tw-agent-net", "tw-agent-net-se"]))


class Instances(TowerCase):
    @modes()
    def test_second_one_is_refused(self):
        first = self.online_agent()
        second = self.start_agent(state_dir=first.state_dir)
        self.assertEqual(second.wait(), 8)
        self.assertRegex(second.log, "(?i)another|already")
        self.assertIn("lab", second.log)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertEqual(len(self.tower.requests("connect")), 1)

    def test_place_is_free_after_a_stop(self):
        first = self.online_agent()
        first.terminate()
        self.assertEqual(first.wait(), 0)
        self.online_agent(state_dir=first.state_dir)

    @modes()
    def test_place_is_free_after_a_kill(self):
        first = self.online_agent()
        hold = gate(self, first)
        self.tower.send_command(hold.text)
        hold.reached()
        first.processes()
        before = self.tower.agent
        first.popen.kill()
        first.wait()
        self.start_agent(state_dir=first.state_dir)
        self.tower.wait_online(TIMEOUT, newer_than=before)

    def test_standby_on_another_host(self):
        """Two login nodes with one connection ID, each with a state directory of its own."""
        self.online_agent()
        first = self.tower.agent
        second = self.start_agent()
        second.wait_log("standby")
        self.assertIsNone(second.popen.poll())
        self.assertIs(self.tower.agent, first)


if __name__ == "__main__":
    harness.main()
