#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl status: what it shows of agents that run, do not, or were never started."""

import json
import os
import re
import time

from status import StatusCase
from harness import ROOT, TIMEOUT, give, main, modes, own_user
from support import gate, public_directory, read_status, wait_status

UUID = "3b1f8a52-0d7c-4e0e-9a57-5f1e2c6d7a90"


class Shown(StatusCase):
    @modes("system", "user")
    def test_online(self):
        agent = self.online_agent(token_by="fd")
        self.settled(agent)
        hold = gate(self, agent)
        for name in (UUID, "second\x1b[31m", "eyJhbGciOiJIUzI1NiJ9.token.in.disguise0"):
            self.tower.send_command(hold.text, id=name)
            hold.reached()
        wait_status(agent, lambda status: len(status["running"]) == 3)
        code, out, err = self.ask(agent)
        self.assertEqual((code, err), (0, ""), out)
        lines = out.splitlines()
        full = "full" if self.mode == "system" else "reduced"
        self.assertRegex(lines[0], rf"^ONLINE since (\S+ )?\d\d:\d\d:\d\d \(\d+ s\)  sandbox: {full}$")
        if self.mode == "user":
            self.assertRegex(out, "(?m)^  sandbox +not in full: split-uid ")
        self.assertRegex(out, rf"(?m)^  server +{self.tower.url}  version 25\S+, API 1.198.0$")
        self.assertRegex(out, "(?m)^  connection ID  lab$")
        self.assertRegex(out, "(?m)^  queue +0 commands, 0 bytes$")
        self.assertRegex(out, "(?m)^  running +3 commands$")
        self.assertRegex(out, rf"(?m)^ +\d+ s\t{UUID} \(the oldest\)\n +\d+ s\tsecond\\x1b")
        self.assertNotIn("eyJ", out)
        self.assertRegex(out, "(?m)^  commands +3 received, 3 started, 0 finished, 0 delivered; 0 ")
        self.assertRegex(out, rf"(?m)^  agent +1\.0\.0, {self.mode} mode, process {agent.pid}, ")
        self.assertRegex(out, "(?m)^  attestation +ok$")
        for _ in range(3):
            hold.open()
        code, out, _ = self.ask(agent, "--json", "lab")
        report = json.loads(out)
        self.assertEqual((code, report["online"], report["name"], report["pid"]),
                         (0, True, "lab", agent.pid))
        self.assertEqual(report["status"]["format"], 1)

    def beaten(self, count):
        """Waits for so many heartbeats of the agent's from here on."""
        for _ in range(count):
            self.tower.wait_event("ws-message", after=self.tower.mark(), type="heartbeat")

    @modes("system", "user")
    def test_what_the_file_says(self):
        start = int(time.time())
        agent = self.online_agent(env={"TOWER_AGENT_HEARTBEAT": "500ms"})
        self.beaten(3)
        self.tower.agent.run("true")  # something to write the file for
        status = wait_status(agent, lambda status: status["heartbeat"]["answered"] > 1)
        self.assertEqual(status["heartbeat"]["intervalMs"], 500)
        for moment in (status["started"], status["since"], status["written"],
                       status["heartbeat"]["lastSent"], status["heartbeat"]["lastReply"]):
            self.assertTrue(start <= moment <= time.time(), status)
        self.assertEqual(status["nextWrite"] - status["written"], 60 + 1 + 10)
        self.assertIsNone(status["exitCode"])
        self.assertIsNone(status["lastErrorTime"])
        self.tower.agent.close(1011, "enough")
        status = wait_status(agent, lambda status: status["lastError"])
        self.assertIn("Tower closed the connection (code 1011", status["lastError"])
        wait_status(agent, lambda status: status["state"] == "online")
        self.beaten(2)  # Tower shows that it keeps this session
        self.tower.agent.run("true")
        status = wait_status(agent, lambda status: status["commands"]["received"] == 2)
        self.assertEqual((status["reason"], status["reconnects"]), ("", 1))
        self.assertIn("1011", status["lastError"], "it is kept")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(read_status(agent)["exitCode"], 0)

    def test_documents(self):
        """docs/operation.md names each key of the file."""
        with open(os.path.join(ROOT, "docs", "operation.md"), encoding="utf-8") as file:
            table = file.read().partition("## `status.json`")[2].partition("\n## ")[0]
        told = {key for row in re.findall(r"(?m)^\| (`.*?) \|", table)
                for key in re.findall("`(\\w+)`", row)}
        self.assertEqual(told, set(read_status(self.online_agent())))

    def test_many_commands(self):
        """As many are listed as can run, and each id is bounded."""
        agent = self.online_agent(args=["--max-commands", "64"])
        hold = gate(self, agent)
        for number in range(70):
            self.tower.send_command(hold.text, id=f"{number}-" + "ä\"" * 300)
        status = wait_status(agent, lambda status: len(status["running"]) == 64)
        self.assertEqual(status["commands"]["queued"], 6)
        self.assertLess(max(len(item["id"]) for item in status["running"]), 256)
        self.assertEqual(self.ask(agent)[0], 0)
        for _ in range(70):
            hold.open()
        self.tower.wait_result("69-" + "ä\"" * 300)

    @modes("system", "user")
    def test_not_running(self):
        agent = self.online_agent()
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        code, out, _ = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertRegex(out, r"^NOT RUNNING since [^(]+\(\d+ s\): it ended with code 0\n$")
        again = self.online_agent(state_dir=agent.state_dir)
        self.assertEqual(self.ask(agent)[0], 0)
        again.popen.kill()
        again.popen.wait()
        self.assertEqual(again.children_left(), [])
        code, out, _ = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertRegex(out, r"^NOT RUNNING since .* or later: it ended without a word \(killed\?\)")

    def test_refused_token(self):
        self.tower.token = "another-token-0c9d1e7ab84c52"
        agent = self.start_agent()
        self.assertEqual(agent.wait(), 4)
        code, out, _ = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertRegex(out, r"NOT RUNNING since .*: it ended with code 4\n")
        self.assertRegex(out, r"last error +\S+  the access token was refused by ")

    def test_no_such_instance(self):
        agent = self.online_agent()
        code, out, err = self.ask(agent, "another")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("there is no instance of this name or connection ID", err)
        self.assertEqual(self.ask(agent, "--all", "lab")[0], 2)
        self.assertEqual(self.ask(agent, "--alll")[0], 2)

    def test_offline(self):
        self.tower.stop_listening()
        agent = self.start_agent()
        agent.wait_log("trying again")
        wait_status(agent, lambda status: status["lastError"])
        code, out, _ = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertRegex(out, r"^(WAITING|PROBING) since")
        self.assertRegex(out, "(?m)^  why +Tower API endpoint '.*' it is not available: cannot con")
        self.assertRegex(out, "(?m)^  last error +\\S+  Tower API endpoint ")


