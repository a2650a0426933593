#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The soak: an agent under a mixed load, and what it uses measured while nothing is on its way.

First the ledger is filled, which is bounded by count (10,000) and bytes on disk (256 MiB), and every
kind of load is met once: that is the warm-up. What a process uses then is compared with what it
uses at the checkpoints after it, each taken when every command is answered and proven, and no
background process is left:

  memory        its own part of PSS (RSS where that cannot be read) may grow by 10 % and 768 KiB; the simulator,
                whose Python keeps what a large message once needed, by 24 MiB
  descriptors   by 2: a session may still be closing
  results/      at most what the ledger keeps (256 MiB) and two journals

Exit code 1, with what is not flat, or what was not answered as it should."""

import argparse
import os
import random
import signal
import statistics
import sys
import threading
import time

from faults import MIB, SANITIZED, harness, lines_of, newest_session, results_directory, say
from harness import AS_ROOT, TIMEOUT, TOKEN, Agent, process_tree, shared_pki, why_not
from support import read_status, wait_status
from tower import Tower

DEFAULT_SECONDS = 600
FILL = 10_500       # more than the ledger keeps
LARGE, LARGE_BYTES = 35, 8 * MIB  # more than the ledger keeps on disk
WINDOW = 64
CHECKPOINTS = 5
SETTLE_SECONDS = 5  # what a checkpoint takes, about
GROWTH, GROWTH_BYTES, GROWTH_DESCRIPTORS = 1.10, 768 * 1024, 2
SIMULATOR, SIMULATOR_BYTES = "(simulator)", 24 * MIB
RATE = 16           # commands a second after the warm-up: 20,000 in 10 minutes, that included
RESULTS_BYTES = (256 + 2 * 16) * MIB
KINDS = (("small", 70), ("silent", 10), ("kilobytes", 12), ("megabytes", 1), ("background", 5),
         ("failing", 2))
DROPS = ("rst", "fin", "1001", "4001", "kill")


class Failure(Exception):
    """What the soak found."""


def text_of(kind, number):
    """(text, exit status, size of the output)"""
    mark = f"echo s{number} >> ran"
    if kind == "small":
        return f"{mark}; printf %0200d 0", 0, 200
    if kind == "silent":
        return mark, 0, 0
    if kind == "kilobytes":
        return f"{mark}; head -c 60000 /dev/zero", 0, 60000
    if kind == "megabytes":
        return f"{mark}; head -c 2000000 /dev/zero", 0, 2_000_000
    if kind == "large":
        return f"{mark}; head -c {LARGE_BYTES} /dev/zero", 0, LARGE_BYTES
    if kind == "background":
        return f"{mark}; sleep 1 & printf here", 0, 4
    return f"{mark}; printf no; exit 3", 3, 2


class Load:
    """Sends commands, checks each answer as it comes, and keeps nothing but numbers."""

    def __init__(self, tower):
        self._tower = tower
        self._changed = threading.Condition()
        self._open = {}      # id → (text, exit status, size)
        self._answered = {}  # id → number of the connection
        self.sent = self.again = self.problems = 0
        self.first_problem = None
        tower.take_result = self._take

    def _problem(self, text):
        self.problems += 1
        self.first_problem = self.first_problem or text

    def _take(self, result):
        with self._changed:
            id, size = result.id, len(result.output)
            wanted = self._open.pop(id, None)
            if wanted is not None:
                if (result.exit_status, size) != wanted[1:]:
                    self._problem(f"{id}: {wanted} answered with status {result.exit_status} and "
                                  f"{size} bytes {result.output[:80]}")
            elif self._answered.get(id, result.conn) == result.conn:
                self._problem(f"{id} was answered twice on one connection, or never asked for")
            else:
                self.again += 1  # what a drop left unproven
            self._answered[id] = result.conn
            self._changed.notify_all()
        self._tower.forget_command(id)
        result.raw["result"] = None
        return None  # nothing of it stays

    def send(self, kind):
        text, status, size = text_of(kind, self.sent)
        id = f"s{self.sent}"
        self.sent += 1
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._open) < WINDOW, TIMEOUT * 4):
                raise Failure(f"no answer to {sorted(self._open)[:5]}… in {TIMEOUT * 4} s")
            self._open[id] = text, status, size
        self._give(id, text)

    def _give(self, id, text):
        """A drop may swallow it: then it is sent again on the next connection."""
        try:
            self._tower.wait_online(TIMEOUT * 2).send_command(text, id)
        except OSError:
            pass

    def send_again(self):
        with self._changed:
            missing = [(id, wanted[0]) for id, wanted in self._open.items()]
        for id, text in missing:
            self._give(id, text)

    def settle(self):
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, TIMEOUT * 4):
                raise Failure(f"not answered: {sorted(self._open)[:5]}…")


def own_memory(pid):
    """What it has of its own (Pss_Anon and Pss_Shmem, Linux 5.9): its share of libraries changes
    with whatever else runs on the host."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            values = {name: int(rest.split()[0]) * 1024 for name, _, rest in
                      (line.partition(":") for line in file) if name.startswith("Pss")}
        return values.get("Pss_Anon", values["Pss"]) + values.get("Pss_Shmem", 0)
    except PermissionError:  # a plain user, whose agent is not dumpable
        pass
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def size_of(directory):
    return sum(os.path.getsize(os.path.join(directory, name)) for name in os.listdir(directory))


