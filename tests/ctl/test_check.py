#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl check: what it prints, and what it says of configuration, users and token."""

import grp
import os
import pwd
import re
import struct
import subprocess
import unittest

from ctl import CONTROL, TOKEN, CtlCase, harness, mounted, no_view_of_etc
from harness import TIMEOUT, give


def run(*arguments):
    done = subprocess.run([CONTROL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=TIMEOUT, check=False, text=True)
    return done.returncode, done.stdout, done.stderr


class Program(unittest.TestCase):
    def test_usage(self):
        code, out, err = run()
        self.assertEqual((code, out), (2, ""))
        self.assertIn("Usage: tw-agentctl", err)
        code, _, err = run("chek\x1b[31m")
        self.assertEqual(code, 2)
        self.assertIn(r"no subcommand 'chek\x1b[31m'", err)
        self.assertEqual(run("check", "--no-such")[0], 2)
        self.assertIn("unknown option", run("check", "--no-such")[2])

    def test_help_and_version(self):
        for word in ("--help", "-h"):
            code, out, _ = run(word)
            self.assertEqual(code, 0)
            self.assertIn("check", out)
        code, out, _ = run("check", "--help")
        self.assertEqual(code, 0)
        self.assertRegex(out, "^Usage: tw-agentctl check (?s:.*)--token-file")
        self.assertRegex(run("--version")[1], r"^tw-agentctl \d+\.\d+\.\d+\n$")


class Output(CtlCase):
    def test_all_is_well(self):
        for host in self.modes():
            report = host.well()
            self.assertEqual(report.json["mode"], host.mode)
            self.assertEqual(report.stderr, "")
            self.assertEqual({row["severity"] for row in report.json["checks"]} - {"ok", "note"},
                             set())
            for row in report.json["guarantees"]:
                self.assertEqual(set(row), {"name", "promise", "holds", "detail", "remedy"})
                self.assertRegex(row["promise"], r"^P\d$")
                self.assertIn(row["holds"], ("ok", "partly", "no"))
            for row in report.json["checks"]:
                self.assertEqual(set(row), {"name", "ok", "severity", "detail", "remedy"})
            self.assertEqual(os.listdir(host.state), [], "it makes nothing")

    def test_text_says_the_same(self):
        for host in self.modes():
            told = host.check(json=False)
            self.assertEqual(told.code, 0, told.text)
            self.assertRegex(told.text, r"\nverdict: ok")
            told = host.check("--require", "landlock>=999", json=False)
            self.assertEqual(told.code, 1)
            self.assertRegex(told.text, r"no +landlock>=999 +this kernel has Landlock ABI")
            self.assertRegex(told.text, r"\nverdict: no: .* 1 demands are not met")

    def test_json_anywhere(self):
        host = self.good("user" if harness.why_not("system") else "system")
        report = host.check("--json", json=False)
        self.assertIsNotNone(report.json)

    def test_nothing_raw_reaches_the_terminal(self):
        bad = "/tmp/\x1b[31m\u202ered\nverdict: ok"
        for host in self.modes():
            for json in (True, False):
                report = host.check(json=json, work_dir=bad)
                self.assertEqual(report.code, 1)
                self.assertIn("red", report.text)
                self.assertNotIn("\u202e", report.text)
                self.assertNotRegex(report.text, r"(?m)^verdict: ok")

    def test_connection_id_is_optional(self):
        for host in self.modes():
            host.well("lab")
            host.finds("configuration", "error", "AGENT_CONNECTION_ID", "x" * 1025)

    def test_instance_by_name(self):
        host = self.mode("user")
        os.makedirs(os.path.join(host.directory, "tw-agent"))
        good = host.write("tw-agent/lab.conf", "connection_id = 1\nmax_commands = 3\n")
        env = {"XDG_CONFIG_HOME": host.directory}
        report = host.well("lab", env=env)
        self.assertIn(good, report.text)
        host.write("tw-agent/lab.conf", "max_commands = many\n")
        host.finds("configuration", "error", "lab.conf:1: max_commands", "lab", env=env)
        host.well("other", env=env)  # a connection ID

    def test_demands(self):
        for host in self.modes():
            host.well("--require", "landlock>=1,seccomp,member-isolation,token-unreachable")
            report = host.check("--require", "split-uid")
            self.assertEqual(report.code, 0 if host.system else 1)
            self.assertEqual([row["name"] for row in report.json["unmet"]],
                             [] if host.system else ["split-uid"])
            report = host.finds("configuration", "error", "the names are landlock>=N, seccomp",
                                "--require", "magic")


class Configuration(CtlCase):
    def test_file(self):
        for host in self.modes():
            good = host.write("good.conf", "heartbeat = 30s\n")
            host.well("--config", good)
            for text, words in (("nonsense = 1\n", r"bad\.conf:1: nonsense: unknown key"),
                                ("\nheartbeat = soon\n", r"bad\.conf:2: heartbeat: not a duration"),
                                (f"access_token = {TOKEN}\n", "token_file")):
                bad = host.write("bad.conf", text)
                host.finds("configuration", "error", words, "--config", bad)
            host.finds("configuration", "error", "No such file", "--config", "/nowhere")

    def test_file_that_others_can_write(self):
        host = self.mode("system")
        path = host.write("agent.conf", "", 0o666)
        host.finds("configuration", "error", "must belong to root", "--config", path)

    def test_values(self):
        for host in self.modes():
            host.finds("configuration", "error", "--heartbeat: not a duration", "--heartbeat=soon")
            host.finds("configuration", "error", "http is refused", url="http://tower.example")
            host.finds("configuration", "error", "HTTPS_PROXY.*form", env={"HTTPS_PROXY": "http://p"})

    def test_users(self):
        host = self.mode("system")
        for name, words in (("no-such-user", "there is no user 'no-such-user'"),
                            ("root", "must not run as root"), ("tw-agent", "agent's own user")):
            host.finds("users", "error", words, run_as=name)
        host.finds("users", "error", "say whom commands run as", run_as=None)

    def in_a_view_of_etc(self, host, words, change):
        reason = no_view_of_etc()
        if reason:
            self.skipTest(reason)
        mounts = []
        for name in ("passwd", "group"):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                mounts.append(("bind", host.write(name, change(name, file.read())), f"/etc/{name}", ""))
        host.well(under=mounted())
        host.finds("users", "error", words, under=mounted(*mounts))

    def test_users_are_missing(self):
        host = self.mode("system")
        for user in ("tw-agent", "tw-agent-net"):
            self.in_a_view_of_etc(
                host, r"sysusers\.d/tw-agent\.conf",
                lambda name, text, user=user: re.sub(rf"(?m)^{user}:.*\n", "", text)
                if name == "passwd" else text)

    def test_member_of_the_agents_group(self):
        host = self.mode("system")
        group = grp.getgrgid(pwd.getpwnam("tw-agent").pw_gid).gr_name
        self.in_a_view_of_etc(
            host, "member of the agent's groups",
            lambda name, text: re.sub(rf"(?m)^({group}:.*)$", rf"\1,{host.user}", text)
            .replace(":,", ":") if name == "group" else text)


class Token(CtlCase):
    def test_files(self):
        for host in self.modes():
            folder = os.path.join(host.directory, "folder")
            os.mkdir(folder)
            link, fifo = (os.path.join(host.directory, name) for name in ("link", "fifo"))
            os.symlink(host.token, link)
            os.mkfifo(fifo)
            empty = host.write("empty", "", 0o600)
            give(empty, "root" if host.system else host.user, 0o600)
            for path, words in ((link, "symbolic link"), (fifo, "not a regular file"),
                                (folder, "not a regular file"), (empty, "is empty"),
                                (os.path.join(host.directory, "none"), "No such file"),
                                ("/nowhere/token", "directory cannot be opened")):
                host.finds("token", "error", words, token_file=path)
            # A configuration without one is wrong; before there is any, setup's is still to come.
            empty = host.write("lab.conf", "", 0o600)
            give(empty, "root" if host.system else host.user, 0o600)
            report = host.finds("token", "error", "no access token: give --token-file", "--config",
                                empty, no_token=True)
            self.assertEqual(report.holds("token-unreachable"), "no")
            if not host.system:
                host.finds("token", "error", "no access token", no_token=True)

    def test_before_setup(self):
        host = self.mode("system")
        home = {"env": {"HOME": host.directory}, "work_dir": None}
        report = host.finds("token", "note", "none is named yet .*setup asks for it", no_token=True)
        self.assertEqual((report.code, report.holds("token-unreachable")), (0, "ok"))
        report = host.check(no_token=True, **home)
        work = report.findings("work-directory")[0]
        self.assertIn(work[0], ("note", "ok"), work)  # the user's home may have one
        host.finds("work-directory", "error", "cannot enter it", no_token=True,
                   work_dir=os.path.join(host.directory, "none"))

    def test_who_can_read_it(self):
        host = self.mode("system")
        self.assertEqual(host.well().holds("token-unreachable"), "ok")
        cases = (("root", "tw-agent", 0o644, "no", "error", "every user of this host"),
                 (host.user, "tw-agent", 0o600, "no", "error", f"user '{host.user}'"),
                 ("root", host.user, 0o640, "no", "error", f"user '{host.user}'"),
                 ("root", "daemon", 0o640, "partly", "warning", "group 'daemon' can read"),
                 ("root", "daemon", 0o600, "ok", "ok", "root:daemon, mode 0600"),
                 ("tw-agent", "tw-agent", 0o600, "ok", "ok", "tw-agent:tw-agent"))
        for owner, group, mode, holds, severity, words in cases:
            give(host.token, owner, mode, group)
            report = host.finds("token", severity, words)
            self.assertEqual(report.holds("token-unreachable"), holds, (owner, group, oct(mode)))
            demanded = host.check("--require", "token-unreachable")
            self.assertEqual(demanded.code, 0 if holds == "ok" else 1)

    def test_access_control_list(self):
        host = self.mode("system")
        uid = pwd.getpwnam(host.user).pw_uid
        entries = [(1, 6, -1), (2, 4, uid), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        try:
            os.setxattr(host.token, "system.posix_acl_access", acl)
        except OSError as reason:
            self.skipTest(f"no access control lists here: {reason}")
        # The baseline: that user really can.
        with subprocess.Popen(["cat", host.token], stdout=subprocess.PIPE,
                              **harness.identity_of(host.user)) as cat:
            self.assertEqual(cat.stdout.read().decode().strip(), TOKEN)
        host.finds("token", "error", f"user '{host.user}'")

    def test_rotation(self):
        host = self.mode("system")
        self.assertRegex(str(host.well().findings("token-rotation")), "'ok'.*SIGHUP reads")
        give(host.token, "root", 0o600, "root")
        host.finds("token-rotation", "note", "SIGHUP will not replace")

    def test_file_of_a_plain_user(self):
        """It is the user of commands, whose jobs can read the file: that is said, and fails."""
        host = self.mode("user")
        report = host.finds("token", "error", "can read the file", token_file=host.token)
        self.assertEqual(report.holds("token-unreachable"), "no")

    def test_given_openly(self):
        for host in self.modes():
            for way in ({"access_token": TOKEN, "no_token": True},
                        {"env": {"TOWER_ACCESS_TOKEN": TOKEN}, "no_token": True}):
                report = host.finds("token", "error", "readable by others at start", **way)
                self.assertEqual(report.holds("token-unreachable"), "no")

    def test_no_byte_is_read(self):
        """Its descriptor, shared with us, stands where it stood. Whoever reads moves it."""
        for host in self.modes():
            with open(host.token, "rb", buffering=0) as file:
                host.check(token_file=None, token_fd=file.fileno(), pass_fds=[file.fileno()])
                self.assertEqual(file.tell(), 0)
                subprocess.run(["head", "-c", "1"], stdin=file, stdout=subprocess.DEVNULL,
                               check=True)
                self.assertGreater(file.tell(), 0, "the baseline")

    def test_descriptors(self):
        for host in self.modes():
            host.finds("token", "error", "Bad file descriptor", token_file=None, token_fd=77)


if __name__ == "__main__":
    harness.main()
