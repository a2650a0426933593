#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a site demands is refused by name on a kernel that lacks it, and accepted where it is."""

import unittest

from kernels import REDUCED, AttackCase
import harness
from harness import AS_ROOT, modes

IOCTL_DEV = 1 << 15  # Landlock's file right of ABI 5


@unittest.skipUnless(AS_ROOT, "only root can emulate kernels")
class Demands(AttackCase):
    def refused(self, words, options, *args):
        agent = self.start_agent(under=[REDUCED, *options], args=args)
        self.assertEqual(agent.wait(), 6, agent.log)
        self.assertRegex(agent.log, words)

    def accepted(self, options, *args):
        agent = self.online_agent(under=[REDUCED, *options], args=args)
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        return agent

    @modes("user")
    def test_landlock(self):
        for abi in range(1, 7):
            demand = ("--require", f"landlock>={abi}")
            self.refused(rf"--require landlock>={abi} cannot be met: this kernel has Landlock "
                         rf"ABI {abi - 1}\b", ["--landlock", str(abi - 1)], *demand)
            self.accepted(["--landlock", str(abi)], *demand)

    @modes("system", "user")
    def test_others(self):
        for demand, kernel in (("member-isolation", ["--landlock", "0"]),
                               ("secret-memory", ["--missing", "memfd_secret"])):
            self.refused(f"--require {demand} cannot be met", kernel, "--require", demand)

    @modes("system", "user")
    def test_no_seccomp(self):
        for options in (["--missing", "seccomp"], ["--no-actions"]):
            self.refused("this kernel has no seccomp filters", options)

    @modes("system", "user")
    def test_a_right_is_missing(self):
        """A backport that has all of ABI 6 but one right of ABI 5 is taken for ABI 4."""
        gap = ["--landlock", "6", "--refuse-fs", f"{IOCTL_DEV:x}"]
        self.refused("core reports less than is required|net reports less than is required", gap,
                     "--require", "landlock>=5")
        agent = self.accepted(gap, "--require", "landlock>=4", "--log-level", "debug")
        for role in ("core", "net"):
            self.assertRegex(agent.log, rf"\b{role} is in its sandbox: Landlock ABI 4,")
        self.assertRegex(agent.log, r"\bexec is in its sandbox: Landlock ABI 6,")


if __name__ == "__main__":
    harness.main()
