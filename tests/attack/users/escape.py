#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""escape.py ABSTRACT-NAME VICTIM-PID: ways out of a command's sandbox, into the kernel or around its
domain. Prints JSON: {way: "ok" or the error's name}. What is denied on purpose comes first; the last
ones are to work in the sandbox as well."""

import ctypes
import errno
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import sys
import termios

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
# Numbers of x86-64; those from 424 on are the same everywhere.
_CALLS = {"clone": 56, "ptrace": 101, "add_key": 248, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
          "setns": 308, "process_vm_readv": 310, "kcmp": 312, "bpf": 321, "userfaultfd": 323,
          "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438}
_NEWUSER = 0x10000000


def call(name, *arguments):
    wide = [value if isinstance(value, (bytes, ctypes.Array)) or value is None
            else ctypes.c_long(value) for value in arguments]
    result = _LIBC.syscall(ctypes.c_long(_CALLS[name]), *wide)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def in_child(way):
    """The error's number is the exit code."""
    def run(*arguments):
        pid = os.fork()
        if pid == 0:
            try:
                way(*arguments)
                os._exit(0)
            except OSError as reason:
                os._exit(reason.errno)
            finally:
                os._exit(255)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise OSError(code, os.strerror(code))
    return run


def unshare_user():
    call("unshare", _NEWUSER)


def clone_user():
    pid = call("clone", _NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def setns_own():
    """Into where we are: EINVAL when it is let in so far."""
    try:
        call("setns", os.open("/proc/self/ns/user", os.O_RDONLY), _NEWUSER)
    except OSError as reason:
        if reason.errno != errno.EINVAL:
            raise


def perf():
    attr = struct.pack("=IIQQ", 1, 112, 0, 0) + bytes(16) + struct.pack("=Q", 1 << 5 | 1 << 6) + bytes(64)
    call("perf_event_open", attr, 0, -1, -1, 0)


def bpf_map():
    call("bpf", 0, struct.pack("=IIIII", 2, 4, 4, 1, 0) + bytes(108), 128)


def type_into_terminal():
    _, terminal = pty.openpty()
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")


def trace_child():
    """PTRACE_TRACEME, as a debugger starts its program."""
    call("ptrace", 0, 0, 0, 0)


def read_own_memory():
    buffer = ctypes.create_string_buffer(8)
    vector = struct.pack("=QQ", ctypes.addressof(buffer), 8)
    call("process_vm_readv", os.getpid(), vector, 1, vector, 1, 0)


def getfd():
    call("pidfd_getfd", call("pidfd_open", os.getpid(), 0), 0, 0)


def abstract(name):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + name)


def victims_stderr(pid):
    os.close(os.open(f"/proc/{pid}/fd/2", os.O_WRONLY))


def own_abstract():
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(f"\0escape-{os.getpid()}")
        one.listen()
        other.connect(f"\0escape-{os.getpid()}")


def keys():
    """As Kerberos keeps tickets."""
    key = call("add_key", b"user", b"escape-test", b"ticket", 6, -2)
    buffer = ctypes.create_string_buffer(16)
    assert call("keyctl", 11, key, buffer, 16, 0) == 6 and buffer.value == b"ticket"
    call("keyctl", 3, key)


def named_socket():
    path = f"/tmp/escape-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(path)
        one.listen()
        other.connect(path)
        os.unlink(path)


DENIED_WAYS = {
    "io_uring_setup": lambda: call("io_uring_setup", 1, bytes(120)),
    "userfaultfd": lambda: call("userfaultfd", 1),
    "unshare user": in_child(unshare_user),
    "clone user": clone_user,
    "setns": setns_own,
    "bpf": bpf_map,
    "perf_event_open": perf,
    "TIOCSTI": in_child(type_into_terminal),
    "ptrace own child": in_child(trace_child),
    "process_vm_readv": read_own_memory,
    "pidfd_getfd": getfd,
    "kcmp": lambda: call("kcmp", os.getpid(), os.getpid(), 0, 0, 0),
    "abstract socket": lambda: abstract(sys.argv[1]),
    "another's descriptor": lambda: victims_stderr(sys.argv[2]),
}
ALLOWED_WAYS = {"own abstract socket": own_abstract, "own named socket": named_socket, "keys": keys}


def main():
    outcome = {}
    for name, way in {**DENIED_WAYS, **ALLOWED_WAYS}.items():
        try:
            way()
            outcome[name] = "ok"
        except OSError as reason:
            outcome[name] = errno.errorcode.get(reason.errno, str(reason.errno))
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