class Soak:
    def __init__(self, options):
        self.chance = random.Random(options.seed)
        self.options = options
        self.tower = Tower(shared_pki(), token=TOKEN, keep_events=500).start()
        self.agent = Agent(options.mode, url=self.tower.url, ca_file=self.tower.ca,
                           args=("--heartbeat", "2s"))
        self.load = Load(self.tower)
        self.samples = []
        self.drops = 0
        self.watch_end()

    def processes(self):
        """Agent.processes() would remember each: thousands here, whose numbers are used anew."""
        return process_tree(self.agent.pid)

    def watch_end(self):
        """An agent that ends must not leave us waiting."""
        def wait():
            self.code = self.agent.popen.wait()
            self.tower.events.touch()
        self.code = None
        threading.Thread(target=wait, daemon=True).start()

    # Load.

    def mix(self, seconds, commands, drops):
        """So many commands over so many seconds, with drops among them."""
        begun = time.monotonic()
        due = [seconds * (i + 1) / (drops + 1) for i in range(drops)]
        kinds, weights = zip(*KINDS)
        for number in range(commands):
            if self.code is not None:
                raise Failure(f"the agent ended with code {self.code}:\n{self.agent.log[-2000:]}")
            wait = begun + seconds * number / commands - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # the pace of the load, not a wait for something
            while due and time.monotonic() - begun > due[0]:
                due.pop(0)
                self.drop()
            self.load.send(self.chance.choices(kinds, weights)[0])

    def drop(self):
        how = DROPS[self.drops % len(DROPS)]
        conversation = self.tower.wait_online(TIMEOUT * 2)
        self.drops += 1
        reconnects = read_status(self.agent)["reconnects"]
        if how == "kill":
            os.kill(newest_session(self.processes()).pid, signal.SIGKILL)
        elif how in ("rst", "fin"):
            conversation.drop(how)
        else:
            conversation.close(int(how))
        # An administrator's SIGHUP ends the back-off: else short sessions would wait for 10 s.
        self.tower.events.wait_until(lambda: conversation.ended, TIMEOUT, "end of the conversation")
        wait_status(self.agent, lambda status: status["state"] != "online"
                    or status["reconnects"] > reconnects)
        self.agent.signal(signal.SIGHUP)
        self.tower.wait_online(TIMEOUT * 2, newer_than=conversation)
        self.load.send_again()

    # Measuring.

    def checkpoint(self, name):
        """What each process uses when nothing is on its way: the smallest of a few looks."""
        self.load.send("megabytes")  # each session has then met one, and is like the one before
        self.load.settle()
        # The file may be a second old: it is only then of this moment when all is counted in it.
        wait_status(self.agent, lambda status: status["commands"]["undelivered"] == 0
                    and status["commands"]["delivered"] >= self.load.sent, TIMEOUT * 2)
        for _ in range(2):
            self.tower.wait_event("ws-message", TIMEOUT, after=self.tower.mark(), type="heartbeat")
        # Neither background processes, nor sessions before this one, nor what becomes a command.
        session, tree = newest_session(self.processes()), self.processes()
        for process in tree:
            if process.comm == session.comm and process.pid != session.pid \
                    or not process.comm.startswith("tw-agent"):
                process.wait_gone(TIMEOUT)
        use = {}
        for process in self.processes():
            if process.comm.startswith("tw-agent") and process.state != "Z":
                use[process.comm] = (statistics.median(own_memory(process.pid) for _ in range(3)),
                                     descriptors(process.pid))
        use[SIMULATOR] = own_memory(os.getpid()), 0
        size = size_of(results_directory(self.agent))
        self.samples.append((name, use, size))
        say(f"{name:>8} {self.load.sent:6} commands  " + "  ".join(
            f"{comm.removeprefix('tw-agent-')} {memory // 1024} KiB/{fds}"
            for comm, (memory, fds) in sorted(use.items())) + f"  results {size // 1024} KiB")

    def not_flat(self):
        first = self.samples[0][1]
        for name, use, size in self.samples:
            if size > RESULTS_BYTES:
                yield f"{name}: results/ has {size} bytes, {RESULTS_BYTES} at most"
            for comm, (memory, fds) in use.items():
                if comm not in first:
                    yield f"{name}: {comm} is a new process"
                    continue
                most = first[comm][0] * GROWTH + (SIMULATOR_BYTES if comm == SIMULATOR
                                                  else GROWTH_BYTES)
                if memory > most and not SANITIZED:
                    yield (f"{name}: {comm} has {memory // 1024} KiB, {first[comm][0] // 1024} "
                           f"KiB after the warm-up, {int(most) // 1024} KiB at most")
                if fds > first[comm][1] + GROWTH_DESCRIPTORS:
                    yield f"{name}: {comm} has {fds} descriptors, {first[comm][1]} at first"

    def problems(self):
        yield from self.not_flat()
        if self.load.problems:
            yield f"{self.load.problems} wrong answers, the first: {self.load.first_problem}"
        ran = lines_of(self.agent, "ran")
        twice = [id for id, count in ran.items() if count > 1]
        if twice:
            yield f"{len(twice)} commands ran more than once: {twice[:5]}"
        if len(ran) != self.load.sent:
            yield f"{len(ran)} of {self.load.sent} commands ran"

    def run(self):
        begun = time.monotonic()
        self.tower.wait_online(TIMEOUT)
        for _ in range(LARGE):
            self.load.send("large")
        for _ in range(FILL):
            self.load.send("small")
        deadline = begun + self.options.seconds
        left = deadline - time.monotonic()
        commands = max(self.options.commands - self.load.sent, 50 * CHECKPOINTS)
        drops = max(1, int(left / (CHECKPOINTS + 1) / 20))
        say(f"filled in {time.monotonic() - begun:.0f} s; {commands} more in {left:.0f} s")
        for number in range(CHECKPOINTS + 1):
            part = (deadline - time.monotonic()) / (CHECKPOINTS + 1 - number) - SETTLE_SECONDS
            self.mix(max(part, 1), commands // (CHECKPOINTS + 1), drops)
            self.checkpoint(f"{number} of {CHECKPOINTS}" if number else "warm-up")
        problems = list(self.problems())
        say(f"{self.load.sent} commands, {self.drops} drops, {self.load.again} answers given again, "
            f"in {time.monotonic() - begun:.0f} s")
        return problems

    def finish(self):
        left = self.agent.finish()
        self.tower.stop()
        return [f"left behind: {left}"] if left else []


def options():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=DEFAULT_SECONDS)
    parser.add_argument("--commands", type=int,
                        help=f"in all; default: {FILL + LARGE}, which is the warm-up, and {RATE} "
                        "a second")
    parser.add_argument("--mode", choices=harness.MODES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    chosen.mode = chosen.mode or ("user" if why_not("system") else "system")
    if chosen.commands is None:
        chosen.commands = FILL + LARGE + int(RATE * chosen.seconds)
    return chosen


def main():
    chosen = options()
    if reason := why_not(chosen.mode):
        sys.exit(f"mode {chosen.mode}: {reason}")
    if not AS_ROOT:
        print("SKIPPED: soak: PSS and descriptors of the agent can be read by root alone; RSS is "
              "compared")
    if SANITIZED:
        print("SKIPPED: soak: memory is not compared: sanitizers hold freed memory back")
    say(f"mode {chosen.mode}, seed {chosen.seed}")
    soak = Soak(chosen)
    try:
        problems = soak.run()
    except (Failure, AssertionError, TimeoutError) as reason:
        problems = [str(reason)]
    problems += soak.finish()
    for problem in problems:
        say(f"FAILED: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
