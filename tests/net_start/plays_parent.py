# SPDX-License-Identifier: Apache-2.0
"""A launcher under test, played by its parent; sockets, proxies and users that tests need."""

import contextlib
import functools
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import wire

_TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [_TESTS, os.path.join(_TESTS, "integration")]

from accounts import RUN_AS, ensure_users  # noqa: E402
from tower.ports import reserve  # noqa: E402

TREE = os.environ.get("TW_NET_START", "")
SANITIZED = os.environ.get("TW_SANITIZED", "0") not in ("", "0", "OFF")
AS_ROOT = os.geteuid() == 0
NET_USER, PLAIN_USER = "tw-agent-net", RUN_AS
MODES = ("system", "user") if AS_ROOT else ("user",)
PATIENCE = 60  # for what comes at once, but for a machine that stops for seconds
PURPOSES = ("probe", "login", "agent")
RESOLVE, CONNECT, PROXY, TIMEOUT = 0, 1, 2, 12  # enum stage


def user_of(mode):
    """The user that the launcher of this mode becomes or is; made where it is missing."""
    if not AS_ROOT:
        return pwd.getpwuid(os.geteuid())
    name = NET_USER if mode == "system" else PLAIN_USER
    ensure_users()
    return pwd.getpwnam(name)


def listener(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.bind((host, 0))
    s.listen(16)
    s.settimeout(PATIENCE)
    return s


@contextlib.contextmanager
def full_queue(server):
    """Meanwhile a further connection to the listener gets no answer."""
    server.listen(0)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket(server.family))
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        if not select.select([server], [], [], PATIENCE)[0]:
            raise AssertionError("nothing came into the queue")
        yield


@contextlib.contextmanager
def refusing_port():
    with reserve() as place:
        yield place.getsockname()[1]


