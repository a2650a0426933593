# SPDX-License-Identifier: Apache-2.0
"""A machine to install packages on: this system's files under an overlay that is thrown away, in namespaces of its own
for mounts, processes and the host's name. What is installed, which users are made, what is written is gone with it. With
`systemd` its process 1 is a real one that starts nothing but what a test asks for. The network is ours, so that it reaches
the Tower of a test."""

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import unittest

PREPARE = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs "$BASE"
mkdir "$BASE/upper" "$BASE/work" "$BASE/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$BASE/upper,workdir=$BASE/work" "$BASE/root"
cd "$BASE/root"
mount -t proc proc proc
# The kernel's settings are this system's, which its systemd would change.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/lock
for directory in $SHARED; do
    mkdir -p "./$directory"
    mount --bind "$directory" "./$directory"
done
# It never saw the agent, nobody is at its lists of users, and no package has it read all manual pages.
rm -rf usr/sbin/policy-rc.d etc/tw-agent var/lib/tw-agent etc/*.lock var/lib/man-db/auto-update
sed -i '/^tw-agent/d' etc/passwd etc/group etc/shadow etc/gshadow
if [ "$INIT" = systemd ]; then
    umount -R sys/fs/cgroup || :
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    # Nothing of this system's is started, and its devices are left alone.
    rm -rf usr/lib/systemd/system/*.wants etc/systemd/system/*.wants usr/lib/systemd/system-generators \
        usr/lib/systemd/system-environment-generators
    mkdir -p run/systemd/system
    printf '[Unit]\nDescription=Test\nDefaultDependencies=no\n' >run/systemd/system/test.target
fi
mkdir old
pivot_root . old
umount -l old
# As systemd has it, which hands credentials to services by mounts.
mount --make-rshared /
echo prepared
"""
SYSTEMD = "/lib/systemd/systemd"
CGROUP = "/sys/fs/cgroup"


class CannotBeMade(unittest.SkipTest):
    pass


def _cgroup2():
    """Where this host has cgroup2."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        found = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    if not found:
        raise CannotBeMade("no cgroup2 is mounted here")
    return found[0]


class Machine:
    """`shared` are directories of ours that it has at the same place."""

    def __init__(self, init="sleep", shared=()):
        if os.geteuid() != 0:
            raise CannotBeMade("needs root")
        if init == "systemd" and not os.path.exists(SYSTEMD):
            raise CannotBeMade("systemd is not installed")
        self.init, self.popen, self.pid, self.group = init, None, None, None
        self.shared = shared
        self.base = tempfile.mkdtemp(prefix="tw-machine-", dir="/tmp")
        self.console = os.path.join(self.base + ".console")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        name = os.path.basename(self.base)
        enter = ":"
        if self.init == "systemd":
            self.group = os.path.join(_cgroup2(), name)
            try:
                os.mkdir(self.group)
            except OSError as reason:
                raise CannotBeMade(f"no control group of our own: {reason}") from None
            enter = f"echo 0 >{self.group}/cgroup.procs"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(self.console, "wb") as console:
            ready.bind("\0" + name)
            last = (f"exec {SYSTEMD} --system --unit=test.target --log-target=console --show-status=no"
                    if self.init == "systemd" else
                    "exec python3 -c 'import socket, os, signal; s = socket.socket(1, 2); "
                    "s.sendto(b\"READY=1\", \"\\0\" + os.environ[\"NOTIFY_SOCKET\"][1:]); signal.pause()'")
            # It ends with us, however we end.
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "sh", "-c",
                 enter + ' && exec unshare --mount --propagation private --pid --cgroup --uts --fork --kill-child sh -c "$1"',
                 "sh", PREPARE + last],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BASE": self.base, "INIT": self.init,
                     "SHARED": " ".join(self.shared),
                     "container": "test", "NOTIFY_SOCKET": "@" + name},
                stdin=subprocess.DEVNULL, stdout=console, stderr=console)
            self._wait_ready(ready)
        self.pid = self._child_of(self.popen.pid)

    def _wait_ready(self, ready):
        gone = os.pidfd_open(self.popen.pid)
        try:
            while True:
                events = select.select([ready, gone], [], [], 120)[0]
                if ready in events:
                    if b"READY=1" in ready.recv(4096):
                        return
                elif gone in events and "prepared\n" not in self.log():
                    raise CannotBeMade(f"no mounts of our own here: {self.log()[-300:]}")
                else:
                    raise AssertionError(f"{self.init} is not ready:\n{self.log()[-3000:]}")
        finally:
            os.close(gone)

    @staticmethod
    def _child_of(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def log(self):
        with open(self.console, encoding="utf-8", errors="replace") as file:
            return file.read()

    def command(self, *arguments):
        """The same command, to be run inside."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--cgroup", "--uts", f"--root=/proc/{self.pid}/root",
                "--wdns=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive",
                *arguments]

    def run(self, *arguments, check=True, **options):
        """What it prints; with check=False the completed process."""
        done = subprocess.run(self.command(*arguments), text=True, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180, **options)
        if not check:
            return done
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{self.log()[-2000:]}")
        return done.stdout

    def path(self, path):
        """A path inside, as seen from here."""
        return f"/proc/{self.pid}/root{path}"

    def write(self, path, content, mode=0o644, owner=None):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(self.path(path), mode)
        if owner:
            self.run("chown", owner, path)

    def read(self, path):
        with open(self.path(path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        """Its process 1 ends, and all with it."""
        if self.popen:
            with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
                os.kill(self.pid or self._child_of(self.popen.pid), 9)
            self.popen.kill()
            self.popen.wait()
        if self.group and os.path.isdir(self.group):
            self._remove_group()
        shutil.rmtree(self.base, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.console)

    def _remove_group(self):
        """Once the last of its processes is gone, which the kernel tells."""
        with open(f"{self.group}/cgroup.events", encoding="ascii") as events:
            poller = select.poll()
            poller.register(events, select.POLLPRI)
            while "populated 1" in events.read():
                if not poller.poll(30_000):
                    raise AssertionError(f"processes are left in {self.group}")
                events.seek(0)
        for folder, _, _ in os.walk(self.group, topdown=False):
            os.rmdir(folder)


def machine(test, init="sleep", shared=()):
    """A machine that goes at the end of the test."""
    made = Machine(init, shared)
    test.addCleanup(made.stop)
    return made
