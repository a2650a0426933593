#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Slurm through Tower and the agent: submit, poll, read, cancel, and its outages."""

import collections
import signal

import cases
import harness
from harness import modes
from slurm import Slurm
from support import commands_file, gate


class Jobs(cases.JobCase):
    scheduler_type = Slurm

    @modes()
    def test_here_document(self):
        agent = self.job_agent()
        hold = gate(self, agent)
        job = self.job_of(self.command(
            "sbatch -D \"$TW_AGENT_WORK\" -J nf-workflow-1 -o \"$TW_AGENT_WORK\"/nf-1.log "
            f"<<'EOF'\n#!/bin/bash\nid -un\npwd\n{hold.text}\necho \"$SLURM_JOB_NAME\"\nEOF\n"))
        hold.reached(cases.SLOW)
        self.assertEqual(self.states()[job], "R")
        hold.open()
        self.wait_state(job, "CD")
        self.assertEqual(self.command("cat nf-1.log").splitlines(),
                         [agent.user, agent.work_dir, "nf-workflow-1"])

    @modes()
    def test_file(self):
        """The head job's script as Tower writes it, once well and once with a failure."""
        agent = self.job_agent()
        for name, status, end in (("2yAb3", 0, "CD"), ("2yAb4", 3, "F")):
            self.put_file(f"nf-{name}.launcher.sh", f"""#!/bin/bash
#SBATCH -D {agent.work_dir}
#SBATCH -J nf-workflow-{name}
#SBATCH -o {agent.work_dir}/nf-{name}.log
#SBATCH --no-requeue
cd {agent.work_dir}
echo "$SLURM_JOB_NAME in $(pwd)" 'of $HOME' >&2
exit {status}
""")
            job = self.job_of(self.command(f"sbatch nf-{name}.launcher.sh"))
            self.assertEqual(self.wait_state(job, "CD", "F", "CA"), end)
            self.assertEqual(self.command(f"cat nf-{name}.log"),
                             f"nf-workflow-{name} in {agent.work_dir} of $HOME\n")

    @modes()
    def test_cancel(self):
        agent = self.job_agent()
        hold = gate(self, agent)
        job = self.job_of(self.command(f"sbatch -o cancel.log <<'EOF'\n#!/bin/sh\n{hold.text}\n"
                                       "echo not reached\nEOF\n"))
        hold.reached(cases.SLOW)
        self.assertEqual(self.command(f"scancel {job}"), "")
        self.wait_state(job, "CA")
        self.assertNotIn("not reached", self.command("cat cancel.log"))

    @modes()
    def test_refused(self):
        """What the scheduler refuses comes back with its words and status."""
        self.job_agent()
        self.assertIn("invalid partition", self.command(
            "sbatch -p nowhere <<'EOF'\n#!/bin/sh\nEOF\n", status=1))
        self.assertIn("must start with #!", self.command("echo no script | sbatch", status=1))

    @modes()
    def test_fifty_at_once(self):
        agent = self.job_agent()
        ids = [self.tower.send_command(
            f"sbatch -o out.{i} -J fifty-{self.mode}-{i} <<'EOF'\n#!/bin/sh\necho {i} >> ran\nEOF\n")
            for i in range(50)]
        jobs = [self.job_of(self.tower.wait_result(id, cases.SLOW).output.decode()) for id in ids]
        self.assertEqual(len(set(jobs)), 50)
        for job in jobs:
            self.wait_state(job, "CD")
        self.assertEqual(collections.Counter(commands_file(agent, "ran").split()),
                         {str(i): 1 for i in range(50)})
        done = self.scheduler.completed()
        self.assertEqual([done[f"fifty-{self.mode}-{i}"] for i in range(50)], [1] * 50)
        self.assertEqual([len(self.tower.results(id)) for id in ids], [1] * 50)


class Outages(cases.JobCase):
    scheduler_type = Slurm

    @modes()
    def test_controller_down(self):
        """The client's error is the result."""
        self.job_agent()
        submit = "sbatch -o /dev/null <<'EOF'\n#!/bin/sh\nEOF\n"
        self.states()
        self.scheduler.kill("slurmctld")
        self.addCleanup(self.scheduler.ensure_controller)
        wanted = {self.scheduler.poll: 1, submit: 1, "scancel 1": 8}
        ids = {self.tower.send_command(text): status for text, status in wanted.items()}
        self.assertEqual(self.command("echo on"), "on\n")
        for id, status in ids.items():
            result = self.tower.wait_result(id, cases.SLOW)
            self.assertEqual(result.exit_status, status)
            self.assertRegex(result.output, b"(?i)unable to contact slurm controller")
        self.scheduler.ensure_controller()
        self.assertIn(self.job_of(self.command(submit)), self.states())

    @modes()
    def test_clients_hang(self):
        self.job_agent(cases.IMPATIENT)
        self.expect_limit("munged", self.scheduler.poll)

    @modes()
    def test_clients_hang_without_limit(self):
        """Without a time limit what hangs keeps its place, others wait behind it, and each is
        answered once it is over."""
        self.job_agent(("--max-commands", "2", "--heartbeat", "1s"))
        self.states()
        self.scheduler.signal("munged", signal.SIGSTOP)
        self.addCleanup(self.scheduler.signal, "munged", signal.SIGCONT)
        before = self.tower.mark()
        polls = [self.tower.send_command(self.scheduler.poll) for _ in range(5)]
        waiting = self.tower.send_command("echo waited")
        for _ in range(3):
            self.tower.wait_event("ws-message", after=before, type="heartbeat")
            before = self.tower.mark()
        self.assertEqual([id for id in (*polls, waiting) if self.tower.results(id)], [])
        self.scheduler.signal("munged", signal.SIGCONT)
        for id in polls:
            self.assertEqual(self.tower.wait_result(id, cases.SLOW).exit_status, 0)
        self.assertEqual(self.tower.wait_result(waiting, cases.SLOW).output, b"waited\n")


if __name__ == "__main__":
    harness.main()
