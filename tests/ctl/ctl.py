# SPDX-License-Identifier: Apache-2.0
"""What tests of tw-agentctl share: a host where all is well, in both modes, to be spoilt by one
thing at a time."""

import json
import os
import platform
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402
from harness import AS_ROOT, BUILD, CONTROL, MODES, TIMEOUT, give, identity_of, own_user  # noqa: E402

TOKEN = "Zq3vX8mN1kLr7TgYw5Bd"
WITHOUT = os.path.join(HERE, "without.py")
PASSED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")


class Report:
    def __init__(self, code, text, stderr):
        self.code, self.text, self.stderr = code, text, stderr
        self.json = json.loads(text) if text.startswith("{") else None

    def holds(self, name):
        return {row["name"]: row["holds"] for row in self.json["guarantees"]}[name]

    def findings(self, name):
        """{(severity, detail)} of one check."""
        return [(row["severity"], row["detail"] + " | " + row["remedy"])
                for row in self.json["checks"] if row["name"] == name]


class Steps(Report):
    """What doctor and selftest say."""

    def states(self):
        return {row["name"]: row["state"] for row in self.json["steps"]}

    def step(self, name):
        rows = [row for row in self.json["steps"] if row["name"] == name]
        if len(rows) != 1:
            raise AssertionError(f"not one step {name}:\n{self.text}{self.stderr}")
        return rows[0]


class CtlCase(unittest.TestCase):
    """`good(mode)` is a host and configuration where `check` finds nothing wrong."""

    maxDiff = None

    def modes(self):
        """A good host in each mode there is."""
        for mode in MODES:
            if reason := harness.why_not(mode):
                print(f"SKIPPED: {self.id()} in mode {mode}: {reason}")
            else:
                yield self.good(mode)

    def good(self, mode):
        return Host(self, mode)

    def mode(self, name):
        """One mode, for what exists in it alone."""
        reason = harness.why_not(name)
        if reason:
            self.skipTest(reason)
        return self.good(name)


