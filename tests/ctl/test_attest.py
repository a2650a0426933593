#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl attest: the running agent is asked, what it writes is shown and judged."""

import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import (AS_ROOT, BUILD, CONTROL, TIMEOUT, TowerCase, identity_of,  # noqa: E402
                     main, modes, own_user)
from support import public_directory, status_file  # noqa: E402


class Attest(TowerCase):
    def ask(self, agent, *arguments, program=CONTROL):
        """Exit code, standard output, standard error; as the agent's user in user mode."""
        identity = identity_of(own_user()) if AS_ROOT and self.mode == "user" else {}
        done = subprocess.run([program, "attest", "--state-dir", agent.state_dir, *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/",
                              stderr=subprocess.PIPE, timeout=60, check=False, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": agent.home}, **identity)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    @modes("system", "user")
    def test_asks_and_shows(self):
        agent = self.online_agent(token_by="fd")
        code, out, err = self.ask(agent)
        self.assertEqual((code, err), (0, ""), out)
        self.assertRegex(out, r"denied\s+reading the environment of the agent's processes\n")
        self.assertRegex(out, r"net\s+process \d+: Landlock ABI \d+")
        self.assertRegex(out, "verdict: ok, [0-9]+ tried, 0 succeeded")
        self.assertNotIn("NOT the one", out)
        code, out, _ = self.ask(agent, "--json", "lab")
        report = json.loads(out)
        self.assertEqual((code, report["ok"], report["mode"]), (0, True, self.mode))
        self.assertEqual(len(report["programs"]), len({p["name"] for p in report["programs"]}))

    @modes("user")
    def test_what_succeeds_is_exit_code_1(self):
        agent = self.online_agent()
        code, out, _ = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertRegex(out, r"succeeded\s+opening the file of the access token "
                              r"\(against host, said at start\)")
        self.assertIn("verdict: failed", out)

    @modes("system")
    def test_another_program_than_runs_is_installed(self):
        with public_directory() as directory:
            for folder in ("bin", "libexec"):
                shutil.copytree(os.path.join(BUILD, folder), os.path.join(directory, folder))
            agent = self.online_agent(token_by="fd",
                                      program=os.path.join(directory, "bin", "tw-agent"))
            core = os.path.join(directory, "libexec", "tw-agent", "tw-agent-core")
            shutil.copy(core, core + ".new")
            with open(core + ".new", "ab") as file:
                file.write(b"upgraded")
            os.rename(core + ".new", core)
            code, out, _ = self.ask(agent, program=os.path.join(directory, "bin", "tw-agentctl"))
            self.assertEqual(code, 0, "what runs is what was started")
            self.assertRegex(out, "tw-agent-core  NOT the one that is installed")
            self.assertRegex(out, "tw-agent-exec  as installed here")

    def test_help(self):
        for arguments, stream in ((["--help"], "stdout"), (["--run-as", "x"], "stderr")):
            done = subprocess.run([CONTROL, "attest", *arguments], capture_output=True, text=True,
                                  timeout=TIMEOUT, check=False)
            self.assertIn("Usage: tw-agentctl attest ", getattr(done, stream))
            self.assertEqual(done.returncode, 0 if stream == "stdout" else 2)

    @modes("system", "user")
    def test_none_runs(self):
        agent = self.online_agent(token_by="fd")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        code, out, err = self.ask(agent)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("does not run", err)
        code, _, err = self.ask(agent, "another")
        self.assertEqual(code, 1)
        self.assertRegex(err, "there is no instance of this name .* state directory .*another")

    @modes("user")
    def test_files_that_a_command_wrote(self):
        """In user mode they can be anything: nothing but tw-agent is signalled, and nothing raw is
        shown."""
        agent = self.online_agent(token_by="fd")
        agent.wait_log("attestation: [0-9]+ attacks")
        folder = os.path.dirname(status_file(agent))
        victim = subprocess.Popen(["sleep", "60"])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        with open(os.path.join(folder, "lock"), "w", encoding="ascii") as file:
            file.write(f"{victim.pid}\n")
        code, _, err = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertIn("is not tw-agent", err)
        self.assertIsNone(victim.poll())
        with open(os.path.join(folder, "lock"), "w", encoding="ascii") as file:
            file.write(f"{agent.popen.pid}\n")
        bad = "\x1b[31m\u202eok\u009b\x7f"
        lies = json.dumps({"ok": True, "mode": bad, "result": bad, "attempts": 5, bad: bad,
                           "processes": [{"role": bad}], "programs": [{"name": bad}]})
        for text, words, more in (("{", "not what the agent writes", []), (lies, "", []),
                                  (lies, "", ["--json"])):
            agent.signal(signal.SIGSTOP)  # so that nothing but this report is there
            mark = agent.log_mark()
            process = subprocess.Popen([CONTROL, "attest", "--state-dir", agent.state_dir, *more],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={"PATH": "/usr/bin"})
            self.replace_when_asked(process, agent.popen.pid, folder, text)
            out, err = process.communicate(timeout=TIMEOUT)
            agent.signal(signal.SIGCONT)
            agent.wait_log("attestation: [0-9]+ attacks", after=mark)
            self.assertNotRegex(out + err, "[\x1b\x7f\u0080-\u009f\u202a-\u202e]")
            self.assertIn(words, err)
            if more:
                self.assertEqual(json.loads(out)["mode"], bad)

    def replace_when_asked(self, process, agent, folder, text):
        """Puts a report there once the program has sent its signal: it then waits for one."""
        status = f"/proc/{agent}/status"
        pending = 1 << (signal.SIGUSR2 - 1)
        while process.poll() is None:
            with open(status, encoding="ascii") as file:
                line = next(line for line in file if line.startswith("ShdPnd"))
            if int(line.split()[1], 16) & pending:
                break
            os.sched_yield()
        with open(os.path.join(folder, "new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(os.path.join(folder, "new"), os.path.join(folder, "attest.json"))


if __name__ == "__main__":
    main()
