#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""allow_namespaces: off, commands get no user namespace; on, they do, and the agent is as safe."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reduced"))

from kernels import REDUCED, AttackCase, attack_text, real_abi  # noqa: E402
import harness  # noqa: E402
from harness import AS_ROOT, modes  # noqa: E402
from support import plain_user, read_status  # noqa: E402

NAMESPACE = "unshare -Ur true"
MOUNT = "unshare -Urm sh -c 'mount -t tmpfs none /mnt && grep -c \" /mnt tmpfs\" /proc/mounts'"
BWRAP = "bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all sh -c 'echo inside'"
ON = {"allow_namespaces": "yes"}


class Namespaces(AttackCase):
    def setUp(self):
        super().setUp()
        done = subprocess.run(MOUNT, shell=True, check=False, stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, cwd="/", **plain_user())
        if done.returncode != 0:
            self.skipTest(f"plain users get no namespaces here at all: {done.stderr.decode()}")

    def run_all(self):
        conversation = self.tower.agent
        return [conversation.run(text + " 2>&1") for text in (NAMESPACE, MOUNT)]

    @modes("system", "user")
    def test_off(self):
        agent = self.online_agent()
        for result in self.run_all():
            self.assertNotEqual(result.exit_status, 0)
            self.assertIn(b"unshare failed: Operation not permitted", result.output)
        self.assertFalse(read_status(agent)["sandbox"]["namespaces"])
        self.assertNotIn("allow_namespaces", agent.log)
        if shutil.which("bwrap"):
            result = self.tower.agent.run(BWRAP + " 2>&1")
            self.assertIn(b"No permissions to create", result.output)

    @modes("system", "user")
    def test_on(self):
        agent = self.online_agent(config=ON)
        if (abi := real_abi()) < 6:
            self.skipTest(f"mounts need Landlock ABI 6; this kernel has {abi}")
        for result in self.run_all():
            self.assertEqual(result.exit_status, 0, result.output)
        self.assertTrue(read_status(agent)["sandbox"]["namespaces"])
        self.assertIn("enforced: allow_namespaces = yes, so commands have all capabilities in "
                      "namespaces of their own", agent.log.replace("enforced in part", "enforced"))
        if not shutil.which("bwrap"):
            print("SKIPPED: bubblewrap is not installed")
            return
        self.assertEqual(self.tower.agent.run(BWRAP + " 2>&1").output, b"inside\n")

    @modes("system", "user")
    def test_on_the_agent_is_out_of_reach(self):
        """From a command, and from root of a namespace of its own."""
        agent = self.online_agent(config=ON)
        self.check_attacks(agent)
        pids = self.targets(agent)
        inside = attack_text("all", pids).replace("python3", "unshare -Ur python3", 1)
        result = self.tower.agent.run(inside)
        self.assertEqual(result.exit_status, 0)
        self.assertIn(b'"kill"', result.output)
        self.assertNotIn(b'"done"', result.output)

    @unittest.skipUnless(AS_ROOT, "only root can emulate kernels")
    @modes("system", "user")
    def test_on_before_scopes(self):
        agent = self.online_agent(config=ON, under=[REDUCED, "--landlock", "5"])
        namespace, mount = self.run_all()
        self.assertEqual(namespace.exit_status, 0, namespace.output)
        self.assertNotEqual(mount.exit_status, 0)
        self.assertIn("mounts in them still fail", agent.log)


if __name__ == "__main__":
    harness.main()
