#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Units, users and directories, as the system's own tools judge them."""

import re
import shutil
import subprocess
import tempfile
import unittest

import packages
from machine import Machine
from packages import ROOT

import harness

# systemd's measure of what a service could still do, 0 to 10: lower is less. What would lower it breaks commands; docs/service.md.
EXPOSURE = 6.9


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("systemd-analyze"):
            raise unittest.SkipTest("systemd-analyze is not installed")
        deb = packages.package("*.deb")
        cls.host = Machine()
        cls.addClassCleanup(cls.host.stop)
        packages.install(cls.host, deb)

    def test_verify_finds_nothing(self):
        for unit in ("tw-agent@lab.service", "tw-agent.target", "tw-agent.slice"):
            with self.subTest(unit):
                self.assertEqual(self.host.run("systemd-analyze", "verify", "--man=no", unit), "")
        self.host.run("mkdir", "-p", "-m", "700", "/run/user/0")
        self.assertEqual(self.host.run("env", "XDG_RUNTIME_DIR=/run/user/0", "HOME=/root", "systemd-analyze", "--user", "verify",
                                       "--man=no", "tw-agent@lab.service"), "")

    def test_verify_would_find_something(self):
        text = self.host.read("/usr/lib/systemd/system/tw-agent@.service")
        self.host.write("/etc/systemd/system/bad@.service", text.replace("KillMode=process", "KillMode=some")
                        .replace("/usr/bin/tw-agent", "/usr/bin/tw-agent-gone"))
        said = self.host.run("systemd-analyze", "verify", "--man=no", "bad@x.service", check=False).stdout
        self.assertRegex(said, "Failed to parse kill mode")
        self.assertRegex(said, "tw-agent-gone")

    def test_exposure(self):
        said = self.host.run("systemd-analyze", "security", "--offline=true", "--no-pager", "tw-agent@lab.service")
        figure = float(re.search(r"Overall exposure level for tw-agent@lab\.service: ([0-9.]+)", said)[1])
        print(f"systemd-analyze security: {figure}, at most {EXPOSURE}")
        self.assertLessEqual(figure, EXPOSURE)

    def test_paths(self):
        for kind, config in (("system", "/etc"), ("user", "%E")):
            text = self.host.read(f"/usr/lib/systemd/{kind}/tw-agent@.service")
            self.assertIn(f"\nExecStart=/usr/bin/tw-agent --config {config}/tw-agent/%i.conf\n", text)
            self.assertNotIn("@bindir@", text)


class Files(unittest.TestCase):
    """Into an empty root: whom sysusers.d makes, what tmpfiles.d makes."""

    def test_users_and_directories(self):
        for tool in ("systemd-sysusers", "systemd-tmpfiles"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")
        if not harness.AS_ROOT:
            self.skipTest("owners can be set by root alone")
        with tempfile.TemporaryDirectory(prefix="tw-root-", dir="/tmp") as root:
            for name in ("etc", "var/lib", "run"):
                subprocess.run(["mkdir", "-p", f"{root}/{name}"], check=True)
            subprocess.run(["systemd-sysusers", f"--root={root}", str(ROOT / "packaging/sysusers.d/tw-agent.conf")], check=True)
            with open(f"{root}/etc/passwd", encoding="utf-8") as file:
                users = {line.split(":")[0]: line.strip().split(":") for line in file}
            self.assertEqual(set(users), {"tw-agent", "tw-agent-net"})
            self.assertEqual({fields[6] for fields in users.values()}, {"/usr/sbin/nologin"})
            self.assertEqual(len({fields[2] for fields in users.values()} | {fields[3] for fields in users.values()}), 2)
            for _ in range(2):  # the second run changes nothing
                subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create",
                                str(ROOT / "packaging/tmpfiles.d/tw-agent.conf")], check=True)
                found = subprocess.run(["stat", "-c", "%a %u %g", f"{root}/etc/tw-agent", f"{root}/var/lib/tw-agent"],
                                       stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
                uid, gid = users["tw-agent"][2:4]
                self.assertEqual(found, [f"750 0 {gid}", f"700 {uid} {gid}"])


class Scripts(unittest.TestCase):
    def test_shell(self):
        scripts = [ROOT / "packaging/openrc/tw-agent.in", *(ROOT / "packaging/deb" / name
                                                            for name in ("postinst", "prerm", "postrm"))]
        for script in scripts:
            subprocess.run(["sh", "-n", str(script)], check=True)
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is not installed; sh -n passed")
        subprocess.run(["shellcheck", *map(str, scripts), str(ROOT / "scripts/package")], check=True)


if __name__ == "__main__":
    harness.main()
