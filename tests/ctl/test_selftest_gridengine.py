#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl selftest with a real Grid Engine, in a network of its own."""

from ctl import harness
from selftests import SelftestCase

import gridengine


class Real(SelftestCase):
    @classmethod
    def setUpClass(cls):
        cls.why = gridengine.why_not()
        if not cls.why:
            cls.scheduler = gridengine.GridEngine()
            cls.addClassCleanup(cls.scheduler.stop)

    def setUp(self):
        if self.why:
            self.skipTest(self.why)

    def variables(self):
        return {**self.scheduler.variables(), "PATH": "/usr/local/bin:/usr/bin:/bin"}

    def test_job(self):
        for host in self.modes():
            report = self.selftest(host, "--scheduler", "gridengine", variables=self.variables())
            self.passes(report)
            self.assertRegex(report.step("scheduler")["detail"], r"Grid Engine \(.*8\.1\.9")
            self.assertRegex(report.step("read")["detail"], f"the job ran as {host.user} on ")

    def test_told_from_pbs(self):
        """By qconf, where there is no Slurm."""
        host = self.mode("user")
        tools = host.make("tools", host.user, 0o755)
        for directory, names in (("/usr/bin", ("mkdir", "cat", "ls", "rm", "id", "uname")),
                                 (gridengine.LIBRARY, ("qsub", "qstat", "qdel", "qconf"))):
            for name in names:
                gridengine.os.symlink(f"{directory}/{name}", f"{tools}/{name}")
        report = self.selftest(host, variables={**self.variables(), "PATH": tools})
        self.passes(report)

    def test_refused(self):
        host = self.mode("user")
        report = self.selftest(host, "--scheduler", "gridengine", "--submit-options=-q nowhere",
                               variables=self.variables())
        self.fails(report, "submit", "qsub ended with status 1", "(?i)queue.*nowhere|nowhere")


if __name__ == "__main__":
    harness.main()
