#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""attacker.py PID … | --child: every way from one process into another, tried on each PID, or on a
child of its own. Prints JSON: {pid: {way: "ok" or the error's name}}."""

import ctypes
import errno
import json
import os
import subprocess
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH, _PTRACE_DETACH, _PTRACE_SEIZE = 16, 17, 0x4206
_SYS_PIDFD_OPEN, _SYS_PIDFD_GETFD = 434, 438
_WALL = 0x40000000
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.syscall.restype = ctypes.c_long


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def _checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _read(name):
    def way(pid):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            file.read(4096)
    return way


def way_mem(pid):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem, \
            open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        start = int(maps.readline().split("-")[0], 16)
        mem.seek(start)
        mem.read(64)


def way_mem_for_writing(pid):
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def way_fd_list(pid):
    os.listdir(f"/proc/{pid}/fd")


def way_fd_link(pid):
    os.readlink(f"/proc/{pid}/fd/2")


def way_fd_followed(pid):
    os.stat(f"/proc/{pid}/fd/1")


def way_map_files(pid):
    os.listdir(f"/proc/{pid}/map_files")


def way_exe(pid):
    os.readlink(f"/proc/{pid}/exe")


def way_cwd(pid):
    os.listdir(f"/proc/{pid}/cwd")


def way_root(pid):
    os.listdir(f"/proc/{pid}/root")


def _copy(call):
    def way(pid):
        buffer = ctypes.create_string_buffer(64)
        local = _Vector(ctypes.addressof(buffer), 64)
        remote = _Vector(0x10000, 64)
        try:
            _checked(call(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))
        except OSError as reason:
            if reason.errno != errno.EFAULT:  # let in, and nothing was mapped there
                raise
    return way


def _trace(request):
    def way(pid):
        _checked(_LIBC.ptrace(request, pid, None, None))
        if request == _PTRACE_ATTACH:
            os.waitpid(pid, _WALL)
            _checked(_LIBC.ptrace(_PTRACE_DETACH, pid, None, None))
    return way


def way_pidfd_getfd(pid):
    descriptor = _checked(_LIBC.syscall(_SYS_PIDFD_OPEN, pid, 0))
    try:
        os.close(_checked(_LIBC.syscall(_SYS_PIDFD_GETFD, descriptor, 2, 0)))
    finally:
        os.close(descriptor)


# PTRACE_SEIZE comes last: what it let in stays traced until we end.
WAYS = {
    "environ": _read("environ"), "maps": _read("maps"), "smaps": _read("smaps"),
    "auxv": _read("auxv"), "stack": _read("stack"), "syscall": _read("syscall"),
    "pagemap": _read("pagemap"), "io": _read("io"), "map_files": way_map_files, "mem": way_mem,
    "mem for writing": way_mem_for_writing, "fd list": way_fd_list, "fd link": way_fd_link,
    "fd followed": way_fd_followed, "exe": way_exe, "cwd": way_cwd, "root": way_root,
    "process_vm_readv": _copy(_LIBC.process_vm_readv),
    "process_vm_writev": _copy(_LIBC.process_vm_writev),
    "pidfd_getfd": way_pidfd_getfd, "ptrace attach": _trace(_PTRACE_ATTACH),
    "ptrace seize": _trace(_PTRACE_SEIZE),
}


def attack(pid):
    outcome = {}
    for name, way in WAYS.items():
        try:
            way(pid)
            outcome[name] = "ok"
        except OSError as reason:
            outcome[name] = errno.errorcode.get(reason.errno, str(reason.errno))
    return outcome


def main():
    if sys.argv[1:] == ["--child"]:
        with subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL) as child:
            print(json.dumps({"child": attack(child.pid)}))
            child.kill()
    else:
        print(json.dumps({pid: attack(int(pid)) for pid in sys.argv[1:]}))


if __name__ == "__main__":
    main()
