#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl doctor: the whole road, with an agent that runs or is started; and the steps on this
host made to fail."""

import contextlib
import os
import signal
import subprocess

from ctl import copy_of_build, harness
from doctors import CONFIGURATION, OFFLINE, REFUSED, ROAD, DoctorCase
from harness import AS_ROOT, PROGRAM, TIMEOUT, give, identity_of, process_tree, shared_pki
from tower import Stall, error


class Whole(DoctorCase):
    def test_agent_is_started(self):
        for host in self.modes():
            tower = self.tower()
            report = self.doctor(host, tower)
            self.assertEqual(report.code, 0, report.text + report.stderr)
            self.assertEqual([row["name"] for row in report.json["steps"]], ROAD)
            self.assertLessEqual({*report.states().values()}, {"ok", "warning"})
            self.assertIn("was started for this", report.step("upgrade")["detail"])
            self.assertIn(f"user '{host.user}'", report.step("info")["detail"])
            pin = shared_pki().spki_sha256(shared_pki().server())
            self.assertIn(f"pin_spki {pin}", report.step("tls")["output"])
            self.assertRegex(report.step("tls")["output"], "subject CN=localhost(.|\n)*issuer CN=")
            tower.wait_event("ws-message", type="info")
            tower.wait_offline(TIMEOUT, "lab")
            self.assertEqual(self.left(host), [])

    def left(self, host, agent=None):
        """Processes with this host's configuration, but for this agent and its children, which have
        its arguments for a moment."""
        def found():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                    if host.directory.encode() in file.read():
                        yield int(pid)
        before = set(found())
        own = {process.pid for process in process_tree(agent.pid)} if agent else set()
        return sorted((before & set(found())) - own)

    def running(self, host, tower, **changes):
        identity = {} if host.system or not AS_ROOT else identity_of(host.user)
        agent = subprocess.Popen([PROGRAM, "--config", self.config(host, tower, **changes)],
                                 env={"PATH": "/usr/bin:/bin", "HOME": host.directory,
                                      "USER": host.user}, stdin=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, **identity)
        self.addCleanup(agent.stderr.close)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.terminate)
        return agent

    def await_line(self, agent, words):
        for line in agent.stderr:
            if words in line:
                return
        self.fail(f"the agent did not say {words}")

    def test_agent_runs(self):
        """It is not disturbed: what it says of itself is shown."""
        for host in self.modes():
            tower = self.tower()
            agent = self.running(host, tower)
            tower.wait_online(TIMEOUT)
            self.await_line(agent, "online: connected")
            report = self.doctor(host, tower)
            self.assertEqual(report.code, 0, report.text + report.stderr)
            self.assertRegex(report.step("upgrade")["detail"],
                             rf"runs \(process {agent.pid}\), online since \d+ s")
            self.assertEqual(len(tower.requests("connect")), 1)
            self.assertIsNone(agent.poll())

    def test_no_start(self):
        host, tower = self.one()
        report = self.doctor(host, tower, "--no-start")
        self.assertEqual(report.code, 0, report.text)
        self.assertEqual(report.states()["upgrade"], "note")
        self.assertEqual(tower.requests("connect"), [])

    def test_standby(self):
        host, tower = self.one()
        second = host.make("second", host.user, 0o700)
        agent = self.running(host, tower, state_dir=second)
        tower.wait_online(TIMEOUT)
        self.await_line(agent, "online: connected")
        report = self.doctor(host, tower)
        # Tower refuses a second agent after the upgrade, which may have been seen by then.
        self.assertIn(report.json["endsAt"], ("upgrade", "info"))
        self.ends(report, report.json["endsAt"], OFFLINE,
                  "standby: another agent holds the connection.*other login node")
        self.assertEqual(self.left(host, agent), [])
        self.assertIsNone(agent.poll())

    def test_text(self):
        host, tower = self.one()
        done = host.control("doctor", "--no-start", "--config", self.config(host, tower))
        self.assertRegex(done.text, r"(?m)^  ok +dns +localhost: ")
        self.assertRegex(done.text, "verdict: ok\n$")
        tower.on("user", error(401, "go \x1b[31maway\u202e"))
        done = host.control("doctor", "--no-start", "--config", self.config(host, tower))
        self.assertRegex(done.text, r"failed +token .*(\n.*)*verdict: ends at the step 'token'\n$")
        self.assertEqual(done.code, REFUSED)

    def test_interrupted(self):
        """Whoever ends it leaves no agent behind."""
        host, tower = self.one()
        tower.on("connect", Stall())
        with self.start(host, tower) as process:
            tower.wait_event("http-request", step="connect")
            process.send_signal(signal.SIGTERM)
            said = process.stdout.read()
        self.assertEqual(process.returncode, OFFLINE)
        self.assertRegex(said, "failed +upgrade +interrupted")
        self.assertEqual(self.left(host), [])

    def test_interrupted_before(self):
        """None is started then."""
        host, tower = self.one()
        hold, let_go = self.gate(host)
        with self.start(host, tower, env_init=hold) as process:
            for line in process.stdout:
                if " work-directory " in line:
                    break
            process.send_signal(signal.SIGTERM)
            let_go()
            said = process.stdout.read()
        self.assertEqual(process.returncode, OFFLINE)
        self.assertRegex(said, "failed +upgrade +interrupted: no agent is started")
        self.assertEqual(tower.requests("connect"), [])

    def test_token_of_the_shell(self):
        """It is not the instance's, whose own is tried."""
        for host in self.modes():
            report = self.doctor(host, self.tower(), "--no-start",
                                 env={"TOWER_ACCESS_TOKEN": "of-somebody-else-1234567"})
            self.assertEqual(report.code, 0, report.text + report.stderr)
            self.assertIn("accepted", report.step("token")["detail"])

    def test_usage(self):
        host = self.mode("user")
        self.assertEqual(host.control("doctor").code, 2)
        self.assertEqual(host.control("doctor", "x", "--url", "https://x").code, 2)
        report = host.control("--json", "doctor", "no-such")
        self.ends(report, "configuration", CONFIGURATION, "no instance 'no-such'.*setup")


