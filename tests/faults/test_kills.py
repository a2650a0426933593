#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each process at each moment; then the agent is started again with the same state, as a
service manager does, and Tower asks for the same ids again. Each command ran at most once and each
id got the answer that was promised: its result, or that its outcome is unknown, or that it was not
run."""

import contextlib
import os
import signal
import time

from faults import (MIB, NOT_KEPT, NOT_RUN, SANITIZED, TRY_LATER, UNKNOWN, FaultCase, HoldingProxy,
                    lines_of, main, results_directory, say)
from harness import TIMEOUT, why_not
from support import gate, wait_status
from tower import Stall

# The process, and the code that the agent ends with when it is killed; None: it goes on.
VICTIMS = {"parent": ("tw-agent", -signal.SIGKILL), "core": ("tw-agent-core", 7),
           "exec": ("tw-agent-exec", 7), "launcher": ("tw-agent-net", 7),
           "session": ("tw-agent-net-session", None),
           "connector": ("tw-agent-net-connect", None)}
LASTING = ("parent", "core", "exec", "launcher")
BIG = 9 * MIB
# Twice that without a sign of life, and the link would be taken for dead before the kill; each test waits for
# some of them, as they prove what has arrived.
HEARTBEAT, BIG_HEARTBEAT = "2s", "5s"
# To see a file that is being written: the share that a nice writer gets of our processor is small.
NICEST, LOOKS = 19, 30
# An answer is known by its exit status and a piece of its output.
RESULT, LOST, UNRUN = "result", (TRY_LATER, UNKNOWN), (TRY_LATER, NOT_RUN)


class Kill(FaultCase):
    """One cell of the table: a moment is reached, a process is killed, everything is checked.

    `self.wanted` has what each id may be answered with when the agent ended, `self.texts` what was
    asked for by that id.
    """

    def kill(self, agent, victim):
        name, code = VICTIMS[victim]
        found = [one for one in agent.processes() if one.comm == name[:15]]
        self.assertTrue(found, f"no {name} at this moment: {agent.processes()}")
        os.kill(found[0].pid, signal.SIGKILL)
        for process in found[1:]:  # more than one while the agent starts, and they end together
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return code

    def begin(self, **options):
        """An agent online that has run and delivered one command, with the ids "held" (at a gate)
        and "queued" (behind it) to come."""
        self.texts = {"done": "echo done >> ran; echo result of done"}
        self.wanted = {"done": (RESULT, (TRY_LATER, NOT_KEPT))}
        self.options = {"args": ("--max-commands", "1", "--heartbeat", HEARTBEAT), **options}
        agent = self.online_agent(**self.options)
        self.tower.run(self.texts["done"], id="done")
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        self.gate = gate(self, agent)
        return agent

    def ask(self, **commands):
        self.texts |= commands
        for id, text in commands.items():
            self.tower.send_command(text, id)

    def hold(self, agent):
        self.wanted |= {"held": (LOST,), "queued": (UNRUN,)}
        # A child of the shell, which must be ended as well. When exec itself is killed only shells
        # end with it: nobody is left who may end their children.
        child = "sleep 300 & " if self.victim in ("parent", "core", "launcher") else ""
        self.ask(held=f"echo held >> ran; {child}{self.gate.text}; echo result of held")
        self.gate.reached()
        self.ask(queued="echo queued >> ran; echo result of queued")
        wait_status(agent, lambda status: status["commands"]["queued"] == 1)

    # The moments.

    def starting(self):
        self.texts, self.wanted, self.options = {}, {}, {}
        self.tower.on("service-info", Stall(), times=1)
        agent = self.start_agent()
        self.tower.wait_event("http-request", step="service-info")
        agent.processes()
        return agent

    def connecting(self):
        proxy = HoldingProxy()
        self.addCleanup(proxy.close)
        agent = self.begin(args=("--max-commands", "1", "--heartbeat", HEARTBEAT,
                                 "--proxy", proxy.url))
        self.hold(agent)
        proxy.hold()
        self.tower.agent.drop("rst")
        proxy.wait_held()
        self.continues = proxy.release
        return agent

    def upgrading(self):
        agent = self.begin()
        self.hold(agent)
        self.tower.on("connect", Stall(), times=1)
        mark = self.tower.mark()
        self.tower.agent.drop("rst")
        self.tower.wait_event("http-request", after=mark, step="connect")
        return agent

    def idle(self):
        return self.begin()

    def running(self):
        agent = self.begin()
        self.hold(agent)
        return agent

    def big(self, id):
        self.wanted[id] = (RESULT, LOST)
        self.ask(**{id: f"echo {id} >> ran; head -c {BIG} /dev/zero | tr '\\0' b"})

    def sending(self):
        """The result is larger than what the kernel buffers, and the Tower does not read."""
        agent = self.begin(args=("--heartbeat", BIG_HEARTBEAT))
        conversation = self.tower.agent
        conversation.pause_reading()
        self.big("big")
        self.wanted["big"] = (RESULT,)
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 1)
        self.assertTrue(conversation.transport.wait_readable(TIMEOUT), "nothing was sent")
        self.continues = conversation.resume
        return agent

    @contextlib.contextmanager
    def slow_writer(self, core):
        """Core shares a processor with us, who look all the time, and gives way to us."""
        before = os.sched_getaffinity(0)
        shared = {min(before)}
        os.setpriority(os.PRIO_PROCESS, core.pid, NICEST)
        try:
            os.sched_setaffinity(core.pid, shared)
            os.sched_setaffinity(0, shared)
            yield
        finally:
            os.sched_setaffinity(0, before)
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(core.pid, before)

    def spooling(self):
        """The result is being written to disk: its file is there, and not whole."""
        agent = self.begin(args=("--heartbeat", BIG_HEARTBEAT))
        with self.slow_writer(agent.process("tw-agent-core")):
            self.kill_at_part_of_a_file(agent)
        return agent

    def kill_at_part_of_a_file(self, agent):
        """That lasts for some milliseconds: looks all the time and kills at once. Should the file
        be whole when it is seen, there is another one."""
        directory = results_directory(agent)
        pid = agent.process(VICTIMS[self.victim][0]).pid
        agent.processes()
        for attempt in range(1, LOOKS + 1):
            before = {*os.listdir(directory), "journal", "journal.new"}
            self.big(f"big{attempt}")
            deadline = time.monotonic() + TIMEOUT
            while not (new := set(os.listdir(directory)) - before):
                self.assertLess(time.monotonic(), deadline, "nothing was written")
            size = os.path.getsize(os.path.join(directory, new.pop()))
            if size < BIG:
                os.kill(pid, signal.SIGKILL)
                self.killed = True
                say(f"attempt {attempt}: {size} of {BIG} bytes were on disk before the kill")
                return
            self.tower.wait_result(f"big{attempt}", TIMEOUT)
        self.fail("no file was seen before it was whole")

    # The cell.

    def run_cell(self, moment, victim):
        self.continues = self.gate = self.killed = None
        self.victim = victim
        agent = getattr(self, moment)()
        before = self.tower.agent
        code = VICTIMS[victim][1] if self.killed else self.kill(agent, victim)
        if moment == "sending":
            self.assertEqual(self.tower.results("big"), [], "it was delivered before the kill")
        if code is None:
            self.goes_on(agent, before)
        else:
            self.check_ended(agent, code)
            self.starts_again(agent, before)

    def goes_on(self, agent, before):
        """A dropped connection, no more: the results come on the next one."""
        lasting = [one for one in agent.processes() if one.comm in
                   {VICTIMS[name][0][:15] for name in LASTING}]
        if self.continues:
            self.continues()
        self.online_again(agent, before)
        if "held" in self.wanted:
            self.gate.open()
        for id in self.texts:
            self.check_result(id, self.tower.wait_result(id, TIMEOUT))
        wait_status(agent, lambda status: status["commands"]["delivered"] == len(self.texts))
        self.ask_again(same=True)
        self.assertEqual(lines_of(agent, "ran"), dict.fromkeys(self.texts, 1))
        self.assertTrue(all(process.alive for process in lasting), lasting)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def starts_again(self, agent, before):
        if self.continues:
            self.continues()
        agent = self.restart(agent, args=("--heartbeat", HEARTBEAT))
        self.online_again(agent, before)
        for id in self.texts:  # unasked: they were promised
            self.check_answer(id, self.tower.wait_result(id, TIMEOUT))
        # What was left is in the first status of the new agent, so that this is not too early. How
        # much that is depends: a result may be proven in the moment before the kill.
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 0)
        self.ask_again(same=False)
        ran = lines_of(agent, "ran")
        self.assertLessEqual(set(ran.values()), {1}, f"at most once each: {ran}")
        self.assertEqual(set(ran), set(self.texts) - {"queued"})
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def online_again(self, agent, before):
        try:
            self.tower.wait_online(TIMEOUT, newer_than=before)
        except TimeoutError as reason:
            raise AssertionError(f"{reason}\nThe agent's log:\n{agent.log}") from None
        agent.processes()

    def ask_again(self, same):
        """Tower sends every id once more: nothing runs, each is answered."""
        for id, text in self.texts.items():
            answers = self.tower.results(id)
            first = answers[0]
            if id.startswith("big") and first.exit_status == 0:
                # An earlier one may have arrived and not been proven: it comes again.
                self.assertEqual({one.output for one in answers}, {first.output})
            else:
                self.assertEqual(len(answers), 1, f"answers to {id}")
            again = self.tower.run(text, id, TIMEOUT)
            kept = NOT_KEPT not in again.output
            self.assertTrue(kept or not same or len(first.output) > MIB, again.output[:200])
            if kept:
                self.assertEqual((again.exit_status, again.output),
                                 (first.exit_status, first.output))

    def check_result(self, id, result):
        self.assertEqual(result.exit_status, 0, result.output[:200])
        if id.startswith("big"):
            self.assertEqual((len(result.output), result.output.count(b"b")), (BIG, BIG))
        else:
            self.assertEqual(result.output, b"result of %b\n" % id.encode())

    def check_answer(self, id, result):
        for wanted in self.wanted[id]:
            if wanted is RESULT and result.exit_status == 0:
                self.check_result(id, result)
                return
            if wanted is not RESULT and result.exit_status == wanted[0] \
                    and wanted[1] in result.output:
                return
        self.fail(f"{id} was answered with {result}: {result.output[:200]}")


def cell(moment, victim, mode):
    def run(self):
        if reason := why_not(mode):
            self.skipTest(reason)
        self.mode = mode
        self.run_cell(moment, victim)
    return f"test_{victim}_while_{moment}__{mode}", run


def table(case, moments, victims_of, in_user_mode):
    """Adds a test for each moment and victim: all in system mode, some in user mode. A plain user
    has user mode alone, and gets all of them there; sanitizer builds, which are slow to start, get
    the processes with a state."""
    full = "user" if why_not("system") else "system"
    for moment in moments:
        for victim in victims_of.get(moment, (*LASTING, "session")):
            for mode in ("system", "user"):
                if (mode == full and not SANITIZED) or (moment, victim) in in_user_mode \
                        or (mode == full and victim in ("core", "session")):
                    name, test = cell(moment, victim, mode)
                    setattr(case, name, test)


class Connecting(Kill):
    pass


class Running(Kill):
    pass


class Results(Kill):
    pass


table(Connecting, ("starting", "connecting", "upgrading"),
      {"connecting": tuple(VICTIMS)}, {("connecting", "connector"), ("upgrading", "parent")})
table(Running, ("idle", "running"), {},
      {("running", victim) for victim in (*LASTING, "session")})
table(Results, ("sending", "spooling"), {},
      {("sending", "core"), ("sending", "session"), ("spooling", "core"), ("spooling", "parent")})

if __name__ == "__main__":
    main()
