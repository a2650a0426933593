#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers and a core that break the rules: each is told or dropped, within bounded memory."""

import queue
import struct
import threading
import unittest

import case
import play
from case import Case
from play import command, frame

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def setUpModule():
    case.set_up()


class Hostile(Case):
    def violation(self, data, code):
        def script(peer):
            peer.send(data)
            try:
                while True:
                    opcode, payload = peer.frame()
                    if opcode == CLOSE:
                        return payload
            finally:
                peer.drained()
        session = self.online(script)
        self.ends(session, play.PROTOCOL, code)
        self.assertEqual(self.server.join(), struct.pack(">H", code))

    def test_frames(self):
        self.violation(frame(BINARY, b"x"), 1003)
        self.violation(frame(TEXT, b"", length=30 * 1000 * 1000) + b"x", 1009)
        self.violation(frame(TEXT, b"\xff"), 1007)
        self.violation(bytes([0x89, 126, 0, 126]) + bytes(126), 1002)
        self.violation(frame(PING, b"", fin=False), 1002)
        self.violation(b"\xf1\x01x", 1002)
        self.violation(b"\x88\x01x", 1002)

    def test_senseless(self):
        def script(peer):
            for i in range(17):
                peer.send(frame(TEXT, b'{"@type":"command-request","secret":%d}' % i))
            while True:
                opcode, payload = peer.frame()
                if opcode == CLOSE:
                    return payload
        session = self.online(script)
        self.ends(session, play.PROTOCOL, 1008)
        self.assertEqual(self.server.join(), struct.pack(">H", 1008))
        self.assertEqual(session.lines().count("refused"), 17, session.lines())
        self.assertNotIn("secret", session.lines())

    def test_unknown_kinds(self):
        """Kinds of a later Tower are passed over, and do not fill the log."""
        def script(peer):
            for i in range(100):
                peer.send(frame(TEXT, b'{"@type":"secret-%d"}' % i))
            peer.send(frame(TEXT, b'{"@type":"heartbeat"}'))
            peer.drained()
        session = self.online(script)
        session.expect("heartbeat_reply")
        self.assertEqual(session.lines().count("refused"), 16, session.lines())
        self.assertEqual(session.lines().count("more messages of unknown @type come"), 1)
        self.assertNotIn("secret", session.lines())

    def test_fragment_flood(self):
        """Five million fragments of a byte: bounded memory, and the session lives."""
        count = 200000

        def script(peer):
            peer.send(frame(TEXT, b"{", fin=False))
            block = frame(0, b" ", fin=False) * 1000
            for _ in range(count // 1000):
                peer.send(block)
            peer.send(frame(0, b'"@type":"heartbeat"}'))
            peer.drained()
        session = self.online(script)
        session.expect("heartbeat_reply")
        self.assertLess(self.peak(session), 40000)

    def test_ping_flood(self):
        """Pings without end from a server that does not read: held by TCP, not by our memory."""
        started = queue.Queue()

        def script(peer):
            block = frame(PING, b"p" * 100) * 1000
            peer.connection.settimeout(1)
            try:
                for _ in range(10000):
                    peer.send(block)
            except TimeoutError:
                # Now: when the connection ends, the session does too.
                session, before = started.get(timeout=play.PATIENCE)
                return "held", self.peak(session) - before
            return "taken", None
        session = self.online(script)
        started.put((session, self.peak(session)))
        verdict, grown = self.server.join()
        self.assertEqual(verdict, "held")
        self.assertLess(grown, 32000)

    def test_core_that_does_not_read(self):
        block = frame(TEXT, command("id", "x" * 20000)) * 50
        started = queue.Queue()

        def script(peer):
            peer.connection.settimeout(1)
            try:
                for _ in range(200):
                    peer.send(block)
            except TimeoutError:
                return "held", self.peak(started.get(timeout=play.PATIENCE))
            return "taken", None
        started.put(self.online(script))
        verdict, peak = self.server.join()
        self.assertEqual(verdict, "held")
        self.assertLess(peak, 40000)

    def test_core_breaks_rules(self):
        def results(session):
            for i in range(70):
                session.tell("result", id=str(i), status=0, fd=play.memfd(bytes(1000000)))

        for act in (lambda s: s.tell("go", unused=0),
                    lambda s: s.core.send(b"junk"),
                    lambda s: s.tell("close_session", code=5),
                    lambda s: s.tell("result", id="x", status=0, fd=play.memfd(b"x", seal=False)),
                    results):
            over = threading.Event()
            session = self.online(lambda peer, over=over: over.wait(play.PATIENCE))
            try:
                act(session)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertEqual(session.wait(), 1, session.lines())
            over.set()
            self.assertIn("broke the rules", session.lines())

    @staticmethod
    def peak(session):
        with open(f"/proc/{session.pid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    unittest.main()
