# SPDX-License-Identifier: Apache-2.0
"""A test case with sessions: up to their answer, online, and to their end."""

import unittest

import play
from play import upgrade

TOKEN_TEXT = b"tok-" + bytes(range(0x61, 0x7b)) + b"0123456789"
PKI = None


def set_up():
    """For setUpModule: one certificate authority for all tests of a file."""
    global PKI
    PKI, clean = play.make_pki()
    unittest.addModuleCleanup(clean)
    return PKI


class Case(unittest.TestCase):
    def start(self, script, purpose="agent", identity=None, version=None, alpn=("http/1.1",),
              raw=None, connect=True, **options):
        self.server = play.Server(script, identity or PKI.server(), version, alpn, raw)
        self.addCleanup(self.server.listener.close)
        session = play.Session(purpose, ca=PKI.ca, port=self.server.port, **options)
        self.addCleanup(session.close)
        if connect:
            session.connect(self.server.port)
        return session

    def answered(self, script, purpose, **options):
        """A whole session up to its response; the request's head as well."""
        session = self.start(script, purpose, **options)
        session.go()
        session.expect("session_ready")
        if purpose != "probe":
            session.give_token(TOKEN_TEXT)
        response = session.expect("response")
        if purpose != "agent":
            self.assertIsNone(session.hear())
            self.assertEqual(session.wait(), 0)
        return response, session

    def online(self, script, **options):
        """An agent's session after the upgrade; `script` goes on from there."""
        def whole(peer):
            upgrade(peer)
            return script(peer)
        response, session = self.answered(whole, "agent", **options)
        self.assertEqual(response["status"], 101)
        return session

    def ends(self, session, stage, code=None):
        ended = session.expect("ended", skip=("progress", "response", "session_ready"))
        self.assertEqual(ended["stage"], stage, (ended, session.lines(), self.server.error))
        if code is not None:
            self.assertEqual(ended["code"], code, ended)
        self.assertIsNone(session.hear())
        self.assertEqual(session.wait(), 0, session.lines())
        return ended["detail"]
