# SPDX-License-Identifier: Apache-2.0
"""Through a CONNECT proxy."""

import errno
import threading
import unittest

from plays_parent import (CONNECT, PATIENCE, PROXY, Case, each_mode, listener, refusing_port,
                          tinyproxy)


class Proxy(Case):
    def through(self, port, server, mode="user", **options):
        return self.launcher(mode, port=server.getsockname()[1], proxy=f"http://127.0.0.1:{port}",
                             **options)

    @each_mode
    def test_without_password(self, mode):
        with tinyproxy() as port, listener() as server:
            self.connects(self.through(port, server, mode), server)

    @each_mode
    def test_with_password(self, mode):
        with tinyproxy("BasicAuth ann s3cret") as port, listener() as server:
            launcher = self.through(port, server, mode, proxy_auth="ann:s3cret", log_level=4)
            self.connects(launcher, server)
            self.assertNotIn("s3cret", launcher.lines())

    def test_proxy_by_name(self):
        with tinyproxy() as port, listener() as server:
            launcher = self.launcher(port=server.getsockname()[1],
                                     proxy=f"http://localhost:{port}/")
            self.connects(launcher, server)

    def test_wrong_password(self):
        with tinyproxy("BasicAuth ann s3cret") as port, listener() as server:
            for auth in ("ann:wrong", "ann"):  # tinyproxy says 401 where RFC 9110 wants 407
                _, outcome = self.through(port, server, proxy_auth=auth).connect()
                self.assertEqual(outcome[:2], ("failed", PROXY))
                self.assertIn(outcome[2], (401, 407))
            detail = self.fails(self.through(port, server), PROXY, 407)
            self.assertEqual(detail, "the proxy refused: 407")

    def test_wrong_password_as_rfc_9110_has_it(self):
        outcome, _ = self.answers(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                                  b"Content-Length: 0\r\n\r\n")
        self.assertEqual(outcome, ("failed", PROXY, 407, "the proxy refused: 407"))

    def test_target_refused_behind_proxy(self):
        with tinyproxy() as port, refusing_port() as target:
            launcher = self.launcher(port=target, proxy=f"http://127.0.0.1:{port}")
            _, outcome = launcher.connect()
            self.assertEqual(outcome[:2], ("failed", PROXY))
            self.assertGreaterEqual(outcome[2], 500)

    def test_no_proxy_there(self):
        with listener() as server, refusing_port() as port:
            detail = self.fails(self.through(port, server), CONNECT, errno.ECONNREFUSED)
            self.assertIn("the proxy", detail)

    def answers(self, reply):
        """The outcome when the proxy's answer is this; and what it was asked."""
        asked = []
        with listener() as proxy:
            def serve():
                peer, _ = proxy.accept()
                with peer:
                    peer.settimeout(PATIENCE)
                    asked.append(peer.recv(65536))
                    try:
                        peer.sendall(reply)
                    except OSError:
                        pass
            thread = threading.Thread(target=serve)
            launcher = self.launcher(host="tower.invalid", port=443,
                                     proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}",
                                     proxy_auth="a:p:w@x")
            thread.start()
            _, outcome = launcher.connect()
            thread.join()
        return outcome, asked[0]

    def test_host_is_resolved_by_the_proxy(self):
        outcome, asked = self.answers(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(outcome[0], "connected")
        outcome[1].close()
        self.assertTrue(asked.startswith(b"CONNECT tower.invalid:443 HTTP/1."), asked)
        self.assertIn(b"Basic YTpwOndAeA==", asked)  # a:p:w@x

    def test_proxy_that_closes(self):
        outcome, _ = self.answers(b"")
        self.assertEqual(outcome[:2], ("failed", PROXY))

    def test_proxy_that_talks_nonsense(self):
        outcome, _ = self.answers(b"\0\xff" * 3000)
        self.assertEqual(outcome[:2], ("failed", PROXY), outcome)

    def test_proxy_without_end(self):
        outcome, _ = self.answers(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4000000)
        self.assertEqual(outcome[:2], ("failed", PROXY), outcome)

    def test_text_of_the_proxy_is_not_repeated(self):
        outcome, _ = self.answers(b"HTTP/1.1 403 go \x1b[31maway\r\nContent-Length: 4\r\n\r\nevil")
        self.assertEqual(outcome, ("failed", PROXY, 403, "the proxy refused: 403"))

    def test_redirect_is_not_followed(self):
        outcome, _ = self.answers(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
        self.assertEqual(outcome, ("failed", PROXY, 302, "the proxy refused: 302"))

    def test_other_schemes_are_refused_at_start(self):
        for proxy in ("https://127.0.0.1:3128", "socks5://127.0.0.1:1080", "127.0.0.1:3128",
                      "http://127.0.0.1", "http://u:p@127.0.0.1:3128", "http://127.0.0.1:0",
                      "http://127.0.0.1:3128/x", "http://:3128"):
            launcher = self.launcher(proxy=proxy, starts=False)
            self.assertEqual(launcher.wait(), 1, proxy)
            self.assertIn("http://host:port", launcher.lines())


if __name__ == "__main__":
    unittest.main()
