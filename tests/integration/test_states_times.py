#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long it takes: to reconnect after 4001, to take over from another agent, to come back with
a new token. One test, since the first needs sessions that lasted a minute.

--full takes 12 samples of each instead of a few (it starts 12 agents side by side).
"""

import os
import signal
import statistics
import sys
import time

import harness
from harness import TIMEOUT, TOKEN, TowerCase, shared_pki
from support import wait_status
from tower import Tower

FULL = "--full" in sys.argv
LASTED = 60  # seconds; a shorter session is taken for a sign of trouble


def report(what, times):
    print(f"\n{what}: median {statistics.median(times) * 1000:.0f} ms, {min(times) * 1000:.0f} to "
          f"{max(times) * 1000:.0f} ms (n = {len(times)})")


class Times(TowerCase):
    def tower_of_its_own(self):
        tower = Tower(shared_pki(), token=TOKEN).start()
        self.addCleanup(tower.stop)
        return tower

    def agents(self, tower, count):
        agents = {}
        for i in range(count):
            name = f"lab{i}"
            agents[name] = self.start_agent(url=tower.url, connection_id=name)
            tower.wait_online(TIMEOUT, name)
        return agents

    def test_all(self):
        lasting = self.agents(self.tower, 12 if FULL else 4)
        start = time.monotonic()
        self.check_new_token()
        self.check_takeover()
        time.sleep(max(0.0, start + LASTED + 1 - time.monotonic()))
        self.check_reauthentication(lasting)

    def check_reauthentication(self, agents):
        times = []
        for name in agents:
            first = self.tower.wait_online(TIMEOUT, name)
            mark = self.tower.mark()
            sent = time.monotonic()
            first.close(4001, "authenticate again")
            info = self.tower.wait_event("ws-message", after=mark, type="info")
            times.append(info.t - sent)
            self.assertGreater(info.conn, first.number)
            # What a wait is, a machine's load does not change; a short one is half a second at least.
            agents[name].wait_log(r"close code 4001\); trying again in 0\.0 s")
        report("4001 to the next info, after a session that lasted", times)

    def check_new_token(self):
        tower = self.tower_of_its_own()
        agents = self.agents(tower, 6)
        times = []
        for number in range(2):
            tower.token = f"tw-test-token-{number}-93c1f2aa71c0"
            before = {name: tower.wait_online(TIMEOUT, name) for name in agents}
            for conversation in before.values():
                conversation.drop()
            for agent in agents.values():
                wait_status(agent, lambda status: status["state"] == "token-refused")
            for name, agent in agents.items():
                agent.write_token(tower.token)
                mark = tower.mark()
                start = time.monotonic()
                agent.signal(signal.SIGHUP)
                info = tower.wait_event("ws-message", after=mark, type="info")
                times.append(info.t - start)
                self.assertEqual(tower.wait_online(TIMEOUT, name).token, tower.token)
        report("new token and SIGHUP to the next info", times)
        self.assertLess(statistics.median(times), 10, "a minute is the wait without SIGHUP")
        for agent in agents.values():
            agent.terminate()

    def check_takeover(self):
        """Pairs of agents with one connection ID; the active ones stop, half of them by kill -9."""
        tower = self.tower_of_its_own()
        count = 12 if FULL else 4
        active = self.agents(tower, count)
        standby = {name: self.start_agent(url=tower.url, connection_id=name) for name in active}
        for agent in standby.values():
            agent.wait_log("standby: another agent with this connection ID")
        times = {"SIGTERM": [], "kill -9": []}
        ended = {}
        for i, (name, agent) in enumerate(active.items()):
            conversation = tower.wait_online(TIMEOUT, name)
            agent.processes()
            ended[name] = (conversation, time.monotonic(), "kill -9" if i % 2 else "SIGTERM")
            if i % 2:
                os.kill(agent.pid, signal.SIGKILL)
            else:
                agent.terminate()
        for name, (conversation, start, how) in ended.items():
            second = tower.wait_online(TIMEOUT, name, newer_than=conversation)
            info = tower.wait_event("ws-message", conn=second.number, type="info")
            times[how].append(info.t - start)
            self.assertEqual(second.run("echo on").output, b"on\n")
        for how, taken in times.items():
            report(f"{how} of the active agent to the info of the other", taken)
            self.assertLess(max(taken), 45, "15 s are the longest wait in standby")
        for agent in standby.values():
            self.assertEqual(agent.log.count("standby: "), 1, "said once, however often it tries")
            agent.terminate()


if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--full"]
    harness.main()
