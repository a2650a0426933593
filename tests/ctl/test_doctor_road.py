#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl doctor: each step of the network and at Tower made to fail once, and named."""

import signal
import types

from ctl import TOKEN, harness
from doctors import CONFIGURATION, OFFLINE, REFUSED, UNREACHABLE, DoctorCase, Proxy
from harness import give, shared_pki
from support import wait_status
from tower import Drop, Raw, Reply, error, redirect


class OnTheWay(DoctorCase):
    def test_dns(self):
        for host in self.modes():
            tower = self.tower()
            self.ends(self.doctor(host, tower, url="https://no-such-host.invalid/api"), "dns",
                      UNREACHABLE, "no-such-host.invalid: .*proxy_file")

    def test_tcp(self):
        for host in self.modes():
            tower = self.tower()
            tower.stop_listening()
            self.ends(self.doctor(host, tower), "tcp", UNREACHABLE,
                      "127.0.0.1: Connection refused.*proxy_file")
            tower.start_listening()

    def proxied(self, host, proxy, user=""):
        path = host.write("proxy", f"http://{user}127.0.0.1:{proxy.port}\n", 0o600)
        give(path, "root" if host.system else host.user, 0o600)
        return path

    def test_proxy(self):
        for host in self.modes():
            tower = self.tower()
            proxy = Proxy(self, tower, password="ann:pr0xy-s3cret")
            report = self.doctor(host, tower, proxy_file=self.proxied(host, proxy,
                                                                      "ann:pr0xy-s3cret@"))
            self.assertEqual(report.code, 0, report.text + report.stderr)
            self.assertRegex(report.step("proxy")["detail"], "lets through to localhost.*password")
            self.assertNotIn("s3cret", report.text + report.stderr)
            self.assertNotIn(TOKEN.encode(), b"".join(proxy.asked))
            report = self.doctor(host, tower, proxy_file=self.proxied(host, proxy, "ann:wr0ng@"))
            self.ends(report, "proxy", UNREACHABLE, "407.*proxy_file")
            self.assertNotIn("wr0ng", report.text + report.stderr)
            refusing = Proxy(self, tower, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            self.ends(self.doctor(host, tower, proxy_file=self.proxied(host, refusing)), "proxy",
                      UNREACHABLE, "403.*CONNECT")
            self.ends(self.doctor(host, tower, proxy="http://127.0.0.1:9"), "tcp", UNREACHABLE,
                      "refused.*whether the proxy runs")

    def test_certificates(self):
        pki = shared_pki()
        for host in self.modes():
            tower = self.tower()
            for identity, words, output in (
                    (pki.expired(), "expired.*this host's clock says 20", "valid from .* to "),
                    (pki.not_yet_valid(), "not yet valid.*clock says 20", "valid from "),
                    (pki.other_ca(), "no trusted authority vouches for 'CN=.*ca_file", "issuer CN="),
                    (pki.other_host(), "(?i)host.*url must name|another host|match", "subject ")):
                tower.configure_tls(identity=identity)
                self.ends(self.doctor(host, tower), "tls", UNREACHABLE, words, output)
            self.assertEqual(tower.requests(), [])

    def test_pins(self):
        """A backup pin is enough; without any the road ends."""
        host, tower = self.one()
        mine, other = (shared_pki().spki_sha256(identity) for identity in
                       (shared_pki().server(), shared_pki().rsa()))
        report = self.doctor(host, tower, "--no-start", pin_spki=f"{other}, {mine}")
        self.assertIn("pinned", report.step("tls")["detail"])
        self.ends(self.doctor(host, tower, pin_spki=other), "tls", UNREACHABLE,
                  "no key of the certificate chain is pinned.*pin_spki", mine)

    def test_no_tls(self):
        host, tower = self.one()
        tower.on("tls", Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        self.ends(self.doctor(host, tower), "tls", UNREACHABLE, "TLS failed")


class AtTower(DoctorCase):
    def test_service_info(self):
        version = {"serviceInfo": {"version": "20.1", "apiVersion": "1.7.9"}}
        for answer, code, words in (
                (Reply(200, json=version), UNREACHABLE, "API version 1.7.9 is too old: 1.8"),
                (Reply(200, json={"a": 1}), UNREACHABLE, "not a Tower"),
                (Reply(200, body="<html>hello"), UNREACHABLE, "not usable"),
                (error(503, "maintenance"), UNREACHABLE, "503: maintenance.*operators"),
                (redirect(302, "https://elsewhere/"), UNREACHABLE, "302.*redirect")):
            host, tower = self.one()
            tower.on("service-info", answer)
            self.ends(self.doctor(host, tower), "service-info", code, words)

    def test_did_you_mean(self):
        host, tower = self.one()
        tower.on("any", error(404, "no such page"))
        self.ends(self.doctor(host, tower, url=tower.url.removesuffix("/api")), "service-info",
                  UNREACHABLE, "did you mean url with /api at its end")

    def test_token(self):
        for host in self.modes():
            tower = self.tower()
            for status, code, words in ((401, REFUSED, "401.*new token"),
                                        (403, REFUSED, "403.*new token"),
                                        (502, 1, "not judged: Tower is not well")):
                tower.on("user", error(status, "as told"), times=1)
                self.ends(self.doctor(host, tower), "token", code, words)
            self.ends(self.doctor(host, tower, token_file="/nowhere/token"), "token",
                      CONFIGURATION, "/nowhere|directory|No such.*setup")
            self.assertEqual(tower.requests("connect"), [])

    def test_token_is_said_back(self):
        host, tower = self.one()
        tower.on("user", error(401, f"bad token {TOKEN}"))
        report = self.doctor(host, tower)
        self.ends(report, "token", REFUSED, "401")

    def test_upgrade(self):
        """What the real agent says is shown."""
        for host in self.modes():
            tower = self.tower()
            tower.on("user", Reply(200, json={"user": {"userName": "x"}}), times=1)
            tower.on("user", error(401, "gone meanwhile"))
            self.ends(self.doctor(host, tower), "upgrade", REFUSED,
                      "ended with code 4: the token was refused", "gone meanwhile")

    def test_info(self):
        """Tower takes the connection and ends it at once."""
        host, tower = self.one()
        with self.start(host, tower) as process:
            for line in process.stdout:
                if " upgrade " in line:
                    break
            process.send_signal(signal.SIGSTOP)  # until its agent knows
            tower.on("connect", Drop())
            tower.agent.close(4000, "another one")
            agent = types.SimpleNamespace(state_dir=host.state, log="(not taken)")
            wait_status(agent, lambda status: status["state"] != "online")
            process.send_signal(signal.SIGCONT)
            said = process.stdout.read()
        self.assertEqual(process.returncode, OFFLINE)
        self.assertRegex(said, "failed +info +(standby|waiting)")


if __name__ == "__main__":
    harness.main()
