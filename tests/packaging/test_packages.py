#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""deb, tar.gz and rpm: what is in them, and an agent that runs from where they put it."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest

import packages
import harness
from harness import RUN_AS, TowerCase, modes
from packages import NAME, ROOT, PackageCase

PROGRAMS = {f"libexec/tw-agent/tw-agent-{name}" for name in
            ("core", "exec", "net", "net-connect", "net-session", "probe")} | {"bin/tw-agent", "bin/tw-agentctl"}
EXAMPLE = (ROOT / "packaging/tw-agent.conf.example").exists()
# Each has its reason in packaging/deb/lintian-overrides or beside it in packaging/rpm/tw-agent.spec and docs/install.md.
RPMLINT = {"non-standard-executable-perm", "non-readable", "non-standard-dir-perm", "no-signature", "no-packager-tag",
           "no-group-tag",
           "bad-manual-page-folder"}  # it takes tw-agent.conf.5 for a page of section "conf"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def content_of(listing):
    """Path → (mode as ls prints it, owner) of a listing of tar."""
    found = {}
    for line in listing.splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        found[path.split(" -> ")[0].removeprefix(".")] = (mode, owner)
    return found


class Deb(PackageCase):
    def setUp(self):
        super().setUp()
        self.deb = packages.package("*.deb")

    def test_content(self):
        found = content_of(output("dpkg-deb", "--contents", self.deb))
        self.assertEqual({owner for _, owner in found.values()}, {"root/root"})
        for name in PROGRAMS:
            self.assertEqual(found["/usr/" + name][0], "-rwx--x--x", name)
        self.assertEqual(found["/etc/tw-agent/"][0], "drwxr-x---")
        expected = ["systemd/system/tw-agent@.service", "systemd/system/tw-agent.target", "systemd/system/tw-agent.slice",
                    "systemd/user/tw-agent@.service", "sysusers.d/tw-agent.conf", "tmpfiles.d/tw-agent.conf"]
        for name in [*("/usr/lib/" + name for name in expected), "/usr/share/tw-agent/tw-agent.spdx.json",
                     *(f"/usr/share/doc/tw-agent/{name}" for name in ("copyright", "changelog.gz", "changelog.Debian.gz"))]:
            self.assertEqual(found[name][0], "-rw-r--r--", name)
        if EXAMPLE:
            self.assertEqual(found["/etc/tw-agent/tw-agent.conf.example"][0], "-rw-r-----")
        depends = output("dpkg-deb", "--field", self.deb, "Depends")
        for library in ("libc6", "libssl3", "libcurl4", "libwslay1", "libjansson4", "libmsgpackc2"):
            self.assertRegex(depends, rf"\b{library} \(>= ")

    def test_lintian(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed")
        done = subprocess.run(["lintian", "--allow-root", "--tag-display-limit", "0", self.deb], text=True,
                              check=False, stdout=subprocess.PIPE)
        print("lintian:", done.stdout.strip() or "nothing")
        self.assertNotRegex(done.stdout, r"(?m)^E:")
        self.assertEqual(done.returncode, 0)

    def test_install_run_remove(self):
        """From an empty system to a command's result and back."""
        host = self.machine()
        self.assertNotIn("tw-agent", host.read("/etc/passwd"))
        packages.install(host, self.deb)
        self.check_installed(host)
        packages.configure(host, self.tower)
        self.assertIn("good", host.run("tw-agent", "--check-config", "--config", f"/etc/tw-agent/{NAME}.conf"))
        with open(os.path.join(host.base + ".agent"), "wb") as log:
            self.addCleanup(os.unlink, log.name)
            agent = subprocess.Popen(host.command("tw-agent", "--config", f"/etc/tw-agent/{NAME}.conf"),
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.addCleanup(self.end, agent)
            self.wait_online()
            result = self.tower.run("id -un; pwd; ls /etc/tw-agent")
            self.assertRegex(result.output.decode(), rf"^{RUN_AS}\n{packages.WORK}\nls: .*Permission denied")
        host.run("pkill", "-TERM", "-x", "-o", "tw-agent")
        self.assertEqual(agent.wait(harness.TIMEOUT), 0)
        host.run("dpkg", "--remove", "tw-agent")
        self.assertTrue(os.path.exists(host.path(f"/etc/tw-agent/{NAME}.conf")))
        self.assertFalse(os.path.exists(host.path("/usr/bin/tw-agent")))
        host.run("dpkg", "--purge", "tw-agent")
        for gone in ("/etc/tw-agent", "/var/lib/tw-agent"):
            self.assertFalse(os.path.exists(host.path(gone)), gone)

    @staticmethod
    def end(process):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()

    def check_installed(self, host):
        self.assertEqual(host.run("stat", "-c", "%a %U %G", "/etc/tw-agent", "/var/lib/tw-agent"),
                         "750 root tw-agent\n700 tw-agent tw-agent\n")
        self.assertEqual(host.run("stat", "-c", "%a %U", "/usr/bin/tw-agent"), "711 root\n")
        self.assertEqual(host.run("sh", "-c", "ls -A /etc/systemd/system/multi-user.target.wants 2>/dev/null | grep tw-agent || :"),
                         "", "nothing is started unasked")

    def test_again_and_without_systemd(self):
        """Twice, after a site's own changes, and where there is no systemd-sysusers."""
        host = self.machine()
        host.run("sh", "-c", "rm /usr/bin/systemd-sysusers /bin/systemd-sysusers 2>/dev/null; ! command -v systemd-sysusers")
        packages.install(host, self.deb)
        self.check_installed(host)
        for user, home in (("tw-agent", "/var/lib/tw-agent"), ("tw-agent-net", "/")):
            fields = host.run("getent", "passwd", user).strip().split(":")
            self.assertEqual(fields[5:], [home, "/usr/sbin/nologin"])
            self.assertEqual(host.run("id", "-Gn", user).strip(), user)
        host.run("sh", "-c", "groupadd site; chown root:site /etc/tw-agent; chmod 0770 /etc/tw-agent")
        packages.install(host, self.deb)
        self.assertEqual(host.run("stat", "-c", "%a %U %G", "/etc/tw-agent"), "770 root site\n")


class Tar(TowerCase):
    @modes("user")
    def test_unpacked_anywhere_by_a_plain_user(self):
        archive = packages.package("*.tar.gz")
        with tempfile.TemporaryDirectory(prefix="tw tar ", dir="/tmp") as place:  # with blanks in its name
            harness.give(place, harness.own_user(), 0o755)
            os.chmod(archive, 0o644)
            identity = harness.identity_of(harness.own_user())
            with open(archive, "rb") as file:
                subprocess.run(["tar", "-xz"], cwd=place, check=True, stdin=file, **identity)
            (top,) = os.listdir(place)
            program = os.path.join(place, top, "bin/tw-agent")
            self.assertEqual(os.stat(program).st_mode & 0o777, 0o711)
            self.online_agent(program=program)
            self.assertEqual(self.tower.run("echo from $TW_AGENT_WORK >&2; id -un").output.decode().split()[-1],
                             harness.own_user())

    def test_content(self):
        with tarfile.open(packages.package("*.tar.gz")) as archive:
            members = {member.name.partition("/")[2]: member for member in archive.getmembers()}
        self.assertLessEqual(PROGRAMS, set(members))
        for name, member in members.items():
            self.assertEqual((member.uid, member.gid), (0, 0), name)
            self.assertFalse(member.mode & 0o7022, name)
            if name in PROGRAMS:
                self.assertEqual(member.mode, 0o711, name)


class Rpm(unittest.TestCase):
    def test_content(self):
        rpm = packages.package("*.rpm")
        listing = output("rpm", "-qp", "--qf", r"[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]", rpm)
        found = {line.split(None, 3)[3]: line.split(None, 3)[:3] for line in listing.splitlines()}
        for name in PROGRAMS:
            self.assertEqual(found["/usr/" + name], ["-rwx--x--x", "root", "root"])
        self.assertEqual(found["/etc/tw-agent"], ["drwxr-x---", "root", "tw-agent"])
        self.assertEqual(found["/var/lib/tw-agent"], ["drwx------", "tw-agent", "tw-agent"])
        for name in ("systemd/system/tw-agent@.service", "systemd/system/tw-agent.slice", "sysusers.d/tw-agent.conf"):
            self.assertEqual(found["/usr/lib/" + name], ["-rw-r--r--", "root", "root"])
        if EXAMPLE:
            self.assertEqual(found["/etc/tw-agent/tw-agent.conf.example"], ["-rw-r-----", "root", "tw-agent"])
            self.assertIn("/etc/tw-agent/tw-agent.conf.example", output("rpm", "-qpc", rpm))
        scripts = output("rpm", "-qp", "--scripts", rpm)
        self.assertIn("try-restart 'tw-agent@*.service'", scripts)
        self.assertNotRegex(scripts, r"systemctl (--now )?(start|enable)")

    def test_rpmlint(self):
        if not shutil.which("rpmlint"):
            self.skipTest("rpmlint is not installed")
        spec = ROOT / "packaging/rpm/tw-agent.spec"
        said = ""
        for what in (str(spec), packages.package("*.rpm")):
            said += subprocess.run(["rpmlint", what], text=True, check=False, stdout=subprocess.PIPE).stdout
        self.assertEqual(len(re.findall("rpmlint session starts", said)), 2)
        self.assertEqual({tag for tag in re.findall(r"(?m): E: (\S+)", said)} - RPMLINT, set(), said)

    def test_version(self):
        """One version in all places that say it."""
        version = re.search(r"project\(tw-agent VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
        spec = (ROOT / "packaging/rpm/tw-agent.spec").read_text()
        self.assertEqual(re.search(r"(?m)^Version: +(\S+)", spec)[1], version)
        changelog = (ROOT / "packaging/deb/changelog").read_text()
        self.assertTrue(changelog.startswith(f"tw-agent ({version}-"))


if __name__ == "__main__":
    harness.main()
