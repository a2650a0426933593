#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Grid Engine through Tower and the agent: submit, poll, read, cancel, and its outages."""

import collections

import cases
import harness
from gridengine import GridEngine
from harness import modes
from support import commands_file, gate


class Jobs(cases.JobCase):
    scheduler_type = GridEngine

    @modes()
    def test_here_document(self):
        agent = self.job_agent()
        hold = gate(self, agent)
        job = self.job_of(self.command(
            "qsub -wd \"$TW_AGENT_WORK\" -N nf-workflow-1 -j y -o \"$TW_AGENT_WORK\"/nf-1.log "
            f"<<'EOF'\n#!/bin/bash\nid -un\npwd\n{hold.text}\necho \"$JOB_NAME\"\nEOF\n"))
        hold.reached(cases.SLOW)
        self.wait_state(job, "r")
        hold.open()
        self.wait_gone(job)
        self.assertEqual(self.command("cat nf-1.log").splitlines(),
                         [agent.user, agent.work_dir, "nf-workflow-1"])

    @modes()
    def test_file(self):
        agent = self.job_agent()
        self.put_file("nf-2yAb3.launcher.sh", f"""#!/bin/bash
#$ -wd {agent.work_dir}
#$ -N nf-workflow-2yAb3
#$ -o {agent.work_dir}/nf-2yAb3.log
#$ -j y
echo "$JOB_NAME in $(pwd)" 'of $HOME' >&2
""")
        job = self.job_of(self.command("qsub nf-2yAb3.launcher.sh"))
        self.wait_gone(job)
        self.assertEqual(self.command("cat nf-2yAb3.log"),
                         f"nf-workflow-2yAb3 in {agent.work_dir} of $HOME\n")

    @modes()
    def test_cancel(self):
        agent = self.job_agent()
        hold = gate(self, agent)
        job = self.job_of(self.command("qsub -cwd -j y -o cancel.log <<'EOF'\n#!/bin/sh\n"
                                       f"echo begun\n{hold.text}\necho not reached\nEOF\n"))
        hold.reached(cases.SLOW)
        self.assertIn("has registered the job", self.command(f"qdel {job}"))
        self.wait_gone(job)
        said = self.command("cat cancel.log")
        self.assertIn("begun", said)
        self.assertNotIn("not reached", said)
        self.assertIn("does not exist", self.command("qdel 999999", status=1))

    @modes()
    def test_fifty_at_once(self):
        agent = self.job_agent()
        ids = [self.tower.send_command(
            f"qsub -cwd -j y -o out.{i} <<'EOF'\n#!/bin/sh\necho {i} >> ran\nEOF\n")
            for i in range(50)]
        jobs = [self.job_of(self.tower.wait_result(id, cases.SLOW).output.decode()) for id in ids]
        self.assertEqual(len(set(jobs)), 50)
        for job in jobs:
            self.wait_gone(job)
        self.assertEqual(collections.Counter(commands_file(agent, "ran").split()),
                         {str(i): 1 for i in range(50)})
        self.assertEqual([len(self.tower.results(id)) for id in ids], [1] * 50)


class Outages(cases.JobCase):
    scheduler_type = GridEngine

    @modes()
    def test_qmaster_down(self):
        """The client's error is the result."""
        self.job_agent()
        submit = "qsub -cwd -j y -o /dev/null <<'EOF'\n#!/bin/sh\nEOF\n"
        self.states()
        self.scheduler.kill("qmaster")
        self.addCleanup(self.scheduler.ensure_qmaster)
        ids = [self.tower.send_command(text) for text in ("qstat", submit, "qdel 1")]
        self.assertEqual(self.command("echo on"), "on\n")
        for id in ids:
            result = self.tower.wait_result(id, cases.SLOW)
            self.assertEqual(result.exit_status, 1)
            self.assertRegex(result.output, b"unable to (contact|send message to) qmaster")
        self.scheduler.ensure_qmaster()
        # The execution daemon takes half a minute to come back to it, which is not waited for.
        job = self.job_of(self.command(submit))
        self.assertEqual(self.states()[job], "qw")
        self.command(f"qdel {job}")

    @modes()
    def test_clients_hang(self):
        self.job_agent(cases.IMPATIENT)
        self.expect_limit("qmaster", "qstat")


if __name__ == "__main__":
    harness.main()
