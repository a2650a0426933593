# SPDX-License-Identifier: Apache-2.0
"""What the started programs find: descriptors, no environment, no privilege."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from plays_parent import (AS_ROOT, PURPOSES, TREE, Case, argv_of, each_mode, listener, status_of,
                          user_of, wait_for)

NO_CAPABILITIES = "0" * 16


class Birth(Case):
    def hanging(self, mode, **options):
        """A launcher with a connector that waits for its proxy, and the session."""
        proxy = listener()
        self.addCleanup(proxy.close)
        launcher = self.launcher(mode, proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}",
                                 timeout_ms=60000, **options)
        session = launcher.order()
        birth = session.born()
        peer, _ = proxy.accept()  # so the connector is in its sandbox
        self.addCleanup(peer.close)
        connector = wait_for(lambda: launcher.child("tw-agent-net-connect"), "the connector")
        return launcher, session, birth, connector

    @each_mode
    def test_purposes_and_names(self, mode):
        with listener() as server:
            launcher = self.launcher(mode, port=server.getsockname()[1])
            for purpose in PURPOSES:
                session = launcher.order(purpose)
                birth = session.born()
                self.assertEqual(birth["purpose"], purpose)
                self.assertEqual(birth["argv0"], "tw-agent-net-session")
                session.outcome()[1].close()

    @each_mode
    def test_fixed_descriptors_alone(self, mode):
        _, session, birth, connector = self.hanging(mode)
        self.assertEqual(birth["channels"], "1110")
        self.assertEqual(descriptors(session.pid), set(range(6)))
        for fd in (0, 1):
            self.assertEqual(os.readlink(f"/proc/{session.pid}/fd/{fd}"), "/dev/null")
        if AS_ROOT:  # it is non-dumpable: others may not look
            self.assertLessEqual(set(range(4)), descriptors(connector))
            channels = [fd for fd in descriptors(connector) if is_packet_socket(connector, fd)]
            self.assertEqual(channels, [3])

    @each_mode
    def test_no_environment(self, mode):
        secrets = {"TOWER_ACCESS_TOKEN": "x", "https_proxy": "http://u:p@h:1", "PATH": "/bin"}
        _, session, birth, connector = self.hanging(mode, environment=secrets)
        self.assertEqual(birth["variables"], 0)
        self.assertEqual(read(f"/proc/{session.pid}/environ"), b"")
        if AS_ROOT:
            self.assertEqual(read(f"/proc/{connector}/environ"), b"")

    def test_connector_argv_tells_nothing(self):
        _, _, _, connector = self.hanging("user", proxy_auth="ann:s3cret")
        self.assertEqual(argv_of(connector), [b"tw-agent-net-connect"])
        self.assertEqual(status_of(connector)["Name"], "tw-agent-net-co")

    @each_mode
    def test_user_and_privileges(self, mode):
        launcher, session, _, connector = self.hanging(mode)
        user = user_of(mode)
        for pid in (launcher.pid, session.pid, connector):
            status = status_of(pid)
            self.assertEqual(status["Uid"].split(), [str(user.pw_uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(user.pw_gid)] * 4)
            if AS_ROOT:
                self.assertEqual(status["Groups"], "")
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(status[name], NO_CAPABILITIES, name)

    @each_mode
    def test_sandbox_as_the_kernel_reports_it(self, mode):
        launcher, session, _, connector = self.hanging(mode)
        if not launcher.report["seccomp"]:
            self.skipTest("the sandbox enforces no filter in this build")
        filters = {}
        for pid in (launcher.pid, session.pid, connector):
            status = status_of(pid)
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(status["Seccomp"], "2")
            filters[pid] = int(status["Seccomp_filters"])
        self.assertGreaterEqual(filters[connector], filters[launcher.pid] + 1)

    @unittest.skipUnless(AS_ROOT, "two users are needed")
    def test_others_may_not_look(self):
        launcher, _, _, connector = self.hanging("user")
        for pid in (launcher.pid, connector):
            for name in ("environ", "mem", "maps"):
                result = subprocess.run(["cat", f"/proc/{pid}/{name}"], check=False,
                                        capture_output=True, user=launcher.user.pw_uid,
                                        group=launcher.user.pw_gid, extra_groups=[])
                self.assertNotEqual(result.returncode, 0, (pid, name))

    def test_started_by_hand(self):
        for program in ("tw-agent-net", "tw-agent-net-connect"):
            result = subprocess.run([os.path.join(TREE, program)], check=False,
                                    capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(result.returncode, 2)
            self.assertIn("run tw-agent instead", result.stderr)

    def test_missing_program_is_named(self):
        with copy_of_tree() as tree:
            os.unlink(os.path.join(tree, "tw-agent-net-session"))
            launcher = self.launcher(tree=tree, starts=False)
            self.assertEqual(launcher.wait(), 1)
            self.assertIn("tw-agent-net-session", launcher.lines())

    def test_upgrade_does_not_mix_versions(self):
        with copy_of_tree() as tree, listener() as server:
            launcher = self.launcher(tree=tree, port=server.getsockname()[1])
            for name in ("tw-agent-net-connect", "tw-agent-net-session"):
                new = os.path.join(tree, "new")
                shutil.copy("/bin/false", new)
                os.rename(new, os.path.join(tree, name))
            self.connects(launcher, server)


@contextlib.contextmanager
def copy_of_tree():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        for name in os.listdir(TREE):
            try:
                shutil.copy(os.path.join(TREE, name), directory)
            except PermissionError:
                raise unittest.SkipTest(f"{name} is not readable for this user") from None
        yield directory


def descriptors(pid):
    return set(map(int, os.listdir(f"/proc/{pid}/fd")))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def is_packet_socket(pid, fd):
    """True for a Unix socket of type SOCK_SEQPACKET, by its inode in /proc/net/unix."""
    target = os.readlink(f"/proc/{pid}/fd/{fd}")
    if not target.startswith("socket:["):
        return False
    inode = target[8:-1]
    with open("/proc/net/unix", encoding="utf-8") as file:
        rows = [line.split() for line in file]
    return any(row[6] == inode and int(row[4], 16) == socket.SOCK_SEQPACKET for row in rows[1:])


if __name__ == "__main__":
    unittest.main()
