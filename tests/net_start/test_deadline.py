# SPDX-License-Identifier: Apache-2.0
"""Peers that say nothing: the attempt ends at its deadline, and earlier when nobody waits."""

import contextlib
import time
import unittest

from plays_parent import TIMEOUT, Case, each_mode, full_queue, listener, wait_for

DEADLINE_MS = 600
TO_THE_PROXY_MS = 4000  # the proxy must be reached before, on a machine that stops for seconds
LATEST = 30  # a busy machine may be late; without the deadline nothing ends within a minute


class Deadline(Case):
    def times_out(self, launcher, deadline_ms=DEADLINE_MS):
        start = time.monotonic()
        detail = self.fails(launcher, TIMEOUT)
        took = time.monotonic() - start
        self.assertGreaterEqual(took, deadline_ms / 1000)
        self.assertLess(took, LATEST)
        self.assertIn(f"{deadline_ms} ms", detail)
        return detail

    def deaf(self):
        """The port of a listener that answers no further connection."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        server = stack.enter_context(listener())
        stack.enter_context(full_queue(server))
        return server.getsockname()[1]

    @each_mode
    def test_host_that_does_not_accept(self, mode):
        launcher = self.launcher(mode, port=self.deaf(), timeout_ms=DEADLINE_MS)
        self.assertIn("no connection", self.times_out(launcher))

    @each_mode
    def test_proxy_that_does_not_answer(self, mode):
        with listener() as proxy:
            url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
            launcher = self.launcher(mode, proxy=url, timeout_ms=TO_THE_PROXY_MS)
            self.assertIn("opened no tunnel", self.times_out(launcher, TO_THE_PROXY_MS))

    def test_connector_ends_with_its_session(self):
        with listener() as proxy:
            launcher = self.launcher(proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}",
                                     timeout_ms=60000)
            session = launcher.order()
            session.born()
            peer, _ = proxy.accept()
            with peer:
                self.assertEqual(len(launcher.children()), 2)
                session.order_exit()
                wait_for(lambda: not launcher.children(), "the connector's end", LATEST)
                self.assertNotIn("WARN", launcher.lines())

    def test_connector_ends_when_all_is_over(self):
        with listener() as proxy:
            launcher = self.launcher(proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}",
                                     timeout_ms=60000)
            session = launcher.order()
            session.born()
            pids = launcher.children()
            self.assertEqual(len(pids), 2)
            launcher.parent.close()
            self.assertEqual(launcher.wait(LATEST), 0)
            session.close()
            for pid in pids:
                wait_for(lambda pid=pid: gone(pid), f"the end of {pid}")


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(") ")[2][0] in "ZX"
    except OSError:
        return True


if __name__ == "__main__":
    unittest.main()
