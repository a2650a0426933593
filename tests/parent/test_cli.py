# SPDX-License-Identifier: Apache-2.0
"""Bad input, told by the real program: one clear line, the right exit code, no byte of the token.

Uses $TW_BUILD. As root each case runs in both modes where it makes sense; no server is needed.
"""

import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import PROGRAM, unreachable  # noqa: E402

TOKEN = "tw-cli-token-5f1d9c0e7ab84c52"
AS_ROOT = os.geteuid() == 0
URL = "https://127.0.0.1:9"  # nothing listens on the discard port
TIMEOUT = 60


def missing_users():
    try:
        for name in ("tw-agent", "tw-agent-net"):
            pwd.getpwnam(name)
    except KeyError as reason:
        return f"system mode needs the system users: {reason}"
    return None


def plain_user():
    """Somebody who is not root and not of the agent: whom commands could run as."""
    for entry in pwd.getpwall():
        if entry.pw_uid >= 1000 and entry.pw_name not in ("nobody", "tw-agent", "tw-agent-net"):
            return entry
    return pwd.getpwnam("nobody")


class Cli(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tw-cli-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        self.token_file = self.write("token", TOKEN + "\n", 0o640)
        self.user = plain_user() if AS_ROOT else pwd.getpwuid(os.geteuid())
        if AS_ROOT:
            if reason := unreachable(self.user.pw_name):
                self.skipTest(reason)
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)

    def write(self, name, content, mode=0o644):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def run_agent(self, *args, root=False, env=None, pass_fds=(), program=PROGRAM):
        """Runs it as root, or as a plain user; (exit code, all it wrote)."""
        identity = {}
        if AS_ROOT and not root:
            os.chown(self.token_file, self.user.pw_uid, self.user.pw_gid)
            identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.directory, "USER": "someone",
                       **(env or {})}
        done = subprocess.run([program, *args], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                              check=False, pass_fds=pass_fds, cwd=self.directory, **identity)
        self.assertNotIn(TOKEN[:12].encode(), done.stdout + done.stderr)
        return done.returncode, done.stderr.decode() + done.stdout.decode()

    def refuses(self, code, words, *args, **options):
        got, output = self.run_agent(*args, **options)
        self.assertRegex(output, words)
        self.assertEqual(got, code, output)
        if code != 0:
            lines = re.findall(r" ERROR tw-agent\[parent\]: ", output)
            self.assertEqual(len(lines), 1, output)
        return output

    def good(self, *more):
        return ["--url", URL, "--token-file", self.token_file, "--state-dir",
                os.path.join(self.directory, "state"), *more]


class Information(Cli):
    def test_help_and_version(self):
        for args in (["-h"], ["--help"], ["-h", "ID"]):
            code, output = self.run_agent(*args)
            self.assertEqual(code, 0)
            self.assertIn("AGENT_CONNECTION_ID", output)
        for option in ("-V", "--version"):
            code, output = self.run_agent(option)
            self.assertEqual(code, 0)
            self.assertRegex(output, r"^tw-agent \d+\.\d+\.\d+\n$")


    def test_check_config(self):
        """Judges what a start would judge, and starts nothing."""
        config = self.write("lab.conf", f"url = {URL}\nconnection_id = lab\n")
        self.assertEqual(self.run_agent("--config", config, "--check-config"),
                         (0, f"{config}: good\n"))
        self.assertFalse(os.path.exists(os.path.join(self.directory, ".local")))
        config = self.write("lab.conf", f"url = {URL}\nconnection_id =\n")
        self.refuses(3, "lab.conf:2: connection_id: not a text", "--config", config, "--check-config")
        self.refuses(0, "good", "--config", config, "--check-config", "ID")
        config = self.write("lab.conf", "url = http://x\n")
        self.refuses(3, "lab.conf:1: url: ", "--config", config, "--check-config", "ID")
        self.refuses(2, "is missing", "--url", URL, "--check-config")


