#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""harm.py PID … | --victims: every way in which one process can disturb another of its user, tried
on each PID, or each way on a process of its own. Prints JSON: {pid: {way: "ok" or the error's name}};
a signal that was sent and did not come is "nothing". (process_madvise, process_mrelease and timerslack_ns
need a capability as well.)"""

import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
# Numbers of x86-64; those from 424 on are the same everywhere.
_CALLS = {"tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "ioprio_set": 251,
          "migrate_pages": 256, "move_pages": 279, "sched_setattr": 314, "pidfd_send_signal": 424,
          "pidfd_open": 434}
_F_SETOWN_EX, _F_SETSIG, _FIOSETOWN, _SIOCSPGRP = 15, 10, 0x8901, 0x8902
_IOPRIO_IDLE = 3 << 13


def _group(pid):
    """Its process group; one of another pid namespace has no name here, and 0 would be our own."""
    group = os.getpgid(pid)
    if group == 0:
        raise PermissionError(errno.EPERM, "its group is out of sight")
    return group


def _call(name, *arguments):
    wide = [value if isinstance(value, (bytes, ctypes.Array)) or value is None
            else ctypes.c_long(value) for value in arguments]
    result = _LIBC.syscall(ctypes.c_long(_CALLS[name]), *wide)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _info(number):
    """A siginfo_t as sigqueue(3) makes it: si_signo, si_errno, si_code = SI_QUEUE."""
    return b"".join(value.to_bytes(4, "little", signed=True) for value in (number, 0, -1)) + bytes(116)


def _signal_by_handle(pid, flags=0):
    handle = _call("pidfd_open", pid, 0)
    _call("pidfd_send_signal", handle, signal.SIGKILL, None, flags)


def _signal_by_directory(pid, flags=0):
    """A directory of /proc is as good a handle."""
    _call("pidfd_send_signal", os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY), signal.SIGKILL, None,
          flags)


_PATIENCE = 0.2  # seconds; for victims, who are to die, as long as it takes


def _died(pid):
    """SIGKILL is dealt with at once or never. The one thing that tells of any process's end, a pidfd, may
    be denied, so its state is read for a while."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                if file.read().rpartition(") ")[2][0] in "ZX":
                    return
        except OSError:
            return
        select.select([], [], [], 0.005)
    raise OSError(0, "nothing")


def _owned(own):
    """A descriptor that sends SIGKILL to its owner when it becomes readable."""
    def way(pid):
        reading, writing = os.pipe()
        own(reading, pid)
        fcntl.fcntl(reading, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
        os.write(writing, b"x")
        _died(pid)
    return way


def _owned_socket(request):
    def way(pid):
        import socket
        one, other = socket.socketpair()
        fcntl.ioctl(one, request, pid.to_bytes(4, "little"))
        fcntl.fcntl(one, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC)
        other.send(b"x")
        _died(pid)
    return way


def _limit(which, value):
    return lambda pid: resource.prlimit(pid, which, (value, resource.prlimit(pid, which)[1]))


def _limits_blindly(pid):
    """Setting both, without asking for the hard limit first."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))


def _affinity(pid):
    os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})


def _sched_setattr(pid):
    _call("sched_setattr", pid, (48).to_bytes(4, "little") + (5).to_bytes(4, "little") + bytes(40), 0)


def _write(name, text):
    def way(pid):
        with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
            file.write(text)
    return way


def _autogroup(pid):
    """The kernel takes one change in a tenth of a second, from anyone: then it says EAGAIN."""
    for _ in range(100):
        try:
            return _write("autogroup", b"1")(pid)
        except BlockingIOError:
            time.sleep(0.1)
    raise OSError(errno.EAGAIN, "others change theirs all the time")


# What is left changed by one way must not hinder the next: those that end it come last.
WAYS = {
    "setpriority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "setpriority group": lambda pid: os.setpriority(os.PRIO_PGRP, _group(pid), 19),
    "SCHED_IDLE": lambda pid: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),
    "sched_setparam": lambda pid: os.sched_setparam(pid, os.sched_param(0)),
    "sched_setattr": _sched_setattr,
    "sched_setaffinity": _affinity,
    "ioprio_set": lambda pid: _call("ioprio_set", 1, pid, _IOPRIO_IDLE),
    "ioprio_set group": lambda pid: _call("ioprio_set", 2, _group(pid), _IOPRIO_IDLE),
    "move_pages": lambda pid: _call("move_pages", pid, 0, None, None, None, 2),
    "migrate_pages": lambda pid: _call("migrate_pages", pid, 8, (1).to_bytes(8, "little"), (1).to_bytes(8, "little")),
    "oom_score_adj": _write("oom_score_adj", b"1000"),
    "autogroup": _autogroup,
    "clear_refs": _write("clear_refs", b"1"),
    "coredump_filter": _write("coredump_filter", b"0x7f"),
    "RLIMIT_NOFILE": _limit(resource.RLIMIT_NOFILE, 0),
    "RLIMIT_FSIZE": _limit(resource.RLIMIT_FSIZE, 0),
    "RLIMIT_AS": _limit(resource.RLIMIT_AS, 0),
    "RLIMIT_CPU": _limit(resource.RLIMIT_CPU, 1),
    "both limits": _limits_blindly,
    "kill group": lambda pid: os.killpg(_group(pid), 0),
    "kill everyone": lambda pid: os.kill(-1, 0),
    "SIGSTOP": lambda pid: os.kill(pid, signal.SIGSTOP),
    **{f"signal {number}": (lambda number: lambda pid: os.kill(pid, number))(number)
       for number in (0, signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM, signal.SIGRTMAX, signal.SIGKILL)},
    "tkill": lambda pid: _call("tkill", pid, signal.SIGKILL),
    "tgkill": lambda pid: _call("tgkill", pid, pid, signal.SIGKILL),
    "rt_sigqueueinfo": lambda pid: _call("rt_sigqueueinfo", pid, signal.SIGKILL, _info(signal.SIGKILL)),
    "rt_tgsigqueueinfo": lambda pid: _call("rt_tgsigqueueinfo", pid, pid, signal.SIGKILL, _info(signal.SIGKILL)),
    "pidfd_send_signal": _signal_by_handle,
    "directory as pidfd": _signal_by_directory,
    "directory as pidfd, thread": lambda pid: _signal_by_directory(pid, 1),
    "directory as pidfd, group": lambda pid: _signal_by_directory(pid, 4),
    "F_SETOWN": _owned(lambda fd, pid: fcntl.fcntl(fd, fcntl.F_SETOWN, pid)),
    "F_SETOWN_EX": _owned(lambda fd, pid: fcntl.fcntl(fd, _F_SETOWN_EX, (1).to_bytes(4, "little") +
                                                      pid.to_bytes(4, "little"))),
    "FIOSETOWN": _owned_socket(_FIOSETOWN),
    "SIOCSPGRP": _owned_socket(_SIOCSPGRP),
}


def _try(way, pid):
    try:
        way(pid)
        return "ok"
    except OSError as reason:
        return errno.errorcode.get(reason.errno, "nothing")
    except ValueError:
        return "EINVAL"


def harm(pid):
    return {name: _try(way, pid) for name, way in WAYS.items()}


def harm_victims():
    """Each way on a process of its own, which leads its session: only then has it an autogroup other
    than the host's first, which nobody can change."""
    outcome = {}
    for name, way in WAYS.items():
        with subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, start_new_session=True) as child:
            outcome[name] = _try(way, child.pid)
            child.kill()
    return outcome


def main():
    global _PATIENCE
    if sys.argv[1:] == ["--victims"]:
        _PATIENCE = 60
        print(json.dumps({"victims": harm_victims()}))
    else:
        print(json.dumps({pid: harm(int(pid)) for pid in sys.argv[1:]}))


if __name__ == "__main__":
    main()