class Names(StatusCase):
    def test_instances_by_name_and_all(self):
        """Configuration files, with and without state, and state without a file."""
        self.mode = "user"
        with public_directory() as home:
            folder = os.path.join(home, ".config", "tw-agent")
            state = os.path.join(home, ".local", "state", "tw-agent")
            for path in (".config", ".config/tw-agent", ".local", ".local/state",
                         ".local/state/tw-agent"):
                os.mkdir(os.path.join(home, path))
                give(os.path.join(home, path), own_user(), 0o700)
            agents = {name: self.online_agent(connection_id=name, state_dir=state)
                      for name in ("lab-one", "x" * 300)}
            for name, content in (("first", "connection_id = lab-one\n"),
                                  ("never", "connection_id = lab-two\n"),
                                  ("noise", "connection_id =\nbad line\n"), (".hidden", ""),
                                  ("notes.txt", "")):
                path = os.path.join(folder, name + ("" if "." in name else ".conf"))
                with open(path, "w", encoding="ascii") as file:
                    file.write(content)
                give(path, own_user(), 0o600)
            for name in agents:
                self.tower.wait_online(TIMEOUT, name)
            code, out, _ = self.control("first", home=home)
            self.assertEqual((code, out.splitlines()[0].split()[0]), (0, "ONLINE"))
            code, out, _ = self.control("never", home=home)
            self.assertEqual((code, out), (1, "NOT RUNNING: it has no state on this host, so it "
                                              "was never started here\n"))
            code, out, err = self.control("--all", home=home)
            self.assertEqual(code, 1)
            self.assertIn("noise.conf", err)
            found = {line.split()[0]: line for line in out.splitlines()}
            self.assertEqual(set(found), {"first", "never", "x" * 300})
            self.assertIn("  ONLINE since", found["first"])
            self.assertIn(" ONLINE since", found["x" * 300])
            self.assertIn("NOT RUNNING", found["never"])
            for name in ("never", "noise"):
                os.unlink(os.path.join(folder, name + ".conf"))
            code, out, err = self.control("--all", "--json", home=home)
            self.assertEqual((code, err, json.loads(out)["ok"]), (0, "", True))
            self.assertEqual([item["name"] for item in json.loads(out)["instances"]],
                             ["first", "x" * 300])

    def test_help(self):
        self.mode = "user"
        code, out, _ = self.control("--help")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^Usage: tw-agentctl status (?s:.*)\n +--watch .*\n +--all ")
        code, out, err = self.control("lab", "--heartbeat", "1s")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("status has no option --heartbeat", err)

    def test_none(self):
        with public_directory() as home:
            self.mode = "user"
            code, out, err = self.control("--all", home=home)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no instance has a configuration file or a state directory", err)
            code, out, _ = self.control("--all", "--json", home=home)
            self.assertEqual((code, json.loads(out)), (1, {"ok": False, "instances": []}))


if __name__ == "__main__":
    main()