class Host:
    def __init__(self, test, mode):
        self.test, self.system = test, mode == "system"
        self.mode = mode
        self.user = own_user()
        self.agent_user = "tw-agent" if self.system else self.user
        self.directory = tempfile.mkdtemp(prefix="tw-ctl-", dir="/tmp")
        test.addCleanup(shutil.rmtree, self.directory, True)
        os.chmod(self.directory, 0o755)
        if not self.system:
            give(self.directory, self.user, 0o755)
        self.work = self.make("work", self.user, 0o700)
        self.state = self.make("state", self.agent_user, 0o700)
        self.token = os.path.join(self.directory, "token")
        with open(self.token, "w", encoding="ascii") as file:
            file.write(TOKEN + "\n")
        if self.system:
            give(self.token, "root", 0o640, "tw-agent")
        else:
            give(self.token, self.user, 0o600)

    def make(self, name, user, mode):
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        give(path, user, mode)
        return path

    def write(self, name, content, mode=0o644):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def options(self, **changes):
        """The options of a good configuration; a value of None leaves one out."""
        options = {"url": "https://tower.example/api", "work_dir": self.work,
                   "state_dir": self.state, **({"run_as": harness.RUN_AS} if self.system else {}),
                   **({"token_file": self.token} if self.system else {}), **changes}
        return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()
                if value is not None]

    def check(self, *more, under=(), env=None, program=CONTROL, json=True, pass_fds=(),
              identity=None, **changes):
        """Runs tw-agentctl check and gives its report. In user mode the token comes from a pipe
        unless something else is said, since a file would be reachable."""
        fds = list(pass_fds)
        reading = None
        no_token = changes.pop("no_token", False)
        if not (self.system or no_token or "token_file" in changes or "token_fd" in changes):
            reading, writing = os.pipe()
            os.write(writing, TOKEN.encode())
            os.close(writing)
            fds.append(reading)
            changes["token_fd"] = reading
        if no_token:
            changes["token_file"] = None
        command = [*under, program, "check", *(["--json"] if json else []),
                   *self.options(**changes), *more]
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.directory, "USER": self.user,
                       **{key: os.environ[key] for key in PASSED_ON if key in os.environ},
                       **(env or {})}
        if identity is None:
            identity = {} if self.system or not AS_ROOT else identity_of(self.user)
        done = subprocess.run(command, env=environment, cwd=self.directory, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, pass_fds=fds, **identity)
        if reading is not None:
            # Not a byte of it was read.
            self.test.assertEqual(os.read(reading, 100), TOKEN.encode())
            os.close(reading)
        text, errors = done.stdout.decode(), done.stderr.decode()
        for output in (text, errors):
            self.test.assertNotIn(TOKEN[:8], output)
            self.test.assertNotIn("\x1b", output)
        self.test.assertNotRegex(errors, "AddressSanitizer|runtime error")
        return Report(done.returncode, text, errors)

    def control(self, *arguments, env=None, pass_fds=(), under=(), program=CONTROL, input=None):
        """Runs a subcommand as this mode's user, and gives what it said."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.directory,
                       "USER": self.user, "LANG": "C.UTF-8",
                       **{key: os.environ[key] for key in PASSED_ON if key in os.environ},
                       **(env or {})}
        identity = {} if self.system or not AS_ROOT else identity_of(self.user)
        done = subprocess.run([*under, program, *arguments], env=environment, cwd=self.directory,
                              input=input, stdin=None if input else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=8 * TIMEOUT, pass_fds=pass_fds, **identity)
        text, errors = done.stdout.decode(), done.stderr.decode()
        for output in (text, errors):
            self.test.assertNotIn(TOKEN[:8], output)
            self.test.assertNotIn("\x1b", output)
        self.test.assertNotRegex(errors, "AddressSanitizer|runtime error")
        return Steps(done.returncode, text, errors)

    def well(self, *more, **options):
        """All is well; its report."""
        report = self.check(*more, **options)
        self.test.assertEqual((report.code, report.json["ok"]), (0, True),
                              report.text + report.stderr)
        return report

    def finds(self, name, severity, words, *more, **options):
        """One check finds this; an error fails the whole, anything else does not."""
        report = self.check(*more, **options)
        found = report.findings(name)
        self.test.assertIn(severity, [item[0] for item in found], report.text)
        self.test.assertRegex("\n".join(item[1] for item in found if item[0] == severity), words)
        if severity == "error":
            self.test.assertEqual((report.code, report.json["ok"]), (1, False), report.text)
        else:
            self.test.assertNotIn("error", [item[0] for item in found], report.text)
        return report

    def lacks(self, *names):
        """The words before a program that make it lack these system calls."""
        if platform.machine() not in ("x86_64", "aarch64"):
            self.test.skipTest(f"no numbers of system calls for {platform.machine()}")
        return ["/usr/bin/python3", "-B", WITHOUT, *names, "--"]


def copy_of_build(directory):
    """The programs elsewhere, all root's (or ours); gives the path of tw-agentctl."""
    for part in ("bin", "libexec"):
        shutil.copytree(os.path.join(BUILD, part), os.path.join(directory, part))
    return os.path.join(directory, "bin", "tw-agentctl")


def no_view_of_etc():
    """Why /etc/passwd cannot be changed for one process; None when it can."""
    if not AS_ROOT:
        return "needs root"
    if subprocess.run(["unshare", "-m", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        return "no mount namespaces here"
    return None


def mounted(*mounts):
    """The words before a program that run it with these mounts: (type, source, target, options)."""
    mount = shutil.which("mount")
    script = "".join(f"{mount} -t {kind} -o '{options}' '{source}' '{target}' && "
                     if kind != "bind" else f"{mount} --bind '{source}' '{target}' && "
                     for kind, source, target, options in mounts)
    return [shutil.which("unshare"), "-m", "/bin/sh", "-c", script + 'exec "$@"', "sh"]


def gid_of(user):
    return pwd.getpwnam(user).pw_gid