def children_of(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(") ")[2].split()
            if int(fields[1]) == pid:
                found.append(int(name))
    return found


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def argv_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


def wait_for(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.005)
    return value


class Session:
    """The test's ends of one session: to core, and to the parent."""

    def __init__(self, core, token):
        self.core, self.token = core, token
        for s in (core, token):
            s.settimeout(PATIENCE)
        self.pid = None

    def hear(self):
        """One report of the stand-in, and the descriptor with it."""
        try:
            data, fds, _, _ = socket.recv_fds(self.core, 4096, 1)
        except ConnectionResetError:
            return "", None
        return data.decode(), fds[0] if fds else None

    def born(self):
        text, _ = self.hear()
        word, pid, variables, channels, argv0, purpose = text.split()
        assert word == "born", text
        self.pid = int(pid)
        return {"variables": int(variables), "channels": channels, "argv0": argv0,
                "purpose": purpose}

    def outcome(self):
        """("connected", socket) or ("failed", stage, code, detail) or another word."""
        text, fd = self.hear()
        words = text.split(" ", 3)
        if words[0] == "connected":
            return "connected", socket.socket(fileno=fd)
        if words[0] == "failed":
            return "failed", int(words[1]), int(words[2]), words[3]
        return (text,)

    def order_exit(self, code=0):
        self.core.send(str(code).encode())

    def close(self):
        self.core.close()
        self.token.close()


class Launcher:
    """The launcher, started as the parent starts it."""

    def __init__(self, mode="user", tree=TREE, wrapper=(), environment=None, configure=True,
                 host="127.0.0.1", port=1, timeout_ms=10000, proxy="", proxy_auth="",
                 log_level=3):
        self.mode, self.user = mode, user_of(mode)
        self.log = tempfile.TemporaryFile("w+")
        self.parent, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.parent.settimeout(PATIENCE)
        self.serial = 0
        self.code = None
        self.sessions = []
        if configure:
            self.parent.send(wire.encode(
                "launcher_config", uid=self.user.pw_uid, gid=self.user.pw_gid, log_level=log_level,
                log_format=0, port=port, timeout_ms=timeout_ms, sandbox_log=0, host=host, proxy=proxy,
                proxy_auth=proxy_auth))
        argv = [*wrapper, os.path.join(tree, "tw-agent-net")]
        self.pid = os.fork()
        if self.pid == 0:
            self._become(theirs.fileno(), argv, environment or {})
        theirs.close()

    def _become(self, channel, argv, environment):
        try:
            null = os.open("/dev/null", os.O_RDWR)
            log = os.dup(self.log.fileno())
            channel = os.dup(channel)
            for source, target in ((null, 0), (null, 1), (log, 2), (channel, 3)):
                os.dup2(source, target)
            if AS_ROOT and self.mode == "user":
                os.setgroups([])
                os.setresgid(*[self.user.pw_gid] * 3)
                os.setresuid(*[self.user.pw_uid] * 3)
            os.execve(shutil.which(argv[0]) or argv[0], argv, environment)
        finally:
            os._exit(99)

    def started(self):
        name, fields = wire.decode(self.parent.recv(65536))
        assert name == "started", name
        return fields

    def send(self, frame, *fds):
        socket.send_fds(self.parent, [frame], list(fds))

    def order(self, purpose="agent", serial=None):
        """start_session and start_session_token; the test's ends as a Session."""
        self.serial = self.serial + 1 if serial is None else serial
        core, session_core = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        token, session_token = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with session_core, session_token:
            self.send(wire.encode("start_session", serial=self.serial,
                                  purpose=PURPOSES.index(purpose)), session_core.fileno())
            self.send(wire.encode("start_session_token", serial=self.serial),
                      session_token.fileno())
        session = Session(core, token)
        self.sessions.append(session)
        return session

    def connect(self, purpose="agent"):
        """An ordered session and its connection's outcome."""
        session = self.order(purpose)
        session.born()
        return session, session.outcome()

    def children(self):
        return children_of(self.pid)

    def child(self, program):
        """The pid of the one child that runs this program, when it is there."""
        for pid in self.children():
            with contextlib.suppress(OSError, IndexError):
                if argv_of(pid)[0].decode() == program:
                    return pid
        return None

    def wait(self, patience=PATIENCE):
        """The exit code, negative for a signal."""
        def ended():
            if self.code is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.code = os.waitstatus_to_exitcode(status)
            return self.code is not None
        wait_for(ended, "the launcher's end", patience)
        return self.code

    def lines(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        for session in self.sessions:
            session.close()
        self.parent.close()
        if self.code is None:
            try:
                self.wait()
            except AssertionError:
                os.kill(self.pid, signal.SIGKILL)
                self.wait()
                raise
        self.log.close()


def each_mode(test):
    """Runs a test method, which takes the mode, in each mode that can be tested here."""
    @functools.wraps(test)
    def run(self):
        for mode in MODES:
            user = user_of(mode)
            if AS_ROOT and not _enters(user):
                print(f"skipped in mode {mode}: {user.pw_name} may not enter {TREE}")
                continue
            with self.subTest(mode=mode):
                test(self, mode)
    return run


def _enters(user):
    return subprocess.run(["test", "-x", os.path.join(TREE, "tw-agent-net")], check=False,
                          user=user.pw_uid, group=user.pw_gid, extra_groups=[]).returncode == 0


class Case(unittest.TestCase):
    """Tests with launchers that end with the test."""

    def launcher(self, mode="user", starts=True, **options):
        launcher = Launcher(mode, **options)
        self.addCleanup(launcher.close)
        if starts and options.get("configure", True):
            try:
                launcher.report = launcher.started()
            except IndexError:
                raise AssertionError("the launcher did not start: " + launcher.lines()) from None
        return launcher

    def carries_bytes(self, client, server):
        """Both ends of one connection: what goes in at one comes out at the other."""
        with client, server:
            for a, b in ((client, server), (server, client)):
                a.send(b"ping")
                self.assertTrue(select.select([b], [], [], PATIENCE)[0])
                self.assertEqual(b.recv(16), b"ping")

    def connects(self, launcher, server):
        """Orders a session; its socket carries bytes to the listener."""
        session, outcome = launcher.connect()
        self.assertEqual(outcome[0], "connected", (outcome, launcher.lines()))
        peer, _ = server.accept()
        self.carries_bytes(outcome[1], peer)
        return session

    def fails(self, launcher, stage, code=None):
        """Orders a session; its connection fails at this stage. Returns the detail."""
        _, outcome = launcher.connect()
        self.assertEqual(outcome[:2], ("failed", stage), (outcome, launcher.lines()))
        if code is not None:
            self.assertEqual(outcome[2], code, outcome)
        return outcome[3]


@contextlib.contextmanager
def tinyproxy(*lines):
    """A tinyproxy on loopback; its port."""
    program = shutil.which("tinyproxy")
    if not program:
        raise unittest.SkipTest("tinyproxy is not installed (apt-get install tinyproxy-bin)")
    with refusing_port() as port, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([f"Port {port}", "Listen 127.0.0.1", "Timeout 60",
                                  "LogLevel Critical", "MaxClients 20", *lines, ""]))
        process = subprocess.Popen([program, "-d", "-c", path], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            def answers():
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return True
                return False
            wait_for(answers, "tinyproxy")
            yield port
        finally:
            process.terminate()
            process.wait()
