#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""However commands are kept apart, they reach none of the agent's processes."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reduced"))

from kernels import AttackCase, check_baseline  # noqa: E402
import harness  # noqa: E402
from harness import modes  # noqa: E402


class Isolate(AttackCase):
    def test_baseline(self):
        check_baseline(self)

    @modes("system", "user")
    def test_full(self):
        self.check_attacks(self.online_agent())

    @modes("system", "user")
    def test_read_only(self):
        """The domains of commands do not scope signals then; exec's pid is guarded by its filter."""
        self.check_attacks(self.online_agent(args=["--isolate", "read-only"]))


if __name__ == "__main__":
    harness.main()
