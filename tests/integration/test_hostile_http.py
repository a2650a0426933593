#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server that answers requests in every wrong way: the agent waits and tries again."""

import harness
from hostile import PATIENCE, HostileCase
from support import alarms, pieces_of
from tower import (Delay, Drop, Raw, Reply, Upgrade, endless_body, endless_headers, frames,
                   header_flood, interim_flood)

OK = b'{"serviceInfo":{"version":"1","apiVersion":"1.198.0"}}'


def http(body, *fields, status="200 OK", version="HTTP/1.1"):
    lines = "".join(field + "\r\n" for field in fields)
    return Raw(f"{version} {status}\r\n{lines}\r\n".encode("latin-1") + body)


class Heads(HostileCase):
    def test_no_http(self):
        self.attack_requests("service-info", {
            "garbage": Raw(bytes(range(256)) * 1000), "empty": Raw(b""),
            "spaces": Raw(b" " * 100_000), "lines": Raw(b"\r\n" * 100_000),
            "ssh": Raw(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "half": Raw(b"HTTP/1.1 200 OK\r\nContent-"),
            "http 0.9": Raw(OK), "http 2": http(OK, version="HTTP/2.0")})

    def test_bad_heads(self):
        self.attack_requests("service-info", {
            "status 99": http(OK, status="99 Low"), "status 1000": http(OK, status="1000 High"),
            "no status": http(OK, status="OK"), "nul": http(OK, "X: a\0b"),
            "bare cr": http(OK, "X: a\rb"), "space before colon": http(OK, "Content-Length : 5"),
            "folded": http(OK, "X: a\r\n b"), "no colon": http(OK, "just words")},)

    def test_bad_lengths(self):
        self.attack_requests("service-info", {
            "negative": http(OK, "Content-Length: -1"), "text": http(OK, "Content-Length: many"),
            "huge": http(OK, "Content-Length: " + "9" * 40),
            "two": http(OK, "Content-Length: 5", "Content-Length: 54"),
            "both": http(b"0\r\n\r\n", "Content-Length: 54", "Transfer-Encoding: chunked"),
            "bad chunk": http(b"zz\r\nabc\r\n", "Transfer-Encoding: chunked"),
            "huge chunk": http(b"f" * 16 + b"\r\nabc", "Transfer-Encoding: chunked"),
            "cut off": http(OK, "Content-Length: 5000")})

    def test_floods_of_heads(self):
        self.attack_requests("service-info", {
            "many headers": Raw(header_flood(100_000)), "endless headers": Raw(endless_headers),
            "interim": Raw(interim_flood), "continue": Raw(lambda: interim_flood(100)),
            "long header": http(OK, "X: " + "x" * 5_000_000),
            "long reason": http(OK, status="200 " + "x" * 5_000_000)})

    def test_login(self):
        self.attack_requests("user", {
            "garbage": Raw(bytes(range(256)) * 1000), "endless headers": Raw(endless_headers),
            "endless body": Reply(body=endless_body, chunked=True),
            "upgrade": http(b"", "Upgrade: websocket", status="101 Switching Protocols"),
            "interim": Raw(interim_flood), "reset": Drop("rst"), "end": Drop("fin"),
            "closed": Drop("tls")})


class Bodies(HostileCase):
    def test_not_a_tower(self):
        def info(text):
            return Reply(body=text, headers={"Content-Type": "application/json"})
        self.attack_requests("service-info", {
            "empty": info(""), "html": Reply(body="<html>It works!</html>"),
            "no version": info('{"serviceInfo":{}}'), "list": info('[{"serviceInfo":1}]'),
            "number": info('{"serviceInfo":{"apiVersion":1.198}}'),
            "no number": info('{"serviceInfo":{"apiVersion":"latest"}}'),
            "deep": info("[" * 200_000), "invalid": info(b'{"serviceInfo":{"apiVersion":"\xff"}}')})

    def test_endless(self):
        self.attack_requests("service-info", {
            "chunked": Reply(body=endless_body, chunked=True),
            "until closed": Reply(body=endless_body, length=False),
            "spaces and a tower": Reply(body=b" " * 3_000_000 + OK),
            "gigabyte": http(b"x" * 5_000_000, "Content-Length: 1000000000")})

    def test_slow(self):
        self.attack_requests("service-info", {
            "a byte a second": Reply(json={"x": "y"}, drip=1),
            "a late one": Delay(PATIENCE)})

    def test_text_for_the_log(self):
        evil = "no \x1b]0;title\x07\x1b[2J \u202e \r\n2026-01-01 ERROR fake " + "x" * 5000
        agent = self.start_agent()
        self.tower.wait_online(PATIENCE)
        first = self.tower.agent
        self.tower.on("connect", Reply(500, json={"message": evil}), times=1)
        first.drop()
        line = agent.wait_log("status 500").string
        self.assertLess(len(line), 4096)
        self.tower.wait_online(PATIENCE, newer_than=first)
        self.assertNotRegex(agent.log, "[\x00-\x09\x0b-\x1f\x7f\u202e]")
        self.assertNotRegex(agent.log, "(?m)^2026-01-01 ERROR fake")

    def test_message_with_the_token(self):
        """A server that says the token back must not get it into the log or the status."""
        self.tower.token = token = "eyJ0aWQiOiAxMjM0fS4wYzFmZGU0NzA2ZDQ0YmY0OGQ3MmI3YjQ4MjA3YQ=="
        for text in (f"bad header Authorization: Bearer {token}", f"unknown token '{token}'"):
            self.tower.on("user", Reply(500, json={"message": text}), times=1)
        agent = self.start_agent(token=token)
        agent.wait_log("unknown token")
        self.tower.wait_online(PATIENCE)
        for piece in pieces_of(token):
            self.assertNotIn(piece, agent.log)


class Upgrades(HostileCase):
    def test_wrong_answers(self):
        self.attack_requests("connect", {
            "wrong accept": Upgrade(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA=", converse=False),
            "no accept": Upgrade(headers={"Sec-WebSocket-Accept": None}, converse=False),
            "no upgrade": Upgrade(headers={"Upgrade": None}, converse=False),
            "other upgrade": Upgrade(headers={"Upgrade": "h2c"}, converse=False),
            "no connection": Upgrade(headers={"Connection": None}, converse=False),
            "status 200": Upgrade(status=200, converse=False),
            "extension": Upgrade(headers={"Sec-WebSocket-Extensions": "permessage-deflate"},
                                 converse=False),
            "subprotocol": Upgrade(headers={"Sec-WebSocket-Protocol": "chat"}, converse=False)})

    def test_floods(self):
        self.attack_requests("connect", {
            "endless headers": Raw(endless_headers), "interim": Raw(interim_flood),
            "garbage": Raw(b"\0" * 1_000_000), "reset": Drop("rst"),
            "endless body": Reply(500, body=endless_body, chunked=True),
            "frames first": Raw(frames.text('{"@type":"heartbeat"}') * 10)})

    def test_slow(self):
        self.attack_requests("connect", {
            "a byte a second": Reply(502, json={"message": "x"}, drip=1),
            "upgrade by bytes": Upgrade(drip=1, converse=False)})

    def test_accept_of_another_case(self):
        """Base64 is case-sensitive: an answer that differs in case alone is no proof."""
        def answer(request):
            return Upgrade(accept=request.accept.swapcase(), converse=False)
        self.attack_requests("connect", {"case": answer})

    def test_right_ones_in_odd_clothes(self):
        for headers in ({"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade"},
                        {"Server": "x" * 2000, "Set-Cookie": "a=b", "Date": "today"}):
            self.tower.on("connect", Upgrade(headers=headers), times=1)
            mark = self.tower.mark()
            agent = self.online_agent(connection_id=next(iter(headers)))
            self.assertEqual(len(self.tower.requests("connect", after=mark)), 1)
            self.assertEqual(alarms(agent.log, "core"), [])


class Early(HostileCase):
    """The server speaks before it was asked: nothing may be taken for an answer to come."""

    def test_answer_before_the_request(self):
        self.attack_requests("open", {
            "probe": http(OK, f"Content-Length: {len(OK)}", "Content-Type: application/json"),
            "garbage": Raw(b"\0\xff" * 1000), "much": Raw(b"x" * 3_000_000)}, times=3)

    def test_second_answer_behind_the_first(self):
        twice = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OK), OK)
                    + b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
        self.attack_requests("service-info", {"probe": twice})


if __name__ == "__main__":
    harness.main()
