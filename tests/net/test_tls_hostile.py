#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that misuse TLS itself: weak offers, handshakes that stop at each step, floods of key
updates and session tickets, renegotiation."""

import os
import socket
import ssl
import subprocess
import unittest
import warnings

import case
import play
from case import TOKEN_TEXT, Case

HOSTILE = os.environ.get("TW_TLS_HOSTILE", "")
MIB = 1 << 20
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PKI = None


def setUpModule():
    global PKI
    PKI = case.set_up()
    warnings.simplefilter("ignore", DeprecationWarning)  # old versions are meant here


def lax_client(ciphers="DEFAULT:@SECLEVEL=0"):
    """A client that takes what no client should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers(ciphers)
    return context


class Weak(Case):
    """Each server works with a lax client, and gets nothing from a session."""

    OFFERS = {"TLS 1.0": (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
              "TLS 1.1": (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
              "no encryption": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"),
              "no certificate": (ssl.TLSVersion.TLSv1_2, "AECDH-AES128-SHA:@SECLEVEL=0")}

    def weaken(self, version, ciphers):
        context = self.server.context
        context.set_ciphers(ciphers)
        context.minimum_version = context.maximum_version = version

    def test_each(self):
        for name, (version, ciphers) in self.OFFERS.items():
            with self.subTest(name):
                self.server = play.Server(lambda peer: peer.head(), PKI.server())
                self.weaken(version, ciphers)
                with socket.create_connection(("127.0.0.1", self.server.port)) as plain, \
                        lax_client(ciphers).wrap_socket(plain) as client:
                    client.sendall(REQUEST)
                    self.assertIn("GET /", self.server.join(), "baseline")
                session = self.start(lambda peer: peer.head(), "login", connect=False)
                self.weaken(version, ciphers)
                session.connect(self.server.port)
                session.go()
                self.ends(session, play.TLS)
                self.server.join(quietly=True)
                self.assertIsNone(self.server.result, "nothing was sent to it")


class Stalls(Case):
    """The server's part of the handshake stops within each flight."""

    # All at once, for each takes all of it; and so long, for each must come to its point before.
    DEADLINE_MS = 5000

    def stall(self, version, flight, keep):
        """A session, and its raw server that sends so many bytes of that flight, and then waits."""
        def serve(connection):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = server.context.wrap_bio(incoming, outgoing, server_side=True)
            sent = 0
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                if data := outgoing.read():
                    part = data if sent < flight else data[:keep(len(data))]
                    connection.sendall(part)
                    if sent == flight:
                        break
                    sent += 1
                data = connection.recv(65536)
                if not data:
                    raise EOFError("the session gave up before")
                incoming.write(data)
            return connection.recv(65536)  # until the session gives up
        session = self.start(None, "login", version=version, raw=serve, connect=False,
                             timeout_ms=self.DEADLINE_MS)
        server = self.server
        session.connect(server.port)
        session.go()
        return session, server

    def check(self, session, server):
        self.assertIn("handshake", self.ends(session, play.TIMEOUT))
        self.assertEqual(session.parent.recv(100), b"", "no request for the token")
        self.assertNotIn(b"\x17\x03\x03", server.join()[:3], "no application data")

    def test_each(self):
        flights = {ssl.TLSVersion.TLSv1_3: 1, ssl.TLSVersion.TLSv1_2: 2}
        parts = {"nothing": lambda n: 0, "a byte": lambda n: 1, "a header": lambda n: 5,
                 "half": lambda n: n // 2, "all but one": lambda n: n - 1}
        stalls = [((version, flight, name), self.stall(version, flight, keep))
                  for version, count in flights.items() for flight in range(count)
                  for name, keep in parts.items()]
        for (version, flight, name), (session, server) in stalls:
            with self.subTest(version=version, flight=flight, sent=name):
                self.check(session, server)


class Floods(Case):
    def hostile(self, kind):
        identity = PKI.server()
        child = subprocess.Popen([HOSTILE, identity.cert, identity.key, kind], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(child.stdin.close)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child, int(child.stdout.readline())

    @staticmethod
    def answer(child):
        child.stdin.write("\n")
        child.stdin.flush()

    def session(self, port):
        session = play.Session("login", ca=PKI.ca, port=port, timeout_ms=60000)
        self.addCleanup(session.close)
        session.connect(port)
        session.go()
        session.expect("session_ready")
        session.give_token(TOKEN_TEXT)
        return session

    def peak(self, session):
        with open(f"/proc/{session.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def survives(self, kind):
        """Five thousand of them cost nothing; the answer behind them arrives."""
        child, port = self.hostile(kind)
        session = self.session(port)
        line = child.stdout.readline()
        peak = self.peak(session)
        self.answer(child)
        self.assertEqual(line, "request flood=5000 renegotiated=0\n", "baseline: all were sent")
        self.assertEqual(session.expect("response")["status"], 200)
        self.assertEqual(session.wait(), 0)
        print(f"{kind}: {peak >> 10} KiB at most")
        if not os.environ.get("TW_SANITIZED"):
            self.assertLess(peak, 16 * MIB)

    def test_key_updates(self):
        self.survives("key-updates")

    def test_tickets(self):
        self.survives("tickets")

    def test_renegotiation(self):
        child, port = self.hostile("renegotiations")
        self.answer(child)
        client = subprocess.run(["openssl", "s_client", "-quiet", "-ign_eof", "-connect",
                                 f"127.0.0.1:{port}"], input=REQUEST, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, check=False, timeout=play.PATIENCE)
        self.assertRegex(child.stdout.readline(), "renegotiated=[1-9]", f"baseline: {client}")
        session = self.session(port)
        self.assertIn("renegotiated=0", child.stdout.readline())
        self.answer(child)
        name = session.hear()[0]
        self.assertIn(name, ("response", "ended"))
        self.assertEqual(session.wait(), 0)


if __name__ == "__main__":
    unittest.main()
