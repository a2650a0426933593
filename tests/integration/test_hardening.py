#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the compiler and linker were told has to be seen in the programs that they made."""

import os
import platform
import re
import shutil
import stat
import subprocess
import unittest

import harness
from harness import BUILD
from support import build_has

BASE = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libm.so.6"}
# Every helper decodes packets, runs a loop and loads its filter; the rest is its own.
SHARED = BASE | {"libevent_core-2.1.so.7", "libmsgpackc.so.2", "libmsgpack-c.so.2",
                 "libseccomp.so.2"}
PROGRAMS = {
    "bin/tw-agent": SHARED,
    "libexec/tw-agent/tw-agent-core": SHARED,
    "libexec/tw-agent/tw-agent-exec": SHARED,
    "libexec/tw-agent/tw-agent-net": SHARED,
    "libexec/tw-agent/tw-agent-probe": SHARED,
    "libexec/tw-agent/tw-agent-net-connect": SHARED | {"libcurl.so.4"},
    "libexec/tw-agent/tw-agent-net-session": SHARED | {
        "libssl.so.3", "libcrypto.so.3", "libwslay.so.1", "libjansson.so.4", "libllhttp.so.8.1",
        "libllhttp.so.9.0"},
}
CONTROL = "bin/tw-agentctl"
CONTROL_NEEDS = SHARED | {"libcurl.so.4", "libjansson.so.4", "libinih.so.1", "libpcre2-8.so.0",
                          "libcrypto.so.3", "libssl.so.3"}


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *arguments], capture_output=True, text=True,
                          check=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}).stdout


class Hardening(unittest.TestCase):
    longMessage = True

    def setUp(self):
        if not build_has("TW_HARDEN"):
            self.skipTest("the build is not hardened (TW_HARDEN is off)")
        if shutil.which("readelf") is None:
            self.skipTest("readelf is not installed (package binutils)")

    def each(self):
        """Every program that was built, with its path."""
        present = dict(PROGRAMS)
        if os.path.exists(os.path.join(BUILD, CONTROL)):
            present[CONTROL] = CONTROL_NEEDS
        for name, needs in present.items():
            with self.subTest(name):
                yield os.path.join(BUILD, name), needs

    def test_position_independent(self):
        for path, _ in self.each():
            self.assertRegex(readelf("-h", path), r"Type:\s+DYN")
            self.assertRegex(readelf("-d", path), r"FLAGS_1\).*\bPIE\b")

    def test_relocations_are_read_only(self):
        for path, _ in self.each():
            self.assertRegex(readelf("-l", path), "GNU_RELRO")
            dynamic = readelf("-d", path)
            self.assertRegex(dynamic, r"FLAGS\).*BIND_NOW")
            self.assertRegex(dynamic, r"FLAGS_1\).*\bNOW\b")
            self.assertNotRegex(dynamic, "TEXTREL|RPATH|RUNPATH")

    def test_no_segment_is_writable_and_executable(self):
        for path, _ in self.each():
            segments = readelf("-l", path)
            self.assertRegex(segments, r"GNU_STACK\s.*\sRW\s")
            for line in segments.splitlines():
                self.assertNotRegex(line, r"\sRWE\s")

    def test_stack_protector(self):
        for path, _ in self.each():
            self.assertIn("__stack_chk_fail", readelf("--dyn-syms", path))

    def test_fortify(self):
        for path, _ in self.each():
            self.assertRegex(readelf("--dyn-syms", path), r"__\w+_chk@")

    @unittest.skipUnless(platform.machine() == "x86_64", "CET is for x86-64 alone")
    def test_control_flow(self):
        for path, _ in self.each():
            notes = readelf("--notes", path)
            self.assertRegex(notes, r"x86 feature:.*\bIBT\b")
            self.assertRegex(notes, r"x86 feature:.*\bSHSTK\b")

    def test_libraries(self):
        for path, allowed in self.each():
            needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-d", path)))
            self.assertLessEqual(needed, allowed)

    def test_modes(self):
        for path, _ in self.each():
            mode = stat.S_IMODE(os.stat(path).st_mode)
            self.assertEqual(mode, 0o711, "unreadable, so that it starts non-dumpable")

    def test_nothing_else_is_built_there(self):
        found = {os.path.join(folder, name) for folder in ("bin", "libexec/tw-agent")
                 for name in os.listdir(os.path.join(BUILD, folder))}
        self.assertLessEqual(found, set(PROGRAMS) | {CONTROL})


if __name__ == "__main__":
    harness.main()