class Usage(Cli):
    def test_unknown_option(self):
        output = self.refuses(2, "unknown option --tokn-file; did you mean --token-file",
                              "--tokn-file", "x", "ID")
        self.assertIn("Usage: tw-agent", output)
        self.refuses(2, "unknown option -x", "-x", "ID")
        self.refuses(2, "did you mean --access-token", f"--acces-token={TOKEN}", "ID")
        self.refuses(2, "unknown option", f"--access-token{TOKEN}", "ID")

    def test_no_connection_id(self):
        self.refuses(2, "AGENT_CONNECTION_ID is missing", *self.good())
        self.refuses(2, "AGENT_CONNECTION_ID", *self.good(""))
        self.refuses(2, "AGENT_CONNECTION_ID", *self.good("a\tb"))
        self.refuses(2, "more than one", *self.good("ID", TOKEN))

    def test_durations(self):
        for value in ("soon", "0", "-1s", "45 s", ""):
            self.refuses(2, "--heartbeat: not a duration", *self.good(f"--heartbeat={value}", "ID"))
        self.refuses(3, "TOWER_AGENT_HEARTBEAT: not a duration", *self.good("ID"),
                     env={"TOWER_AGENT_HEARTBEAT": "soon"})

    def test_numbers_and_choices(self):
        for option in ("--max-commands=0", "--max-commands=1000", "--max-output=x",
                       "--isolate=half", "--require=magic", "--log-level=loud",
                       "--log-format=xml", "--pin-spki=00", "--token-fd=x"):
            self.refuses(2, option.split("=", maxsplit=1)[0], *self.good(option, "ID"))

    def test_given_twice(self):
        self.refuses(2, "--url is given twice", *self.good("-u", URL, "ID"))
        self.refuses(2, "--access-token is given twice", "-t", TOKEN, "-t", TOKEN, "ID")
        self.refuses(2, "give one of", *self.good("-t", TOKEN, "ID"))


    def test_unknown_demand(self):
        output = self.refuses(2, "--require: the names are", *self.good("--require=seccomp,magic", "ID"))
        for name in ("landlock>=N", "seccomp", "split-uid", "secret-memory", "token-unreachable",
                     "member-isolation"):
            self.assertIn(name, output)
        for word in ("landlock", "landlock>=", "landlock>=0", "landlock>=x", "seccomp=1"):
            self.refuses(2, "--require: the names are", *self.good(f"--require={word}", "ID"))


class Configuration(Cli):
    def config(self, text):
        path = self.write("agent.conf", text)
        return self.good("--config", path, "ID")

    def test_errors_name_file_and_line(self):
        for line, words in (("nonsense = 1", "unknown key"), ("nonsense", "key = value"),
                            ("heartbeat = soon", "not a duration"),
                            ("setuid_helpers = maybe", "not yes or no"),
                            ("allow_namespaces = 1", "not yes or no"),
                            ("sandbox_log = on", "not yes or no"),
                            (f"access_token = {TOKEN}", "token_file"), (TOKEN + "==", "unknown")):
            self.refuses(3, rf"agent\.conf:2: .*{words}", *self.config(f"# first\n{line}\n"))

    def test_not_readable(self):
        self.refuses(3, "configuration file .*No such file", "--config", "/nowhere", "ID")
        self.refuses(3, "not a regular file", "--config", "/", "ID")

    @unittest.skipUnless(AS_ROOT, "needs root")
    def test_writable_by_others(self):
        path = self.write("agent.conf", "")
        os.chmod(path, 0o666)
        self.refuses(3, "belong to root", "--config", path, "ID", root=True)

    def test_only_as_root(self):
        self.refuses(3, "only when started as root", *self.config("net_user = nobody\n"))
        self.refuses(3, "only when started as root", *self.good("--run-as", "root", "ID"))


class Urls(Cli):
    def test_bad_ones(self):
        for url, words in (("http://tower.example", "http is refused"),
                           ("tower.example", "begins with https"), ("https://", "malformed"),
                           ("https://u:p@h", "user or password"), ("https://h?x=1", "query"),
                           ("https://h/#x", "fragment"), ("https://h:99999", "malformed")):
            self.refuses(2, words, "--token-file",
                         self.token_file, "--url", url, "ID")
            self.refuses(3, words, "--token-file", self.token_file, "ID",
                         env={"TOWER_API_ENDPOINT": url})

    def test_proxies(self):
        for proxy, words in (("https://p:1", "only http proxies"), ("http://p", "form"),
                             ("socks5://p:1", "only http proxies")):
            self.refuses(3, words, *self.good("ID"), env={"HTTPS_PROXY": proxy})
        self.refuses(3, "--proxy-file: No such file", *self.good("--proxy-file", "/none", "ID"))


