#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rows of the connection's state machine (docs/connection.md) with real processes: failures at
each step, and the way back. Long waits are tested in tests/states, where time is the test's."""

import os
import re
import shutil
import tempfile
import time

import harness
from harness import ROOT, TIMEOUT, TOKEN, TowerCase, modes, shared_pki
from support import alarms, wait_status, write_file
from tower import Drop, Raw, Tower, Upgrade, error

REASON = re.compile(r".*tw-agent\[core\]: (.*); trying again in .*")
HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Len"
HALF_AN_UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"


class Side(TowerCase):
    """Agents that wait side by side, each with a Tower of its own."""

    def pair(self, step=None, answer=None, times=1, **options):
        tower = Tower(shared_pki(), token=TOKEN).start()
        self.addCleanup(tower.stop)
        if step:
            tower.on(step, answer, times=times)
        return tower, self.start_agent(url=tower.url, **options)

    def recovers(self, tower, agent, words, timeout=TIMEOUT, attempts=1):
        """Once for each change of reason; so many attempts may fail, each in a way of its own."""
        agent.wait_log(words, timeout)
        tower.wait_online(timeout)
        self.assertEqual(tower.run("echo on").output, b"on\n")
        said = [REASON.sub(r"\1", line) for line in alarms(agent.log, "core")]
        self.assertIn(len(said), range(1, attempts + 1), agent.log)
        self.assertFalse([one for one, next in zip(said, said[1:]) if one == next], agent.log)
        self.assertNotIn("ERROR", agent.log)


class EndsAtEachStep(Side):
    # At start three connections are made side by side, so what is below HTTP fails three times: in
    # one attempt, or in several when the first to fail ends the attempt before the others are made.
    CASES = {
        "before TLS, reset": ("tls", Drop("rst"), 3, "dropped|cannot connect|TLS is not"),
        "before TLS, end": ("tls", Drop("fin"), 3, "TLS is not accepted.*ended the connection"),
        "before the request": ("open", Drop("fin"), 3, "ended the connection|before an answer"),
        "service-info, reset": ("service-info", Drop("rst"), 1, "dropped"),
        "service-info, TLS close": ("service-info", Drop("tls"), 1, "ended before an answer"),
        "service-info, half a head": ("service-info", Raw(HALF_A_HEAD), 1, "before an answer"),
        "login, reset": ("user", Drop("rst"), 1, "dropped"),
        "login, end": ("user", Drop("fin"), 1, "ended before an answer"),
        "login, half a head": ("user", Raw(HALF_A_HEAD, then="fin"), 1, "before an answer"),
        "upgrade, reset": ("connect", Drop("rst"), 1, "dropped"),
        "upgrade, half a head": ("connect", Raw(HALF_AN_UPGRADE), 1, "before an answer"),
        "after the upgrade": ("connect", Upgrade(converse=False, then="fin"), 1,
                              "dropped: the server ended"),
    }

    def test_each(self):
        running = {name: (*self.pair(step, answer, times), words, times)
                   for name, (step, answer, times, words) in self.CASES.items()}
        for name, (tower, agent, words, times) in running.items():
            with self.subTest(name):
                self.recovers(tower, agent, words, attempts=times)


class Waits(Side):
    def test_failing_attempts_come_less_and_less_often(self):
        tower, agent = self.pair("connect", error(502, "Bad Gateway"), 4)
        tower.wait_online(TIMEOUT)
        times = [request.t for request in tower.requests("connect")]
        gaps = [b - a for a, b in zip(times, times[1:])]
        for gap, longest in zip(gaps, (1, 2, 4, 8)):
            self.assertGreater(gap, 0.45 * longest)
            self.assertLess(gap, longest + 20)  # and what a busy machine adds
        self.assertEqual(len(alarms(agent.log, "core")), 1)

    def test_retry_after_as_a_date(self):
        """Counted from the server's own Date, so nobody's clock matters."""
        headers = {"Date": "Sun, 06 Nov 1994 08:49:37 GMT",
                   "Retry-After": "Sun, 06 Nov 1994 08:49:40 GMT"}
        towers = [self.pair(step, error(status, "later", headers=headers))[0]
                  for step, status in (("service-info", 503), ("user", 429), ("connect", 503))]
        for tower, step in zip(towers, ("service-info", "user", "connect")):
            tower.wait_online(TIMEOUT)
            times = [request.t for request in tower.requests(step)]
            with self.subTest(step):
                self.assertEqual(len(times), 2)
                self.assertGreater(times[1] - times[0], 2.9)
                self.assertLess(times[1] - times[0], TIMEOUT)

    def test_hangup_ends_a_wait(self):
        """SIGHUP, also in standby: an administrator who has stopped the other agent need not
        wait."""
        retry = {"Retry-After": "600"}
        tower, agent = self.pair("user", error(503, "later", headers=retry))
        agent.wait_log("status 503.*trying again in 600")
        agent.signal(harness.signal.SIGHUP)
        tower.wait_online(TIMEOUT)
        times = []
        for _ in range(3):
            mark, start = tower.mark(), time.monotonic()
            tower.wait_online(TIMEOUT).close(4000)
            wait_status(agent, lambda status: status["state"] == "standby")
            agent.signal(harness.signal.SIGHUP)
            times.append(tower.wait_event("ws-message", after=mark, type="info").t - start)
        self.assertLess(min(times), 5, "the shortest wait in standby")

    def test_clocks(self):
        """Nothing that waits looks at the wall clock; the review of it, held by a test."""
        wall = re.compile(r"CLOCK_REALTIME|gettimeofday|\b(local|gm|f|c)?time\s*\(")
        found = []
        files = [os.path.join(ROOT, "core", name + ".c")
                 for name in ("link", "session", "backoff", "attempt")]
        for folder, _, names in os.walk(os.path.join(ROOT, "net")):
            files += [os.path.join(folder, name) for name in names if name.endswith((".c", ".h"))]
        for path in files + [os.path.join(ROOT, "base", "clock.h")]:
            with open(path, encoding="utf-8") as file:
                found += [f"{path}: {line}" for line in file if wall.search(line)]
        self.assertGreater(len(files), 30)
        self.assertEqual(found, [])


class Names(Side):
    """The host's name cannot be resolved, and then it can."""

    @modes("system")
    def test_comes_back(self):
        if not shutil.which("unshare"):
            self.skipTest("needs unshare")
        identity = shared_pki().make("named", names=("DNS:tower.test",))
        self.tower.configure_tls(identity=identity)
        directory = tempfile.mkdtemp(prefix="tw-hosts-", dir="/tmp")
        self.addCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)
        hosts = write_file(directory, "hosts", "127.0.0.1 localhost\n")
        wrapper = write_file(directory, "agent", "#!/bin/sh\nexec unshare -m sh -c 'mount --bind "
                             f'{hosts} /etc/hosts && exec "$0" "$@"\' {harness.PROGRAM} "$@"\n')
        os.chmod(wrapper, 0o755)
        agent = self.start_agent(program=wrapper, url=self.tower.url_for("tower.test"))
        agent.wait_log("the host name cannot be resolved: .*tower.test|name service did not answer")
        wait_status(agent, lambda status: status["state"] == "waiting")
        with open(hosts, "a", encoding="utf-8") as file:
            file.write("127.0.0.1 tower.test\n")
        self.tower.wait_online(2 * TIMEOUT)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")



if __name__ == "__main__":
    harness.main()
