#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers and proxies that take a connection and then say nothing, or nonsense."""

import socket
import time

import harness
from harness import TIMEOUT, TOKEN, shared_pki
from links import BadProxy
from support import alarms
from test_states import HALF_A_HEAD, Side
from tower import Raw, Reply, Stall, Tower, Upgrade


class SilenceAtEachStep(Side):
    """A server that takes the connection and then says nothing, or too little: a deadline on each
    step ends the attempt, and the next one comes through."""

    NO_ANSWER = "does not answer in time: no complete answer in time"
    SLOW_HEAD = Reply(json={"user": {}}, headers={"X-Pad": "p" * 100}, drip=0.5)
    CASES = {
        "login": ("user", Stall(), NO_ANSWER),
        "login, byte by byte": ("user", SLOW_HEAD, NO_ANSWER),
        "login, a second head": ("user", Raw(HALF_A_HEAD, then="stall"), NO_ANSWER),
        "upgrade": ("connect", Stall(), NO_ANSWER),
        "upgrade, byte by byte": ("connect", Upgrade(drip=0.5), NO_ANSWER),
        "after the upgrade": ("connect", Upgrade(converse=False), "the connection is dead"),
    }

    def test_each(self):
        hung = socket.create_server(("127.0.0.1", 0))  # TCP is up, and no byte of TLS ever comes
        self.addCleanup(hung.close)
        no_tls = self.start_agent(url=f"https://localhost:{hung.getsockname()[1]}/api")
        running = {name: (*self.pair(step, answer, args=("--heartbeat", "2s")), words)
                   for name, (step, answer, words) in self.CASES.items()}
        for name, (tower, agent, words) in running.items():
            with self.subTest(name):
                self.recovers(tower, agent, words)
        no_tls.wait_log("the TLS handshake is not complete in time")

    def test_close_frame_and_then_nothing(self):
        """Tower closes the WebSocket and leaves TCP open: two seconds, then a new connection."""
        agent = self.online_agent()
        first = self.tower.agent
        first.go_silent()
        first.close(1012, "restart")
        start = time.monotonic()
        agent.wait_log(r"Tower closed the connection \(code 1012, restart\)")
        self.assertLess(time.monotonic() - start, 40, "the heartbeats' limit is 90 s")
        first.drop()  # Tower would hold the place
        self.tower.wait_online(TIMEOUT, newer_than=first)


class Proxies(Side):
    def test_each_failure_and_back(self):
        """Side by side; the proxy that hangs takes its 10 s."""
        cases = {"end": "the proxy gives no connection",
                 "503 Service Unavailable": "the proxy refused: 503",
                 "407 Proxy Authentication Required": "the proxy refused: 407",
                 "302 Found": "the proxy refused: 302",
                 "hang": "opened no tunnel within 10000 ms"}
        running = []
        for manner, words in cases.items():
            tower = Tower(shared_pki(), token=TOKEN).start()
            self.addCleanup(tower.stop)
            proxy = BadProxy(tower.port)
            self.addCleanup(proxy.stop)
            proxy.manner = manner
            running.append((manner, words, tower, proxy,
                            self.start_agent(url=tower.url, args=("--proxy", proxy.url))))
        for manner, words, tower, proxy, agent in running:
            with self.subTest(manner):
                agent.wait_log(words)
                self.assertEqual(tower.events.list("tcp-accept"), [], "never around the proxy")
                proxy.manner = "work"
        for manner, _, tower, proxy, agent in running:
            with self.subTest(manner + ", and back"):
                tower.wait_online(60)
                self.assertEqual(tower.run("echo on").output, b"on\n")
                self.assertGreaterEqual(proxy.asked.count("work"), 3)
                self.assertEqual(len(alarms(agent.log, "core")), 1, agent.log)


if __name__ == "__main__":
    harness.main()
