# SPDX-License-Identifier: Apache-2.0
"""What tests under older kernels share: the kernels, attacks as commands, and what must be said."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "integration"))

from harness import AS_ROOT, BUILD, TIMEOUT, TowerCase, identity_of, own_user  # noqa: E402

REDUCED = os.path.join(BUILD, "tests", "reduced")
EXDEV = 18

# Name: the emulator's options, the Landlock ABI, whether there is memfd_secret.
KERNELS = {
    "linux-4.18": (["--linux-4.18"], 0, False),
    "abi0": (["--landlock", "0"], 0, True),
    # The kernels of these ABIs before 6.3 know no MFD_NOEXEC_SEAL either.
    "abi1": (["--landlock", "1", "--no-seal-noexec"], 1, True),
    "abi2": (["--landlock", "2", "--no-seal-noexec", "--missing", "memfd_secret"], 2, False),
    **{f"abi{abi}": (["--landlock", str(abi)], abi, True) for abi in (3, 4, 5, 6)},
}

SAID = {
    "one uid": "not enforced: all processes have one UID",
    "token file": "can read the file of the access token",
    "no landlock": "this kernel has no Landlock, so one member's command can read another's",
    "siblings' signals": r"Landlock ABI \d has no scopes .* commands can signal each other",
    "connections": "commands can end the agent's network connections by signals",
    "tcp": r"Landlock ABI \d does not restrict TCP ports",
    "renames": "Landlock ABI 1 lets no command rename or link files from one directory to another",
    "memory": "this kernel has no memfd_secret",
}


def real_abi():
    """This kernel's Landlock ABI; 0: none."""
    return max(0, ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))


def must_be_said(mode, abi, memfd_secret):
    conditions = {
        "one uid": mode == "user", "token file": mode == "user", "no landlock": abi == 0,
        "siblings' signals": 0 < abi < 6, "connections": mode == "user" and abi < 6,
        "tcp": 0 < abi < 4, "renames": abi == 1, "memory": not memfd_secret,
    }
    return {name for name, condition in conditions.items() if condition}


def what_is_said(log):
    """The names of the warnings in a log; what has no name stands for itself."""
    names = set()
    for line in log.splitlines():
        if " WARN " in line or " ERROR " in line:
            names.add(next((name for name, text in SAID.items() if re.search(text, line)), line))
    return names


def attack_text(which, pids):
    with open(os.path.join(HERE, "attack.py"), encoding="utf-8") as file:
        return (f"python3 -I - '{which}' {' '.join(map(str, pids))} <<'END OF ATTACK'\n"
                f"{file.read()}END OF ATTACK\n")


def attack(conversation, which, pids):
    """{attempt: {pid: outcome}} of a command's attack on these processes."""
    return json.loads(conversation.run(attack_text(which, pids)).output)


def attack_as_user(which, pids):
    """The same by a process of the commands' user outside any sandbox."""
    done = subprocess.run(["/bin/sh", "-c", attack_text(which, pids)], stdout=subprocess.PIPE,
                          check=True, **(identity_of(own_user()) if AS_ROOT else {}))
    return json.loads(done.stdout)


class Victim:
    """A process of the commands' user that defends itself by nothing."""

    def __enter__(self):
        self._process = subprocess.Popen(["sleep", "600"], start_new_session=True,
                                         **(identity_of(own_user()) if AS_ROOT else {}))
        self.pid = self._process.pid
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def ended_by(self):
        return -self._process.wait(TIMEOUT)


class AttackCase(TowerCase):
    """Agents whose own processes commands try to reach."""

    def targets(self, agent):
        """Parent, core, exec and launcher. A command that has not become a shell is called exec too."""
        children = {process.comm: process.pid for process in agent.processes()
                    if process.ppid == agent.pid}
        return [agent.pid, *(children[name] for name in
                             ("tw-agent-core", "tw-agent-exec", "tw-agent-net"))]

    def check_attacks(self, agent, allowed=()):
        """Each attempt on parent, core, exec and launcher fails, and all of them are there after.

        `allowed` are attempts that may succeed.
        """
        before = self.targets(agent)
        for name, outcomes in attack(self.tower.agent, "all", before).items():
            for pid, outcome in outcomes.items():
                if name not in allowed:
                    self.assertIn(outcome, ("EPERM", "EACCES", "ENOSYS"),
                                  f"{name} on {pid} of {before}\n{agent.log}")
        for deadly in ("own", "own by ioctl"):
            attack(self.tower.agent, deadly, before)
        self.assertEqual(self.tower.agent.run("echo alive").output, b"alive\n")
        self.assertEqual(self.targets(agent), before)


def check_baseline(test):
    """The attacks do work against a process that has no defence."""
    with Victim() as victim:
        outcomes = attack_as_user("all", [victim.pid])
        test.assertGreater(len(outcomes), 12)
        for name, outcome in outcomes.items():
            test.assertEqual(outcome, {str(victim.pid): "done"}, name)
    for deadly in ("own", "own by ioctl"):
        with Victim() as victim:
            attack_as_user(deadly, [victim.pid])
            test.assertEqual(victim.ended_by(), signal.SIGKILL, deadly)