class OnThisHost(DoctorCase):
    def test_configuration(self):
        for host in self.modes():
            tower = self.tower()
            self.ends(self.doctor(host, tower, max_commands="many"), "configuration",
                      CONFIGURATION, r"lab\.conf:\d+: max_commands")

    def test_work_directory(self):
        for host in self.modes():
            tower = self.tower()
            self.ends(self.doctor(host, tower, work_dir="/nowhere"), "work-directory", 1,
                      "/nowhere.*No such file.*work_dir")
            os.chmod(host.work, 0o600)
            self.ends(self.doctor(host, tower), "work-directory", 1, "Permission denied")
            os.chmod(host.work, 0o500)
            report = self.doctor(host, tower, "--no-start")
            self.assertEqual(report.states()["work-directory"], "warning")

    def test_environment(self):
        host, tower = self.one()
        copy = host.make("copy", host.user, 0o755)
        control = copy_of_build(copy)
        program = os.path.join(copy, "libexec", "tw-agent", "tw-agent-exec")
        for folder, _, names in os.walk(copy):
            for name in names:
                give(os.path.join(folder, name), host.user, 0o755)
            give(folder, host.user, 0o755)
        os.chmod(program, 0o777)
        self.ends(self.doctor(host, tower, program=control), "environment", 1,
                  "tw-agent-exec.*chmod|tw-agent-exec.*writ")

    def test_scheduler(self):
        for host in self.modes():
            tower = self.tower()
            report = self.doctor(host, tower, "--no-start", set_env="PATH=/nowhere")
            self.assertEqual(report.states()["scheduler"], "warning")
            self.assertIn("none of sbatch", report.step("scheduler")["detail"])
            tools = host.make("tools", host.user, 0o755)
            for name, text in (("bsub", "echo 'LSF 10.1'"), ("bjobs", ":"), ("bkill", ":")):
                host.write(f"tools/{name}", f"#!/bin/sh\n{text}\n", 0o755)
            report = self.doctor(host, tower, "--no-start",
                                 set_env=f"PATH={tools}", env_init="export UNUSED=1")
            self.assertEqual(report.step("scheduler")["detail"],
                             f"LSF, LSF 10.1: {tools}/bsub, {tools}/bjobs, {tools}/bkill")


if __name__ == "__main__":
    harness.main()
