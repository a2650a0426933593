#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""setuid_helpers: what commands gain, what that costs, and what of the agent still holds.

The programs that gain privileges are setuid copies that the test makes, as root.
"""

import json
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reduced"))

from kernels import KERNELS, REDUCED, AttackCase, Victim, attack_text  # noqa: E402
import harness  # noqa: E402
from harness import AS_ROOT, RUN_AS, TIMEOUT, modes  # noqa: E402
from support import gate, plain_user, public_directory, read_status  # noqa: E402

ON = {"setuid_helpers": "yes"}
OWN_STATE = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\n\\t'"
LOOK = ("pid=$(cat sibling); exec 2>/dev/null; tr '\\0' '\\n' < /proc/$pid/environ | "
        "grep -c ^TW_; kill -0 $pid && echo signal; :")


@unittest.skipUnless(AS_ROOT, "only root can make programs that gain privileges")
class Helpers(AttackCase):
    def setUp(self):
        super().setUp()
        self.directory = self.enterContext(public_directory())
        self.id = self.setuid_copy("id")
        done = subprocess.run([self.id, "-u"], check=False, stdout=subprocess.PIPE, **plain_user())
        if done.stdout != b"0\n":
            self.skipTest(f"setuid programs gain nothing in {self.directory} (nosuid?)")

    def setuid_copy(self, program):
        path = os.path.join(self.directory, program)
        shutil.copy(os.path.realpath(f"/usr/bin/{program}"), path)
        os.chown(path, 0, 0)
        os.chmod(path, 0o4755)
        return path

    def effective_uid(self):
        return int(self.tower.agent.run(f"{self.id} -u").output)

    @modes("system", "user")
    def test_off(self):
        agent = self.online_agent()
        self.assertNotEqual(self.effective_uid(), 0)
        self.assertEqual(self.tower.agent.run(OWN_STATE).output, b"NoNewPrivs:1Seccomp:2")
        self.assertEqual(read_status(agent)["sandbox"]["commands"], "separate")
        self.assertNotIn("setuid_helpers", agent.log)

    @modes("system", "user")
    def test_on(self):
        agent = self.online_agent(config=ON)
        self.assertEqual(self.effective_uid(), 0)
        system = self.mode == "system"
        self.assertEqual(self.tower.agent.run(OWN_STATE).output,
                         b"NoNewPrivs:0Seccomp:2" if system else b"NoNewPrivs:0Seccomp:0")
        self.assertEqual(read_status(agent)["sandbox"]["commands"], "shared" if system else "open")
        self.assertIn("not enforced: setuid_helpers = yes, so " +
                      ("one member's command can read another's environment" if system else
                       "tw-agent-exec and all commands run in no sandbox"), agent.log)
        for comm in ("tw-agent", "tw-agent-core", "tw-agent-net", "tw-agent-net-session"):
            process = agent.process(comm)
            self.assertEqual((process.seccomp, process.no_new_privs), (2, 1), comm)
        process = agent.process("tw-agent-exec")
        self.assertEqual(process.capabilities["Eff"] | process.capabilities["Prm"], 0)
        self.assertEqual(process.uids[0], process.uids[2])
        self.check_siblings(agent)

    def check_siblings(self, agent):
        """They can look into each other, as the log says; without the setting they cannot."""
        held = gate(self, agent)
        id = self.tower.agent.send_command(f"sh -c 'echo $PPID > sibling; {held.text}'; :")
        held.reached()
        seen = self.tower.agent.run(LOOK).output.decode().split()
        held.open()
        self.tower.wait_result(id)
        self.assertNotEqual(seen[0], "0")
        self.assertEqual(seen[1:], ["signal"])

    @modes("system")
    def test_the_agent_is_out_of_reach(self):
        self.check_attacks(self.online_agent(config=ON))

    @modes("system")
    def test_the_agent_is_out_of_reach_on_older_kernels(self):
        for name in ("abi1", "abi5"):
            options, _, _ = KERNELS[name]
            agent = self.online_agent(config=ON, under=[REDUCED, *options])
            self.assertEqual(self.effective_uid(), 0)
            self.check_attacks(agent)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    @modes("system")
    def test_the_agent_is_out_of_reach_of_root(self):
        """The same by a program that has become root: the domain and the filters are inherited."""
        agent = self.online_agent(config=ON)
        python = self.setuid_copy("python3")
        pids = self.targets(agent)
        become = "import os; os.setresuid(0, 0, 0)\n"
        text = attack_text("all", pids).replace("python3", python, 1)
        text = text.replace("import ctypes\n", become + "import ctypes\n", 1)
        with Victim() as victim:  # the baseline: such a program can do it to others
            outside = text.replace(" ".join(map(str, pids)), str(victim.pid), 1)
            done = subprocess.run(["/bin/sh", "-c", outside], stdout=subprocess.PIPE, check=True,
                                  **plain_user())
            baseline = {name: outcome[str(victim.pid)]
                        for name, outcome in json.loads(done.stdout).items()}
        failed = {name for name, outcome in baseline.items() if outcome != "done"}
        print(f"SKIPPED: what this root cannot do anyway: {failed}" if failed else "")
        self.assertLess(len(failed), 3, baseline)
        exec_pid = str(pids[2])
        for name, outcomes in json.loads(self.tower.agent.run(text).output).items():
            for pid, outcome in outcomes.items():
                # CAP_PERFMON reads environ in any domain, and exec's memory is in this one. Neither
                # holds a secret.
                if name in failed | {"environ"} or (name == "mem" and pid == exec_pid):
                    continue
                self.assertIn(outcome, ("EPERM", "EACCES", "ENOSYS"), f"{name} on {pid} of {pids}")
        self.assertEqual(self.targets(agent), pids)

    @modes("system")
    def test_time_limit(self):
        """exec cannot signal what has become root; the answer comes all the same, and the end."""
        agent = self.online_agent(config=ON, args=["--command-timeout", "8s"])  # it has to begin
        python = self.setuid_copy("python3")
        result = self.tower.agent.run(
            f"exec {python} -Ic 'import os, time; os.setresuid(0, 0, 0); "
            "print(os.getpid(), flush=True); time.sleep(600)'", timeout=2 * TIMEOUT)
        self.assertEqual(result.exit_status, 124)
        left = int(result.output.split()[0])
        self.addCleanup(os.kill, left, 9)
        self.assertEqual(self.tower.agent.run("echo on").output, b"on\n")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)

    @modes("system", "user")
    def test_demanded(self):
        refused = ["member-isolation"] + (["seccomp", "landlock>=1"] if self.mode == "user" else [])
        for demand in refused:
            agent = self.start_agent(config=ON, args=["--require", demand])
            self.assertEqual(agent.wait(), 6)
            self.assertRegex(agent.log, "--require [a-z-]+ cannot be met: (with )?setuid_helpers = yes")
        if self.mode == "system":
            self.online_agent(config=ON, args=["--require", "seccomp,landlock>=1"])

    @modes("system")
    def test_sudo(self):
        if not shutil.which("sudo"):
            self.skipTest("sudo is not installed")
        rules = os.path.join(self.directory, "sudoers")
        with open(rules, "w", encoding="ascii") as file:
            file.write(f"{RUN_AS} ALL=(root) NOPASSWD: /usr/bin/id\n")
        os.chmod(rules, 0o440)
        view = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/sudoers && shift 2 && exec "$@"',
                "sh", rules]
        for config, status in (({}, 1), (ON, 0)):
            agent = self.online_agent(config=config, under=view)
            result = self.tower.agent.run("sudo -n /usr/bin/id -u 2>&1", timeout=TIMEOUT)
            self.assertEqual(result.exit_status, status, result.output)
            self.assertIn(b"no new privileges" if status else b"0\n", result.output)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    @modes("system")
    def test_without_effect(self):
        """Whoever starts the agent may have forbidden it for good."""
        agent = self.online_agent(config=ON, under=["setpriv", "--no-new-privs"])
        self.assertIn("setuid_helpers = yes has no effect: this process was started with "
                      "no_new_privs", agent.log)
        self.assertNotEqual(self.effective_uid(), 0)


if __name__ == "__main__":
    harness.main()
