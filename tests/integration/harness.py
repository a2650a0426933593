"""What integration tests share: agents as processes, the modes they run in, a Tower for each test.

The build under test is $TW_BUILD, by default build/release in this repository. As root, tests run
in mode "system" (the agent starts as root and gives that up) and in mode "user" (the agent starts
as a plain user); otherwise in mode "user" alone.
"""

import atexit
import contextlib
import fcntl
import functools
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from accounts import RUN_AS, SERVICE_USERS, ensure_users, users_locked  # noqa: E402, F401
from installed import installed  # noqa: E402
from processes import Process, process_tree  # noqa: E402, F401
from tower import Pki, Tower  # noqa: E402

BUILD = os.path.abspath(os.environ.get("TW_BUILD", os.path.join(ROOT, "build", "release")))
PROGRAM = os.path.join(installed(BUILD), "bin", "tw-agent")
CONTROL = os.path.join(os.path.dirname(PROGRAM), "tw-agentctl")
TIMEOUT = 60  # sanitizer builds run in parallel on slow machines, which stand still at times
TO_MEET = 300  # for what is tried again until chance lets it be met
AS_ROOT = os.geteuid() == 0
MODES = ("system", "user")
TOKEN = "tw-test-token-4f0c9d1e7ab84c52"

os.umask(0o022)  # whatever that of who runs the tests: agents and users read what we write
_PASSED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "TZ")


@functools.lru_cache(maxsize=None)
def why_not(mode):
    """Why this mode cannot be tested here; None when it can."""
    if mode == "system" and not AS_ROOT:
        return "system mode needs root"
    if AS_ROOT:
        ensure_users()
        return unreachable(RUN_AS if mode == "user" else "tw-agent-net")
    return None


def unreachable(user):
    """A directory on the way to the build that the user may not pass."""
    path = os.path.dirname(PROGRAM)
    if not os.path.isdir(path) or _as_user(user, ["test", "-x", path]) == 0:
        return None
    while _as_user(user, ["test", "-x", os.path.dirname(path)]) != 0:
        path = os.path.dirname(path)
    return f"{user} may not enter {path}"


def _as_user(user, command):
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL,
                          **identity_of(user)).returncode


def identity_of(user):
    """The subprocess options that run a program as this user; none when it is us already."""
    entry = pwd.getpwnam(user)
    if entry.pw_uid == os.geteuid():
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid,
            "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def own_user():
    """The plain user that agents of mode "user", and all commands, run as."""
    return RUN_AS if AS_ROOT else pwd.getpwuid(os.geteuid()).pw_name


def give(path, user, mode, group=None):
    """Sets the mode and, as root, the owner of a file."""
    os.chmod(path, mode)
    if AS_ROOT:
        shutil.chown(path, user, group or pwd.getpwnam(user).pw_gid)


@functools.lru_cache(maxsize=None)
def shared_pki():
    """One certificate authority for all tests of this process."""
    directory = tempfile.mkdtemp(prefix="tw-pki-", dir="/tmp")
    atexit.register(shutil.rmtree, directory, True)
    os.chmod(directory, 0o755)
    return Pki(directory)


