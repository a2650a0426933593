#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""State directories that are no good: locks of others, read-only and full file systems; and the
place of the metrics."""

import fcntl
import os
import shutil
import socket
import subprocess
import unittest

from harness import AS_ROOT, TIMEOUT, TowerCase, give, main, modes
from support import public_directory, status_file, wait_status, write_file

IN_NAMESPACE = shutil.which("unshare")


def namespaces():
    return AS_ROOT and IN_NAMESPACE and not subprocess.run(
        [IN_NAMESPACE, "-m", "true"], check=False, stderr=subprocess.DEVNULL).returncode


class Locks(TowerCase):
    def prepared(self, content):
        """A state directory whose lock file was left like this; its path and the file's."""
        directory = self.enterContext(public_directory())
        user = "tw-agent" if self.mode == "system" else None
        below = os.path.join(directory, f"lab@{socket.gethostname()}")
        lock = os.path.join(below, "lock")
        os.mkdir(below, 0o700)
        if content is not None:
            with open(lock, "wb") as file:
                file.write(content)
        from harness import own_user
        for path in (directory, below, lock):
            if os.path.exists(path):
                give(path, user or own_user(), 0o600 if path == lock else 0o700)
        return directory, lock

    @modes("system", "user")
    def test_left_behind(self):
        """By a dead process, by an agent of another kind, by nobody."""
        for content in (b"4194303\n", b"1\n", b"", b"not a number\n", b"\0\xff" * 100000):
            with self.subTest(content[:10]):
                directory, lock = self.prepared(content)
                agent = self.online_agent(state_dir=directory)
                with open(lock, "rb") as file:
                    self.assertEqual(file.read(), b"%d\n" % agent.pid)
                agent.terminate()
                self.assertEqual(agent.wait(), 0)

    @modes("system", "user")
    def test_no_file(self):
        directory, lock = self.prepared(None)
        outside = write_file(os.path.dirname(directory), f"tw-outside-{os.getpid()}", "kept")
        self.addCleanup(os.unlink, outside)
        for make in (lambda: os.symlink(outside, lock), lambda: os.mkdir(lock)):
            make()
            agent = self.start_agent(state_dir=directory)
            self.assertEqual(agent.wait(), 3)
            self.assertRegex(agent.log, f'state directory {directory}: the file "lock" cannot be '
                                        "opened: ")
            (os.rmdir if os.path.isdir(lock) and not os.path.islink(lock) else os.unlink)(lock)
        with open(outside, encoding="ascii") as file:
            self.assertEqual(file.read(), "kept")

    @modes("system", "user")
    def test_two_names_for_one_connection_id(self):
        """The second is refused with the first one's process, whatever their files are called."""
        with public_directory() as directory:
            names = [write_file(directory, f"{name}.conf", "connection_id = lab\n")
                     for name in ("one", "two")]
            first = self.online_agent(args=["--config", names[0]])
            second = self.start_agent(args=["--config", names[1]], state_dir=first.state_dir)
            self.assertEqual(second.wait(), 8)
            self.assertRegex(second.log, f"connection ID 'lab' runs on this host .pid {first.pid}.")
            self.assertTrue(self.tower.agent.online)

    def test_somebody_looks(self):
        """A shared lock, as tw-agentctl takes it for a moment, is not another agent."""
        directory, lock = self.prepared(b"1\n")
        descriptor = os.open(lock, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        agent = self.start_agent(state_dir=directory)
        # For longer than anybody looks; whether the agent has come to it by then does not matter.
        with self.assertRaises(subprocess.TimeoutExpired, msg=agent.log):
            agent.popen.wait(0.5)
        os.close(descriptor)
        self.tower.wait_online(TIMEOUT)
        agent.terminate()
        self.assertEqual(agent.wait(), 0)


@unittest.skipUnless(namespaces(), "mounts need root and a mount namespace")
class FileSystems(TowerCase):
    """A tmpfs in a mount namespace of the agent's own; /proc/PID/root shows it."""

    def setUp(self):
        super().setUp()
        self.mode = "system"
        self.directory = self.enterContext(public_directory())
        self.below = os.path.join(self.directory, f"lab@{socket.gethostname()}")

    def under(self, script):
        text = (f"set -e; mount -t tmpfs -o size=64k,mode=0700 none {self.directory}; "
                f"chown tw-agent: {self.directory}; {script}; shift; exec \"$@\"")
        return [IN_NAMESPACE, "-m", "/bin/sh", "-c", text, "sh"]

    def existing(self):
        return f"mkdir -m 700 {self.below}; touch {self.below}/lock; chown -R tw-agent: {self.below}"

    def fill(self):
        return f"head -c 1000000 /dev/zero > {self.directory}/filler || true"

    def test_read_only(self):
        for prepare in ("true", self.existing()):
            with self.subTest(prepare):
                agent = self.start_agent(state_dir=self.directory, under=self.under(
                    f"{prepare}; mount -o remount,ro {self.directory}"))
                self.assertEqual(agent.wait(), 3)
                self.assertRegex(agent.log, f"state directory {self.directory}: .*Read-only file "
                                            "system: mount it for writing, or give another by "
                                            "--state-dir")

    def test_no_room_for_a_directory(self):
        agent = self.start_agent(state_dir=self.directory, under=self.under(
            f"mount -o remount,nr_inodes=1 {self.directory} || mount -t tmpfs -o "
            f"nr_inodes=1,mode=0700 none {self.directory} && chown tw-agent: {self.directory}"))
        self.assertEqual(agent.wait(), 3)
        self.assertRegex(agent.log, "cannot be made: No space left on device: make room there")

    def test_full(self):
        """It starts, says so, works, and writes when there is room again."""
        agent = self.online_agent(state_dir=self.directory,
                                  under=self.under(f"{self.existing()}; {self.fill()}"))
        agent.wait_log("WARN .*status.json cannot be written: No space left on device")
        agent.wait_log("WARN .*metrics.prom cannot be written: No space left on device")
        result = self.tower.agent.run("echo works")
        self.assertEqual(result.output, b"works\n")
        self.assertEqual(agent.log.count("status.json cannot be written"), 1)
        inside = f"/proc/{agent.pid}/root{self.directory}"
        os.unlink(f"{inside}/filler")
        self.tower.agent.run("echo more")
        agent.wait_log("results are on disk again|on disk again")
        self.tower.agent.run("echo more")
        wait_status(agent, lambda status: status["state"] == "online",
                    folder=os.path.join(inside, os.path.basename(self.below)))
        agent.terminate()
        self.assertEqual(agent.wait(), 0)


class Metrics(TowerCase):
    def place(self, mode=0o755):
        directory = self.enterContext(public_directory())
        give(directory, "tw-agent" if self.mode == "system" else self._user(), mode)
        return directory

    @staticmethod
    def _user():
        from harness import own_user
        return own_user()

    @modes("system", "user")
    def test_another_place_and_mode(self):
        for mode in ("0640", "0644", "0600"):
            directory = self.place()
            path = os.path.join(directory, "tw-agent.prom")
            agent = self.online_agent(config={"metrics_file": path, "metrics_mode": mode})
            wait_status(agent, lambda status: status["state"] == "online")
            self.assertEqual(os.stat(path).st_mode & 0o7777, int(mode, 8))
            self.assertEqual(os.listdir(directory), ["tw-agent.prom"])
            with open(path, encoding="utf-8") as file:
                self.assertIn('tw_agent_state{connection_id="lab",state="online"} 1', file.read())
            state = os.path.dirname(status_file(agent))
            self.assertNotIn("metrics.prom", os.listdir(state))
            self.assertEqual(os.stat(status_file(agent)).st_mode & 0o7777, 0o600)
            self.assertEqual(os.stat(os.path.join(state, "results")).st_mode & 0o7777, 0o700)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    def refuses(self, words, **config):
        agent = self.start_agent(config=config)
        self.assertEqual(agent.wait(), 3, agent.log)
        self.assertRegex(agent.log, r"ERROR .*agent\.conf.* line 1.*metrics_(file|mode)|"
                                    r"ERROR .*agent\.conf:1.*metrics_(file|mode)")
        self.assertRegex(agent.log, words)

    @modes("system", "user")
    def test_refused(self):
        missing = os.path.join(self.place(), "missing", "x.prom")
        self.refuses("No such file.*the directory must exist", metrics_file=missing)
        theirs = self.place(0o755)
        if AS_ROOT:
            shutil.chown(theirs, "root", "root")
            self.refuses("Permission denied.*must be able to write", metrics_file=f"{theirs}/x.prom")
            shutil.chown(theirs, "root", "root")
            os.chmod(theirs, 0o775)  # root's own group does not count
            self.refuses("Permission denied.*must be able to write", metrics_file=f"{theirs}/x.prom")
        taken = self.place()
        os.mkdir(f"{taken}/x.prom")
        self.refuses("something else of this name", metrics_file=f"{taken}/x.prom")
        for path in ("x.prom", "relative/x.prom", "/", "/tmp/", "/tmp/..", "/tmp/" + "x" * 250):
            self.refuses("not the absolute path of a file", metrics_file=path)
        for mode in ("0666", "0777", "0444", "600x", "0000"):
            self.refuses("not 0600, 0640 or 0644|not an octal number", metrics_mode=mode)

    @modes("system", "user")
    def test_what_comes_later(self):
        """A directory that cannot be written any more is said once, and no reason to stop."""
        directory = self.place()
        agent = self.online_agent(config={"metrics_file": f"{directory}/x.prom"})
        wait_status(agent, lambda status: status["state"] == "online")
        os.unlink(f"{directory}/x.prom")
        os.mkdir(f"{directory}/x.prom")
        for _ in range(2):
            self.tower.agent.run("true")
        agent.wait_log("WARN .*x.prom cannot be written: (Is a directory|Permission denied)")
        os.rmdir(f"{directory}/x.prom")
        self.tower.agent.run("true")
        wait_status(agent, lambda status: os.path.exists(f"{directory}/x.prom"), TIMEOUT)
        self.assertEqual(agent.log.count("x.prom cannot be written"), 1)


if __name__ == "__main__":
    main()
