#!/usr/bin/python3
"""The Tower simulator and the harness, tested by themselves, so that later failures can be
trusted to be the agent's."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import types
import unittest

import harness
from harness import ROOT, TOKEN, Agent, TowerCase, shared_pki
from tower import (Delay, Drip, Drop, Raw, Reply, Stall, Tower, Upgrade, endless_headers, error,
                   frames, header_flood, interim_flood, redirect)
from tower.client import Client


class Basics(TowerCase):
    def test_requests_and_their_record(self):
        with Client(self.tower) as client:
            status, body = client.get("/api/service-info", token="any")
            self.assertEqual((status, json.loads(body)["serviceInfo"]["apiVersion"]),
                             (200, "1.198.0"))
            self.assertEqual(client.get("/api/user")[0], 200)
            self.assertEqual(client.get("/api/user", token="wrong"),
                             (401, b'{"message": "Unauthorized"}'))
            self.assertEqual(client.get("/nowhere")[0], 404)
        tls = self.tower.wait_event("tls-ok")
        self.assertEqual((tls.version, tls.alpn, tls.sni), ("TLSv1.3", "http/1.1", "localhost"))
        request = self.tower.requests("user")[0]
        self.assertEqual((request.method, request.path, request.token),
                         ("GET", "/api/user", TOKEN))
        self.assertIn(("Host", "localhost"), request.headers)
        self.assertTrue(request.head.endswith(b"\r\n\r\n"))
        self.tower.wait_event("tcp-eof")
        self.tower.wait_event("tcp-closed", how="tls")

    def test_tls_versions_and_certificates(self):
        self.tower.configure_tls(tls="1.2")
        with Client(self.tower) as client:
            self.assertEqual(client.sock.version(), "TLSv1.2")
        with self.assertRaises(ssl.SSLError):
            Client(self.tower, version=ssl.TLSVersion.TLSv1_3)
        self.tower.configure_tls(tls="1.3")
        pki = shared_pki()
        bad = {"expired": pki.expired(), "not yet valid": pki.not_yet_valid(),
               "mismatch": pki.other_host(), "issuer": pki.other_ca()}
        for reason, identity in bad.items():
            self.tower.configure_tls(identity=identity)
            mark = self.tower.mark()
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, reason):
                Client(self.tower)
            self.tower.wait_event("tls-failed", after=mark)
        for identity in (pki.rsa(), pki.server()):
            self.tower.configure_tls(identity=identity)
            Client(self.tower).sock.close()
        self.assertRegex(pki.spki_sha256(pki.server()), "^[0-9a-f]{64}$")

    def test_ipv6_plain_and_second_port(self):
        with Tower(shared_pki(), ipv6=True) as second, Tower(None, plain=True) as plain:
            self.assertNotEqual(second.port, self.tower.port)
            with Client(second, host="::1") as client:
                self.assertEqual(client.get("/api/service-info")[0], 200)
            with Client(plain, tls=False) as client:
                self.assertEqual(client.get("/api/service-info")[0], 200)

    def test_stops_and_starts_listening(self):
        self.tower.stop_listening()
        with self.assertRaises(ConnectionRefusedError):
            Client(self.tower)
        self.tower.start_listening()
        Client(self.tower).sock.close()

    def test_routes(self):
        self.tower.routes["GET", "/user-info"] = lambda request: Reply(json={"q": request.query})
        with Client(self.tower) as client:
            self.assertEqual(client.get("/api/user-info?a=b"), (200, b'{"q": "a=b"}'))


class Answers(TowerCase):
    def reply(self, answer, step="user", path="/api/user"):
        """What comes for one request, until the end of the connection or 2 MB."""
        self.tower.on(step, answer, times=1)
        received = b""
        with Client(self.tower) as client, contextlib.suppress(ssl.SSLError):
            client.request(path)
            while len(received) < 2_000_000 and (data := client.sock.recv(65536)):
                received += data
        return received

    def test_once_twice_and_always(self):
        self.tower.on("user", error(500, "always"))
        self.tower.on("user", error(502, "once"), times=1)
        self.tower.on("any", error(418, "tea"), times=1)
        self.tower.on("connect", lambda request: error(403, request.connection_id))
        with Client(self.tower) as client:
            statuses = [client.get("/api/user")[0] for _ in range(3)]
            self.assertEqual(statuses, [502, 500, 500])
            self.tower.clear("user")
            self.assertEqual(client.get("/api/user")[0], 418)
            self.assertEqual(client.get("/api/user")[0], 200)
            self.assertEqual(client.get("/api/agent/a%2Fb%20%C3%A9/connect")[1],
                             b'{"message": "a/b \\u00e9"}')

    def test_statuses_headers_and_bodies(self):
        reply = self.reply(error(503, "busy", headers={"Retry-After": "3"}, then="tls"))
        self.assertIn(b"HTTP/1.1 503 Service Unavailable\r\n", reply)
        self.assertIn(b"Retry-After: 3\r\n", reply)
        reply = self.reply(redirect(307, "https://localhost:1/x", then="fin"))
        self.assertIn(b"307 Temporary Redirect\r\n", reply)
        self.assertIn(b"Location: https://localhost:1/x\r\n", reply)
        reply = self.reply(Reply(body=[b"abc", b"defg"], chunked=True, then="tls"))
        self.assertTrue(reply.endswith(b"\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"))
        reply = self.reply(Reply(body=b"xyz", length=False, then="tls"))
        self.assertNotIn(b"Content-Length", reply)
        self.assertTrue(reply.endswith(b"\r\n\r\nxyz"))

    def test_raw_replies(self):
        self.assertEqual(self.reply(Raw(b"<html>0.9")), b"<html>0.9")
        self.assertEqual(self.reply(Raw(header_flood(500))).count(b"X-Flood"), 500)
        self.assertGreater(self.reply(Raw(endless_headers)).count(b"X-Endless"), 10_000)
        self.assertGreater(self.reply(Raw(lambda: interim_flood(100))).count(b" 100 "), 10_000)
        self.tower.wait_event("tcp-reset")
        self.assertTrue(self.reply(Raw(b"HTTP/1.1 200 OK\r\n\r\n"), step="open")
                        .startswith(b"HTTP/1.1 200"))

    def test_wrong_upgrades(self):
        for answer, line in (
                (Upgrade(accept="d3Jvbmc="), "Sec-WebSocket-Accept: d3Jvbmc="),
                (Upgrade(headers={"Sec-WebSocket-Protocol": "chat"}),
                 "Sec-WebSocket-Protocol: chat"),
                (Upgrade(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}),
                 "Sec-WebSocket-Extensions: permessage-deflate"),
                (Upgrade(headers={"Upgrade": None, "Connection": "close"}), "Connection: close")):
            self.tower.on("connect", answer, times=1)
            with Client(self.tower) as client:
                self.assertIn(line, client.upgrade().split("\r\n"))
        with Client(self.tower) as client:
            self.assertEqual(client.get("/api/agent/x/connect")[0], 400)

    def test_stalls_delays_and_drips(self):
        for step in ("tls", "user"):
            self.tower.on(step, Stall(), times=1)
            with Client(self.tower, tls=step != "tls") as client:
                client.sock.settimeout(0.1)
                if step == "user":
                    client.request("/api/user")
                with self.assertRaises(TimeoutError):
                    client.sock.recv(1)
        self.tower.wait_for(lambda event: event.kind == "tcp-eof" and event.conn == 2)
        self.tower.on("tls", Drip(0.0001), times=1)
        self.tower.on("user", Delay(0.1), times=1)
        self.tower.on("user", Reply(json={}, drip=0.001), times=1)
        with Client(self.tower) as client:
            start = time.monotonic()
            self.assertEqual(client.get("/api/user")[0], 200)
            self.assertGreater(time.monotonic() - start, 0.1)
            start = time.monotonic()
            client.get("/api/user")
            self.assertGreater(time.monotonic() - start, 0.07)

    def test_ends_at_each_step(self):
        self.tower.on("tls", Drop("rst"), times=1)
        # The reset may come before connect() has returned.
        with contextlib.suppress(ConnectionResetError), Client(self.tower, tls=False) as client:
            self.assertEqual(client.end(), "rst")
        self.tower.wait_event("tcp-closed", how="rst")
        self.tower.on("tls", Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), times=1)
        with self.assertRaises(ssl.SSLError):
            Client(self.tower)
        for step in ("open", "user"):
            for how in ("rst", "fin", "tls"):
                self.tower.on(step, Drop(how), times=1)
                with Client(self.tower) as client:
                    if step == "user":
                        client.request("/api/user")
                    self.assertEqual(client.end(), how)


class Conversations(TowerCase):
    def connected(self, **options):
        before = self.tower.agent
        client = Client(self.tower)
        self.addCleanup(client.sock.close)
        client.upgrade(**options)
        return client, self.tower.wait_online(newer_than=before)

    def test_info_heartbeats_and_results(self):
        client, agent = self.connected(connection_id="a%2Fb")
        self.assertEqual((agent.info["userName"], agent.connection_id), ("u", "a/b"))
        client.send({"@type": "heartbeat"})
        self.assertEqual(client.message(), {"@type": "heartbeat"})
        agent.heartbeat_delay = 0.05
        client.send({"@type": "heartbeat"})
        self.assertEqual(client.message(), {"@type": "heartbeat"})
        agent.heartbeat_replies = False
        client.send({"@type": "heartbeat"})
        id = self.tower.send_command("printf x")
        self.assertEqual(client.message(),
                         {"@type": "command-request", "id": id, "command": "printf x"})
        binary = bytes(range(256)) * 5000
        client.respond(id, binary, 3)
        result = self.tower.wait_result(id)
        self.assertEqual((result.output, result.exit_status), (binary, 3))
        self.assertGreater(result.seconds, 0)
        client.send({"@type": "command-response", "id": id, "exitStatus": 0})
        self.assertEqual(self.tower.wait_result(id, count=2).output, b"")
        self.assertEqual(self.tower.events.count("ws-message", type="heartbeat"), 3)

    def test_run_and_redelivery(self):
        client, agent = self.connected()
        answers = threading.Thread(target=lambda: [
            client.respond(message["id"], message["command"].encode())
            for message in (client.message() for _ in range(3))])
        answers.start()
        self.assertEqual(agent.run("one").output, b"one")
        self.assertEqual(self.tower.run("two", id="same").output, b"two")
        self.assertEqual(self.tower.run("three", id="same").output, b"three")
        answers.join()
        self.assertEqual(len(self.tower.results("same")), 2)
        with self.assertRaisesRegex(TimeoutError, "latest events"):
            self.tower.wait_result("other", timeout=0.01)

    def test_closes(self):
        for code, reason in ((4000, "held"), (4001, "again"), (1000, ""), (1011, "oops")):
            client, agent = self.connected()
            agent.close(code, reason)
            self.assertEqual(client.closed_with(), code)
            self.tower.wait_event("ws-close-received", conn=agent.number, code=code)
            self.tower.wait_event("ws-end", conn=agent.number, clean=True)
            self.assertEqual(client.sock.recv(1), b"")
        client, agent = self.connected()
        client.sock.sendall(frames.close(1001, "bye", mask=b"abcd"))
        self.assertEqual(client.closed_with(), 1001)
        self.tower.wait_event("ws-close-received", code=1001, reason="bye")
        self.tower.wait_offline()

    def test_drops(self):
        for how in ("rst", "fin", "tls"):
            client, agent = self.connected()
            dropper = threading.Thread(target=agent.drop, args=[how])
            dropper.start()
            self.assertEqual(client.end(), how)
            client.sock.close()
            dropper.join()
            self.tower.wait_event("tcp-closed", conn=agent.number, how=how)
            self.tower.wait_event("ws-end", conn=agent.number, clean=False)

    def test_duplicates_are_refused(self):
        self.connected()
        with Client(self.tower) as second:
            second.upgrade()
            self.assertEqual(second.closed_with(), 4000)
        self.connected(connection_id="another")
        self.tower.refuse_duplicates = False
        self.connected()

    def test_a_dead_session_is_held(self):
        self.tower.hold_dead = 3600
        _, agent = self.connected()
        agent.drop()
        with Client(self.tower) as early:
            early.upgrade()
            self.assertEqual(early.closed_with(), 4000)
        self.tower.hold_dead = 0.1
        _, agent = self.connected(connection_id="another")
        agent.drop()
        self.tower.wait_event("ws-end", conn=agent.number)
        threading.Event().wait(0.1)
        client, agent = self.connected(connection_id="another")
        self.tower.hold_dead = 3600
        agent.close()
        client.closed_with()
        self.tower.wait_event("ws-end", conn=agent.number)
        self.connected(connection_id="another")

    def test_silence_and_slow_reading(self):
        self.tower.receive_buffer = 4096
        client, agent = self.connected()
        start = time.monotonic()
        agent.go_silent(0.2)
        client.send({"@type": "heartbeat"})
        client.message()
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        agent.throttle(200_000)
        start = time.monotonic()
        client.respond("x", b"y" * 75_000)
        self.assertEqual(len(self.tower.wait_result("x").output), 75_000)
        self.assertGreater(time.monotonic() - start, 0.3)
        agent.throttle(None)
        agent.go_silent()
        client.sock.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            client.sock.sendall(frames.text(b"z" * 30_000_000, mask=b"abcd"))

    def test_bad_frames_and_messages(self):
        client, agent = self.connected()
        agent.heartbeat_replies = False
        agent.send_text("{")
        self.assertEqual(client.frame().payload, b"{")
        agent.send_json({"@type": "unknown", "id": 5})
        self.assertEqual(client.message()["@type"], "unknown")
        agent.send_text("[" * 1000)
        self.assertEqual(len(client.frame().payload), 1000)
        agent.send_raw(frames.binary(b"\0\1"))
        self.assertEqual(client.frame()[:2], (frames.BINARY, b"\0\1"))
        agent.send_raw(frames.fragments("héllo", 1, between=frames.ping(b"p")))
        pieces = [client.frame() for _ in range(11)]
        self.assertEqual(b"".join(piece.payload for piece in pieces[::2]), "héllo".encode())
        self.assertEqual({piece.opcode for piece in pieces[1::2]}, {frames.PING})
        big = b'"' + b"a" * 30_000_000 + b'"'
        sender = threading.Thread(target=agent.send_raw, args=[frames.text(big)])
        sender.start()
        self.assertEqual(len(client.frame().payload), len(big))
        sender.join()
        agent.send_slowly(frames.text("slow"), 0.01)
        self.assertEqual(client.frame().payload, b"slow")
        agent.ping(b"hello")
        client.sock.sendall(frames.pong(client.frame().payload, mask=b"abcd"))
        self.tower.wait_event("ws-pong", payload=b"hello")
        for wrong in (frames.text("x", mask=b"1234"), frames.text("x", rsv=4),
                      frames.text("x", form=64), frames.frame(3), frames.ping(b"x", fin=False)):
            agent.send_raw(wrong)
            with self.assertRaises(frames.Violation):
                client.frame()
            client.reader = frames.Reader(expect_masked=False)

    def test_floods_end_with_the_peer(self):
        for blocks in (frames.endless_fragments(), frames.flood(frames.ping(b"x"))):
            client, agent = self.connected()
            sent = []
            sender = threading.Thread(target=lambda a=agent, b=blocks: sent.append(a.send_raw(b)))
            sender.start()
            for _ in range(10_000):
                client.frame()
            client.sock.close()
            sender.join(harness.TIMEOUT)
            self.assertGreater(sent[0], 10_000)
            self.tower.wait_offline()
        _, agent = self.connected()
        with self.assertRaises(TimeoutError):
            agent.send_raw(frames.flood(frames.ping()), timeout=0.2)

    def test_violations_of_the_agent_are_noticed(self):
        client, _ = self.connected()
        client.send({"@type": "command-response", "id": 5, "exitStatus": 0})
        client.send({"@type": "command-response", "id": "5", "exitStatus": 0, "result": "%"})
        client.sock.sendall(frames.text("nonsense", mask=b"abcd"))
        client.sock.sendall(frames.ping(b"q", mask=b"abcd"))
        self.assertEqual(client.frame().opcode, frames.PONG)
        self.assertEqual(self.tower.events.count("ws-bad-message"), 3)
        client.sock.sendall(frames.text("{}"))
        self.assertEqual(client.closed_with(), 1002)
        self.tower.wait_event("ws-violation", reason="frame is not masked")

    def test_garbage_below_tls(self):
        client, agent = self.connected()
        agent.send_tcp(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with self.assertRaises(ssl.SSLError):
            client.frame()

    def test_the_log_can_be_bounded(self):
        with Tower(shared_pki(), token=TOKEN, keep_events=10) as tower, Client(tower) as client:
            for _ in range(30):
                client.get("/api/user")
            self.assertLessEqual(len(tower.events.list()), 20)
            mark = tower.mark()
            self.assertGreater(mark, 60)
            client.get("/api/service-info")
            tower.wait_event("http-request", step="service-info", after=mark)


class Program(unittest.TestCase):
    def start(self, *arguments):
        program = os.path.join(ROOT, "tests", "tower", "tower.py")
        child = subprocess.Popen([sys.executable, program, *arguments], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(child.wait, harness.TIMEOUT)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stdin.close)
        ready = json.loads(child.stdout.readline())
        with open(ready["token_file"], encoding="ascii") as file:
            ready["token"] = file.read().strip()
        where = types.SimpleNamespace(**ready)
        client = Client(where)
        self.addCleanup(client.sock.close)
        client.upgrade()
        return child, client

    def ask(self, child, **line):
        child.stdin.write(json.dumps(line) + "\n")
        child.stdin.flush()

    def answer(self, child):
        return json.loads(child.stdout.readline())

    def test_json_lines(self):
        child, client = self.start()
        self.ask(child, op="wait_online")
        self.assertEqual(self.answer(child)["connection_id"], "lab")
        self.ask(child, op="run", command="id")
        client.respond(client.message()["id"], b"uid=0\n", 7)
        result = self.answer(child)
        self.assertEqual((result["ok"], result["output"], result["exit_status"]),
                         (True, "uid=0\n", 7))
        self.ask(child, op="answer", step="user", status=503, times=1)
        self.assertTrue(self.answer(child)["ok"])
        self.ask(child, op="set", name="hold_dead", value=2)
        self.assertTrue(self.answer(child)["ok"])
        self.ask(child, op="nonsense")
        self.assertFalse(self.answer(child)["ok"])
        self.ask(child, op="events", kind="ws-open")
        self.assertEqual(len(self.answer(child)["events"]), 1)
        self.ask(child, op="close", code=4001)
        self.answer(child)
        self.assertEqual(client.closed_with(), 4001)
        self.ask(child, op="wait_offline")
        self.answer(child)
        self.ask(child, op="drop")
        self.assertEqual(self.answer(child)["ok"], False)
        self.ask(child, op="stop")
        self.assertTrue(self.answer(child)["ok"])
        self.assertEqual(child.wait(harness.TIMEOUT), 0)

    def test_shell(self):
        child, client = self.start("--shell")
        child.stdin.write("echo hi\n")
        child.stdin.flush()
        message = client.message()
        self.assertEqual(message["command"], "echo hi")
        client.respond(message["id"], b"hi")
        self.assertEqual(child.stdout.readline(), "hi\n")
        self.assertRegex(child.stdout.readline(), r"^\[exit 0, ")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)


class Harness(TowerCase):
    """The Agent class, with a shell script in the agent's place."""

    @harness.modes()
    def test_agent_life(self):
        agent = self.fake("echo started as $(id -un) >&2; sleep 300 & trap 'exit 3' TERM; "
                          "until grep -qx sleep /proc/$!/comm; do :; done; echo ready >&2; wait")
        expected = "root" if self.mode == "system" else harness.own_user()
        self.assertEqual(agent.wait_log(r"started as (\S+)")[1], expected)
        agent.wait_log("ready")
        until = time.monotonic() + harness.TIMEOUT
        tree = agent.processes()
        while [process.comm for process in tree][1:] != ["sleep"]:
            self.assertLess(time.monotonic(), until, tree)
            time.sleep(0.01)  # its child is a shell still
            tree = agent.processes()
        self.assertEqual(tree[1].ppid, agent.pid)
        with self.assertRaises(AssertionError):
            agent.wait_log("never", timeout=0.01)
        agent.terminate()
        self.assertEqual(agent.popen.wait(harness.TIMEOUT), 3)
        self.assertEqual([process.comm for process in agent.children_left(0.1)], ["sleep"])
        os.kill(tree[1].pid, signal.SIGKILL)
        self.assertEqual(agent.children_left(), [])

    @harness.modes()
    def test_tokens_reach_the_agent(self):
        ways = {"file": "--token-file) read T < $2", "fd": "--token-fd) read T <&$2",
                "arg": "-t) T=$2", "env": "*) T=$TOWER_ACCESS_TOKEN"}
        for way, case in ways.items():
            agent = self.fake("while [ $# -gt 1 ]; do case $1 in --[urwsc]*) ;; "
                              f'{case};; esac; shift 2; done; test "$T$1" = {TOKEN}lab',
                              token_by=way, args=("--log-level", "info"))
            self.assertEqual(agent.wait(), 0, f"{way}: {agent.command}")

    def fake(self, script, **options):
        path = os.path.join("/tmp", f"fake-agent-{os.getpid()}-{self.mode}")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + script + "\n")
        os.chmod(path, 0o755)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        agent = Agent(self.mode, url=self.tower.url, program=path, **options)
        self.addCleanup(agent.finish)
        return agent


if __name__ == "__main__":
    harness.main()
