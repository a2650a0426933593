#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear error: a sentence that says what to do, the documented exit code, and
never a piece of the token."""

import os
import shutil
import socket
import subprocess

import harness
from harness import BUILD, PROGRAM, TIMEOUT, TOKEN, TowerCase, give, modes, shared_pki
from support import pieces_of, plain_user, public_directory, write_file
from tower import Reply, error, redirect

USAGE, CONFIGURATION = 2, 3
SECRET = "Zq3vX8mN1kLr7TgYw5Bd"  # no piece of it occurs in any message
HELPERS = ("core", "exec", "net", "net-connect", "net-session")


class ErrorCase(TowerCase):
    def fails(self, code, words, **options):
        """Starts an agent that has to end by itself; its output."""
        options = {"token": SECRET, **options}
        agent = self.start_agent(**options)
        self.assertEqual(agent.wait(), code, agent.log)
        self.assertRegex(agent.log, words)
        self.check_output(agent.log, options["token"])
        self.assertEqual(agent.children_left(), [])
        self.assertLess(len(agent.log.splitlines()), 12, agent.log)
        return agent.log

    def check_output(self, text, token=SECRET):
        for piece in pieces_of(token or SECRET):
            self.assertNotIn(piece, text)
        self.assertNotIn("\x1b", text)
        self.assertNotRegex(text, "AddressSanitizer|runtime error|Assertion")

    def run_program(self, *arguments, program=PROGRAM, environment=None, as_root=False, **options):
        """(exit code, output) of a program that is not an agent to be."""
        identity = {} if as_root else plain_user()
        done = subprocess.run([program, *arguments], cwd="/", env={"PATH": "/usr/bin:/bin",
                              "USER": "someone", "HOME": "/nonexistent", **(environment or {})},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False,
                              **identity, **options)
        text = done.stdout.decode(errors="replace")
        self.check_output(text)
        return done.returncode, text


class Usage(ErrorCase):
    def test_help_and_version(self):
        for argument in ("--help", "-h"):
            code, text = self.run_program(argument)
            self.assertEqual(code, 0)
            for word in ("Usage", "tw-agent", "AGENT_CONNECTION_ID", "--access-token", "--url",
                         "--work-dir", "--token-file", "--run-as", "--heartbeat"):
                self.assertIn(word, text)
        for argument in ("--version", "-V"):
            code, text = self.run_program(argument)
            self.assertEqual(code, 0)
            self.assertRegex(text, r"\d+\.\d+\.\d+")

    @modes()
    def test_unknown_option(self):
        self.fails(USAGE, "(?s)--frobnicate.*--help", args=("--frobnicate",))

    def test_connection_id(self):
        for arguments in ((), ("",), ("one", "two")):
            code, text = self.run_program("-t", SECRET, *arguments)
            self.assertEqual(code, USAGE, text)
            self.assertRegex(text, "AGENT_CONNECTION_ID|connection ID")
        self.fails(USAGE, "1024", connection_id="x" * 1025)

    def test_bad_values(self):
        cases = {"--heartbeat": ("soon", "", "-5s", "0", "5x", "1e3"),
                 "--command-timeout": ("later",), "--max-commands": ("0", "-1", "many", "65"),
                 "--max-output": ("-1", "much", "99999999999"), "--isolate": ("never",),
                 "--log-level": ("loud",), "--log-format": ("xml",),
                 "--pin-spki": ("abc", "z" * 64, "")}
        for option, values in cases.items():
            for value in values:
                with self.subTest(f"{option}={value}"):
                    self.fails(USAGE, option, args=(f"{option}={value}",))

    def test_bad_values_in_variables(self):
        self.fails(CONFIGURATION, "TOWER_AGENT_HEARTBEAT", env={"TOWER_AGENT_HEARTBEAT": "soon"})

    def test_plain_user_may_not_run_as_another(self):
        code, text = self.run_program("-t", SECRET, "-u", self.tower.url, "--run-as", "root", "lab")
        self.assertEqual(code, CONFIGURATION, text)
        self.assertRegex(text, "run.as")

    def test_option_without_its_value(self):
        code, text = self.run_program("lab", "--url")
        self.assertEqual(code, USAGE)
        self.assertIn("url", text)


class Token(ErrorCase):
    @modes()
    def test_none(self):
        log = self.fails(CONFIGURATION, "(?i)token", token_by=None)
        self.assertIn("--token-file", log)
        self.assertIn("TOWER_ACCESS_TOKEN", log)

    def test_bad_ones(self):
        for token in ("", " ", SECRET + "\t" + SECRET, SECRET + "\x01", SECRET + "é", SECRET + " x",
                      SECRET + "\nX-Header: y", SECRET * 250):
            for way in ("arg", "env", "file"):
                with self.subTest(f"{way} {token[:24]!r} ({len(token)})"):
                    if way != "file":
                        self.fails(CONFIGURATION, "(?i)token", token=token, token_by=way)
                        continue
                    with public_directory() as directory:
                        path = write_file(directory, "token", token)
                        give(path, "root" if self.mode == "system" else harness.own_user(), 0o600)
                        self.fails(CONFIGURATION, "(?i)token", token=SECRET, token_file=path)

    @modes()
    def test_files(self):
        with public_directory() as directory:
            real = write_file(directory, "real", SECRET + "\n")
            give(real, "root" if self.mode == "system" else harness.own_user(), 0o600)
            os.symlink("real", os.path.join(directory, "link"))
            os.mkdir(os.path.join(directory, "folder"))
            os.mkfifo(os.path.join(directory, "fifo"))
            for name, why in (("missing", "No such file"), ("link", "link"),
                              ("folder", "regular file"), ("fifo", "regular file"),
                              ("no/where", "No such file")):
                with self.subTest(name):
                    self.fails(CONFIGURATION, f"token.file.*{why}",
                               token_file=os.path.join(directory, name))

    def test_who_can_read_the_file(self):
        """Said at start, and refused when it is demanded that nobody can."""
        if harness.why_not("system"):
            self.skipTest(harness.why_not("system"))
        self.mode = "system"
        demand = ("--require", "token-unreachable")
        self.tower.token = SECRET
        with public_directory() as directory:
            path = write_file(directory, "token", SECRET + "\n")
            for group, mode, words in (("tw-agent", 0o644, "not enforced: every user of this host"),
                                       (harness.RUN_AS, 0o640, "not enforced: user 'twlab'"),
                                       ("daemon", 0o640, "enforced in part: group 'daemon'")):
                with self.subTest(words):
                    give(path, "root", mode, group)
                    self.fails(6, f"(?s){words}.*--require token-unreachable cannot be met",
                               token_file=path, args=demand)
                    agent = self.start_agent(token=SECRET, token_file=path)
                    agent.wait_log(f"WARN.*{words}.*0640")
                    agent.terminate()
                    agent.wait()
            give(path, "root", 0o640, "tw-agent")
            agent = self.online_agent(token=SECRET, token_file=path, args=demand)
            self.assertNotRegex(agent.log, "WARN.*can read the file")

    def test_descriptors(self):
        for number in ("77", "x", "-1"):
            with self.subTest(number):
                self.fails(USAGE if number in ("x", "-1") else CONFIGURATION, "--token-fd",
                           token_by=None, args=("--token-fd", number))

    def test_refused_by_the_server(self):
        self.fails(4, r"access token was refused by \S+ \(status 401, Unauthorized\): check")


class Addresses(ErrorCase):
    def test_bad_urls(self):
        for url in ("http://localhost/api", "localhost/api", "ftp://localhost", "https://", "",
                    "https:///api", "https://host:99999/api", "https://ho st/api",
                    "https://user:pass@localhost/api", "https://localhost/api?x=y",
                    "https://localhost/api\r\nX: y", "https://localhost:/a#b"):
            with self.subTest(url):
                self.fails(USAGE, "(?i)url", url=url)

    def test_plain_http_says_why(self):
        self.fails(USAGE, "https", url="http://tower.example.org/api")

    def test_api_is_missing(self):
        for answer in (error(404, "Not Found"), Reply(body="<html>"), error(401, "Unauthorized"),
                       redirect(302, "/login"), error(502, "Bad Gateway")):
            self.tower.on("other", answer, times=1)
            agent = self.start_agent(url=self.tower.url.removesuffix("/api"))
            line = agent.wait_log("it is not available: .*").string
            with self.subTest(answer.status):
                self.assertRegex(line, "did you mean .*/api")
        self.assertEqual({request.token for request in self.tower.requests()}, {None})
        agent.terminate()
        self.assertEqual(agent.wait(), 0)

    def test_not_a_tower(self):
        self.tower.on("service-info", Reply(body="<html>It works!</html>"))
        agent = self.start_agent()
        agent.wait_log("it is not available: what answers there is not a Tower")
        self.assertEqual({request.step for request in self.tower.requests()}, {"service-info"})

    def test_too_old(self):
        self.tower.api_version = "1.7"
        self.fails(5, "too old", token=TOKEN)

    def test_unknown_host(self):
        agent = self.start_agent(url="https://tower.invalid/api")
        # Which of the two depends on the name service, if there is any.
        agent.wait_log("(host name cannot be resolved: |name service did not answer).*tower.invalid")

    def test_nobody_listens(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            agent = self.start_agent(url=f"https://127.0.0.1:{closed.getsockname()[1]}/api")
            agent.wait_log("cannot connect: .*(?i:refused)")

    def test_certificates(self):
        cases = ((shared_pki().other_ca(), "--ca-file"), (shared_pki().expired(), "expired"),
                 (shared_pki().other_host(), "another host"))
        for identity, words in cases:
            self.tower.configure_tls(identity=identity)
            agent = self.start_agent(token=SECRET)
            self.assertRegex(agent.wait_log("nothing was sent to it").string, words)
            self.check_output(agent.log)


class Files(ErrorCase):
    @modes()
    def test_work_directory(self):
        self.tower.token = SECRET
        with public_directory() as directory:
            write_file(directory, "file", "")
            os.mkdir(os.path.join(directory, "closed"), 0o700)  # ours; commands may not enter it
            for name, words in (("missing", "No such file"), ("file", "Not a directory"),
                                *((("closed", "Permission"),) if harness.AS_ROOT else ())):
                with self.subTest(name):
                    path = os.path.join(directory, name)
                    log = self.fails(CONFIGURATION, words, work_dir=path)
                    self.assertIn(path, log)
                    self.assertIn("--work-dir", log)

    @modes()
    def test_ca_file(self):
        with public_directory() as directory:
            write_file(directory, "empty", "")
            write_file(directory, "garbage", os.urandom(1000))
            key = write_file(directory, "key", open(shared_pki().server().key, "rb").read())
            for path in (f"{directory}/missing", f"{directory}/empty", f"{directory}/garbage", key,
                         directory):
                with self.subTest(path):
                    self.assertIn(path, self.fails(CONFIGURATION, "(?i)ca.file|CA", ca_file=path))

    def test_configuration(self):
        with public_directory() as directory:
            missing = os.path.join(directory, "missing.conf")
            self.assertIn(missing, self.fails(CONFIGURATION, "No such file",
                                              args=("--config", missing)))
        for text, words in (("frobnicate = 1\n", "frobnicate"), ("heartbeat = soon\n", "heartbeat"),
                            ("\n\nwhat is this\n", "(line |:)3"),
                            ("max_commands = 0", "max_commands"),
                            ("isolate = never\n", "isolate")):
            with self.subTest(text):
                log = self.fails(CONFIGURATION, words, config=text)
                self.assertIn("agent.conf", log)

    def test_state_directory(self):
        with public_directory() as directory:
            file = write_file(directory, "file", "")
            self.assertIn(file, self.fails(CONFIGURATION, "(?i)state", state_dir=file))


class Users(ErrorCase):
    def setUp(self):
        super().setUp()
        if not harness.AS_ROOT:
            self.skipTest("system mode needs root")

    def root(self, *arguments):
        return self.run_program("-t", SECRET, "-u", self.tower.url, *arguments, "lab",
                                as_root=True)

    def test_root_without_run_as(self):
        code, text = self.root()
        self.assertEqual(code, CONFIGURATION, text)
        self.assertIn("--run-as", text)

    def test_run_as(self):
        for user, words in (("no-such-user", "no-such-user"), ("root", "(?i)root"), ("0", "run.as"),
                            ("tw-agent", "tw-agent")):
            with self.subTest(user):
                code, text = self.root("--run-as", user)
                self.assertEqual(code, CONFIGURATION, text)
                self.assertRegex(text, words)
                self.assertRegex(text, "run.as")

    def test_missing_system_user(self):
        log = self.fails(CONFIGURATION, "no-such-user", config={"net_user": "no-such-user"})
        self.assertRegex(log, "sysusers")


class Programs(ErrorCase):
    def setUp(self):
        super().setUp()
        self.helpers = os.path.join(BUILD, "libexec", "tw-agent")

    def copy(self, directory):
        """The whole tree elsewhere; its helpers are readable to their owner alone."""
        if not os.access(os.path.join(self.helpers, "tw-agent-core"), os.R_OK):
            self.skipTest("only the owner of the build can copy the helper programs")
        for part in ("bin", "libexec"):
            shutil.copytree(os.path.join(BUILD, part), os.path.join(directory, part))
        return os.path.join(directory, "bin", "tw-agent")

    def test_helpers_started_by_hand(self):
        for name in HELPERS:
            for arguments in ((), ("agent",), ("--help",)):
                with self.subTest(name + " " + " ".join(arguments)):
                    program = os.path.join(self.helpers, "tw-agent-" + name)
                    code, text = self.run_program(*arguments, program=program)
                    self.assertEqual(code, 2, text)
                    self.assertIn("tw-agent", text)
                    self.assertEqual(len(text.splitlines()), 1, text)

    @modes()
    def test_missing_helpers(self):
        with public_directory() as directory:
            program = self.copy(directory)
            helpers = os.path.join(directory, "libexec", "tw-agent")
            for name in HELPERS:
                with self.subTest(name):
                    path = os.path.join(helpers, "tw-agent-" + name)
                    os.rename(path, path + ".away")
                    self.fails(1, "tw-agent-" + name, program=program)
                    os.rename(path + ".away", path)
            shutil.rmtree(helpers)
            self.assertIn(directory, self.fails(1, "tw-agent-(core|exec|net)", program=program))

    @modes()
    def test_helpers_that_others_can_change(self):
        """Whoever can change a helper, or put another one in its place, would be the agent."""
        if not harness.AS_ROOT:
            self.skipTest("needs root to give files away")
        with public_directory() as directory:
            program = self.copy(directory)
            for name in ("libexec/tw-agent/tw-agent-net-session", "libexec/tw-agent", ""):
                path = os.path.join(directory, name)
                mode = os.stat(path).st_mode & 0o7777
                for words, change in (("by its group", lambda: os.chmod(path, mode | 0o020)),
                                      ("by everyone", lambda: os.chmod(path, mode | 0o002)),
                                      ("belong", lambda: shutil.chown(path, "daemon"))):
                    change()
                    with self.subTest(f"{name} {words}"):
                        log = self.fails(CONFIGURATION, f"could be changed by others: .*{words}",
                                         program=program)
                        self.assertRegex(log, "chmod go-w|chown root")
                    shutil.chown(path, "root")
                    os.chmod(path, mode)
            agent = self.online_agent(program=program)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    def test_works_where_it_was_copied_to(self):
        with public_directory() as directory:
            agent = self.online_agent(program=self.copy(directory))
            agent.terminate()
            self.assertEqual(agent.wait(), 0)


if __name__ == "__main__":
    harness.main()
