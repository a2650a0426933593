# SPDX-License-Identifier: Apache-2.0
"""Runs of tw-agentctl against a Tower: with the token as for the agent, and on a terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402
from ctl import mounted, no_view_of_etc  # noqa: E402
from harness import (AS_ROOT, CONTROL, TIMEOUT, TOKEN, TowerCase, give, identity_of,  # noqa: E402
                     own_user)

PASSED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")


class Done:
    """How a run ended: exit code, standard output, standard error, and the former as JSON."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Terminal:
    """A run on a terminal of its own: what is shown there, and what is typed."""

    def __init__(self, command, **options):
        self.master, slave = pty.openpty()
        self.slave = os.open(os.ttyname(slave), os.O_RDWR | os.O_NOCTTY)

        def own_terminal():
            os.setsid()
            # The first terminal that a session opens becomes its own.
            os.close(os.open(os.ttyname(slave), os.O_RDWR))

        user = options.get("user")
        if user is not None:
            os.fchown(slave, user, -1)
        self.popen = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                      preexec_fn=own_terminal, **options)
        os.close(slave)
        self.shown = ""

    def read_until(self, regex, timeout=TIMEOUT):
        """Waits until this was shown."""
        deadline = time.monotonic() + timeout
        while not re.search(regex, self.shown):
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{regex!r} was not shown in {timeout} s:\n{self.shown}")
            self._read()

    def type(self, text):
        os.write(self.master, text.encode())

    @property
    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def wait(self, timeout=TIMEOUT):
        """Its exit code, once all that it showed was read."""
        deadline = time.monotonic() + timeout
        while self.popen.poll() is None and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.05)[0]:
                self._read()
        code = self.popen.wait(max(0.1, deadline - time.monotonic()))
        while select.select([self.master], [], [], 0)[0]:
            self._read()
        return code

    def close(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)
            self.popen.wait()
        os.close(self.master)
        os.close(self.slave)

    def _read(self):
        self.shown += os.read(self.master, 65536).decode(errors="backslashreplace")


class ControlCase(TowerCase):
    """Runs tw-agentctl as the user of this mode, in a directory of its own."""

    def setUp(self):
        super().setUp()
        if reason := harness.why_not(self.mode):
            self.skipTest(reason)
        made = tempfile.TemporaryDirectory(prefix="tw-control-", dir="/tmp")
        self.addCleanup(made.cleanup)
        self.directory = made.name
        os.chmod(self.directory, 0o755)

    @property
    def token_file(self):
        """Made when it is first asked for: only the test itself knows its mode."""
        path = os.path.join(self.directory, "token")
        return path if os.path.exists(path) else self.write("token", TOKEN + "\n", 0o600)

    @property
    def user(self):
        return "root" if self.mode == "system" else own_user()

    @property
    def identity(self):
        return {} if self.mode == "system" or not AS_ROOT else identity_of(self.user)

    def write(self, name, content, mode=0o644):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        give(path, self.user, mode)
        return path

    def instance(self, name, **keys):
        """Makes the configuration file of an instance; gives the words before a program that make
        it the one of this mode, `under`."""
        text = "".join(f"{key} = {value}\n" for key, value in keys.items())
        if self.mode == "user":
            self.write(f"config/tw-agent/{name}.conf", text, 0o600)
            return ()
        if reason := no_view_of_etc():
            self.skipTest(reason)
        os.makedirs("/etc/tw-agent", exist_ok=True)
        self.write(f"etc/{name}.conf", text)
        return mounted(("bind", os.path.join(self.directory, "etc"), "/etc/tw-agent", ""))

    def environment(self, env=None):
        return {"PATH": "/usr/bin:/bin", "HOME": self.directory, "USER": self.user,
                "XDG_CONFIG_HOME": os.path.join(self.directory, "config"),
                **{key: os.environ[key] for key in PASSED_ON if key in os.environ}, **(env or {})}

    def command(self, *arguments, url=None, ca=None, token_file=None, bare=False):
        """With URL, CA and token file unless bare."""
        options = [] if bare else ["--url", url or self.tower.url, "--ca-file", ca or self.tower.ca,
                                   "--token-file", token_file or self.token_file]
        return [CONTROL, *arguments, *options]

    def run_ctl(self, *arguments, env=None, under=(), timeout=TIMEOUT, pass_fds=(), **options):
        """Without a terminal. Whatever is printed holds no token and nothing a terminal acts on."""
        done = subprocess.run([*under, *self.command(*arguments, **options)],
                              env=self.environment(env), cwd=self.directory, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, start_new_session=True,
                              pass_fds=pass_fds, **self.identity)
        return self.judge(done.returncode, done.stdout, done.stderr)

    def judge(self, code, stdout, stderr):
        for output in (stdout, stderr):
            self.assertNotIn(TOKEN.encode(), output)
            self.assertNotRegex(output, rb"[\x00-\x09\x0b-\x1f\x7f]")
            self.assertNotRegex(output.decode(), "[\u0080-\u009f\u202a-\u202e\u2066-\u2069]")
        done = Done(code, stdout.decode(), stderr.decode())
        self.assertNotRegex(done.err, "AddressSanitizer|LeakSanitizer|runtime error")
        return done

    def start_ctl(self, *arguments, env=None, **options):
        """Without a terminal, left to run; `judge(...)` takes what communicate() gives."""
        popen = subprocess.Popen(self.command(*arguments, **options), env=self.environment(env),
                                 cwd=self.directory, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True, **self.identity)
        self.addCleanup(self._end, popen)
        return popen

    @staticmethod
    def _end(popen):
        if popen.poll() is None:
            popen.kill()
        popen.communicate()

    def on_terminal(self, *arguments, env=None, **options):
        return self.on_terminal_of(self.command(*arguments, **options), env)

    def on_terminal_of(self, command, env=None):
        terminal = Terminal(command, env=self.environment(env), cwd=self.directory, **self.identity)
        self.addCleanup(terminal.close)
        return terminal

    def expect(self, code, regex, *arguments, **options):
        """This exit code, and these words on standard error."""
        done = self.run_ctl(*arguments, **options)
        self.assertEqual(done.code, code, done)
        self.assertRegex(done.err, regex)
        return done

    def well(self, *arguments, **options):
        done = self.run_ctl(*arguments, **options)
        self.assertEqual((done.code, done.err), (0, ""), done)
        return done

    def requests(self):
        """(method, path with query) of all requests so far."""
        return [(event.data["method"], event.data["path"].removeprefix("/api"))
                for event in self.tower.requests()]
