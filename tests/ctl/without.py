#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""without.py NAME… -- PROGRAM ARGUMENTS…: runs a program as on a kernel that lacks these system
calls. Code 77: this machine is not known here."""

import ctypes
import os
import platform
import struct
import sys

# Number on x86-64 and on arm64, AUDIT_ARCH of both.
CALLS = {"landlock_create_ruleset": (444, 444), "memfd_secret": (447, 447), "seccomp": (317, 277)}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO, ENOSYS = 0x7FFF0000, 0x00050000, 38
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def statement(code, k, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, k)


def refuse(names):
    machine, arch = MACHINES[platform.machine()]
    numbers = [CALLS[name][machine] for name in names]
    lines = [statement(LOAD, 4), statement(EQUAL, arch, 1, 0), statement(RETURN, ALLOW),
             statement(LOAD, 0)]
    for left, number in enumerate(numbers):
        lines.append(statement(EQUAL, number, len(numbers) - left, 0))
    lines += [statement(RETURN, ALLOW), statement(RETURN, ERRNO | ENOSYS)]
    code = ctypes.create_string_buffer(b"".join(lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    # Root needs no no_new_privs, and a test of setuid programs could not have it.
    if os.geteuid() != 0 and libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "filter")


def main():
    split = sys.argv.index("--")
    if platform.machine() not in MACHINES:
        sys.exit(77)
    refuse(sys.argv[1:split])
    os.execv(sys.argv[split + 1], sys.argv[split + 1:])


main()
