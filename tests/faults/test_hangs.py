#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A file server that does not answer: below the work directory, at start and while commands run."""

import os
import pwd
import tempfile

import fuse
from faults import FaultCase, harness, main, say
from harness import TIMEOUT, modes
from support import wait_status

LIMIT_SECONDS = 5  # a command that does not hang is done by then
# TERM after the limit, KILL 5 s later, and 5 s more before what cannot be killed is given up.
GIVEN_UP_SECONDS = LIMIT_SECONDS + 5 + 5
MISSING = fuse.why_not()


class Hangs(FaultCase):
    @classmethod
    def setUpClass(cls):
        if MISSING is None:
            fuse.own_mounts()

    def setUp(self):
        if MISSING is not None:
            self.skipTest(MISSING)
        super().setUp()
        self.path = tempfile.mkdtemp(prefix="tw-fuse-", dir="/tmp")
        self.addCleanup(os.rmdir, self.path)
        harness.ensure_users()
        entry = pwd.getpwnam(harness.own_user())
        self.files = fuse.FileSystem(self.path, entry.pw_uid, entry.pw_gid)
        self.addCleanup(self.files.close)
        self.addCleanup(self.files.resume)

    def online(self, **options):
        return self.online_agent(args=("--command-timeout", f"{LIMIT_SECONDS}s",
                                       "--heartbeat", "1s"), **options)

    def check_heartbeats(self):
        mark = self.tower.mark()
        for _ in range(2):
            mark = self.tower.events.mark() if self.tower.wait_event(
                "ws-message", TIMEOUT, after=mark, type="heartbeat") else mark

    def check_limit(self, result):
        self.assertEqual(result.exit_status, 124, result.output)
        self.assertIn(b"ended after %ds (--command-timeout)" % LIMIT_SECONDS, result.output)

    # At start.

    def refused(self, reading):
        self.files.hang(reading)
        agent = self.start_agent(work_dir=self.path)
        self.assertEqual(agent.wait(TIMEOUT), 3)
        self.assertRegex(agent.log, f"work directory '{self.path}': Connection timed out")
        if reading:
            self.files.resume()  # lets go of the one that looked, which nobody can kill
        self.assertEqual(agent.children_left(TIMEOUT), [])

    @modes()
    def test_stopped_at_start(self):
        self.refused(reading=False)

    def test_silent_at_start(self):
        self.refused(reading=True)

    # While commands run.

    @modes()
    def test_stopped_below_a_command(self):
        """The command can be killed, and others do not notice."""
        self.online()
        read = f"cat {self.path}/file"
        self.assertEqual(self.tower.run(read).output, self.files.CONTENT)
        self.files.hang(reading=False)
        ids = [self.tower.send_command(read) for _ in range(3)]
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.check_heartbeats()
        for id in ids:
            self.check_limit(self.tower.wait_result(id, TIMEOUT))
        self.files.resume()
        self.assertEqual(self.tower.run(read).output, self.files.CONTENT)

    def test_silent_below_a_command(self):
        """The command cannot even be killed: it is answered without its end."""
        agent = self.online()
        conversation = self.tower.agent
        read = f"cat {self.path}/file"
        self.files.hang(reading=True)
        id = self.tower.send_command(f"exec {read}")
        self.files.wait_asked(TIMEOUT)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.check_heartbeats()
        result = self.tower.wait_result(id, TIMEOUT)
        self.check_limit(result)
        self.assertGreaterEqual(result.seconds, GIVEN_UP_SECONDS)
        agent.wait_log("hangs in the kernel: answered without its end")
        left = [process for process in agent.processes() if process.comm in ("cat", "sh")]
        self.assertEqual(len(left), 1, "something hangs, or this proved nothing")
        self.files.resume()
        self.assertTrue(left[0].wait_gone(TIMEOUT))
        self.assertEqual(self.tower.run(read).output, self.files.CONTENT)
        self.assertFalse(conversation.ended)

    @modes()
    def test_work_directory_stops(self):
        """Commands may hang in it until the time limit; the agent does not."""
        self.work_directory(reading=False)

    def test_work_directory_is_silent(self):
        self.work_directory(reading=True)

    def work_directory(self, reading):
        agent = self.online(work_dir=self.path)
        conversation = self.tower.agent
        self.assertEqual(self.tower.run("cat file").output, self.files.CONTENT)
        self.files.hang(reading)
        ids = [self.tower.send_command(text) for text in ("cat file", "cd /; echo away", "ls")]
        self.check_heartbeats()
        results = [self.tower.wait_result(id, TIMEOUT) for id in ids]
        for result in (results[0], results[2]):
            self.check_limit(result)
        say(f"a command that leaves the directory at once: {results[1]}")
        self.files.resume()
        self.assertEqual(self.tower.run("cat file").output, self.files.CONTENT)
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 0)
        self.assertFalse(conversation.ended)

    @modes()
    def test_stop_while_a_command_hangs(self):
        """kill -9 does not end it; the agent ends without it when asked twice."""
        agent = self.online_agent()
        self.files.hang(reading=True)
        self.tower.send_command(f"exec cat {self.path}/file")
        self.files.wait_asked(TIMEOUT)
        agent.terminate()
        agent.wait_log("stopping: no more commands; 1 running")
        agent.terminate()
        self.assertEqual(agent.wait(25), 0)  # it would wait for 30 s
        self.files.resume()
        self.assertEqual(agent.children_left(TIMEOUT), [])


if __name__ == "__main__":
    main()
