#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whom the agent talks to: TLS versions, certificates, pins, redirects, handshakes that stall."""

import ssl

import harness
from harness import TIMEOUT, TOKEN, TowerCase, shared_pki
from support import alarms, public_directory, write_file
from tower import Drip, Raw, Stall, Tower, redirect

SYSTEM_BUNDLE = ssl.get_default_verify_paths().openssl_cafile
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", SYSTEM_BUNDLE)


class Accepted(TowerCase):
    def works(self, **options):
        self.online_agent(**options)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def test_tls_1_2_alone(self):
        self.tower.configure_tls(tls="1.2")
        self.works()
        self.assertEqual(self.tower.wait_event("tls-ok").version, "TLSv1.2")

    def test_tls_1_3_alone(self):
        self.tower.configure_tls(tls="1.3")
        self.works()
        self.assertEqual(self.tower.wait_event("tls-ok").version, "TLSv1.3")

    def test_rsa_certificate(self):
        for tls in ("1.2", "1.3"):
            self.tower.configure_tls(identity=shared_pki().rsa(), tls=tls)
            agent = self.online_agent()
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    def test_address_instead_of_a_name(self):
        self.works(url=self.tower.url_for("127.0.0.1"))
        self.assertIsNone(self.tower.wait_event("tls-ok").sni, "RFC 6066: no address as a name")
        request = self.tower.requests()[0]
        self.assertIn(("Host", f"127.0.0.1:{self.tower.port}"), request.headers)

    def test_ipv6_address(self):
        with Tower(shared_pki(), token=TOKEN, ipv6=True) as tower:
            agent = self.start_agent(url=tower.url_for("[::1]"))
            tower.wait_online(TIMEOUT)
            self.assertIn(("Host", f"[::1]:{tower.port}"), tower.requests()[0].headers)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    def test_bundle_with_more_in_it(self):
        with public_directory() as directory:
            bundle = "# Comments, and others' certificates\n"
            for path in (shared_pki().other_ca().cert, *BUNDLES[:1], self.tower.ca):
                try:
                    with open(path, encoding="utf-8") as file:
                        bundle += f"\n{path}\n===\n" + file.read()
                except FileNotFoundError:
                    pass  # a host without a system bundle
            self.works(ca_file=write_file(directory, "bundle.pem", bundle))

    def test_pins(self):
        pin, other = (shared_pki().spki_sha256(identity) for identity in
                      (shared_pki().server(), shared_pki().rsa()))
        self.works(args=("--pin-spki", other, "--pin-spki", pin))

    def test_pin_of_another_key_in_upper_case(self):
        self.works(args=("--pin-spki", shared_pki().spki_sha256(shared_pki().server()).upper()))


