#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent attacks itself at start and on SIGUSR2, and says in attest.json what came of it. Each
defence is taken away once, and the attestation must notice."""

import hashlib
import json
import os
import shutil
import signal
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                                "integration"))
from harness import AS_ROOT, BUILD, TO_MEET, TowerCase, give, main, modes  # noqa: E402
from support import alarms, public_directory, status_file, wait_status  # noqa: E402

_AGENT = ("environ", "memory", "descriptors", "trace", "copy", "steal", "signal", "limits",
          "priority", "scheduling")
_MEMBER = ("member_environ", "member_memory", "member_descriptors")

# Stops a probe of its own agent, for the host has others. One that has ended takes signals as well,
# so it goes on until it sees one in state T.
STOPPER = """while :; do
    read -r children < /proc/$PPID/task/$PPID/children
    for child in $children; do
        read -r pid name state rest < /proc/$child/stat && [ "$name" = "(tw-agent-probe)" ] || continue
        [ $state = T ] && echo stopped && exit
        kill -STOP $child
    done
done 2> /dev/null
"""


class Attestation(TowerCase):
    def attested(self, agent, after=0):
        """attest.json, once the line in the log says that it was written."""
        agent.wait_log("attestation: [0-9]+ attacks", after=after)
        path = os.path.join(os.path.dirname(status_file(agent)), "attest.json")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def outcomes(self, report):
        """{name: (outcome, against)} without the words before the dot of commands."""
        return {attempt["name"].removeprefix("command."): (attempt["outcome"],
                                                           attempt.get("against"))
                for attempt in report["attempts"]}

    def tree(self, name):
        """The agent with one program that lacks a defence."""
        program = os.path.join(BUILD, "tests", "attest", name, "bin", "tw-agent")
        self.assertTrue(os.path.exists(program), "built with the tests")
        return program

    def failed(self, **options):
        agent = self.online_agent(token_by="fd", **options)
        report = self.attested(agent)
        self.assertFalse(report["ok"], report)
        self.assertEqual(report["result"], "failed")
        wait_status(agent, lambda status: status["attestation"] == "failed")
        self.assertRegex(agent.log, "ERROR .*ALARM: attestation: ")
        return self.outcomes(report)

    @modes("system", "user")
    def test_all_denied(self):
        agent = self.online_agent(token_by="fd")
        report = self.attested(agent)
        outcomes = self.outcomes(report)
        self.assertTrue(report["ok"], outcomes)
        self.assertEqual(report["result"], "ok")
        skipped = {"token_file"} | ({"users"} if self.mode == "user" else set())
        for name, (outcome, _) in outcomes.items():
            self.assertEqual(outcome, "skipped" if name in skipped else "denied", name)
        self.assertEqual({name for name in outcomes if name.startswith("session.")},
                         {"session.open", "session.socket", "session.execute", "session.fork"})
        self.assertEqual(alarms(agent.log, "core") + alarms(agent.log, "net"), [],
                         "what the agent does to itself is no alarm")
        processes = {process["role"]: process for process in report["processes"]}
        self.assertEqual(processes["parent"]["pid"], agent.popen.pid)
        names = {process.pid: process.comm for process in agent.processes()}
        for role, comm in (("core", "tw-agent-core"), ("exec", "tw-agent-exec"),
                           ("net", "tw-agent-net")):
            self.assertEqual(names[processes[role]["pid"]], comm)
        for process in processes.values():
            self.assertTrue(process["seccomp"])
            self.assertGreater(process["systemCalls"], 30)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    @modes("system", "user")
    def test_digests_are_those_of_the_files(self):
        config = "heartbeat = 30s\n"
        agent = self.online_agent(token_by="fd", config=config)
        programs = {entry["name"]: entry["sha256"] for entry in self.attested(agent)["programs"]}
        self.assertEqual(programs.pop("configuration"), hashlib.sha256(config.encode()).hexdigest())
        if self.mode == "user" and AS_ROOT:  # programs of root that may be run and not read
            self.assertEqual(programs, {})
        else:
            self.assertEqual(len(programs), 7)
        for name, digest in programs.items():
            folder = "bin" if name == "tw-agent" else "libexec/tw-agent"
            with open(os.path.join(BUILD, folder, name), "rb") as file:
                self.assertEqual(digest, hashlib.sha256(file.read()).hexdigest(), name)

    @modes("system", "user")
    def test_again_on_request(self):
        agent = self.online_agent(token_by="fd")
        self.attested(agent)
        for _ in range(3):
            mark = agent.log_mark()
            agent.signal(signal.SIGUSR2)
            self.assertTrue(self.attested(agent, after=mark)["ok"])

    def test_while_all_commands_are_busy(self):
        agent = self.online_agent(token_by="fd", args=("--max-commands", "1"))
        self.tower.agent.send_command("sleep 60")
        self.assertTrue(self.attested(agent)["ok"])

    def test_without_a_connection(self):
        self.tower.stop_listening()
        agent = self.start_agent(token_by="fd")
        self.assertTrue(self.attested(agent)["ok"])

    @modes("system", "user")
    def test_token_file(self):
        """In user mode a job can read it: announced, and still no success of ours."""
        agent = self.online_agent()
        report = self.attested(agent)
        outcome = self.outcomes(report)["token_file"]
        if self.mode == "system":
            self.assertEqual(outcome, ("denied", None))
            self.assertTrue(report["ok"])
            return
        self.assertEqual(outcome, ("succeeded", "host"))
        self.assertFalse(report["ok"])
        self.assertEqual([a["announced"] for a in report["attempts"]
                          if a["outcome"] == "succeeded"], [True])
        self.assertEqual(alarms(agent.log, "core"), [], "it was warned about at start")

    @modes("system")
    def test_token_file_that_the_commands_can_read(self):
        with public_directory() as directory:
            path = os.path.join(directory, "token")
            with open(path, "w", encoding="ascii") as file:
                file.write(self.tower.token)
            give(path, "root", 0o644)
            agent = self.online_agent(token_by=None, args=("--token-file", path))
            self.assertEqual(self.outcomes(self.attested(agent))["token_file"],
                             ("succeeded", "host"))

    def test_read_only_isolation_lets_signals_pass(self):
        agent = self.online_agent(token_by="fd", args=("--isolate", "read-only"))
        outcomes = self.outcomes(self.attested(agent))
        self.assertEqual(outcomes["member_signal"], ("skipped", None))
        self.assertEqual(outcomes["member_environ"], ("denied", None))

    def test_stopped_by_a_member(self):
        """Where signals pass, a command holds the one that is looked at for ever. The agent reports
        without it, and attacks itself again without a second one."""
        agent = self.online_agent(token_by="fd", args=("--isolate", "read-only"))
        self.attested(agent)
        self.tower.agent.send_command(STOPPER, id="stopper")
        report, end = {"result": "ok"}, time.monotonic() + TO_MEET
        while report["result"] == "ok":  # until it met one
            self.assertLess(time.monotonic(), end, "no probe was stopped")
            mark = agent.log_mark()
            agent.signal(signal.SIGUSR2)
            report = self.attested(agent, after=mark)
        self.assertEqual(self.tower.wait_result("stopper").output, b"stopped\n")
        mark = agent.log_mark()
        agent.signal(signal.SIGUSR2)
        report = self.attested(agent, after=mark)
        self.assertEqual(report["result"], "incomplete")
        self.assertEqual(self.outcomes(report)["environ"], ("untried", None))
        self.assertEqual(self.outcomes(report)["session.fork"], ("denied", None))
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def test_session_without_a_sandbox(self):
        outcomes = self.failed(program=self.tree("session"))
        for name in ("open", "socket", "execute", "fork"):
            self.assertEqual(outcomes["session." + name][0], "succeeded", name)
        self.assertEqual(outcomes["environ"][0], "denied")

    @modes("system", "user")
    def test_core_without_a_sandbox(self):
        outcomes = self.failed(program=self.tree("core"))
        self.assertEqual(outcomes["filters"], ("succeeded", "core"))
        self.assertEqual(outcomes["dumpable"], ("succeeded", "core"))
        self.assertEqual(outcomes["environ"], ("denied", None), "the command's domain denies it")

    @modes("user")
    def test_neither_core_nor_commands_confined(self):
        with public_directory() as directory:
            for folder in ("bin", "libexec"):
                shutil.copytree(os.path.join(BUILD, "tests", "attest", "open", folder),
                                os.path.join(directory, folder))
            core = os.path.join("libexec", "tw-agent", "tw-agent-core")
            shutil.copy(os.path.join(BUILD, "tests", "attest", "core", core),
                        os.path.join(directory, core))
            outcomes = self.failed(program=os.path.join(directory, "bin", "tw-agent"))
            for name in ("environ", "memory", "descriptors", "copy"):
                self.assertEqual(outcomes[name], ("succeeded", "core"), name)
            self.assertEqual(outcomes["signal"][0], "succeeded")

    @modes("system", "user")
    def test_exec_without_a_sandbox(self):
        outcomes = self.failed(program=self.tree("exec"))
        self.assertEqual(outcomes["filters"], ("succeeded", "exec"))
        for name in ("limits", "priority", "scheduling"):
            self.assertEqual(outcomes[name][0], "succeeded", name)
        self.assertEqual(outcomes["kernel"], ("succeeded", "host"))

    @modes("system", "user")
    def test_commands_without_a_domain(self):
        outcomes = self.failed(program=self.tree("domain"))
        for name in _MEMBER:
            self.assertEqual(outcomes[name], ("succeeded", "another command"), name)
        self.assertEqual(outcomes["member_text"], ("denied", None), "it is never in the arguments")
        self.assertEqual({outcomes[name] for name in _AGENT}, {("denied", None)})

    def test_a_probe_that_does_not_answer(self):
        with public_directory() as directory:
            for folder in ("bin", "libexec"):
                shutil.copytree(os.path.join(BUILD, folder), os.path.join(directory, folder))
            probe = os.path.join(directory, "libexec", "tw-agent", "tw-agent-probe")
            for text, what in (("#!/bin/sh\nexit 1\n", "fails"),
                               ("#!/bin/sh\necho tw-agent-probe 1 ....\n", "says too little"),
                               ("#!/bin/sh\nhead -c 5000 /dev/zero | tr '\\0' .\n", "too much")):
                with self.subTest(what), open(probe, "w", encoding="ascii") as file:
                    file.write(text)
                os.chmod(probe, 0o755)
                agent = self.online_agent(token_by="fd",
                                          program=os.path.join(directory, "bin", "tw-agent"))
                report = self.attested(agent)
                self.assertEqual((report["ok"], report["result"]), (False, "incomplete"))
                self.assertEqual(self.outcomes(report)["environ"], ("untried", None))
                agent.terminate()
                self.assertEqual(agent.wait(), 0)


if __name__ == "__main__":
    main()
