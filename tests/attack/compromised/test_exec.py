#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An exec that a command has taken over: it is a process of the commands' user, and stays one. What
it tells core is taken for a broken rule unless a command with that ticket runs."""

import shlex

from puppets import PARENT, PEER, TICKET, PuppetCase, array, frame, numbered
import harness
from harness import TIMEOUT, modes
from support import gate

FINISHED = frame("finished", ticket=TICKET)


class ExecCase(PuppetCase):
    role = "exec"

    def order(self, *orders):
        """What a command prints is what exec obeys."""
        return self.tower.send_command(self.printing(*orders))

    def order_of(self, connection_id, *orders):
        conversation = self.tower.wait_online(TIMEOUT, connection_id=connection_id)
        conversation.send_command(self.printing(*orders))

    @staticmethod
    def printing(*orders):
        return "printf %s " + shlex.quote("!exec " + "; ".join(orders))


class OtherProcesses(ExecCase):
    @modes()
    def test_each(self):
        """As any command of that user, and with less: the parent, core, net and the session."""
        ways = ("ptrace {pid}", "vm {pid}", "getfd {pid}", "memory {pid}", "kill {pid} 0")
        self.baseline(ways)
        agent = self.puppet_agent()
        others = [one for one in agent.processes() if one.comm != "tw-agent-exec"]
        self.assertGreaterEqual(len(others), 4)
        for one in others:
            for way in ways:
                with self.subTest(way, process=one):
                    outcome = self.obeyed(agent, way.format(pid=one.pid))
                    self.assertIn(outcome, ("EPERM", "EACCES"))
        self.goes_on()

    @modes("system")
    def test_token_and_state(self):
        agent = self.puppet_agent()
        for path in (agent.token_file, agent.state_dir, f"/proc/{agent.pid}/environ"):
            with self.subTest(path):
                self.assertEqual(self.obeyed(agent, f"open {path}"), "EACCES")
        self.assertRegex(self.obeyed(agent, "open /etc/passwd"), "^ok", "baseline")
        self.goes_on()


class Forgeries(ExecCase):
    """Each is the end of the agent, with the name of the rule."""

    def core_ends(self, orders, why):
        return {f"{order}": (r"tw-agent\[core\].*exec's channel: broken rules: .*" + why)
                for order in orders}

    def forgeries(self):
        raw = f"raw {PEER}"
        memfds = ("null", "channel", "unsealed:4096", "shrinkable:4096", "writable:4096",
                  "growable:4096", "unsealing:4096", "sealed:11250001", f"sealed:{1 << 40}")
        return {
            **self.core_ends([f"{raw} {FINISHED} {kind}" for kind in memfds],
                             "not a sealed memfd"),
            **self.core_ends([f"{raw} {FINISHED} sealed:1 sealed:1"], "more than one descriptor"),
            # Twice: the ordinary one follows. Of a command that is not there; of one that was.
            **self.core_ends([f"{raw} {FINISHED}", f"ticket 1000; {raw} {FINISHED}",
                              f"ticket -1; {raw} {FINISHED}"], "finished"),
            **self.core_ends([f"{raw} {numbered('finished', 1, 256, 0, 0)}"], "status"),
            **self.core_ends([f"{raw} {frame('command', id='x', text=b'x')}",
                              f"{raw} {frame('token_request')}"], "another direction"),
            **self.core_ends([f"{raw} {array(99)}"], "unknown type"),
            **self.core_ends([f"{raw} {frame('pong')}"], "pong"),
            **self.core_ends([f"{raw} {frame('exec_ready', work_dir='/')}"], "message repeated"),
            **self.core_ends([f"{raw} +65532:{FINISHED}"], "packet too long"),
            **self.core_ends([f"{raw} {FINISHED}00"], "trailing bytes"),
            f"ask {PARENT} {frame('token_request')}": r"exec broke the rules.*another direction",
            f"ask {PARENT} {frame('started')}": r"exec broke the rules.*message repeated",
            f"ask {PARENT} {frame('search')} sealed:1": r"exec broke the rules.*another direction",
        }

    def test_each(self):
        forgeries = self.forgeries()
        for number, order, agent in self.led_agents(forgeries, "e"):
            why = forgeries[order]
            with self.subTest(order[:70], why=why):
                self.tower.wait_online(TIMEOUT, connection_id=f"e-{number}").run("echo first")
                self.order_of(f"e-{number}", order)
                self.ends_with_code_7(agent, why)
                self.assertNotRegex(agent.log, r"puppet exec: ask: ok [1-9]")

    def test_own_results(self):
        """The baseline: that exec says what a running command's end was is its right, and the
        same packet with a sealed memfd is taken."""
        agent = self.puppet_agent()
        id = self.order("swallow", f"raw {PEER} {frame('finished', ticket=TICKET, status=42)}")
        self.assertEqual(self.tower.wait_result(id).exit_status, 42)
        id = self.order("swallow", f"raw {PEER} {FINISHED} sealed:4096")
        self.assertEqual(self.tower.wait_result(id).output, bytes(4096))
        held = gate(self, agent)
        other = self.tower.send_command(held.text)
        held.reached()
        id = self.order("ticket -1", f"raw {PEER} {frame('finished', ticket=TICKET, status=43)}")
        self.assertEqual(self.tower.wait_result(other).exit_status, 43)
        self.tower.wait_result(id)
        self.goes_on()

    def test_flood(self):
        """Whatever comes behind the first broken rule is not even read."""
        agent = self.puppet_agent()
        watch = self.watch(agent)
        self.order(f"flood {PEER} 100000 {FINISHED} sealed:1000000")
        self.ends_with_code_7(agent, "exec's channel: broken rules: finished")
        self.bounded(watch)


if __name__ == "__main__":
    harness.main()
