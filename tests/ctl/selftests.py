# SPDX-License-Identifier: Apache-2.0
"""What the tests of selftest share: a host whose commands reach a scheduler's clients."""

import os
import sys

from ctl import HERE, CtlCase, harness

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "schedulers"))

JOB = ["configuration", "environment", "command", "files", "scheduler", "submit", "poll", "read",
       "cancel", "clean-up"]


class SelftestCase(CtlCase):
    def selftest(self, host, *arguments, variables=None, **config):
        """Its answer; commands get these variables, by the configuration in system mode."""
        config = {"url": "https://tower.example/api", "work_dir": host.work,
                  "state_dir": host.state, "connection_id": "lab", **config}
        if host.system:
            config["run_as"] = harness.RUN_AS
            config["pass_env"] = ", ".join(variables or {})
        lines = "".join(f"{key} = {value}\n" for key, value in config.items() if value)
        report = host.control("--json", "selftest", "--config", host.write("lab.conf", lines),
                              *arguments, env=variables)
        self.assertEqual(os.listdir(host.work), [], "nothing is left behind")
        return report

    def passes(self, report):
        self.assertEqual(report.code, 0, report.text + report.stderr)
        self.assertTrue(report.json["ok"])
        self.assertEqual({*report.states().values()}, {"ok"})
        self.assertEqual([row["name"] for row in report.json["steps"]], JOB)

    def fails(self, report, name, words, output=".*", code=1):
        """At this step first, and for this reason."""
        said = report.text + report.stderr
        self.assertEqual((report.code, report.json["ok"], report.json["endsAt"]),
                         (code, False, name), said)
        step = report.step(name)
        self.assertEqual(step["state"], "failed", said)
        self.assertRegex(step["detail"] + " | " + step["remedy"], words)
        self.assertRegex(step["output"], output)
