# SPDX-License-Identifier: Apache-2.0
"""Run as PYTHON - WHICH PID... inside a command: what its user can do to others' processes.

WHICH is "all" or a deadly one. Prints a JSON object {attempt: {pid: "done" or the error's name}}.
Those of "all" ask for permission (signal 0) or change nothing; a deadly one really kills, and that
it was "done" says nothing: whoever started this looks who is still there.
"""

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import sys

SYS_PIDFD_SEND_SIGNAL, SYS_PIDFD_OPEN, SYS_TKILL, SYS_TGKILL = 424, 434, 200, 234
SYS_QUEUE, SYS_IOPRIO, SYS_PTRACE = 129, 251, 101
PTRACE_SEIZE, F_SETSIG, FIOSETOWN = 0x4206, 10, 0x8901
libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def own(pid, by_ioctl=False):
    """Has the kernel send SIGKILL for a descriptor that becomes readable."""
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, F_SETSIG, signal.SIGKILL)
    if by_ioctl:
        fcntl.ioctl(ours, FIOSETOWN, pid.to_bytes(4, "little", signed=True))
    else:
        fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    theirs.send(b"x")


def by_directory(pid):
    directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
    call(SYS_PIDFD_SEND_SIGNAL, directory, 0, None, 0)


def by_handle(pid):
    call(SYS_PIDFD_OPEN, pid, 0)


def queue(pid):
    call(SYS_QUEUE, pid, 0, (ctypes.c_int * 32)(0, 0, -1))


def group(pid):
    """One of another pid namespace has no name here, and 0 would be our own."""
    number = os.getpgid(pid)
    if number == 0:
        raise OSError(errno.EPERM, "")
    os.killpg(number, 0)


def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        file.read(1)


ATTEMPTS = {
    "kill": lambda pid: os.kill(pid, 0),
    "tkill": lambda pid: call(SYS_TKILL, pid, 0),
    "tgkill": lambda pid: call(SYS_TGKILL, pid, pid, 0),
    "queue": queue,
    "group": group,
    "handle": by_handle,
    "directory": by_directory,
    "limits": lambda pid: call(302, pid, 0, None, (ctypes.c_uint64 * 2)()),
    "nice": lambda pid: os.setpriority(os.PRIO_PROCESS, pid,
                                       os.getpriority(os.PRIO_PROCESS, pid)),
    "class": lambda pid: os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0)),
    "processors": lambda pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid)),
    "disk": lambda pid: call(SYS_IOPRIO, 1, pid, 2 << 13 | 4),
    "environ": lambda pid: read(pid, "environ"),
    "mem": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY)),
    "trace": lambda pid: call(SYS_PTRACE, PTRACE_SEIZE, pid, 0, 0),
}
DEADLY = {"own": own, "own by ioctl": lambda pid: own(pid, by_ioctl=True)}


def attempt(what, pid):
    try:
        what(pid)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


def main():
    deadly = sys.argv[1] if sys.argv[1] in DEADLY else None
    pids = [int(pid) for pid in sys.argv[2:]]
    attempts = {deadly: DEADLY[deadly]} if deadly else ATTEMPTS
    print(json.dumps({name: {pid: attempt(what, pid) for pid in pids}
                      for name, what in attempts.items()}))


main()
