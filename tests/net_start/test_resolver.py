# SPDX-License-Identifier: Apache-2.0
"""Names: found, not found, and a name service that is slow or silent."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import time
import unittest

from plays_parent import AS_ROOT, RESOLVE, TIMEOUT, Case, each_mode, listener

# Loopback has an address for each process.
SERVICE = "127.{}.{}.{}".format(64 + (os.getpid() >> 16), os.getpid() >> 8 & 255, os.getpid() & 255)
# The resolver itself would wait so long for an answer.
RESOLVER_S = 30


def answer(query):
    """The DNS answer: 127.0.0.1 for tower.test, no such name for others (RFC 1035 section 4.1)."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    kind = question[-4:-2]
    if not question.startswith(b"\x05tower\x04test\0"):
        return query[:2] + b"\x81\x83" + b"\0\1\0\0\0\0\0\0" + question
    if kind != b"\0\1":
        return query[:2] + b"\x81\x80" + b"\0\1\0\0\0\0\0\0" + question
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
    return query[:2] + b"\x81\x80" + b"\0\1\0\1\0\0\0\0" + question + record


@contextlib.contextmanager
def name_service(silent=False):
    """Serves on UDP port 53; yields the wrapper that makes a program use it."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((SERVICE, 53))
    s.settimeout(0.1)
    over = threading.Event()

    def serve():
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                query, peer = s.recvfrom(4096)
                if not silent:
                    s.sendto(answer(query), peer)
    thread = threading.Thread(target=serve)
    with s, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "resolv.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"nameserver {SERVICE}\noptions timeout:{RESOLVER_S}\n")
        os.chmod(path, 0o644)
        thread.start()
        try:
            yield ["unshare", "-m", "sh", "-c",
                   f'mount --bind {path} /etc/resolv.conf && exec "$0"']
        finally:
            over.set()
            thread.join()


NEEDS = "needs root and unshare, to serve on port 53 and to mount a resolv.conf"
CAN_SERVE = AS_ROOT and shutil.which("unshare")


class Resolver(Case):
    @each_mode
    def test_name_that_cannot_be(self, mode):
        host = "x" * 64 + ".test"  # RFC 1035 section 2.3.4: labels have at most 63 bytes
        detail = self.fails(self.launcher(mode, host=host), RESOLVE, 6)
        self.assertEqual(detail, "could not resolve host " + host)

    @each_mode
    def test_own_host_name_or_failure(self, mode):
        """Whatever this host's name service does, the connector survives it in its sandbox."""
        for host in (socket.gethostname(), "tower.invalid"):
            launcher = self.launcher(mode, host=host, timeout_ms=3000)
            _, outcome = launcher.connect()
            self.assertIn(outcome[0], ("connected", "failed"), outcome)
            print(f"{mode}: {host}: {outcome}")
            if outcome[0] == "connected":
                outcome[1].close()

    @unittest.skipUnless(CAN_SERVE, NEEDS)
    def test_name_is_resolved(self):
        with name_service() as wrapper, listener() as server:
            launcher = self.launcher("system", wrapper=wrapper, host="tower.test",
                                     port=server.getsockname()[1])
            self.connects(launcher, server)

    @unittest.skipUnless(CAN_SERVE, NEEDS)
    def test_no_such_name(self):
        with name_service() as wrapper:
            launcher = self.launcher("system", wrapper=wrapper, host="nowhere.test")
            self.assertIn("could not resolve host nowhere.test", self.fails(launcher, RESOLVE))
            launcher = self.launcher("system", wrapper=wrapper, host="tower.test",
                                     proxy="http://nowhere.test:3128")
            self.assertIn("the proxy http://nowhere.test:3128", self.fails(launcher, RESOLVE))

    @unittest.skipUnless(CAN_SERVE, NEEDS)
    def test_silent_name_service(self):
        with name_service(silent=True) as wrapper:
            launcher = self.launcher("system", wrapper=wrapper, host="tower.test", timeout_ms=600)
            session = launcher.order()
            session.born()
            start = time.monotonic()
            outcome = session.outcome()
            self.assertEqual(outcome[:2], ("failed", TIMEOUT), outcome)
            self.assertIn("name service", outcome[3])
            self.assertLess(time.monotonic() - start, RESOLVER_S - 5)


if __name__ == "__main__":
    unittest.main()
