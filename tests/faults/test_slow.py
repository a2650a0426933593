#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server that sends one byte a second."""

import json

from faults import FaultCase, main, say
from harness import TIMEOUT
from support import alarms
from tower import Raw, frames

BYTE_SECONDS = 1.0


class Slow(FaultCase):
    def test_a_request_that_arrives_over_a_minute(self):
        agent = self.online_agent()
        conversation = self.tower.agent
        conversation.heartbeat_replies = False  # one would fall into the frame
        request = frames.text(json.dumps({"@type": "command-request", "id": "slow",
                                          "command": "echo slow"}))
        self.assertGreater(len(request) * BYTE_SECONDS, 55)
        mark = self.tower.mark()
        conversation.send_slowly(request, BYTE_SECONDS)
        conversation.heartbeat_replies = True
        result = self.tower.wait_result("slow", TIMEOUT)
        self.assertEqual((result.output, result.exit_status), (b"slow\n", 0))
        self.assertFalse(conversation.ended)
        self.assertTrue(self.tower.events.list("ws-message", mark, type="heartbeat"),
                        "no heartbeat meanwhile")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        say(f"a request of {len(request)} bytes, one in {BYTE_SECONDS} s")
        self.assertEqual(alarms(agent.log, "core"), [])

    def test_an_answer_that_drips_has_a_deadline(self):
        """For each of the three requests: no agent hangs on a server that never ends its answer."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: " + b"s" * 100
        agents = []
        for step in ("service-info", "user", "connect"):
            tower = self.another_tower()
            tower.on(step, Raw(head, drip=BYTE_SECONDS), times=1)
            agents.append((step, tower, self.start_agent(url=tower.url, connection_id=step)))
        for step, tower, agent in agents:
            with self.subTest(step):
                asked = tower.wait_event("http-request", TIMEOUT, step=step)
                ended = tower.wait_event("tcp-closed", TIMEOUT, conn=asked.conn)
                self.assertGreater(ended.t - asked.t, 5, "a slow answer gets its time")
                self.assertLess(ended.t - asked.t, 80, "all of it would take twice as long")
                agent.wait_log("does not answer in time")
                tower.wait_online(TIMEOUT)
                self.assertEqual(tower.run("echo on").output, b"on\n")


if __name__ == "__main__":
    main()
