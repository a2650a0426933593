#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Work that a command leaves behind: it outlives the answer, and the agent as well if it has left
the command's process group; what is still in the group ends with the agent."""

import signal

import daemons  # sets the path to the harness  # noqa: F401
import harness
from harness import TIMEOUT, Process, TowerCase, modes
from support import commands_file, gate

# How a head job leaves its command; each says its pid once it runs.
WAYS = {
    "setsid": "setsid sh -c '{text}' > {name}.log 2>&1 < /dev/null & echo $!",
    "setsid nohup": "setsid nohup sh -c '{text}' > {name}.log 2>&1 & echo $!",
    "double fork": "(setsid sh -c 'echo $$ > {name}.pid; {text}' > {name}.log 2>&1 &);"
                   " while ! test -s {name}.pid; do sleep 0.01; done; cat {name}.pid",
    "keeps the output": "setsid sh -c 'echo $$; {text}' &",
}
STAYS = "nohup sh -c '{text}' > {name}.log 2>&1 & echo $!"


class Detached(TowerCase):
    def start_work(self, agent, text, name):
        """Puts work into the background and gives it, when its command is answered and it runs."""
        hold = gate(self, agent, name)
        script = hold.text.replace("'", '"') + f"; echo finished > {name}.done"
        result = self.tower.run(text.format(text=script, name=name), timeout=TIMEOUT)
        self.assertEqual(result.exit_status, 0)
        hold.reached()
        return Process(int(result.output)), hold

    def assert_finishes(self, agent, work, hold, name):
        self.assertTrue(work.alive)
        hold.open()
        self.assertTrue(work.wait_gone(TIMEOUT))
        self.assertEqual(commands_file(agent, f"{name}.done"), "finished\n")

    @modes()
    def test_outlives_answer_and_stop(self):
        """Whichever way it was put there, it runs on when the agent has stopped as asked."""
        agent = self.online_agent()
        started = [(*self.start_work(agent, text, f"work{i}"), f"work{i}")
                   for i, text in enumerate(WAYS.values())]
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        agent.popen.terminate()  # not by terminate(), which takes all below the agent for its own
        self.assertEqual(agent.wait(), 0)
        for work, hold, name in started:
            self.assert_finishes(agent, work, hold, name)

    @modes()
    def test_stays_in_its_group(self):
        """nohup alone outlives the answer, and its command's time limit, but not the agent."""
        agent = self.online_agent(args=("--command-timeout", "5s"))
        finishing, hold = self.start_work(agent, STAYS, "finishing")
        work, _ = self.start_work(agent, STAYS, "work")
        # Its limit began later than those of the two.
        self.assertEqual(self.tower.run("exec sleep 300", timeout=TIMEOUT).exit_status, 124)
        self.assert_finishes(agent, finishing, hold, "finishing")
        self.assertTrue(work.alive)
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.assertTrue(work.wait_gone(TIMEOUT))
        self.assertIsNone(commands_file(agent, "work.done"))

    @modes()
    def test_outlives_a_crash(self):
        """The same when the agent is killed; a command that runs then ends with it."""
        agent = self.online_agent()
        work, hold = self.start_work(agent, WAYS["setsid nohup"], "work")
        waiting = gate(self, agent, "waiting")
        self.tower.send_command(f"echo $$ > shell.pid; {waiting.text}")
        waiting.reached()
        shell = Process(int(commands_file(agent, "shell.pid")))
        agent.popen.kill()
        agent.wait()
        self.assertTrue(shell.wait_gone(TIMEOUT))
        self.assert_finishes(agent, work, hold, "work")

    @modes()
    def test_group_of_a_running_command(self):
        """At the agent's stop its group is ended, a member that ignores TERM as well, and what
        left the group is not."""
        agent = self.online_agent()
        inside, outside = gate(self, agent, "inside"), gate(self, agent, "outside")
        stubborn = gate(self, agent, "stubborn")
        quoted = {hold: hold.text.replace("'", '"') for hold in (inside, outside, stubborn)}
        self.tower.send_command(
            f"sh -c 'echo $$ > inside.pid; {quoted[inside]}' &\n"
            f"sh -c 'echo $$ > stubborn.pid; trap \"\" TERM HUP; {quoted[stubborn]}' &\n"
            "setsid sh -c 'echo $$ > outside.pid; "
            f"{quoted[outside]}; echo finished > outside.done' &\nwait\n")
        work = {}
        for name, hold in (("inside", inside), ("stubborn", stubborn), ("outside", outside)):
            hold.reached()
            work[name] = Process(int(commands_file(agent, f"{name}.pid")))
        agent.popen.send_signal(signal.SIGTERM)
        agent.wait_log("(?i)stop")
        agent.popen.send_signal(signal.SIGTERM)
        agent.wait()
        for name in ("inside", "stubborn"):
            self.assertTrue(work[name].wait_gone(TIMEOUT), name)
        self.assert_finishes(agent, work["outside"], outside, "outside")


if __name__ == "__main__":
    harness.main()