class Refused(TowerCase):
    def refused(self, identity, words, **options):
        if identity is not None:
            self.tower.configure_tls(identity=identity)
        agent = self.start_agent(**options)
        line = agent.wait_log("nothing was sent to it.*").string
        self.assertRegex(line, words)
        self.assertIn("WARN", line)
        self.assertIn(self.tower.url, line)
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(self.tower.requests(), [])
        self.assertEqual(self.tower.events.count("bad-request"), 0)
        self.assertEqual(len(alarms(agent.log, "core")), 1, agent.log)
        return line

    def test_expired(self):
        self.refused(shared_pki().expired(), "expired")

    def test_not_yet_valid(self):
        self.refused(shared_pki().not_yet_valid(), "not yet valid")

    def test_other_host(self):
        self.refused(shared_pki().other_host(), "another host")

    def test_other_address(self):
        identity = shared_pki().make("name-only", names=("DNS:localhost",))
        self.tower.configure_tls(identity=identity)
        agent = self.start_agent(url=self.tower.url_for("127.0.0.1"))
        self.assertRegex(agent.wait_log("nothing was sent to it.*").string, "(?i)address|host")
        self.assertEqual(self.tower.requests(), [])

    def test_common_name_alone_is_no_name(self):
        identity = shared_pki().make("wild", names=("DNS:*.localhost", "DNS:x.localhost"))
        self.refused(identity, "another host")

    def test_other_authority(self):
        line = self.refused(shared_pki().other_ca(), "(?i)issuer|self.signed|authority")
        self.assertIn("--ca-file", line)

    def test_tls_1_2_other_authority(self):
        self.tower.configure_tls(tls="1.2")
        self.refused(shared_pki().other_ca(), "(?i)issuer|self.signed|authority")

    def test_system_authorities_without_ca_file(self):
        self.refused(None, "(?i)issuer|self.signed|authority", ca_file=None,
                     env={"SSL_CERT_FILE": self.tower.ca})

    def test_pin_of_another_key(self):
        pin = shared_pki().spki_sha256(shared_pki().rsa())
        self.refused(None, "none of the pinned keys", args=("--pin-spki", pin))

    def test_becomes_right(self):
        self.tower.configure_tls(identity=shared_pki().expired())
        agent = self.start_agent()
        agent.wait_log("nothing was sent to it")
        self.tower.configure_tls(identity=shared_pki().server())
        self.tower.wait_online(TIMEOUT)

    def test_becomes_wrong(self):
        agent = self.online_agent()
        mark = self.tower.mark()
        self.tower.configure_tls(identity=shared_pki().other_ca())
        self.tower.agent.drop()
        agent.wait_log("nothing was sent to it")
        self.assertEqual(self.tower.requests(after=mark), [])

    def test_no_tls_there(self):
        with Tower(None, plain=True) as plain:
            plain.on("open", Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
            agent = self.start_agent(url=plain.url.replace("http:", "https:"))
            agent.wait_log("nothing was sent to it")
            self.assertEqual(plain.requests(), [])
            agent.terminate()
            self.assertEqual(agent.wait(), 0)

    def test_garbage_below_tls(self):
        for garbage in (b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\x15\x03\x03\0\2\2\x28",
                        b"\xff" * 100_000):
            self.tower.on("tls", Raw(garbage), times=3)
            mark = self.tower.mark()
            agent = self.start_agent()
            agent.wait_log("nothing was sent to it|the connection dropped|cannot connect")
            self.tower.wait_online(TIMEOUT)
            right = {event.conn for event in self.tower.events.list("tls-ok", mark)}
            accepted = {event.conn for event in self.tower.events.list("tcp-accept", mark)}
            self.assertGreaterEqual(len(accepted - right), 3, "those that got garbage")
            self.assertLessEqual({request.conn for request in self.tower.requests(after=mark)}, right)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)


class Redirects(TowerCase):
    def test_never_followed(self):
        with Tower(shared_pki(), token=TOKEN) as other:
            for step, status in (("service-info", 302), ("user", 307), ("connect", 301)):
                with self.subTest(step):
                    target = other.url + "/" + step
                    self.tower.on(step, redirect(status, target), times=1)
                    mark = self.tower.mark()
                    agent = self.start_agent()
                    agent.wait_log(str(status))
                    self.tower.wait_online(TIMEOUT)
                    self.assertEqual(len(self.tower.requests(step, after=mark)), 2)
                    self.assertEqual(other.events.list(), [])
                    agent.terminate()
                    self.assertEqual(agent.wait(), 0)

    def test_log_says_redirect(self):
        self.tower.on("service-info", redirect(308, "http://elsewhere.example/"), times=1)
        agent = self.start_agent()
        agent.wait_log("redirect .*never followed")


class Stalls(TowerCase):
    def test_handshake(self):
        self.tower.on("tls", Stall())
        agent = self.start_agent()
        agent.wait_log("does not answer in time")
        self.tower.clear("tls")
        self.tower.wait_online(TIMEOUT)

    def test_handshake_byte_by_byte(self):
        self.tower.on("tls", Drip(1))
        agent = self.start_agent()
        agent.wait_log("does not answer in time")
        self.tower.clear("tls")
        self.tower.wait_online(TIMEOUT)
        self.assertEqual(self.tower.requests()[0].step, "service-info")


if __name__ == "__main__":
    harness.main()
