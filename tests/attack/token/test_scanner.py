#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scanner finds what is there: planted copies in each form and place, and what ordinary
clients leave behind. Only after this does "nothing found" mean anything."""

import base64
import os
import platform
import secrets
import subprocess
import sys
import threading
import unittest

import cases
from cases import TokenCase
from harness import shared_pki
from recording import Hold, RecordingTower
from scanner import PLANT, pieces_in, record_patterns, scan, token_patterns

_PYTHON_CLIENT = """
import http.client, ssl, sys
host, port, ca = sys.argv[1:4]
context = ssl.create_default_context(cafile=ca)
connection = http.client.HTTPSConnection(host, int(port), context=context)
connection.request("GET", "/api/user", headers={"Authorization": "Bearer " + sys.stdin.readline().strip()})
connection.getresponse().read()
"""


class Forms(unittest.TestCase):
    """The patterns are right: found in every text that holds the secret in that form."""

    def test_base64_at_each_alignment(self):
        for size in (40, 41, 42):
            token = secrets.token_urlsafe(64)[:size]
            patterns = token_patterns(token)
            for before in range(6):
                for after in range(3):
                    text = b"x" * before + token.encode() + b"y" * after
                    for encoded in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
                        self.assertTrue(pieces_in(encoded, patterns), (before, after))

    def test_any_eight_bytes(self):
        token = secrets.token_urlsafe(32)
        patterns = token_patterns(token)
        for start in range(len(token) - 8 + 1):
            piece = token[start:start + 8].encode()
            for shift in range(3):
                for form in (b"%" + piece, piece.hex().encode(), piece.hex().upper().encode(),
                             base64.b64encode(b"\xff" * shift + piece + b"\xff" * 3)):
                    self.assertTrue(pieces_in(form, patterns), (start, shift, form))


class Plants(TokenCase):
    def plant(self, where, data):
        child = subprocess.Popen([PLANT, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        child.stdin.write(data)
        child.stdin.close()
        self.assertEqual(child.stdout.readline(), b"planted\n")
        return child.pid

    def names_in(self, where, data, patterns):
        pid = self.plant(where, data)
        hits, facts, gone = scan([pid], patterns)
        self.assertEqual(gone, [])
        self.assertGreater(facts[pid].bytes, 1_000_000)
        self.assertEqual(facts[pid].threads, 1)
        return hits

    def test_nothing_where_nothing_is(self):
        token = secrets.token_urlsafe(32)
        self.assertEqual(self.names_in("nowhere", token.encode(), token_patterns(token)), [])

    def test_forms(self):
        token = secrets.token_urlsafe(32)
        patterns = token_patterns(token)
        forms = {"raw": token.encode(), "hex": token.encode().hex().encode(),
                 "HEX": token.encode().hex().upper().encode()}
        for shift in range(3):
            text = b"\xfb" * shift + token.encode() + b"\xff\xff"
            forms[f"base64+{shift}"] = base64.b64encode(text)
            forms[f"base64url+{shift}"] = base64.urlsafe_b64encode(text)
        for name, data in forms.items():
            with self.subTest(name):
                hits = self.names_in("memory", data, patterns)
                # Without + and / in it both alphabets give the same text, and the first name.
                self.assertIn(name.replace("url", ""), {hit.pattern.replace("url", "")
                                                        for hit in hits})

    def test_eight_bytes_of_it(self):
        token = secrets.token_urlsafe(32)
        for start in (0, 13, len(token) - 8):
            piece = token[start:start + 8]
            hits = self.names_in("memory", b"?" + piece.encode() + b"?", token_patterns(token))
            self.assertEqual({hit.length for hit in hits}, {8})

    def test_places(self):
        token = secrets.token_urlsafe(32)
        places = {"memory": "memory", "memfd": "descriptor", "pipe": "descriptor",
                  "socket": "descriptor"}
        if platform.machine() == "x86_64":
            places |= {"general": "registers (general)", "vector": "registers (vector)"}
        size = {"general": 8, "vector": 16}
        for where, place in places.items():
            with self.subTest(where):
                hits = self.names_in(where, token.encode()[:size.get(where)],
                                     token_patterns(token))
                self.assertTrue(hits)
                self.assertTrue(any(hit.place.startswith(place) for hit in hits), hits)
                if where != "memory":
                    self.assertFalse([hit for hit in hits if hit.place.startswith("memory")])

    def test_environment_and_arguments(self):
        token = secrets.token_urlsafe(32)
        for extra, env in (([], {"TOWER_ACCESS_TOKEN": token}), ([token], {})):
            child = subprocess.Popen(["/bin/sh", "-c", "echo up; read _", "sh", *extra], env=env,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.wait)
            self.addCleanup(child.stdin.close)
            child.stdout.readline()
            hits, _, _ = scan([child.pid], token_patterns(token))
            self.assertIn("[stack]", " ".join(hit.place for hit in hits))


class OrdinaryClients(TokenCase):
    """What programs that do not mind leave in memory while they wait for the answer."""

    def setUp(self):
        self.token = secrets.token_urlsafe(32)
        self.tower = RecordingTower(shared_pki(), token=self.token)
        self.tower.start()
        self.addCleanup(self.tower.stop)
        self.hold = Hold()
        self.addCleanup(self.hold.release)
        self.tower.on("user", self.hold, times=1)

    def copies_of(self, command, text):
        """How many pieces of the token and of its record the waiting client holds."""
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        child.stdin.write(text)
        child.stdin.close()
        self.hold.reached()
        request = self.tower.wait_event("http-request")
        self.assertEqual(request.token, self.token)
        records = record_patterns([self.tower.token_record(request)])
        hits, _, gone = scan([child.pid], token_patterns(self.token) + records)
        self.assertEqual(gone, [])
        found = {kind: sum(hit.pattern.startswith(("record", "tag")) == kind for hit in hits)
                 for kind in (False, True)}
        print(f"{os.path.basename(command[0])}: {found[False]} pieces of the token, "
              f"{found[True]} of its ciphertext")
        return found[False], found[True]

    def test_python(self):
        token, _ = self.copies_of([sys.executable, "-c", _PYTHON_CLIENT, "localhost",
                                   str(self.tower.port), self.tower.ca], self.token + "\n")
        self.assertGreater(token, 0)

    def test_curl(self):
        cases.need_program(self, "curl")
        token, _ = self.copies_of(["curl", "-sS", "--cacert", self.tower.ca, "-H", "@-",
                                   self.tower.url + "/user"],
                                  f"Authorization: Bearer {self.token}\n")
        self.assertGreater(token, 0)

    def test_openssl(self):
        request = (f"GET /api/user HTTP/1.1\r\nHost: localhost\r\n"
                   f"Authorization: Bearer {self.token}\r\n\r\n")
        token, record = self.copies_of(["openssl", "s_client", "-quiet", "-connect",
                                        f"localhost:{self.tower.port}"], request)
        self.assertGreater(token, 0)
        self.assertGreater(record, 0)


if __name__ == "__main__":
    cases.main()
