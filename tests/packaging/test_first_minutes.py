#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""README's first ten minutes, as they stand there: on a machine with systemd that never saw the agent, whose work directory
a Slurm shares. Only names are others: of the user, and of the Tower."""

import os
import re
import shutil
import sys
import unittest

from packages import ROOT, PackageCase, package

sys.path[:0] = [str(ROOT / "tests/ctl"), str(ROOT / "tests/schedulers")]

import harness  # noqa: E402
import slurm  # noqa: E402
from control import Terminal  # noqa: E402
from harness import RUN_AS, TIMEOUT, TOKEN  # noqa: E402
from machine import machine  # noqa: E402

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


def commands_of_readme():
    """The lines of its first code block below that heading."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## The first ten minutes\n")[2].partition("\n## ")[0]
    return re.search(r"(?ms)^```\n(.*?)^```", section)[1].splitlines()


class FirstMinutes(PackageCase):
    def setUp(self):
        super().setUp()
        if reason := harness.why_not("system") or slurm.why_not():
            self.skipTest(reason)
        self.slurm = slurm.Slurm()
        self.addCleanup(self.slurm.stop)
        home = self.slurm.make_directory("home")
        shutil.chown(home, RUN_AS, RUN_AS)
        deb = package("*.deb")
        self.host = machine(self, "systemd", [self.slurm.directory])
        self.host.run("usermod", "--home", home, RUN_AS)
        self.host.write("/etc/slurm/slurm.conf", f"include {self.slurm.conf}\n")
        shutil.copy(deb, self.host.path("/root"))
        with open(self.tower.ca, encoding="ascii") as ca:
            self.host.write(SYSTEM_CA, ca.read())
        self.host.write("/etc/systemd/system/tw-agent@.service.d/log.conf",
                        "[Service]\nStandardError=append:/var/log/tw-agent.log\n")

    def type_in(self, line, *answers, timeout=6 * TIMEOUT):
        """What a terminal shows while an administrator types this line, and the answer to each question."""
        for name, here in (("labsvc", RUN_AS), ("https://tower.example/api", self.tower.url)):
            line = line.replace(name, here)
        terminal = Terminal(self.host.command("env", "HOME=/root", "sh", "-c", "cd /root && " + line))
        try:
            for question, answer in answers:
                terminal.read_until(question, timeout)
                if answer == TOKEN:
                    self.assertFalse(terminal.echoes)
                terminal.type(answer + "\n")
            code = terminal.wait(timeout)
        finally:
            terminal.close()
        said = terminal.shown.replace("\r\n", "\n")
        self.assertEqual(code, 0, f"{line}\n{said}\n{self.log()}")
        self.assertNotIn(TOKEN, said)
        return said

    def log(self):
        path = "/var/log/tw-agent.log"
        return self.host.read(path) if os.path.exists(self.host.path(path)) else ""

    def test_as_in_the_readme(self):
        install, setup, start, credentials, selftest = commands_of_readme()
        said = self.type_in(install.replace("apt install", "apt-get --yes install"))
        self.assertRegex(said, "(?i)slurm")
        said = self.type_in(setup, ("(?i)token", TOKEN), (r"work\b[^?]*\? \[y/N\]", "y"))
        for name in ("/etc/tw-agent/lab.conf", "/etc/tw-agent/lab.token"):
            self.assertIn(name, said)
            self.assertEqual(self.host.run("stat", "-c", "%U:%G %a", name), "root:tw-agent 640\n")
        said = self.type_in(start)
        self.assertRegex(said, r"(?m)^ONLINE since .*sandbox: ")
        said = self.type_in(credentials, (r"acme/genomics[^?]*\? \[y/N\]", "y"))
        self.assertIn(RUN_AS, said)
        made = self.tower.rest.credentials(7101)
        self.assertEqual([(item["name"], item["keys"]["shared"]) for item in made], [("lab-hpc", True)])
        connection_id = made[0]["keys"]["connectionId"]
        self.assertIn(f"connection_id = {connection_id}\n", self.host.read("/etc/tw-agent/lab.conf"))
        said = self.type_in(selftest)
        self.assertRegex(said, r"(?i)submit")
        # The agent that the workspace has now runs its members' commands as that user.
        agent = self.tower.wait_online(TIMEOUT, connection_id)
        self.assertEqual(agent.run("id -un").output.decode().strip(), RUN_AS)
        self.assertNotIn(TOKEN, self.log())


if __name__ == "__main__":
    harness.main()
