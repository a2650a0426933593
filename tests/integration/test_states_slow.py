#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Links that are slow and links that are dead: the agent must not take one for the other.

--full adds the real ones: 10 MB up and 2 MB down at 64 KB/s with the default heartbeat (5 min).
"""

import os
import random
import signal
import statistics
import sys
import time
import unittest

import harness
from harness import TIMEOUT, TowerCase
from links import Relay
from support import read_status, wait_status

FULL = "--full" in sys.argv
HEARTBEAT = 1.0
SLOW = 65536


class LinkCase(TowerCase):
    def relay(self, **options):
        made = Relay(self.tower.port, **options)
        self.addCleanup(made.stop)
        return made

    def linked_agent(self, relay, heartbeat=f"{HEARTBEAT}s", **options):
        args = ("--heartbeat", heartbeat) if heartbeat else ()
        return self.online_agent(url=relay.url, args=args, **options)

    def check_kept(self, agent, conversation):
        self.assertNotIn("dead", agent.log)
        self.assertIs(self.tower.agent, conversation)
        self.assertEqual(read_status(agent)["reconnects"], 0)


class Slow(LinkCase):
    def test_what_a_proxy_swallows(self):
        """All of a result is taken at once, and the reply to the heartbeat comes behind it."""
        relay = self.relay(up=200_000, swallow=True)
        agent = self.linked_agent(relay)
        conversation = self.tower.agent
        taken = relay.taken
        id = conversation.send_command("head -c 1500000 /dev/zero")
        wait_status(agent, lambda status: status["commands"]["finished"] == 1)
        deadline = time.monotonic() + TIMEOUT
        while relay.taken - taken < 2_000_000:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        swallowed_at = time.monotonic()
        self.assertEqual(self.tower.results(id), [])
        result = self.tower.wait_result(id, TIMEOUT)
        self.assertEqual((len(result.output), result.conn), (1_500_000, conversation.number))
        silence = time.monotonic() - swallowed_at
        self.assertGreater(silence, 3 * HEARTBEAT, "else the test shows nothing")
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        self.check_kept(agent, conversation)
        print(f"\nswallowed at once; the reply came after {silence:.1f} s, heartbeat 1 s")

    def test_command_that_comes_slowly(self):
        """A text that takes many heartbeats to arrive; the replies wait behind it."""
        relay = self.relay(down=300_000)
        agent = self.linked_agent(relay)
        conversation = self.tower.agent
        start = time.monotonic()
        result = conversation.run(": " + "x" * 2_000_000 + "\necho arrived", timeout=60)
        took = time.monotonic() - start
        self.assertEqual((result.output, result.conn), (b"arrived\n", conversation.number))
        self.assertGreater(took, 5 * HEARTBEAT, "else the test shows nothing")
        self.check_kept(agent, conversation)
        print(f"\n2 MB of text came in {took:.1f} s, heartbeat 1 s")


class Dead(LinkCase):
    def test_time_to_notice(self):
        """Bytes vanish in both directions, at any moment; measured in heartbeats."""
        relay = self.relay()
        names = [f"lab{i}" for i in range(5)]
        agents = [self.linked_agent(relay, heartbeat="500ms", connection_id=name)
                  for name in names]
        times = []
        for _ in range(2):
            marks = [agent.log_mark() for agent in agents]
            before = [self.tower.wait_online(TIMEOUT, name) for name in names]
            for conversation in before:  # heard, so that the next end is news and is logged
                conversation.run(":")
            time.sleep(0.5 + random.uniform(0, 0.5))  # any phase of a heartbeat
            relay.freeze()
            start = time.monotonic()
            for agent, mark in zip(agents, marks):
                agent.wait_log("the connection is dead", after=mark)
                times.append((time.monotonic() - start) / 0.5)
            for conversation in before:
                conversation.drop()  # Tower would hold the places of those that it takes for alive
            relay.thaw()
            for name, conversation in zip(names, before):
                self.tower.wait_online(TIMEOUT, name, newer_than=conversation)
        # Two intervals from the last sign of life, of which one had passed and the time of a reply.
        self.assertGreater(statistics.median(times), 0.8)
        print(f"\ndead link noticed after {statistics.median(times):.2f} heartbeats (median of "
              f"{len(times)}, {min(times):.2f} to {max(times):.2f})")

    def test_dead_while_a_result_goes_out(self):
        relay = self.relay(up=400_000)
        agent = self.linked_agent(relay, heartbeat="500ms")
        first = self.tower.agent
        id = first.send_command("head -c 1500000 /dev/zero")
        taken = relay.taken
        deadline = time.monotonic() + TIMEOUT
        while relay.taken < taken + 500_000:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        relay.freeze()
        agent.wait_log("the connection is dead", timeout=40)  # by default it is more than 45 s
        first.drop()
        relay.thaw()
        result = self.tower.wait_result(id, 60)
        self.assertEqual(len(result.output), 1_500_000)
        self.assertNotEqual(result.conn, first.number)

    def test_stopped_processes(self):
        """All of the agent stands still for long; it asks before it judges."""
        agent = self.online_agent(args=("--heartbeat", "1s"))
        first = self.tower.agent
        self.tower.wait_event("ws-message", type="heartbeat")
        agent.wait_log("attestation: [0-9]+ attacks")  # whose processes come and go
        self.stand_still(agent, 4)
        agent.wait_log("asleep for about [0-9]+ s: asking Tower for a sign of life")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertIs(self.tower.agent, first, "a link that lives is kept")
        self.assertNotIn("dead", agent.log)
        # Now the link dies meanwhile.
        mark = agent.log_mark()
        first.go_silent()
        self.stand_still(agent, 4)
        start = time.monotonic()
        agent.wait_log("the connection is dead", after=mark)
        took = time.monotonic() - start
        self.assertLess(took, 30, "two intervals and what a busy machine adds")
        first.drop()
        self.tower.wait_online(TIMEOUT, newer_than=first)
        print(f"\ndead link noticed {took:.1f} s after standing still, heartbeat 1 s")

    def stand_still(self, agent, seconds):
        tree = agent.processes()
        for process in tree:
            os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        for process in reversed(tree):
            os.kill(process.pid, signal.SIGCONT)


@unittest.skipUnless(FULL, "five minutes; asked for by --full")
class Real(LinkCase):
    def test_up(self):
        relay = self.relay(up=SLOW)
        agent = self.linked_agent(relay, heartbeat=None)
        conversation = self.tower.agent
        start = time.monotonic()
        result = conversation.run("head -c 10485660 /dev/urandom", timeout=900)
        took = time.monotonic() - start
        self.assertEqual((len(result.output), result.conn), (10_485_660, conversation.number))
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1, 120)
        self.check_kept(agent, conversation)
        print(f"\n10 MB at 64 KB/s, heartbeat 45 s: arrived after {took:.0f} s, proven after "
              f"{time.monotonic() - start:.0f} s, {self.beats()} heartbeats")

    def test_up_swallowed(self):
        relay = self.relay(up=SLOW, swallow=True)
        agent = self.linked_agent(relay, heartbeat=None)
        conversation = self.tower.agent
        start = time.monotonic()
        result = conversation.run("head -c 10485660 /dev/urandom", timeout=900)
        took = time.monotonic() - start
        self.assertEqual((len(result.output), result.conn), (10_485_660, conversation.number))
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1, 120)
        self.check_kept(agent, conversation)
        print(f"\n10 MB at 64 KB/s behind a proxy that takes it at once: arrived after {took:.0f} s,"
              f" proven after {time.monotonic() - start:.0f} s, {self.beats()} heartbeats")

    def test_down(self):
        relay = self.relay(down=SLOW)
        agent = self.linked_agent(relay, heartbeat=None)
        conversation = self.tower.agent
        start = time.monotonic()
        text = ": " + "x" * 10_000_000 + "\necho arrived"
        result = conversation.run(text, timeout=900)
        self.assertEqual(result.output, b"arrived\n")
        self.check_kept(agent, conversation)
        print(f"\n10 MB of text at 64 KB/s, heartbeat 45 s: {time.monotonic() - start:.0f} s")

    def beats(self):
        return self.tower.events.count("ws-message", type="heartbeat")


if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--full"]
    harness.main()