class Agent:
    """A tw-agent process with its files in a directory of its own.

    `token_by` is "file", "fd", "env", "arg" or None (then `args` must see to it). `config` is the
    text of a configuration file or a dict of its keys; `ca_file` and `config` are left out if None.
    `under` is a command that, as root, becomes the user of its option --user and then the agent.
    Its log is what it writes to standard error and standard output.
    """

    def __init__(self, mode, *, url, ca_file=None, connection_id="lab", token=TOKEN,
                 token_by="file", token_file=None, work_dir=None, state_dir=None, config=None,
                 args=(), env=None, program=PROGRAM, pass_fds=(), under=()):
        if not os.path.exists(program):
            raise FileNotFoundError(f"{program} is missing: build it, or set TW_BUILD")
        self.mode, self.program = mode, program
        self.user = own_user()
        self.directory = tempfile.mkdtemp(prefix="tw-agent-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self.home = self._make_directory("home", self.user, 0o755)
        self.work_dir = work_dir or self._make_directory("work", self.user, 0o700)
        self.state_dir = state_dir or self._make_directory(
            "state", "tw-agent" if mode == "system" else self.user, 0o700)
        self.token_file = token_file
        self.log_file = os.path.join(self.directory, "stderr")
        self._changed = threading.Condition()
        self._lines = []
        self._log_ended = False
        self._seen = {}
        options = ["--url", url, "--work-dir", self.work_dir, "--state-dir", self.state_dir]
        if ca_file is not None:
            options += ["--ca-file", ca_file]
        if mode == "system":
            options += ["--run-as", RUN_AS]
        if config is not None:
            options += ["--config", self._write_config(config)]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.home,
                       "USER": "root" if mode == "system" else self.user, "LANG": "C.UTF-8"}
        environment.update({key: os.environ[key] for key in _PASSED_ON if key in os.environ})
        descriptors = list(pass_fds)
        options += self._pass_token(token_by, token, environment, descriptors)
        environment.update(env or {})
        if under:
            under = [*under, *(["--user", self.user] if mode == "user" else []), "--"]
        self.command = [*under, program, *options, *args, connection_id]
        self._start(environment, descriptors)

    # Its log and its end.

    @property
    def log(self):
        """What it has written by now: a line that was written before an event is in it."""
        with self._changed:
            self._take_log()
            return "".join(self._lines)

    def log_mark(self):
        """The number of lines by now, to be given as `after` later."""
        with self._changed:
            self._take_log()
            return len(self._lines)

    def wait_log(self, regex, timeout=TIMEOUT, after=0):
        """The match of the first line from `after` on that matches; fails if the log ends."""
        pattern = re.compile(regex)
        deadline = time.monotonic() + timeout
        position = after
        with self._changed:
            while True:
                for line in self._lines[position:]:
                    if match := pattern.search(line):
                        return match
                position = max(position, len(self._lines))
                left = deadline - time.monotonic()
                if self._log_ended or left <= 0:
                    why = "before its log ended" if self._log_ended else f"in {timeout} s"
                    raise AssertionError(f"the agent did not log {regex!r} {why}:\n"
                                         + "".join(self._lines[-40:]))
                self._changed.wait(left)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def signal(self, number):
        self.processes()  # so that finish() knows whom the agent must not leave behind
        self.popen.send_signal(number)

    def wait(self, timeout=TIMEOUT):
        """Its exit code; -n when signal n ended it."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent still runs after {timeout} s:\n{self.log}") from None
        self._reader.join(5)  # children may hold the log open for a little longer
        return code

    @property
    def pid(self):
        return self.popen.pid

    def processes(self):
        """Its process tree now, itself first, but for those by which it attacks itself, which come
        and go a second after its start, and those that are not yet the program they become."""
        tree = process_tree(self.pid)
        self._seen.update({(process.pid, process.started): process for process in tree})
        probes = [process for process in tree if process.comm == "tw-agent-probe"]
        hidden = {process.pid for process in probes}
        hidden |= {process.pid for process in tree if process.comm == "sh"
                   and process.pid in {probe.ppid for probe in probes}}
        names = {process.pid: process.comm for process in tree}
        hidden |= {process.pid for process in tree if process.comm.startswith("tw-agent")
                   and names.get(process.ppid) == process.comm}
        return [process for process in tree if process.pid not in hidden
                and process.argv[1:] != [b"trial"]
                and (process.comm, process.state) != ("tw-agent-net-se", "Z")]

    def process(self, comm):
        """The one process of that name (the kernel keeps 15 characters of it)."""
        tree = self.processes()
        found = [process for process in tree if process.comm == comm[:15]]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} processes {comm} in {tree}")
        return found[0]

    def children_left(self, timeout=TIMEOUT):
        """Of the processes seen, those that outlive the agent for longer than `timeout`."""
        deadline = time.monotonic() + timeout
        return [process for process in self._seen.values()
                if not process.wait_gone(deadline - time.monotonic())]

    def finish(self):
        """Ends it by killing its parent process alone, and gives the processes left behind.

        They have to end by themselves; those that do not are killed after they were recorded.
        """
        try:
            if self.popen.poll() is None:
                self.processes()
                self.popen.kill()
                self.popen.wait()
            left = self.children_left()
            for process in left:
                if process.alive:
                    os.kill(process.pid, signal.SIGKILL)
            self._reader.join(TIMEOUT)
            return left
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Inside.

    def _make_directory(self, name, user, mode):
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        give(path, user, mode)
        return path

    def _write_config(self, config):
        if isinstance(config, dict):
            config = "".join(f"{key} = {value}\n" for key, value in config.items())
        path = os.path.join(self.directory, "agent.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        os.chmod(path, 0o644)
        return path

    def write_token(self, token):
        """Replaces the content of the token file, by rename."""
        new = self.token_file + ".new"
        with open(new, "w", encoding="ascii") as file:
            file.write(token + "\n")
        if self.mode == "system":
            give(new, "root", 0o640, "tw-agent")
        else:
            give(new, self.user, 0o600)
        os.rename(new, self.token_file)

    def _pass_token(self, way, token, environment, descriptors):
        if way == "file":
            if self.token_file is None:
                self.token_file = os.path.join(self.directory, "token")
                self.write_token(token)
            return ["--token-file", self.token_file]
        if way == "fd":
            reading, writing = os.pipe()
            if AS_ROOT and self.mode == "user":  # as the shell of that user would make it
                os.fchown(reading, pwd.getpwnam(self.user).pw_uid, -1)
            os.write(writing, token.encode() + b"\n")
            os.close(writing)
            descriptors.append(reading)
            self._token_fd = reading
            return ["--token-fd", str(reading)]
        if way == "arg":
            return ["-t", token]
        if way == "env":
            environment["TOWER_ACCESS_TOKEN"] = token
        return []

    def _start(self, environment, descriptors):
        as_root = self.mode == "system" or self.command[0] != self.program
        identity = {} if as_root else identity_of(self.user)
        reading, writing = os.pipe()
        # The agent drops a line for which there is no room, and this process may be busy.
        with contextlib.suppress(PermissionError):  # a plain user may have too many
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.popen = subprocess.Popen(self.command, env=environment, cwd=self.home,
                                      stdin=subprocess.DEVNULL, stdout=writing, stderr=writing,
                                      pass_fds=descriptors, **identity)
        os.close(writing)
        if hasattr(self, "_token_fd"):
            os.close(self._token_fd)
        os.set_blocking(reading, False)
        self._log_pipe, self._half_line = reading, b""
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self):
        poller = select.poll()
        poller.register(self._log_pipe, select.POLLIN)
        while not self._log_ended:
            poller.poll()
            with self._changed:
                self._take_log()
        os.close(self._log_pipe)

    def _take_log(self):
        """Takes what the agent has written by now, under the lock."""
        while not self._log_ended:
            try:
                data = os.read(self._log_pipe, 65536)
            except BlockingIOError:
                return
            *lines, self._half_line = (self._half_line + data).split(b"\n")
            if not data and self._half_line:  # it ended within a line
                lines.append(self._half_line)
            text = [line.decode(errors="replace") + "\n" for line in lines]
            self._lines += text
            with open(self.log_file, "a", encoding="utf-8") as copy:
                copy.writelines(text)
            self._log_ended = not data
            self._changed.notify_all()


def modes(*wanted):
    """Makes a test method of TowerCase run once in each mode, with `self.mode` saying which."""
    def mark(test):
        test.modes = wanted or MODES
        return test
    return mark


def _in_mode(test, mode):
    @functools.wraps(test)
    def run(self):
        reason = why_not(mode)
        if reason:
            self.skipTest(reason)
        self.mode = mode
        test(self)
    return run


class TowerCase(unittest.TestCase):
    """A test with a Tower of its own, which ends whatever agents it started.

    `tower_options` are passed to the Tower. A test that is not marked by `modes` runs in the
    first mode there is.
    """

    tower_options = {}
    longMessage = True

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for name, test in list(vars(cls).items()):
            for mode in getattr(test, "modes", ()):
                setattr(cls, f"{name}__{mode}", _in_mode(test, mode))
            if hasattr(test, "modes"):
                delattr(cls, name)

    def setUp(self):
        self.mode = "user" if why_not("system") else "system"
        self.tower = Tower(shared_pki(), **{"token": TOKEN, **self.tower_options})
        self.tower.start()
        self.addCleanup(self.tower.stop)

    def start_agent(self, **options):
        """An Agent for this test's Tower; the options are those of Agent."""
        if reason := why_not(self.mode):
            self.skipTest(reason)
        options = {"mode": self.mode, "url": self.tower.url, "ca_file": self.tower.ca, **options}
        agent = Agent(**options)
        self.addCleanup(self._finish_agent, agent)
        return agent

    def online_agent(self, **options):
        """An Agent that is online; its conversation is self.tower.agent."""
        agent = self.start_agent(**options)
        try:
            self.tower.wait_online(TIMEOUT, options.get("connection_id", "lab"))
        except TimeoutError as reason:
            raise AssertionError(f"{reason}\nThe agent's log:\n{agent.log}") from None
        agent.processes()
        return agent

    def _finish_agent(self, agent):
        log, left = agent.log, agent.finish()
        if os.environ.get("TW_SHOW_LOG"):
            print(f"--- {self.id()}\n{log}", file=sys.stderr)
        self.assertEqual(left, [], "processes outlived the agent")


def main():
    """Runs the tests of the calling file and says what was skipped, and why."""
    program = unittest.main(module="__main__", verbosity=2, exit=False)
    result = program.result
    for test, reason in result.skipped:
        print(f"SKIPPED: {test.id()}: {reason}")
    sys.exit(not result.wasSuccessful())
