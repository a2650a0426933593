#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears (sd_notify), and its watchdog: a datagram socket of the test plays
it."""

import contextlib
import os
import select
import signal
import socket
import statistics
import struct
import tempfile
import time

from harness import TIMEOUT, TowerCase, main, modes
from support import gate, public_directory, write_file

WATCHDOG_S = 1.2
# A member's command: sends descriptors that nobody takes, until its user may have no more in flight,
# and takes the place of each that goes.
FLIGHT = """
import array, socket
pairs, told, many = [], False, array.array("i", [0] * 250)
while True:
    try:
        pairs[-1][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
    except (BlockingIOError, IndexError):
        pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        pairs[-1][0].setblocking(False)
    except OSError:
        if not told:
            print(flush=True)
        told = True
"""
SERVICE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "INVOCATION_ID",
           "SYSTEMD_EXEC_PID", "CREDENTIALS_DIRECTORY", "LISTEN_FDS")


class Manager:
    """The socket, at a path or with an abstract name, and what came."""

    def __init__(self, test, abstract=False):
        directory = tempfile.TemporaryDirectory(prefix="notify-", dir="/tmp")
        test.addCleanup(directory.cleanup)
        os.chmod(directory.name, 0o755)
        self.path = directory.name + "/socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.bind("\0" + self.path if abstract else self.path)
        if abstract:
            self.path = "@" + self.path
        else:
            os.chmod(self.path, 0o777)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.heard = []  # lines
        self.senders = set()

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.path, **more}

    def hear(self, timeout):
        """The lines of the next datagram; none when nothing comes in time."""
        if not select.select([self.socket], [], [], max(0, timeout))[0]:
            return []
        data, controls, _, _ = self.socket.recvmsg(4096, 256)
        for level, kind, content in controls:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self.senders.add(struct.unpack("iII", content)[0])
        lines = data.decode("ascii").splitlines()
        self.heard += lines
        return lines

    def wait(self, line, timeout=TIMEOUT):
        """Hears until this line came."""
        deadline = time.monotonic() + timeout
        while line not in self.hear(deadline - time.monotonic()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{line!r} did not come; heard: {self.heard}")

    def silent_for(self, seconds, line):
        """Whether the line does not come for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if line in self.hear(deadline - time.monotonic()):
                return False
        return True

    def drain(self):
        while self.hear(0):
            pass


def variables_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
            open(f"/proc/{pid}/environ", "rb") as file:
        return {entry.partition(b"=")[0].decode() for entry in file.read().split(b"\0") if entry}
    return set()


class Notify(TowerCase):
    def life(self, abstract):
        manager = Manager(self, abstract)
        agent = self.online_agent(env=manager.environment())
        manager.wait("READY=1")
        if "STATUS=online" not in manager.heard:
            manager.wait("STATUS=online")
        agent.signal(signal.SIGHUP)
        manager.wait("RELOADING=1")
        self.assertRegex(manager.heard[-1], r"^MONOTONIC_USEC=\d+$")
        self.assertLess(abs(int(manager.heard[-1].partition("=")[2]) / 1e6 - time.monotonic()),
                        TIMEOUT)
        manager.wait("READY=1")
        agent.terminate()
        manager.wait("STOPPING=1")
        self.assertEqual(agent.wait(), 0)
        manager.drain()
        self.assertEqual(manager.senders, {agent.pid}, "NotifyAccess=main")
        self.assertEqual(manager.heard.count("READY=1"), 2, manager.heard)
        self.assertEqual(manager.heard.count("STOPPING=1"), 1, manager.heard)
        for line in manager.heard:
            self.assertRegex(line, "^(READY|STATUS|RELOADING|MONOTONIC_USEC|STOPPING)=")
            self.assertNotIn(self.tower.url, line)

    @modes("system", "user")
    def test_its_life(self):
        for abstract in (False, True):
            with self.subTest(abstract=abstract):
                self.life(abstract)

    @modes("system", "user")
    def test_ready_without_tower(self):
        self.tower.stop_listening()
        manager = Manager(self)
        agent = self.start_agent(env=manager.environment())
        manager.wait("READY=1")
        manager.wait("STATUS=not online, trying again soon; the log says why")
        self.assertNotIn("WATCHDOG=1", manager.heard)
        agent.terminate()
        self.assertEqual(agent.wait(), 0)

    def test_not_ready_without_work_directory(self):
        manager = Manager(self)
        agent = self.start_agent(env=manager.environment(), work_dir="/nonexistent/tw")
        self.assertEqual(agent.wait(), 3)
        manager.drain()
        self.assertNotIn("READY=1", manager.heard)
        self.assertIn("STOPPING=1", manager.heard)

    @modes("system", "user")
    def test_nobody_else_knows(self):
        manager = Manager(self)
        told = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "60000000", "JOURNAL_STREAM": "8:1",
                "INVOCATION_ID": "5f" * 16, "SYSTEMD_EXEC_PID": "1", "KEPT": "yes"}
        extra = {} if self.mode == "user" else {"config": {"pass_env": "KEPT"}}
        agent = self.online_agent(env=told, **extra)
        result = self.tower.agent.run("env")
        names = {line.partition("=")[0] for line in result.output.decode().splitlines()}
        self.assertIn("KEPT", names)
        self.assertEqual(names.intersection(SERVICE), set())
        hold = gate(self, agent)
        self.tower.send_command(hold.text)
        hold.reached()
        tree = agent.processes()
        self.assertGreater(len(tree), 4)
        for process in tree[1:]:
            self.assertEqual(variables_of(process.pid).intersection(SERVICE), set(), process)
        hold.open()

    def test_unusable(self):
        for value, why in (("socket", "neither a path"), ("/" + "x" * 200, "neither a path"),
                           ("/nonexistent/socket", "No such file")):
            agent = self.online_agent(env={"NOTIFY_SOCKET": value, "WATCHDOG_USEC": "1000000"})
            self.assertRegex(agent.log, f"WARN .*NOTIFY_SOCKET=.* cannot be used.*{why}")
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    @modes("system", "user")
    def test_a_manager_that_never_reads(self):
        """What does not fit waits without blocking, and the newest goes when there is room."""
        manager = Manager(self)
        agent = self.online_agent(env=manager.environment(WATCHDOG_USEC="30000"))
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(other.close)
        with self.assertRaises(BlockingIOError, msg="its queue is not full"):
            while True:
                other.sendto(b"FILL=1", manager.path)
        for _ in range(5):
            self.assertEqual(self.tower.agent.run("echo goes on").output, b"goes on\n")
        agent.signal(signal.SIGHUP)
        manager.wait("RELOADING=1")
        manager.wait("READY=1")
        manager.wait("WATCHDOG=1")
        agent.terminate()
        manager.wait("STOPPING=1")
        self.assertEqual(agent.wait(), 0)


