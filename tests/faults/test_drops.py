#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random drops of all kinds during a stream of commands whose side effects are counted.

By default 20 drops and 200 commands; TW_DROPS=200x2000 in the environment is the long form, and
TW_SEED repeats a run."""

import contextlib
import os
import random
import signal
import threading
import time

from faults import FaultCase, lines_of, main, newest_session, say
from harness import TIMEOUT
from support import wait_status

DROPS, COMMANDS = map(int, os.environ.get("TW_DROPS", "20x200").split("x"))
SEED = int(os.environ.get("TW_SEED", random.SystemRandom().randrange(1 << 32)))
HEARTBEAT = 2.0  # seconds; the link is dead after two of them, and a slow machine is not
# Two heartbeats, and the time that what is not proven may need on a slow line.
SILENCE_SECONDS = 120
WINDOW = 40  # commands that the Tower has no answer for, at most
CUT_OFF = b"it is left out"  # said of a large result that was on its way at three drops
KINDS = ("rst", "fin", "tls", "1001", "1011", "4001", "kill", "silence")


class Command:
    """What was asked, and what must come back. A server that forgets sends each once."""

    def __init__(self, number, chance):
        self.id = f"c{number}"
        self.forgotten = chance.random() < 0.3
        self.exit_status = chance.randrange(3)
        self.size = chance.choice((0, 20, 300, 5000, 16000, 60000))
        self.text = (f"echo {self.id} >> ran; head -c {self.size} /dev/zero | tr '\\0' "
                     f"{number % 10}; exit {self.exit_status}")
        self.output = b"%d" % (number % 10) * self.size
        self.asked = 0

    def is_answer(self, result):
        if result.exit_status != self.exit_status:
            return False
        return result.output == self.output or (self.size > 16384 and CUT_OFF in result.output)


class Stream(threading.Thread):
    """Sends commands as a server does: a few at a time, and after a reconnect those again that it
    has no answer for (but for the forgotten ones)."""

    def __init__(self, tower, commands):
        super().__init__(daemon=True)
        self._tower = tower
        self._commands = commands
        self._sent = []
        self._changed = threading.Condition()
        self._conversation = None
        self._stopped = False
        self.repeats = 0

    def run(self):
        for command in self._commands:
            while not self._stopped:
                self._tower.events.wait_until(self._may_go_on, 120, "answer or connection")
                conversation = self._tower.agent
                if conversation is None:
                    continue
                if conversation is not self._conversation:
                    self._conversation = conversation
                    self._repeat(conversation)
                elif self._open_ones() < WINDOW:
                    self._send(conversation, command)
                    break

    def _may_go_on(self):
        """There is a connection, and room in the window or something to be asked for again."""
        newest = self._tower.agent
        return self._stopped or newest is not None and (
            newest is not self._conversation or self._open_ones() < WINDOW)

    def _open_ones(self):
        """The forgotten ones may never be answered: they do not count."""
        return sum(not command.forgotten and not self._tower.results(command.id)
                   for command in self._sent[-5 * WINDOW:])

    def _send(self, conversation, command):
        """Whether it arrived is unknown when the connection ends: that is the point."""
        command.asked += 1
        with self._changed:
            if command.asked == 1:
                self._sent.append(command)
                self._changed.notify_all()
        try:
            conversation.send_command(command.text, command.id)
        except OSError:
            pass  # TLS's own errors are no ConnectionError

    def _repeat(self, conversation):
        for command in list(self._sent):
            if not command.forgotten and not self._tower.results(command.id):
                self.repeats += 1
                self._send(conversation, command)

    def wait_sent(self, count):
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._sent) >= count, 120):
                raise AssertionError(f"{len(self._sent)} commands were sent, not {count}")

    def repeat_all(self, conversation):
        """The end: those that are missing are asked for until they come."""
        self._repeat(conversation)

    def stop(self):
        self._stopped = True
        self._tower.events.touch()


class Drops(FaultCase):
    tower_options = {"keep_events": 5000}

    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        say(f"seed {SEED}: TW_SEED={SEED} TW_DROPS={DROPS}x{COMMANDS} repeats this")

    def drop(self, agent, conversation, kind):
        """Ends the conversation; gives what the agent says of it."""
        if kind in ("rst", "fin", "tls"):
            conversation.drop(kind)
        elif kind == "kill":
            os.kill(newest_session(agent.processes()).pid, signal.SIGKILL)
        elif kind == "silence":
            conversation.go_silent()
            # Results that were written and are not proven get the time of a slow link besides.
            agent.wait_log("the connection is dead", 4 * TIMEOUT, after=self.mark)
            conversation.drop()  # Tower would take it for alive
        else:
            conversation.close(int(kind))

    def hiccup(self, conversation):
        """Short enough to be no drop."""
        conversation.go_silent()
        with contextlib.suppress(ConnectionError):
            conversation.transport.sleep(0.3 * HEARTBEAT)
        conversation.resume()

    def reconnect(self, agent, conversation):
        """An administrator's SIGHUP ends the back-off, which grows to 10 s with short sessions."""
        agent.wait_log("trying again in", TIMEOUT, after=self.mark)
        # As long as Tower takes the old one for alive, the answer to a new one is 4000.
        self.tower.wait_event("ws-end", TIMEOUT, after=self.events, conn=conversation.number)
        agent.signal(signal.SIGHUP)
        try:
            return self.tower.wait_online(TIMEOUT, newer_than=conversation)
        except TimeoutError as reason:
            raise AssertionError(f"{reason}\n{''.join(agent.log.splitlines(True)[-40:])}") \
                from None

    def test_every_command_runs_once_and_is_answered(self):
        agent = self.online_agent(args=("--heartbeat", f"{HEARTBEAT}s", "--log-level", "debug"))
        commands = [Command(number, self.chance) for number in range(COMMANDS)]
        stream = Stream(self.tower, commands)
        kinds = ["hiccup"] * (DROPS // 10) + [KINDS[i % len(KINDS)] for i in range(DROPS)]
        self.chance.shuffle(kinds)
        begun = time.monotonic()
        stream.start()
        self.addCleanup(stream.join, TIMEOUT)
        self.addCleanup(stream.stop)
        for number, kind in enumerate(kinds):
            stream.wait_sent(max(1, COMMANDS * number // len(kinds) + self.chance.randrange(5)))
            conversation = self.tower.wait_online(TIMEOUT)
            self.mark, self.events = agent.log_mark(), self.tower.mark()
            if kind == "hiccup":
                self.hiccup(conversation)
                continue
            self.drop(agent, conversation, kind)
            self.reconnect(agent, conversation)
        stream.join(120)
        self.assertFalse(stream.is_alive(), "the stream did not end")
        self.settle(agent, stream, commands)
        self.check(agent, commands)
        status = wait_status(agent, lambda status: status["commands"]["undelivered"] == 0)
        self.assertGreaterEqual(status["reconnects"], DROPS, "each drop was one")
        say(f"{DROPS} drops, {DROPS // 10} hiccups, {COMMANDS} commands, {stream.repeats} "
            f"asked again, {sum(len(self.tower.results(one.id)) > 1 for one in commands)} answered "
            f"more than once, in {time.monotonic() - begun:.0f} s")
        self.assertGreater(stream.repeats, 0, "no drop hit a command: this proved nothing")

    def settle(self, agent, stream, commands):
        """Asks for what is missing, then waits until nothing is on its way."""
        conversation = self.tower.wait_online(TIMEOUT)
        stream.repeat_all(conversation)
        for command in commands:
            if not command.forgotten:
                self.tower.wait_result(command.id, 120)
        wait_status(agent, lambda status: status["commands"]["queued"] == 0
                    and status["commands"]["running"] == 0
                    and status["commands"]["undelivered"] == 0, 120)

    def check(self, agent, commands):
        ran = lines_of(agent, "ran")
        twice = {id: count for id, count in ran.items() if count > 1}
        self.assertEqual(twice, {}, "these ran more than once")
        self.assertLessEqual(set(ran), {command.id for command in commands})
        lost = 0
        for command in commands:
            results = self.tower.results(command.id)
            if command.id in ran or not command.forgotten:
                self.assertIn(command.id, ran)
                self.assertTrue(results, f"{command.id} ran and was not answered")
            else:
                lost += 1  # its request never arrived
                self.assertEqual(results, [])
            for result in results:
                self.assertTrue(command.is_answer(result),
                                f"{result}: {result.output[:100]} for {command.text}")
        say(f"{lost} requests were lost in drops and not sent again")


if __name__ == "__main__":
    main()