class Tokens(Cli):
    def test_none(self):
        self.refuses(3, "no access token: give --token-file", "--url", URL, "ID")

    def bad_everywhere(self, token, words):
        self.refuses(3, words, "--url", URL, "-t", token, "ID")
        self.refuses(3, words, "--url", URL, "ID", env={"TOWER_ACCESS_TOKEN": token})
        self.write("token", token)
        self.refuses(3, words, *self.good("ID"))
        reading, writing = os.pipe()
        os.write(writing, token.encode())
        os.close(writing)
        self.refuses(3, words, *self.good()[:2], "--state-dir", self.good()[-1], "--token-fd",
                     str(reading), "ID", pass_fds=[reading])
        os.close(reading)

    def test_bad_ones(self):
        for ending in ("\x01x", " x", "\tx", "ü", "\x7f"):
            self.bad_everywhere(TOKEN + ending, "not usable: it holds a blank, a control")
        self.bad_everywhere(TOKEN + "x" * 4096, "not usable: it is longer than 4096 bytes")

    def test_files(self):
        link = os.path.join(self.directory, "link")
        os.symlink(self.token_file, link)
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        for path, words in ((link, "symbolic link"), (fifo, "not a regular file"),
                            ("/nowhere/token", "--token-file: its directory cannot be opened"),
                            (os.path.join(self.directory, "none"), "No such file"),
                            (self.directory, "not a regular file"), (TOKEN, "No such file")):
            with self.subTest(path):
                self.refuses(3, words, "--url", URL, "--token-file", path, "--state-dir",
                             os.path.join(self.directory, "state"), "ID")
        self.write("token", "\n")
        self.refuses(3, "it is empty", *self.good("ID"))
        self.refuses(3, "Bad file descriptor", "--url", URL, "--token-fd", "77", "ID")


class Files(Cli):
    def test_ca_file(self):
        key = self.write("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        for path, words in (("/nowhere.pem", "No such file"), ("/", "not a regular file"),
                            (self.write("empty", ""), "no certificate"), (key, "no certificate")):
            self.refuses(3, rf"CA certificates in {path} are not usable: .*{words}",
                         *self.good("--ca-file", path, "ID"))

    def test_state_directory(self):
        self.refuses(3, "state directory /nowhere/x", "--url", URL, "--token-file", self.token_file,
                     "--state-dir", "/nowhere/x", "ID")
        open_to_all = os.path.join(self.directory, "state")
        os.mkdir(open_to_all)
        os.chmod(open_to_all, 0o777)
        self.refuses(3, "state directory .* must belong to", *self.good("ID"))

    @unittest.skipUnless(AS_ROOT, "needs root to give a directory away")
    def test_state_directory_of_another_user(self):
        for owner in ("root", "daemon"):
            path = os.path.join(self.directory, owner)
            os.mkdir(path, 0o700)
            shutil.chown(path, owner)
            os.chmod(path, 0o755)
            self.refuses(3, f"state directory {path} must belong to you", "--url", URL,
                         "--token-file", self.token_file, "--state-dir", path, "ID")
            if not missing_users():
                self.refuses(3, f"state directory {path} must belong to tw-agent", "--url", URL,
                             "--token-file", self.token_file, "--state-dir", path, "--run-as",
                             self.user.pw_name, "ID", root=True)

    def test_state_directory_is_a_link(self):
        os.mkdir(os.path.join(self.directory, "real"), 0o700)
        if AS_ROOT:
            shutil.chown(os.path.join(self.directory, "real"), self.user.pw_uid)
        os.symlink("real", os.path.join(self.directory, "state"))
        self.refuses(3, "state directory .*/state: ", *self.good("ID"))
        self.assertEqual(os.listdir(os.path.join(self.directory, "real")), [])

    def test_helpers_are_missing(self):
        os.mkdir(os.path.join(self.directory, "bin"))
        alone = shutil.copy(PROGRAM, os.path.join(self.directory, "bin"))
        self.refuses(1, "libexec/tw-agent/tw-agent-core is missing", *self.good("ID"),
                     program=alone)


