#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shortages: descriptors, memory, processes; a fork bomb. A command that cannot be started is tried
again or refused with a reason: never dropped, and never answered as if it had run."""

import collections
import contextlib
import os
import pwd
import resource
import subprocess
import unittest

from faults import NOT_RUN as NOT_RUN_THEN
from faults import SANITIZED, UNKNOWN, FaultCase, harness, lines_of, main, say
from harness import AS_ROOT, PROGRAM, TIMEOUT, modes
from support import gate, public_directory, wait_status, write_file

NOT_RUN = b"tw-agent: the command was not run: "
FORKS = 120  # processes of the bomb's user, the agent's own in user mode included
BOMB_LIMIT = 12  # seconds; until then it must be at its limit, and be seen there
BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""


class Shortage(FaultCase):
    def limited(self, limit):
        """A program that starts the agent under a limit, as `ulimit` takes it."""
        directory = self.enterContext(public_directory())
        path = write_file(directory, "limited",
                          f"#!/bin/bash\nulimit {limit}\nexec {PROGRAM} \"$@\"\n")
        os.chmod(path, 0o755)
        return path

    def check_answers(self, agent, commands, reason):
        """Each is right, or refused with the reason and was not run."""
        kinds = collections.Counter()
        for id, output in commands.items():
            result = self.tower.wait_result(id, TIMEOUT)
            refused = (result.exit_status == 126 and result.output.startswith(NOT_RUN)
                       and reason in result.output)
            right = (result.exit_status, result.output) == (0, output)
            kinds["right" if right else "refused" if refused else repr(result) + " "
                  + repr(result.output[:80])] += 1
            ran = lines_of(agent, "ran").get(id, 0)
            self.assertEqual(ran, 0 if refused else 1, f"{id}: {result.output[:200]}")
            self.assertEqual(len(self.tower.results(id)), 1)
        say(f"{dict(kinds)}")
        self.assertLessEqual(set(kinds), {"right", "refused"}, kinds)
        return kinds


class Descriptors(Shortage):
    @modes()
    def test_few_for_many_commands(self):
        """64 commands at once need hundreds of descriptors: fewer run at once, and none is short."""
        agent = self.online_agent(program=self.limited("-n 64"), args=("--max-commands", "64"))
        agent.wait_log(r"ulimit -Hn\) is 64: 3 commands at once instead of 64")
        parent = agent.process("tw-agent")
        hold = gate(self, agent)
        commands = {f"d{i}": b"early\nd%d\n" % i for i in range(64)}
        for id in commands:
            self.tower.send_command(f"echo {id} >> ran; echo early; read _ < gate.go; echo {id}", id)
        wait_status(agent, lambda status: status["commands"]["running"] == 3
                    and status["commands"]["queued"] == 61)
        for _ in commands:
            hold.open()
        kinds = self.check_answers(agent, commands, b"Too many open files")
        self.assertEqual(kinds["refused"], 0)
        self.assertNotIn("Too many open files", agent.log)
        self.assertTrue(parent.alive)

    def test_too_few_to_start(self):
        """It ends, or tries on, and names the reason."""
        for number in (8, 12, 16):
            with self.subTest(number):
                agent = self.start_agent(program=self.limited(f"-n {number}"),
                                         connection_id=f"few-{number}")
                agent.wait_log("Too many open files")
                if number < 16:
                    self.assertIn(agent.wait(TIMEOUT), (3, 7))


@unittest.skipUnless(AS_ROOT, "needs root to limit processes that run, and users of its own")
class Processes(Shortage):
    """With a user made for the test: the limit counts all processes of a user on the machine."""

    @classmethod
    def setUpClass(cls):
        cls.ordinary = harness.RUN_AS
        harness.ensure_users()
        harness.RUN_AS = f"twf{os.getpid()}"
        with harness.users_locked():
            subprocess.run(["useradd", "--create-home", "--user-group", "--shell", "/bin/sh",
                            harness.RUN_AS], check=True)
        cls.uid = pwd.getpwnam(harness.RUN_AS).pw_uid

    @classmethod
    def tearDownClass(cls):
        with harness.users_locked():
            subprocess.run(["userdel", "--force", "--remove", harness.RUN_AS], check=True,
                           stderr=subprocess.DEVNULL)
        harness.RUN_AS = cls.ordinary

    def processes_of_user(self):
        count = 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
                count += os.stat(f"/proc/{name}").st_uid == self.uid
        return count

    def set_limit(self, process, kind, soft):
        """As the process's own user, who may: root needs a capability that containers lack."""
        subprocess.run(["prlimit", f"--pid={process.pid}", f"--{kind}={soft}:"], check=True,
                       **harness.identity_of(harness.RUN_AS))

    @modes()
    def test_no_process_for_a_command(self):
        """EAGAIN in exec: retried while it may pass, refused when it lasts, and over when it is."""
        agent = self.online_agent(args=("--max-commands", "8"))
        executor = agent.process("tw-agent-exec")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.set_limit(executor, "nproc", 1)
        commands = {f"p{i}": b"p%d\n" % i for i in range(20)}
        for id in commands:
            self.tower.send_command(f"echo {id} >> ran; echo {id}", id)
        kinds = self.check_answers(agent, commands, b"Resource temporarily unavailable")
        self.assertEqual(kinds, {"refused": 20})
        later = {f"q{i}": b"q%d\n" % i for i in range(8)}
        for id in later:
            self.tower.send_command(f"echo {id} >> ran; echo {id}", id)
        wait_status(agent, lambda status: status["commands"]["running"] > 0)
        self.set_limit(executor, "nproc", resource.getrlimit(resource.RLIMIT_NPROC)[0])
        self.check_answers(agent, later, b"Resource temporarily unavailable")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertTrue(executor.alive)

    @modes()
    def test_no_memory(self):
        """Exec refuses what it has no memory for. Should it not even have enough to read a message,
        the agent ends, and the next one answers everything."""
        if SANITIZED:
            self.skipTest("a sanitizer's address space has no such limit")
        agent = self.online_agent()
        before = self.tower.agent
        executor = agent.process("tw-agent-exec")
        self.set_limit(executor, "as", 1 << 20)
        commands = {f"m{i}": f"echo m{i} >> ran; echo m{i}; : {'y' * 30_000}" for i in range(30)}
        with contextlib.suppress(OSError):  # it may end in the middle
            for id, text in commands.items():
                before.send_command(text, id)
        self.tower.events.wait_until(
            lambda: before.ended or all(map(self.tower.results, commands)), TIMEOUT, "answers")
        if before.ended:
            self.check_ended(agent, 7)
            agent = self.restart(agent)
            self.tower.wait_online(TIMEOUT, newer_than=before)
        else:
            self.set_limit(executor, "as", "unlimited")
        # A shell that was started meanwhile has as little memory: that it says so is its result.
        answers = ((75, UNKNOWN), (75, NOT_RUN_THEN), (126, NOT_RUN),
                   (127, b"error while loading shared libraries"), (0, b"m"))
        kinds = collections.Counter()
        for id, text in commands.items():
            if not self.tower.results(id):
                self.tower.send_command(text, id)  # as a server that has no answer
            result = self.tower.wait_result(id, TIMEOUT)
            status, words = next((one for one in answers if one[1] in result.output),
                                 (None, result.output))
            kinds[words] += 1
            self.assertEqual(result.exit_status, status, result.output)
            self.assertLessEqual(lines_of(agent, "ran").get(id, 0),
                                 1 if words in (b"m", UNKNOWN) else 0, id)
        say(f"{dict(kinds)}")
        self.assertGreater(sum(kinds.values()) - kinds[b"m"], 0, "nothing was short")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    @modes()
    def test_fork_bomb(self):
        """Ended by the time limit as a whole; what else is asked meanwhile is run or refused."""
        agent = self.online_agent(program=self.limited(f"-u {FORKS}"),
                                  args=("--command-timeout", f"{BOMB_LIMIT}s",
                                        "--heartbeat", "1s"))
        conversation = self.tower.agent
        hold = gate(self, agent)
        bomb = self.tower.send_command(f"/usr/bin/python3 -c '{BOMB}' & {hold.text}")
        hold.reached()
        self.tower.events.wait_until(lambda: self.processes_of_user() > FORKS * 0.9, TIMEOUT,
                                     "processes of the bomb")  # looked at with each heartbeat
        meanwhile = {f"f{i}": b"f%d\n" % i for i in range(8)}
        for id in meanwhile:
            self.tower.send_command(f"echo {id} >> ran; echo {id}", id)
        mark = self.tower.mark()
        self.tower.wait_event("ws-message", TIMEOUT, after=mark, type="heartbeat")
        kinds = self.check_answers(agent, meanwhile, b"Resource temporarily unavailable")
        result = self.tower.wait_result(bomb, TIMEOUT)
        self.assertEqual(result.exit_status, 124, result.output)
        self.assertIn(b"--command-timeout", result.output)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertFalse(conversation.ended, "the connection lasted")
        say(f"while the bomb was at its limit: {dict(kinds)}; {self.processes_of_user()} "
            "processes of the user afterwards")
        # Killed by then, if not ended: that is the kernel's to do, at its leisure.
        left = [one for one in agent.processes() if not one.comm.startswith("tw-agent")
                and not one.wait_gone(TIMEOUT)]
        self.assertEqual(left, [], "of the bomb")


if __name__ == "__main__":
    main()
