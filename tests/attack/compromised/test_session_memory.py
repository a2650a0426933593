#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A session that a hostile server has taken over searches its own memory for the token, and for the
record that carried it. What it was told to plant it finds."""

import os
import secrets
import sys
import unittest

from puppets import SANITIZED, PuppetCase, turned
import harness
from harness import modes, shared_pki

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "token"))

from recording import RecordingTower  # noqa: E402


@unittest.skipIf(SANITIZED, "a sanitizer's shadow memory keeps copies")
class Memory(PuppetCase):
    role = "session"

    def setUp(self):
        super().setUp()
        self.tower.stop()
        self.token = secrets.token_urlsafe(32)
        self.tower = RecordingTower(shared_pki(), token=self.token)
        self.tower.start()
        self.addCleanup(self.tower.stop)

    def found(self, agent, secret, *before):
        outcome = self.obeyed(agent, *before, f"find {turned(secret)}")
        self.assertRegex(outcome, "^ok")
        return int(outcome.split()[1])

    @modes()
    def test_each(self):
        agent = self.puppet_agent(token=self.token)
        record, tag = self.tower.token_records()[-1]
        searched = {"token": self.token.encode(), "record": record, "tag": tag}
        for name, secret in searched.items():
            with self.subTest(name):
                self.assertEqual(self.found(agent, secret), 0)
        for name, secret in searched.items():
            with self.subTest(name, baseline="planted"):
                self.assertGreater(self.found(agent, secret, f"plant {turned(secret)}"), 0)
        self.goes_on()


if __name__ == "__main__":
    harness.main()
