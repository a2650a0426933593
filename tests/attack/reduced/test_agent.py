#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real agent under older kernels: it works, says what is not enforced, and holds the rest.

Arguments: names of kernels.KERNELS.
"""

import sys
import unittest

from kernels import (KERNELS, REDUCED, AttackCase, check_baseline, must_be_said, what_is_said)
import harness
from harness import AS_ROOT
from support import gate

FILES = """mkdir one two; echo x > one/a
ln one/a two/b 2>/dev/null && echo linked
python3 -c 'import os; os.rename("one/a", "two/c")' 2>/dev/null && echo renamed || mv one/a two/c
test -f two/c && echo there
"""


@unittest.skipUnless(AS_ROOT, "only root can emulate kernels")
class Kernels(AttackCase):
    def test_attacks_work_where_nothing_defends(self):
        check_baseline(self)

    def check_kernel(self, name):
        options, abi, memfd_secret = KERNELS[name]
        demanded = ["seccomp"] + ([f"landlock>={abi}", "member-isolation"] if abi else [])
        agent = self.online_agent(under=[REDUCED, *options], args=["--require", ",".join(demanded)])
        said = what_is_said(agent.log)
        self.assertEqual(said, must_be_said(self.mode, abi, memfd_secret), agent.log)
        self.check_attacks(agent)
        self.check_siblings(agent, abi)
        output = self.tower.agent.run(FILES).output.decode().split()
        self.assertEqual(output, ["there"] if abi == 1 else ["linked", "renamed", "there"])
        agent.terminate()
        self.assertEqual(agent.wait(), 0)

    def check_siblings(self, agent, abi):
        """What one command can do to another: nothing else than the log said."""
        held = gate(self, agent)
        id = self.tower.agent.send_command(
            f"export MARK=secret; sh -c 'echo $PPID > sibling; {held.text}'; :")
        held.reached()
        look = ("pid=$(cat sibling); exec 2>/dev/null; tr '\\0' '\\n' < /proc/$pid/environ | "
                "grep -c ^TW_; readlink /proc/$pid/fd/1 >/dev/null && echo fd; "
                "kill -0 $pid && echo signal; :")
        seen = self.tower.agent.run(look).output.decode().split()
        held.open()
        self.assertEqual(self.tower.wait_result(id).exit_status, 0)
        if abi == 0:
            self.assertNotEqual(seen[0], "0", "the baseline: without Landlock it can be read")
            self.assertEqual(seen[1:], ["fd", "signal"])
        else:
            self.assertEqual(seen, ["0", "signal"] if abi < 6 else ["0"])


def add_test(name, mode):
    def test(self):
        if reason := harness.why_not(mode):
            self.skipTest(reason)
        self.mode = mode
        self.check_kernel(name)
    setattr(Kernels, f"test_{name}__{mode}", test)


if __name__ == "__main__":
    for kernel in sys.argv[1:] or KERNELS:
        for one in harness.MODES:
            add_test(kernel, one)
    del sys.argv[1:]
    harness.main()
