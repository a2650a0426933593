#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl check: the agent's programs, and scheduler clients with what they need."""

import os
import shutil

from ctl import CtlCase, copy_of_build, harness, mounted, no_view_of_etc
from harness import AS_ROOT, give

NO_MOUNTS = no_view_of_etc()


class Programs(CtlCase):
    def setUp(self):
        if not AS_ROOT:
            self.skipTest("only the owner of the build can copy the helper programs")

    def test_missing(self):
        for host in self.modes():
            control = copy_of_build(host.directory)
            host.well(program=control)
            for name in ("libexec/tw-agent/tw-agent-net-session", "bin/tw-agent"):
                os.rename(f"{host.directory}/{name}", f"{host.directory}/away")
                host.finds("programs", "error", f"{os.path.basename(name)} is missing",
                           program=control)
                os.rename(f"{host.directory}/away", f"{host.directory}/{name}")

    def test_that_others_can_change(self):
        for host in self.modes():
            control = copy_of_build(host.directory)
            stranger = "daemon"
            for name in ("libexec/tw-agent/tw-agent-exec", "bin/tw-agent", "libexec/tw-agent",
                         "libexec", "bin"):
                path = os.path.join(host.directory, name)
                mode = os.stat(path).st_mode & 0o7777
                for change, words in (
                        (lambda: os.chmod(path, mode | 0o020), "can be written by its group"),
                        (lambda: os.chmod(path, mode | 0o002), "can be written by everyone"),
                        (lambda: shutil.chown(path, stranger), "belong")):
                    change()
                    host.finds("programs", "error", words, program=control)
                    os.chmod(path, mode)
                    shutil.chown(path, "root")
                host.well(program=control)

    def test_sticky_directories(self):
        for host in self.modes():
            shared = host.make("shared", "root", 0o1777)
            host.well(program=copy_of_build(shared))
            os.chmod(shared, 0o777)
            host.finds("programs", "error", f"{shared} can be written by everyone",
                       program=os.path.join(shared, "bin", "tw-agentctl"))

    def test_links(self):
        """Where a link stands counts as well as where it points to."""
        host = self.mode("system")
        control = copy_of_build(host.directory)
        link = os.path.join(host.directory, "libexec", "tw-agent", "tw-agent-core")
        elsewhere = host.make("elsewhere", "root", 0o755)
        shutil.move(link, elsewhere)
        os.symlink(os.path.join(elsewhere, "tw-agent-core"), link)
        host.well(program=control)
        os.chmod(elsewhere, 0o777)
        host.finds("programs", "error", f"{elsewhere} can be written", program=control)

    def test_of_a_plain_user(self):
        """Its own programs are fine, and what a group writes in which only this user is."""
        host = self.mode("user")
        control = copy_of_build(host.directory)
        for folder, _, files in os.walk(host.directory):
            for name in ["", *files]:
                path = os.path.join(folder, name)
                shutil.chown(path, host.user, host.user)
                os.chmod(path, 0o775)
        give(host.state, host.user, 0o700)
        host.well(program=control)
        shutil.chown(os.path.join(host.directory, "bin"), group="daemon")
        host.finds("programs", "error", "can be written by its group", program=control)
        # To root they are not good enough.
        if not harness.why_not("system"):
            shutil.chown(os.path.join(host.directory, "bin"), group=host.user)
            self.good("system").finds("programs", "error", "does not belong to root",
                                      program=control)


class Schedulers(CtlCase):
    def fake(self, host, folder, *names):
        directory = os.path.join(host.directory, folder)
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o755)
        for name in names:
            path = host.write(os.path.join(folder, name), "#!/bin/sh\n")
            give(path, "root", 0o755)
        return directory

    def test_clients(self):
        for host in self.modes():
            path = self.fake(host, "bin", "bsub", "msub")
            report = host.well(env={"PATH": path})
            found = str(report.findings("scheduler"))
            self.assertIn(f"LSF: {path}/bsub", found)
            self.assertIn(f"Moab: {path}/msub", found)
            self.assertNotIn(f"{path}/bsub", str(host.well().findings("scheduler")))

    def test_setuid_helpers(self):
        for host in self.modes():
            path = self.fake(host, "bin", "qsub")
            self.fake(host, "sbin", "pbs_iff")
            self.fake(host, "etc", "eauth")
            self.fake(host, "libexec/apptainer/bin", "starter-suid")
            self.assertEqual(host.well(env={"PATH": path}).findings("setuid-helpers"), [])
            for name in ("sbin/pbs_iff", "etc/eauth", "libexec/apptainer/bin/starter-suid"):
                os.chmod(os.path.join(host.directory, name), 0o4755)
                report = host.finds("setuid-helpers", "warning",
                                    f"{name} is setuid.*setuid_helpers = yes.*not isolated",
                                    env={"PATH": path})
                self.assertEqual(report.code, 0)

    def test_setuid_helpers_are_allowed(self):
        for host in self.modes():
            config = host.write("agent.conf", "setuid_helpers = yes\nallow_namespaces = yes\n")
            path = self.fake(host, "bin", "pbs_iff", "bwrap")
            os.chmod(os.path.join(path, "pbs_iff"), 0o4755)
            report = host.check("--config", config, env={"PATH": path})
            if "not supported in this version" in report.text:
                self.skipTest("this build has no setuid_helpers")
            self.assertEqual(report.code, 0, report.text)
            self.assertEqual(report.findings("setuid-helpers")[0][0], "ok")
            self.assertEqual(report.findings("namespaces"), [])
            self.assertEqual(report.holds("member-isolation"), "no")
            self.assertEqual(report.holds("no-namespaces"), "no")
            for word, met in (("member-isolation", False), ("seccomp", host.system)):
                self.assertEqual(host.check("--config", config, "--require", word).code,
                                 0 if met else 1)

    def test_namespaces(self):
        for host in self.modes():
            path = self.fake(host, "bin", "apptainer")
            host.finds("namespaces", "note", f"{path}/apptainer.*allow_namespaces = yes",
                       env={"PATH": path})

    def test_nothing_found(self):
        if NO_MOUNTS:
            self.skipTest(NO_MOUNTS)
        host = self.mode("system")
        empty = host.make("empty", "root", 0o755)
        hidden = [("bind", empty, path, "") for path in ("/usr/local/bin", "/opt",
                                                          "/usr/lib/gridengine")
                  if os.path.isdir(path)]
        hidden += [("bind", host.write(name, "", 0o644), f"/usr/bin/{name}", "")
                   for name in ("sbatch", "qsub", "bsub", "msub")
                   if os.path.exists(f"/usr/bin/{name}")]
        host.finds("scheduler", "note", "no sbatch, qsub, bsub or msub", under=mounted(*hidden),
                   env={"PATH": "/nowhere"})


if __name__ == "__main__":
    harness.main()
