# SPDX-License-Identifier: Apache-2.0
"""What the tests with schedulers share: jobs as Tower handles them, and as few starts as possible."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
import unittest

import daemons  # sets the path to the harness  # noqa: F401
from harness import TIMEOUT, Process, TowerCase
from support import wait_status

SLOW = 3 * TIMEOUT  # a job's way through a scheduler on a busy machine
LIMIT = 6  # seconds that commands may take where clients hang; those that do not are done by then
IMPATIENT = ("--command-timeout", f"{LIMIT}s", "--heartbeat", "1s")
POLL = 0.2  # seconds between two questions; Tower asks about every 12 s


class JobCase(TowerCase):
    """A scheduler for all tests of a class, in `self.scheduler`; an agent and a Tower for each."""

    scheduler_type = None  # a subclass of Daemons with a why_not() beside it

    @classmethod
    def setUpClass(cls):
        if cls.scheduler_type is None:
            return
        reason = sys.modules[cls.scheduler_type.__module__].why_not()
        if reason:
            raise unittest.SkipTest(reason)
        cls.scheduler = cls.scheduler_type()
        cls.addClassCleanup(cls.scheduler.stop)

    def job_agent(self, args=(), **options):
        """An agent whose commands reach the scheduler: by configuration in system mode, by its
        own environment in user mode."""
        reach = self.scheduler.variables()
        if self.mode == "system":
            config = {"pass_env": ", ".join(reach), **options.pop("config", {})}
            agent = self.online_agent(config=config, env=reach, args=args, **options)
        else:
            agent = self.online_agent(env=reach, args=args, **options)
        self.agent = agent
        return agent

    def command(self, text, status=0, timeout=SLOW):
        """The output of a command that ends as wished."""
        result = self.tower.run(text, timeout=timeout)
        said = result.output.decode(errors="replace")
        self.assertEqual(result.exit_status, status, f"{text}\n{said}\n{self.scheduler.said()}")
        return said

    def job_of(self, said):
        """The number in a scheduler's answer to a submission."""
        found = re.fullmatch(self.scheduler.submitted, said.strip())
        self.assertIsNotNone(found, said)
        return found.group(1)

    def states(self):
        """Job → state, as Tower asks."""
        return dict(line.split() for line in self.command(self.scheduler.poll).splitlines())

    def wait_state(self, job, *wanted):
        """Asks again and again, as Tower does, until the job's state is one of these."""
        deadline = time.monotonic() + SLOW
        while (state := self.states().get(job)) not in wanted:
            if time.monotonic() > deadline:
                self.fail(f"job {job} stays {state}\n{self.scheduler.said()}")
            time.sleep(POLL)
        return state

    def wait_gone(self, job):
        """The same until the scheduler does not know the job any more."""
        self.wait_state(job, None)

    def expect_limit(self, stopped, text):
        """While a daemon is stopped its clients hang for ever: the time limit ends them, and the
        agent, which has --command-timeout and quick heartbeats, goes on."""
        before = self.tower.mark()
        self.scheduler.signal(stopped, signal.SIGSTOP)
        self.addCleanup(self.scheduler.signal, stopped, signal.SIGCONT)
        direct = subprocess.Popen(["sh", "-c", "exec " + text], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True,
                                  env={**os.environ, **self.scheduler.variables()})
        self.addCleanup(direct.wait)
        self.addCleanup(direct.kill)
        id = self.tower.send_command(f"{text} & echo $!; wait $!")
        self.assertEqual(self.command("echo on"), "on\n")
        result = self.tower.wait_result(id, SLOW)
        self.assertEqual(result.exit_status, 124)
        client, _, said = result.output.decode().partition("\n")
        self.assertIn("--command-timeout", said)
        self.assertGreaterEqual(result.seconds, LIMIT)
        self.assertIsNone(direct.poll(), "a client without a time limit hangs")
        self.assert_gone(int(client))
        wait_status(self.agent, lambda status: status["commands"]["delivered"] >= 2)
        beats = self.tower.events.count("ws-message", after=before, type="heartbeat")
        self.assertGreaterEqual(beats, 2)
        self.assertIsNone(self.agent.popen.poll())
        self.scheduler.signal(stopped, signal.SIGCONT)
        self.assertEqual(direct.wait(SLOW), 0)
        self.states()

    def assert_gone(self, pid):
        try:
            self.assertTrue(Process(pid).wait_gone(TIMEOUT), f"{pid} still runs")
        except (FileNotFoundError, ProcessLookupError):
            pass

    def put_file(self, name, text):
        """Writes a file as Tower does, by a command with a here-document."""
        end = "END" + secrets.token_hex(4)
        self.command(f"cat > {name} <<'{end}'\n{text}{end}\n")
        return os.path.join(self.agent.work_dir, name)
