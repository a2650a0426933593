#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl while it holds the token: between two requests no piece of it is in memory that even
root reads, whichever way it came. During a request libcurl has one in its buffer: the same look
finds it there."""

import os
import subprocess
import tempfile
import time

import cases
from cases import TokenCase
from harness import CONTROL, TIMEOUT, TOKEN, Process, shared_pki
from recording import Hold
from scanner import scan, token_patterns
from tower import Tower

_OFFLINE = 400
# Looks at a program that waits for 2 s or more between two attempts.
PAUSES = 8


class Control(TokenCase):
    def setUp(self):
        self.tower = Tower(shared_pki(), token=TOKEN)
        self.tower.start()
        self.addCleanup(self.tower.stop)
        made = tempfile.TemporaryDirectory(prefix="tw-control-", dir="/tmp")
        self.addCleanup(made.cleanup)
        self.token_file = os.path.join(made.name, "token")
        with open(self.token_file, "w", encoding="ascii") as file:
            file.write(TOKEN)
        os.chmod(self.token_file, 0o600)

    def start(self, way):
        environment = {"PATH": "/usr/bin:/bin"}
        options = {"file": ["--token-file", self.token_file], "arg": ["-t", TOKEN], "env": []}[way]
        if way == "env":
            environment["TOWER_ACCESS_TOKEN"] = TOKEN
        popen = subprocess.Popen([CONTROL, "credentials", "add", "--name", "lab-hpc",
                                  "--connection-id", "lab", "--wait=1h", "--url", self.tower.url,
                                  "--ca-file", self.tower.ca, *options], env=environment,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(popen.wait)
        self.addCleanup(popen.kill)
        return popen

    def look(self, popen):
        hits, facts, gone = scan([popen.pid], token_patterns(TOKEN))
        self.assertEqual(gone, [])
        self.assertGreater(facts[popen.pid].bytes, 1 << 20)
        return [f"{hit.length} bytes of {hit.pattern} in {hit.place}" for hit in hits]

    def offline(self, mark):
        """Waits for the end of an attempt from this position on; the position behind its reply."""
        reply = self.tower.wait_for(lambda event: event.kind == "http-reply"
                                    and event.status == _OFFLINE, TIMEOUT, mark)
        after = self.tower.mark()
        self.tower.wait_event("tcp-closed", TIMEOUT, conn=reply.conn)
        return after

    def look_in_pause(self, popen, mark, way):
        """False: the next attempt began meanwhile, and the look says nothing."""
        while Process(popen.pid).state != "S":  # it closes the connection before it wipes
            self.assertIsNone(popen.poll())
            time.sleep(0.001)
        found = self.look(popen)
        if self.tower.events.count("tcp-accept", after=mark):
            return False
        self.assertEqual(found, [], f"token by {way}")
        return True

    def test_memory(self):
        for way in ("file", "arg", "env"):
            self.tower.clear()
            hold = Hold()
            self.addCleanup(hold.release)
            mark = self.tower.mark()
            self.tower.on("other", hold, times=1)
            popen = self.start(way)
            hold.reached()
            self.assertNotEqual(self.look(popen), [], "the look finds nothing at all")
            hold.release()
            # Each attempt has a connection of its own; the pause behind the third is 2 s long.
            for _ in range(3):
                mark = self.offline(mark)
            for _ in range(PAUSES):
                if self.look_in_pause(popen, mark, way):
                    break
                mark = self.offline(mark)
            else:
                self.fail(f"token by {way}: each look took longer than a pause")
            popen.kill()
            popen.wait()


if __name__ == "__main__":
    cases.main()
