#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Start-up and the conversation with Tower: requests, info, heartbeats, frames, connection IDs."""

import base64
import json
import os
import re
import subprocess

import harness
from harness import PROGRAM, TIMEOUT, TOKEN, TowerCase, modes
from support import read_status, status_file
from tower import Upgrade, frames

EXPECTED_UPGRADE = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13"}


def values(request, name):
    return [value for key, value in request.headers if key.lower() == name.lower()]


class StartUp(TowerCase):
    @modes()
    def test_requests(self):
        self.online_agent()
        requests = self.tower.requests()
        self.assertEqual([(request.method, request.path) for request in requests],
                         [("GET", "/api/service-info"), ("GET", "/api/user"),
                          ("GET", "/api/agent/lab/connect")])
        self.assertEqual([request.token for request in requests], [None, TOKEN, TOKEN])
        self.assertEqual(len({request.conn for request in requests}), 3, "one connection for each")
        for request in requests:
            self.assertEqual(values(request, "Host"), [f"localhost:{self.tower.port}"])
            self.assertEqual(request.head.count(TOKEN.encode()), 0 if request.token is None else 1)
            names = [key.lower() for key, _ in request.headers]
            self.assertEqual(len(names), len(set(names)), names)
            for unwanted in ("cookie", "content-length", "transfer-encoding", "expect",
                             "sec-websocket-extensions", "sec-websocket-protocol"):
                self.assertNotIn(unwanted, names)
        for name, value in EXPECTED_UPGRADE.items():
            self.assertEqual([text.lower() for text in values(requests[2], name)], [value])
        for event in self.tower.events.list("tls-ok"):
            self.assertEqual((event.sni, event.alpn), ("localhost", "http/1.1"))

    def test_key_is_fresh(self):
        self.online_agent()
        first = self.tower.agent
        first.drop("fin")
        self.tower.wait_online(TIMEOUT, newer_than=first)
        keys = [values(request, "Sec-WebSocket-Key")[0]
                for request in self.tower.requests("connect")]
        self.assertEqual(len(set(keys)), 2)
        for key in keys:
            self.assertEqual(len(base64.b64decode(key, validate=True)), 16)

    def test_reconnect_is_the_upgrade_alone(self):
        self.online_agent()
        first, mark = self.tower.agent, self.tower.mark()
        first.drop("rst")
        self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertEqual([request.step for request in self.tower.requests(after=mark)],
                         ["connect"])

    @modes()
    def test_info(self):
        agent = self.online_agent(work_dir="./../home//.")
        info = self.tower.agent.info
        self.assertEqual(info["userName"], agent.user)
        self.assertEqual(info["workDir"], agent.home)
        self.assertEqual(set(info), {"@type", "userName", "workDir", "agentVersion"})
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True,
                                 check=True).stdout
        self.assertIn(info["agentVersion"], version)
        self.assertRegex(info["agentVersion"], r"^\d+\.\d+\.\d+")

    def test_user_name_can_be_set(self):
        self.online_agent(config={"user_name": "Jürgen \"J\" \\ Ärger"})
        self.assertEqual(self.tower.agent.info["userName"], "Jürgen \"J\" \\ Ärger")

    def test_url_may_end_in_a_slash(self):
        self.online_agent(url=self.tower.url + "/")
        self.assertEqual([request.path for request in self.tower.requests()],
                         ["/api/service-info", "/api/user", "/api/agent/lab/connect"])

    def test_command_in_the_same_segment_as_the_upgrade(self):
        command = json.dumps({"@type": "command-request", "id": "early", "command": "echo early"})
        self.tower.on("connect", Upgrade(trailing=frames.text(command)), times=1)
        self.online_agent()
        self.assertEqual(self.tower.wait_result("early", TIMEOUT).output, b"early\n")


class Heartbeats(TowerCase):
    def beats(self):
        return self.tower.events.list("ws-message", type="heartbeat")

    def interval_of(self, count):
        self.tower.events.wait_until(lambda: len(self.beats()) >= count, TIMEOUT, "heartbeats")
        times = [event.t for event in self.beats()[:count]]
        return (times[-1] - times[0]) / (count - 1)

    def test_option(self):
        """A late look at the first one makes the average less, one at the last one more."""
        self.online_agent(args=("--heartbeat", "500ms"))
        average = self.interval_of(9)
        self.assertGreater(average, 0.25)
        self.assertLess(average, 5)  # the default is 45 s
        self.assertEqual(self.tower.events.count("ws-bad-message"), 0)

    def test_variable(self):
        self.online_agent(env={"TOWER_AGENT_HEARTBEAT": "PT2S"})
        average = self.interval_of(3)
        self.assertGreater(average, 1)
        self.assertLess(average, 10)

    def test_option_comes_before_the_variable(self):
        self.online_agent(args=("--heartbeat=200ms",), env={"TOWER_AGENT_HEARTBEAT": "60"})
        self.assertLess(self.interval_of(3), 20)

    def test_late_and_unasked_replies(self):
        self.tower.heartbeat_delay = 0.1
        agent = self.online_agent(args=("--heartbeat", "1s"))
        conversation = self.tower.agent
        for _ in range(20):
            conversation.send_json({"@type": "heartbeat"})
        self.interval_of(4)
        self.assertIs(self.tower.agent, conversation)
        self.assertEqual(conversation.run("echo on").output, b"on\n")
        self.assertNotIn("dead", agent.log)


