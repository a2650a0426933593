#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The session's program as it runs: its sandbox, real channels, a TLS server of our own."""

import base64
import json
import os
import socket
import ssl
import struct
import time
import unittest

import case
import play
from case import TOKEN_TEXT, Case
from play import closing, command, frame, upgrade

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
BY_ITSELF = play.PATIENCE / 2  # before the server loses patience and ends the connection
HEARTBEAT = b'{"@type":"heartbeat"}'


def setUpModule():
    global PKI
    PKI = case.set_up()


def answer(status, body=b"", extra=""):
    """A script that gives this HTTP answer and keeps the request's head."""
    def script(peer):
        head = peer.head()
        peer.send(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode()
                  + body)
        peer.drained()
        return head
    return script


class Requests(Case):
    def test_probe(self):
        body = b'{"serviceInfo":{"version":"24.1","apiVersion":"1.198.0","more":{}}}'
        response, _ = self.answered(answer(200, body), "probe", url_path="/api")
        self.assertEqual((response["status"], response["is_tower"], response["api_version"]),
                         (200, 1, "1.198.0"))
        head = self.server.join()
        self.assertEqual(head.split("\r\n")[0], "GET /api/service-info HTTP/1.1")
        self.assertIn(f"Host: localhost:{self.server.port}", head)
        self.assertIn("Connection: close", head)
        self.assertNotIn("Authorization", head)

    def test_probe_of_something_else(self):
        for status, body in ((200, b"<html>"), (404, b""), (200, b"x" * 300000)):
            response, _ = self.answered(answer(status, body), "probe")
            self.assertEqual((response["status"], response["is_tower"]), (status, 0))

    def test_login(self):
        response, _ = self.answered(answer(200, b'{"user":{}}'), "login")
        self.assertEqual(response["status"], 200)
        head = self.server.join()
        self.assertEqual(head.split("\r\n")[0], "GET /user HTTP/1.1")
        self.assertTrue(head.endswith("\r\nAuthorization: Bearer " + TOKEN_TEXT.decode()))

    def test_refused(self):
        body = json.dumps({"message": "bad token\n\x1b[31m é" + "x" * 600}).encode()
        response, _ = self.answered(answer(401, body, "Retry-After: 17\r\n"), "login")
        self.assertEqual((response["status"], response["retry_after_s"]), (401, 17))
        self.assertTrue(response["message"].startswith("bad token[31m éxxx"))
        self.assertLessEqual(len(response["message"].encode()), 512)

    def test_redirect_is_reported(self):
        response, _ = self.answered(answer(302, b"", "Location: https://evil.example/\r\n"),
                                    "login")
        self.assertEqual(response["status"], 302)

    def test_agent_refused(self):
        response, session = self.answered(answer(403, b'{"message":"no"}'), "agent")
        self.assertEqual((response["status"], response["message"]), (403, "no"))
        self.assertEqual(session.wait(), 0)

    def test_answer_in_pieces(self):
        def script(peer):
            peer.head()
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
                peer.send(bytes([byte]))
            peer.drained()
        response, _ = self.answered(script, "login")
        self.assertEqual(response["status"], 200)

    def test_status_holds_without_body(self):
        def script(peer):
            peer.head()
            peer.send(b"HTTP/1.1 503 X\r\nContent-Length: 100\r\nRetry-After: 3\r\n\r\nabc")
        response, _ = self.answered(script, "login")
        self.assertEqual((response["status"], response["retry_after_s"]), (503, 3))

    def test_not_http(self):
        def script(peer):
            peer.head()
            peer.send(b"220 mail.example ESMTP\r\n")
            peer.drained()
        session = self.start(script, "probe")
        session.go()
        self.ends(session, play.HTTP)

    def test_no_answer(self):
        session = self.start(lambda peer: (peer.head(), peer.drained()), "probe", timeout_ms=300)
        session.go()
        self.ends(session, play.TIMEOUT)

    def test_ended_before_go(self):
        session = self.start(lambda peer: None, "login")
        session.expect("session_ready")
        self.ends(session, play.DROPPED)

    def test_bad_upgrades(self):
        def wrong(peer):
            peer.head()
            peer.send(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
            peer.drained()
        extra = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        for script, purpose in ((wrong, "agent"), (wrong, "login"),
                                (lambda peer: (upgrade(peer, extra), peer.drained()), "agent")):
            session = self.start(script, purpose)
            session.go()
            session.give_token(TOKEN_TEXT)
            self.ends(session, play.UPGRADE)


class Verification(Case):
    def refused(self, stage, code=None, **options):
        session = self.start(lambda peer: peer.drained(), "login", **options)
        session.go()
        detail = self.ends(session, stage, code)
        self.assertEqual(session.parent.recv(100), b"", "it asked for the token")
        self.server.join(quietly=True)
        return detail

    def test_certificates(self):
        self.assertIn("expired", self.refused(play.TLS, 10, identity=PKI.expired()))
        self.assertIn("not yet valid", self.refused(play.TLS, 9, identity=PKI.not_yet_valid()))
        self.assertIn("another host", self.refused(play.TLS, 62, identity=PKI.other_host()))
        self.assertIn("issuer", self.refused(play.TLS, 20, identity=PKI.other_ca()))
        self.assertIn("another host", self.refused(play.TLS, 64, identity=PKI.other_host(),
                                                   host="127.0.0.1"))

    def test_addresses(self):
        for host in ("127.0.0.1", "::1", "[::1]", "localhost."):
            response, _ = self.answered(answer(200), "login", host=host)
            self.assertEqual(response["status"], 200)

    def test_old_tls(self):
        self.refused(play.TLS, 0, version=ssl.TLSVersion.TLSv1_1)

    def test_no_tls(self):
        self.refused(play.TLS, 0, raw=lambda s: s.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"))
        self.refused(play.TLS, 0, raw=lambda s: None)

    def test_silent(self):
        detail = self.refused(play.TIMEOUT, raw=lambda s: s.recv(9999) and s.recv(9999),
                              timeout_ms=300)
        self.assertIn("handshake", detail)

    def test_protocol(self):
        response, _ = self.answered(answer(200), "login", alpn=("h2",))
        self.assertEqual(response["status"], 200)  # none in common: none chosen

    def test_pins(self):
        leaf = bytes.fromhex(PKI.spki_sha256(PKI.server()))
        issuer = bytes.fromhex(PKI.spki_sha256(play.Pki.make(PKI, "server")._replace(cert=PKI.ca)))
        for pins in (leaf, bytes(32) + leaf, issuer):
            response, _ = self.answered(answer(200), "login", pins=pins)
            self.assertEqual(response["status"], 200)
        self.refused(play.PIN, pins=bytes(64))

    def test_versions(self):
        for version, number in ((ssl.TLSVersion.TLSv1_2, 0x303), (ssl.TLSVersion.TLSv1_3, 0x304)):
            session = self.start(answer(200), "probe", version=version)
            self.assertEqual(session.expect("session_ready")["tls_version"], number)
            session.go()
            self.assertEqual(session.expect("response")["status"], 200)


class Token(Case):
    def test_bad_tokens(self):
        for token in (b"a b", b"a\r\nX: y", b"\x7f", b"\xc3\xa9", b"x" * 4097, b"a\0"):
            session = self.start(lambda peer: peer.drained(), "login")
            session.go()
            session.give_token(token)
            self.ends(session, play.TOKEN)

    def test_none(self):
        session = self.start(lambda peer: peer.drained(), "login")
        session.go()
        session.parent.recv(100)
        session.parent.close()
        self.ends(session, play.TOKEN)

    def test_parent_silent(self):
        # The handshake has the same time, even on a machine that stops for seconds.
        session = self.start(lambda peer: peer.drained(), "login", timeout_ms=5000)
        session.go()
        session.parent.recv(100)
        self.ends(session, play.TOKEN)

    def test_longest(self):
        token = b"~" * 4096
        session = self.start(answer(200), "login", url_path="/" + "p" * 1023)
        session.go()
        session.give_token(token)
        session.expect("session_ready")
        self.assertEqual(session.expect("response")["status"], 200)
        self.assertIn(token.decode(), self.server.join())

    def test_not_before_go(self):
        session = self.start(lambda peer: peer.drained(), "login")
        session.expect("session_ready")
        session.parent.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            session.parent.recv(100)


class Conversation(Case):
    def test_everything(self):
        def script(peer):
            seen = [peer.frame(), peer.frame()]
            peer.send(frame(TEXT, HEARTBEAT) + frame(PING, b"?"))
            seen.append(peer.frame())
            peer.send(frame(TEXT, command("a\"\u202e", "echo \u00e9\n")))
            seen += [peer.frame(), peer.frame()]
            peer.send(closing(4001, "again é".encode()))
            seen.append(peer.frame())
            return seen
        session = self.online(script)
        session.tell("info", user_name="me", work_dir="/w", agent_version="1.0.0")
        session.tell("heartbeat", unused=0)
        session.expect("heartbeat_reply")
        got = session.expect("command")
        self.assertEqual((got["id"], got["text"]), ("a\"\u202e", "echo \u00e9\n".encode()))
        session.tell("result", id=got["id"], status=7, fd=play.memfd(b"out\n"))
        session.tell("result", id="b", status=0)
        detail = self.ends(session, play.CLOSED, 4001)
        self.assertEqual(detail, "again é")
        seen = [(op, json.loads(data) if op == TEXT else data) for op, data in self.server.join()]
        self.assertEqual(seen, [
            (TEXT, {"@type": "info", "userName": "me", "workDir": "/w", "agentVersion": "1.0.0"}),
            (TEXT, {"@type": "heartbeat"}), (PONG, b"?"),
            (TEXT, {"@type": "command-response", "id": "a\"\u202e", "exitStatus": 7,
                    "result": base64.b64encode(b"out\n").decode()}),
            (TEXT, {"@type": "command-response", "id": "b", "exitStatus": 0}),
            (CLOSE, struct.pack(">H", 4001))])

    def test_frame_behind_the_head(self):
        def script(peer):
            head = peer.head()
            peer.send((f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                       f"Sec-WebSocket-Accept: {play.accept_key(head)}\r\n\r\n").encode()
                      + frame(TEXT, command("first", "true")))
            peer.drained()
        _, session = self.answered(script, "agent")
        self.assertEqual(session.expect("command")["id"], "first")

    def test_big(self):
        """Command and result at their limits, in both directions at once."""
        text = "x" * (10485760 - len(command("big", "")))
        output = os.urandom(11250000)

        def script(peer):
            peer.send(frame(TEXT, command("big", text)))
            opcode, payload = peer.frame()
            peer.send(closing(1000))
            return opcode, len(payload), json.loads(payload)
        session = self.online(script)
        session.tell("result", id="r", status=0, fd=play.memfd(output))
        got, content = session.expect("command")
        self.assertEqual((got["id"], got["text"]), ("big", b""))
        self.assertEqual(content, text.encode())
        self.ends(session, play.CLOSED, 1000)
        opcode, length, message = self.server.join()
        self.assertEqual(opcode, TEXT)
        self.assertLessEqual(length, 15 * 1024 * 1024)
        self.assertEqual(base64.b64decode(message["result"]), output)

    def test_order_and_progress(self):
        def script(peer):
            seen = [json.loads(peer.frame()[1]) for _ in range(9)]
            peer.send(closing(1000))
            return seen
        session = self.online(script)
        for i in range(8):
            session.tell("result", id=str(i), status=0, fd=play.memfd(bytes(100000 * i)))
        session.tell("heartbeat", unused=0)
        done = 0
        while done < 8:
            done = session.expect("progress", skip=())["results"]
        self.ends(session, play.CLOSED, 1000)
        seen = self.server.join()
        self.assertEqual([m.get("id") for m in seen], [str(i) for i in range(8)] + [None])

    def test_we_close(self):
        def script(peer):
            opcode, payload = peer.frame()
            peer.send(frame(TEXT, command("late", "true")) + closing(1000))
            return opcode, payload
        session = self.online(script)
        session.tell("close_session", code=1000)
        self.ends(session, play.CLOSING, 1000)
        self.assertEqual(self.server.join(), (CLOSE, struct.pack(">H", 1000)))

    def test_we_close_and_nobody_answers(self):
        session = self.online(lambda peer: peer.drained())
        began = time.monotonic()
        session.tell("close_session", code=1000)
        self.ends(session, play.CLOSING, 1000)
        self.assertLess(time.monotonic() - began, BY_ITSELF)

    def test_dropped(self):
        session = self.online(lambda peer: None)
        self.ends(session, play.DROPPED, 0)

        def reset(peer):
            peer.frame()
            peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            os.close(peer.connection.detach())
        session = self.online(reset)
        session.tell("heartbeat", unused=0)
        self.ends(session, play.DROPPED, 104)

    def test_core_ends(self):
        session = self.online(lambda peer: peer.drained())
        session.core.close()
        self.assertEqual(session.wait(BY_ITSELF), 0)

    def test_core_ends_early(self):
        session = self.start(lambda peer: peer.drained(), "login", connect=False)
        session.core.close()
        self.assertEqual(session.wait(BY_ITSELF), 0)


class Connector(Case):
    def test_failed(self):
        session = self.start(None, "login", connect=False)
        session.connector.send(play.wire.encode("connect_failed", stage=play.PROXY, code=407,
                                                detail="the proxy wants a password"))
        self.assertEqual(self.ends(session, play.PROXY, 407), "the proxy wants a password")

    def test_gone(self):
        session = self.start(None, "login", connect=False)
        session.connector.close()
        self.ends(session, play.INTERNAL)

    def test_hostile(self):
        session = self.start(None, "login", connect=False)
        session.connector.send(b"\x91\x00")
        self.ends(session, play.INTERNAL)


class Start(Case):
    def test_by_hand(self):
        pid = os.fork()
        if pid == 0:
            os.closerange(3, 64)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.closerange(3, 64)
            os.execve(play.PROGRAM, ["tw-agent-net-session"], {})
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 2)

    def test_no_certificates(self):
        session = play.Session("login", ca=os.devnull)
        self.addCleanup(session.close)
        ended = session.expect("ended")
        self.assertEqual(ended["stage"], play.INTERNAL)
        self.assertIn("no certificate in the CA bundle", ended["detail"])
        self.assertEqual((session.wait(), session.lines()), (0, ""), "core logs it, once")

    def test_confined(self):
        session = self.start(lambda peer: peer.drained(), "login")
        session.expect("session_ready")
        with open(f"/proc/{session.pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t") for line in file.read().splitlines() if ":\t" in line)
        self.assertEqual((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), ("2", "1"))
        if os.geteuid() != 0:
            # Not dumpable: its own user sees no descriptor of it, so only root can count them.
            with self.assertRaises(PermissionError):
                os.listdir(f"/proc/{session.pid}/fd")
            return
        descriptors = {os.readlink(f"/proc/{session.pid}/fd/{n}").split(":")[0]
                       for n in os.listdir(f"/proc/{session.pid}/fd") if int(n) > 2}
        self.assertLessEqual(descriptors, {"socket", "pipe", "anon_inode"}, descriptors)


if __name__ == "__main__":
    unittest.main()
