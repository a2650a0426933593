# SPDX-License-Identifier: Apache-2.0
"""Daemons of a scheduler as children of the test: all state in one directory, ended by pid."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))

import harness  # noqa: E402

START = 120  # seconds; machines that run tests are busy
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def daemon_user():
    """Whom daemons run as: root, or the one plain user."""
    return pwd.getpwuid(os.geteuid()).pw_name


def own_ports(number):
    """Ports that stay this process's: (port, what holds it) for each. Below those that the kernel
    hands out, so that nobody gets one by chance, and under an abstract name against other tests."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first = int(file.read().split()[0])
    found = []
    for port in range(first - 1, 1024, -1):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tw-agent-tests-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        found.append((port, claim))
        if len(found) == number:
            return found
    raise AssertionError("no port is free")


class Daemons:
    """Processes with their files in `directory`, which every user may pass and only we may write.

    A subclass starts them in start(); stop() ends what was started and what that left behind.
    """

    def __init__(self, name):
        self.directory = tempfile.mkdtemp(prefix=f"tw-{name}-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self._running = {}
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what they leave behind comes to us

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def make_directory(self, name, mode=0o755):
        path = self.path(name)
        os.makedirs(path)
        os.chmod(path, mode)
        return path

    def launch(self, name, command, env=None):
        """Starts a daemon in the foreground that ends with us; what it says is in NAME.out."""
        with open(self.path(name + ".out"), "ab") as out:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, cwd=self.directory,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **(env or {})})

    def process(self, name):
        return self._running[name]

    def signal(self, name, number):
        self._running[name].send_signal(number)

    def kill(self, name):
        """Ends a daemon as a crash would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def wait_ready(self, command, ready, env=None, what=""):
        """Until a client's answer pleases `ready`; its daemons have no other way to say so."""
        deadline = time.monotonic() + START
        while True:
            done = subprocess.run(command, env={**os.environ, **(env or {})}, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode == 0 and ready(done.stdout):
                return
            dead = [name for name, process in self._running.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise AssertionError(f"{what or command[0]} is not ready; ended: {dead}\n"
                                     f"{done.stdout}\n{self.said()}")
            time.sleep(0.05)

    def said(self):
        """The end of what the daemons said, for messages of failing tests."""
        parts = []
        for name in sorted(os.listdir(self.directory)):
            if name.endswith((".out", ".log")):
                with open(self.path(name), encoding="utf-8", errors="replace") as file:
                    parts.append(f"--- {name}\n{file.read()[-3000:]}")
        return "\n".join(parts)

    def stop(self):
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()
        self._end_left_behind()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end_left_behind(self):
        """Shepherds and jobs are our children now, or will be when their parents have ended. They
        are told by our directory, which is in their arguments or environment; agents are not."""
        while ours := [process for process in harness.process_tree(os.getpid())[1:]
                       if process.state != "Z" and self._belongs(process.pid)]:
            for process in ours:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                process.wait_gone(5)

    def _belongs(self, pid):
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    if self.directory.encode() in file.read():
                        return True
            except OSError:
                pass
        return False