class Names(Cli):
    @unittest.skipUnless(AS_ROOT, "needs root to become an unknown user")
    def test_unknown_user(self):
        self.user = pwd.struct_passwd(("?", "x", 54321, 54321, "", "/", ""))
        os.chown(self.directory, 54321, 54321)
        self.refuses(1, "user's name is unknown: uid 54321", *self.good("ID"), env={"USER": ""})


class Requirements(Cli):
    def test_not_met(self):
        for name in ("split-uid", "token-unreachable", "landlock>=999"):
            self.refuses(6, rf"--require {name} cannot be met", *self.good("--require", name, "ID"))

    def test_what_is_not_enforced_is_said(self):
        _, output = self.run_agent(*self.good("--require", "landlock>=999", "ID"))
        self.assertIn("not enforced: all processes have one UID", output)
        self.assertIn("can read the file of the access token", output)
        _, output = self.run_agent("--url", URL, "--state-dir",
                                   os.path.join(self.directory, "state"), "--require",
                                   "landlock>=999", "ID", env={"TOWER_ACCESS_TOKEN": TOKEN})
        self.assertIn("readable by others at start", output)


@unittest.skipUnless(AS_ROOT, "system mode needs root")
class SystemMode(Cli):
    def refuses_as_root(self, code, words, *args):
        reason = missing_users()
        if reason:
            self.skipTest(reason)
        self.refuses(code, words, *self.good(*args, "ID"), root=True)

    def test_run_as(self):
        self.refuses_as_root(3, "started as root: say whom commands run as by --run-as")
        self.refuses_as_root(3, "there is no user 'no-such-user'", "--run-as", "no-such-user")
        self.refuses_as_root(3, "must not run as root", "--run-as", "root")
        self.refuses_as_root(3, "agent's own user", "--run-as", "tw-agent")
        self.refuses_as_root(3, "agent's own user", "--run-as", "tw-agent-net")

    def in_a_view_of_etc(self, words, change):
        """With /etc/passwd and /etc/group changed for this process alone."""
        passwd, group = self.write("passwd", ""), self.write("group", "")
        for path, source in ((passwd, "/etc/passwd"), (group, "/etc/group")):
            with open(source, encoding="utf-8") as file:
                self.write(os.path.basename(path), change(source, file.read()))
        script = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", script, "sh", passwd, group]
        if subprocess.run([*command, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no mount namespaces here")
        done = subprocess.run([*command, PROGRAM, *self.good("--run-as", self.user.pw_name, "ID")],
                              stderr=subprocess.PIPE, timeout=TIMEOUT, check=False)
        self.assertRegex(done.stderr.decode(), words)
        self.assertEqual(done.stderr.count(b" ERROR "), 1, done.stderr)
        self.assertEqual(done.returncode, 3)

    def test_system_users_are_missing(self):
        for name in ("tw-agent", "tw-agent-net"):
            self.in_a_view_of_etc(
                r"packaging/sysusers\.d/tw-agent\.conf",
                lambda path, text, name=name: re.sub(rf"(?m)^{name}:.*\n", "", text)
                if path == "/etc/passwd" else text)

    def test_member_of_the_agents_group(self):
        if reason := missing_users():
            self.skipTest(reason)
        name = grp.getgrgid(pwd.getpwnam("tw-agent").pw_gid).gr_name
        self.in_a_view_of_etc(
            "member of the agent's groups",
            lambda path, text: re.sub(rf"(?m)^({name}:.*)$", rf"\1,{self.user.pw_name}", text)
            .replace(":,", ":") if path == "/etc/group" else text)


if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        sys.exit(f"{PROGRAM} is missing: build it, or set TW_BUILD")
    result = unittest.main(verbosity=2, exit=False).result
    for test, reason in result.skipped:
        print(f"SKIPPED {test.id()}: {reason}")
    sys.exit(not result.wasSuccessful())