class Frames(TowerCase):
    def test_pings_are_answered(self):
        self.online_agent()
        for payload in (b"", b"hello", bytes(range(125))):
            self.tower.agent.ping(payload)
            self.tower.wait_event("ws-pong", payload=payload)
        self.tower.agent.send_raw(frames.pong(b"unasked"))
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def request(self, id, text):
        return json.dumps({"@type": "command-request", "id": id, "command": text},
                          ensure_ascii=False)

    def test_fragments(self):
        self.online_agent()
        conversation = self.tower.agent
        conversation.heartbeat_replies = False  # none may fall into a fragmented message
        text = self.request("x", "printf '%s' 'Zürich — ✓ 😀'")
        for size, between in ((1, b""), (1, frames.ping(b"p")), (7, frames.pong(b"q")),
                              (1000, frames.ping(b"r"))):
            id = f"{size} {len(between)}"
            message = text.replace('"x"', json.dumps(id))
            conversation.send_raw(frames.fragments(message, size, between=between))
            result = self.tower.wait_result(id, TIMEOUT)
            self.assertEqual(result.output.decode(), "Zürich — ✓ 😀")
        self.assertGreater(self.tower.events.count("ws-pong", payload=b"p"), 50)

    def test_empty_fragments(self):
        self.online_agent()
        message = self.request("e", "echo e").encode()
        empty = frames.frame(frames.CONTINUATION, b"", fin=False)
        self.tower.agent.send_raw(frames.text(b"", fin=False) + empty * 3
                                  + frames.frame(frames.CONTINUATION, message, fin=False)
                                  + empty + frames.frame(frames.CONTINUATION, b""))
        self.assertEqual(self.tower.wait_result("e", TIMEOUT).output, b"e\n")

    def test_one_byte_a_record(self):
        self.online_agent()
        self.tower.agent.send_slowly(frames.text(self.request("slow", "echo slow")), 0.001)
        self.assertEqual(self.tower.wait_result("slow", TIMEOUT).output, b"slow\n")

    def test_any_right_json(self):
        self.online_agent()
        wanted = {
            "escapes": r'{"\u0040type":"command-request","id":"\u0065scapes",'
                       r'"command":"printf %s \"\u00e9\ud83d\ude00\/\""}',
            "order": ' {\n"command" : "printf %s \\"é😀/\\"",\t"id":"order"\r,'
                     '"@type":"command-request"} ',
            "more": '{"more":{"a":[1,2.5e3,null,true,{"b":"c"}]},"@type":"command-request",'
                    '"id":"more","command":"printf %s \\"é😀/\\"","workspace":-7}',
        }
        for id, text in wanted.items():
            self.tower.agent.send_text(text)
            result = self.tower.wait_result(id, TIMEOUT)
            self.assertEqual((result.output.decode(), result.exit_status), ("é😀/", 0), id)

    def test_tower_closes_and_is_answered(self):
        self.online_agent()
        conversation = self.tower.agent
        conversation.close(1001, "maintenance")
        self.tower.wait_event("ws-close-received", conn=conversation.number, code=1001)
        self.tower.wait_online(TIMEOUT, newer_than=conversation)


class ConnectionIds(TowerCase):
    IDS = (".", "..", "a/b", "../../x", "two words", "Zürich ✓ 😀", "x" * 300, "%2F", "ü" * 512,
           "a?b#c&d=e", "-", "3f2b8c52-8a4e-4c51-9a53-55b1f1d1cafe")

    def start(self, connection_id):
        args = ("--",) if connection_id.startswith("-") else ()
        agent = self.start_agent(connection_id=connection_id, args=args)
        self.tower.wait_online(TIMEOUT, connection_id=connection_id)
        return agent

    def test_request_and_state(self):
        for connection_id in self.IDS:
            with self.subTest(connection_id[:40]):
                mark = self.tower.mark()
                agent = self.start(connection_id)
                request = self.tower.requests("connect", after=mark)[0]
                self.assertEqual(request.connection_id, connection_id)
                self.assertRegex(request.path, r"^/api/agent/[A-Za-z0-9._~%-]+/connect$")
                self.assertNotIn("/./", request.path)
                self.assertNotIn("/../", request.path)
                self.assertEqual(read_status(agent)["connectionId"], connection_id)
                self.check_files(agent)
                agent.terminate()
                self.assertEqual(agent.wait(), 0)

    def check_files(self, agent):
        path = status_file(agent)
        self.assertTrue(os.path.realpath(path).startswith(agent.state_dir + os.sep), path)
        self.assertNotEqual(os.path.dirname(path), agent.state_dir, "keyed by connection ID")
        self.assertTrue(all(len(part) <= 255 for part in path.split(os.sep)), path)
        self.assertRegex(os.path.relpath(path, agent.state_dir), re.compile(r"^[!-~]+$"))
        self.assertEqual(sorted(os.listdir(agent.directory)),
                         ["home", "state", "stderr", "token", "work"])
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_two_on_one_host(self):
        first = self.start("one")
        second = self.start_agent(connection_id="two", state_dir=first.state_dir)
        self.tower.wait_online(TIMEOUT, connection_id="two")
        self.assertTrue(first.popen.poll() is None and second.popen.poll() is None)
        self.assertIsNotNone(self.tower.wait_online(connection_id="one"))


if __name__ == "__main__":
    harness.main()