class Watchdog(TowerCase):
    def watched(self, manager, **options):
        usec = str(int(WATCHDOG_S * 1e6))
        return self.start_agent(env=manager.environment(WATCHDOG_USEC=usec), **options)

    def paced(self, manager):
        """It comes within half of the time, again and again; a host may stand still for once."""
        manager.wait("WATCHDOG=1")
        gaps, start = [], time.monotonic()
        for _ in range(5):
            manager.wait("WATCHDOG=1")
            before, start = start, time.monotonic()
            gaps.append(start - before)
        self.assertLess(statistics.median(gaps), WATCHDOG_S * 0.75, gaps)  # half, on a busy host

    def silent(self, manager):
        """Nothing comes any more but what was on its way."""
        for _ in range(2):
            if manager.silent_for(1.3 * WATCHDOG_S, "WATCHDOG=1"):
                return True
        return False

    @modes("system", "user")
    def test_each_loop(self):
        """A process that stands still ends it, whatever the heartbeat's interval."""
        manager = Manager(self)
        agent = self.watched(manager)
        manager.wait("READY=1")
        agent.wait_log("attestation: [0-9]+ attacks")
        self.paced(manager)
        for name in ("tw-agent-core", "tw-agent-exec", "tw-agent-net"):
            with self.subTest(name):
                pid = agent.process(name).pid
                os.kill(pid, signal.SIGSTOP)
                try:
                    manager.drain()
                    self.assertTrue(self.silent(manager))
                finally:
                    os.kill(pid, signal.SIGCONT)
                self.paced(manager)

    @modes("system", "user")
    def test_descriptors_in_flight(self):
        """Their number is counted for the user that commands and exec have: a command can hold other
        commands' results up, which come with descriptors, and signs of life not."""
        manager = Manager(self)
        agent = self.watched(manager)
        self.tower.wait_online(TIMEOUT, "lab")
        agent.wait_log("attestation: [0-9]+ attacks")
        script = write_file(self.enterContext(public_directory()), "flight.py", FLIGHT)
        hold, end = gate(self, agent, "full"), gate(self, agent, "end")
        attack = self.tower.send_command(
            f"mkfifo told; timeout 60 python3 {script} > told & read _ < told; {hold.text}; kill $!")
        hold.reached()
        other = self.tower.send_command(f"{end.text}; echo other")
        end.reached()
        end.open()
        self.paced(manager)
        self.paced(manager)
        self.assertEqual(self.tower.results(other), [], "there was room for its descriptor")
        hold.open()
        self.tower.wait_result(attack, TIMEOUT)
        self.assertEqual(self.tower.wait_result(other, TIMEOUT).output, b"other\n")
        self.paced(manager)

    def test_offline(self):
        self.tower.stop_listening()
        manager = Manager(self)
        self.watched(manager)
        self.paced(manager)

    def test_while_it_stops(self):
        manager = Manager(self)
        agent = self.watched(manager)
        self.tower.wait_online(TIMEOUT, "lab")
        hold = gate(self, agent)
        self.tower.send_command(hold.text)
        hold.reached()
        agent.terminate()
        manager.wait("STOPPING=1")
        self.paced(manager)
        hold.open()
        self.assertEqual(agent.wait(), 0)

    def test_somebody_elses(self):
        manager = Manager(self)
        agent = self.online_agent(env=manager.environment(
            WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)), WATCHDOG_PID="1"))
        manager.wait("READY=1")
        self.assertTrue(manager.silent_for(1.3 * WATCHDOG_S, "WATCHDOG=1"))
        agent.terminate()
        self.assertEqual(agent.wait(), 0)


if __name__ == "__main__":
    main()
