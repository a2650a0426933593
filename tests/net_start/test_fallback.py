# SPDX-License-Identifier: Apache-2.0
"""A name with several addresses of which some swallow what is sent to them: how long it takes until
the living one is connected to. Names come from a private /etc/hosts, so these tests need root."""

import contextlib
import os
import socket
import sys
import tempfile
import time
import unittest

from plays_parent import AS_ROOT, PATIENCE, Case, each_mode, full_queue

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "faults"))
import fuse  # noqa: E402

NAME = "several.test"
# The agent gives DNS, TCP and a proxy 10 s together; an address gets half of what is left.
ALL = 10
# So much that a busy machine's delays are short of the half, after which an address is given up.
MUCH = 60
# libcurl begins with the other family after 200 ms.
OTHER_FAMILY = (0.15, 20)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return False
    return True


def mount_file(test, path, text):
    """That text under this path, for this process and its children."""
    with tempfile.NamedTemporaryFile("w", dir="/tmp", delete=False) as file:
        file.write(text)
    test.addCleanup(os.unlink, file.name)
    os.chmod(file.name, 0o644)
    libc, bind = fuse._libc, 0x1000
    if libc.mount(file.name.encode(), path.encode(), None, bind, None) != 0:
        test.skipTest(f"{path} cannot be replaced here")
    test.addCleanup(libc.umount2, path.encode(), 2)


@contextlib.contextmanager
def bound(address, port=0):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((address, port))
        s.settimeout(PATIENCE)
        yield s


@contextlib.contextmanager
def swallowing(address, port):
    """An address that answers nothing."""
    with bound(address, port) as s, full_queue(s):
        with socket.socket(s.family) as proof:
            proof.settimeout(0.5)
            try:
                proof.connect(s.getsockname())
                raise AssertionError(f"{address} is alive")
            except TimeoutError:
                pass
        yield s


@unittest.skipUnless(AS_ROOT, "needs root")
class Fallback(Case):
    @classmethod
    def setUpClass(cls):
        fuse.own_mounts()

    def hosts(self, *addresses):
        mount_file(self, "/etc/hosts", "127.0.0.1 localhost\n"
                   + "".join(f"{address} {NAME}\n" for address in addresses))

    def seconds(self, mode, port, server, at_most=MUCH):
        """Until the living address is connected to."""
        launcher = self.launcher(mode, host=NAME, port=port, timeout_ms=at_most * 1000)
        start = time.monotonic()
        self.connects(launcher, server)
        return time.monotonic() - start

    @each_mode
    @unittest.skipUnless(has_ipv6(), "no IPv6 on this host")
    def test_dead_ipv6_living_ipv4(self, mode):
        self.hosts("::1", "127.0.0.1")
        with bound("127.0.0.1") as living:
            living.listen()
            port = living.getsockname()[1]
            with swallowing("::1", port):
                took = self.seconds(mode, port, living)
        print(f"dead AAAA, living A: {took * 1000:.0f} ms")
        self.assertTrue(OTHER_FAMILY[0] < took < OTHER_FAMILY[1], took)

    @each_mode
    @unittest.skipUnless(has_ipv6(), "no IPv6 on this host")
    def test_dead_ipv4_living_ipv6(self, mode):
        """Where this host prefers IPv4."""
        self.hosts("127.0.0.1", "::1")
        mount_file(self, "/etc/gai.conf", "precedence ::ffff:0:0/96 100\n")
        with bound("::1") as living:
            living.listen()
            port = living.getsockname()[1]
            with swallowing("127.0.0.1", port):
                took = self.seconds(mode, port, living)
        print(f"dead A, living AAAA: {took * 1000:.0f} ms")
        self.assertTrue(OTHER_FAMILY[0] < took < OTHER_FAMILY[1], took)

    @unittest.skipUnless(has_ipv6(), "no IPv6 on this host")
    def test_refusing_ipv6(self):
        """Refused is known at once."""
        self.hosts("::1", "127.0.0.1")
        with bound("127.0.0.1") as living:
            living.listen()
            took = self.seconds("user", living.getsockname()[1], living)
        print(f"refusing AAAA, living A: {took * 1000:.0f} ms")
        self.assertLess(took, OTHER_FAMILY[1])

    def test_first_of_two_is_dead(self):
        """Of one family: within the time that the agent gives to an attempt."""
        self.hosts("127.0.0.1", "127.0.0.2")
        with bound("127.0.0.2") as living:
            living.listen()
            port = living.getsockname()[1]
            with swallowing("127.0.0.1", port):
                took = self.seconds("user", port, living, ALL)
        print(f"first of two A dead: {took * 1000:.0f} ms")
        self.assertTrue(1 < took < ALL, took)


if __name__ == "__main__":
    unittest.main()
