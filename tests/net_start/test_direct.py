# SPDX-License-Identifier: Apache-2.0
"""Straight to the host: the socket arrives, ready for use; addresses are tried in turn."""

import errno
import fcntl
import os
import socket
import unittest

from plays_parent import CONNECT, Case, each_mode, listener, refusing_port


def has_ipv6():
    try:
        listener("::1").close()
    except OSError:
        return False
    return True


class Direct(Case):
    @each_mode
    def test_connected_socket_carries_bytes(self, mode):
        with listener() as server:
            self.connects(self.launcher(mode, port=server.getsockname()[1]), server)

    def test_socket_is_ready_for_use(self):
        with listener() as server:
            launcher = self.launcher(port=server.getsockname()[1])
            _, (word, client) = launcher.connect()
            self.assertEqual(word, "connected")
            with client:
                self.assertTrue(fcntl.fcntl(client, fcntl.F_GETFL) & os.O_NONBLOCK)
                self.assertTrue(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                self.assertTrue(client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    @unittest.skipUnless(has_ipv6(), "no IPv6 on this host")
    def test_ipv6_literal(self):
        with listener("::1") as server:
            self.connects(self.launcher(host="::1", port=server.getsockname()[1]), server)

    @each_mode
    @unittest.skipUnless(has_ipv6(), "no IPv6 on this host")
    def test_localhost_falls_back_to_ipv4(self, mode):
        with listener() as server:  # nobody listens on ::1 with this port
            self.connects(self.launcher(mode, host="localhost", port=server.getsockname()[1]),
                          server)

    @unittest.skipUnless(has_ipv6(), "no IPv6 on this host")
    def test_localhost_prefers_ipv6(self):
        with listener("::1") as server:
            self.connects(self.launcher(host="localhost", port=server.getsockname()[1]), server)

    @each_mode
    def test_refused(self, mode):
        for host in ("127.0.0.1", "localhost"):
            with refusing_port() as port:
                launcher = self.launcher(mode, host=host, port=port)
                detail = self.fails(launcher, CONNECT, errno.ECONNREFUSED)
            self.assertIn("refused", detail)
            self.assertIn(host, detail)

    def test_host_that_is_none(self):
        for host in ("a/b", "user@127.0.0.1", "127.0.0.1#", "127.0.0.1:80@x", "a b"):
            launcher = self.launcher(host=host)
            _, outcome = launcher.connect()
            self.assertEqual(outcome[0], "failed")
            self.assertIn("not a host name", outcome[3])

    def test_variables_change_nothing(self):
        with listener() as server:
            environment = {name: "http://127.0.0.1:1" for name in
                           ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
                            "ALL_PROXY")}
            launcher = self.launcher(port=server.getsockname()[1],
                                     environment={**environment, "LD_PRELOAD": "/nowhere.so"})
            self.connects(launcher, server)
            self.assertNotIn("nowhere", launcher.lines().replace("object '/nowhere.so'", "", 1))


if __name__ == "__main__":
    unittest.main()
