#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl check and tw-agent itself on kernels that lack something, and with little memory to
lock: both say the same of it."""

import subprocess

from ctl import CtlCase, harness
from harness import AS_ROOT, PROGRAM, TIMEOUT

TOO_LITTLE = ["/usr/bin/prlimit", "--memlock=16384:16384"]


class Kernels(CtlCase):
    def start(self, host, under, *more):
        """tw-agent with a demand that nothing meets, so that it says what it thinks and ends."""
        identity = {} if host.system or not AS_ROOT else harness.identity_of(host.user)
        done = subprocess.run([*under, PROGRAM, *host.options(token_file=host.token), *more, "lab"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, check=False, text=True,
                              cwd=host.directory, env={"PATH": "/usr/bin:/bin", "USER": host.user,
                                                       "HOME": host.directory}, **identity)
        return done.returncode, done.stderr

    def lacking(self, host, under, name, word, words):
        """One guarantee falls, and with it the demand; without the demand the rest is well."""
        self.assertEqual(host.well().holds(name), "ok")
        report = host.well(under=under)
        self.assertIn(report.holds(name), ("partly", "no"))
        details = [row["detail"] for row in report.json["guarantees"] if row["name"] == name]
        self.assertRegex(details[0], words)
        demanded = host.check("--require", word, under=under)
        self.assertEqual(demanded.code, 1)
        self.assertEqual([row["name"] for row in demanded.json["unmet"]], [word])
        code, log = self.start(host, under, "--require", word)
        self.assertEqual(code, 6, log)
        self.assertRegex(log, rf"ERROR.*--require {word} cannot be met: .*{words}")
        self.assertRegex(log, f"WARN.*(not enforced|enforced in part): .*{words}")
        return report

    def test_without_landlock(self):
        for host in self.modes():
            report = self.lacking(host, host.lacks("landlock_create_ruleset"), "member-isolation",
                                  "member-isolation", "this kernel has no Landlock")
            self.assertEqual(report.json["kernel"]["landlock_abi"], 0)
            demanded = host.check("--require", "landlock>=1",
                                  under=host.lacks("landlock_create_ruleset"))
            self.assertEqual(demanded.json["unmet"][0]["name"], "landlock>=1")

    def test_without_memfd_secret(self):
        for host in self.modes():
            if host.check().holds("secret-memory") != "ok":
                self.skipTest("this kernel has no memfd_secret")
            report = self.lacking(host, host.lacks("memfd_secret"), "secret-memory",
                                  "secret-memory", "this kernel has no memfd_secret")
            self.assertFalse(report.json["kernel"]["memfd_secret"])

    def test_without_filters(self):
        for host in self.modes():
            report = host.check(under=host.lacks("seccomp"))
            self.assertEqual((report.code, report.holds("system-calls")), (1, "no"))
            code, log = self.start(host, host.lacks("seccomp"))
            self.assertEqual(code, 6, log)
            self.assertIn("this kernel has no seccomp filters", log)

    def test_little_memory_to_lock(self):
        """The limit is the reason, not the kernel; it does not bind root."""
        host = self.mode("user")
        if host.check().holds("secret-memory") != "ok":
            self.skipTest("this kernel has no memfd_secret")
        report = self.lacking(host, TOO_LITTLE, "secret-memory", "secret-memory",
                              "limit of locked memory is too low")
        self.assertRegex(str(report.findings("memory")), "warning.*up to 16 KiB.*RLIMIT_MEMLOCK")
        self.assertRegex(str(host.well().findings("memory")), "'ok'")


if __name__ == "__main__":
    harness.main()
