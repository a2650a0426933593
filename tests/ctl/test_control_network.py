#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What tw-agentctl sends to whom, and what it makes of hostile answers: the token goes to the one
host, over verified TLS, and every answer ends within bounds."""

import base64
import json
import os
import resource
import unittest

from control import ControlCase
from harness import AS_ROOT, TIMEOUT, TOKEN, give, main, modes, shared_pki
from links import BadProxy
from support import build_has
from tower import (Pki, Raw, Reply, Stall, Tower, endless_body, endless_headers, error,
                   header_flood, interim_flood, redirect)

DEAD = "http://127.0.0.1:1"


class Network(ControlCase):
    def list(self, *arguments, **options):
        return self.well("credentials", "list", *arguments, **options)

    def refuse(self, code, regex, *arguments, **options):
        return self.expect(code, regex, "credentials", "list", *arguments, **options)

    def other_tower(self, **options):
        tower = Tower(shared_pki(), token=TOKEN, **options)
        tower.start()
        self.addCleanup(tower.stop)
        return tower

    def proxy(self, manner="work"):
        proxy = BadProxy(self.tower.port)
        proxy.manner = manner
        self.addCleanup(proxy.stop)
        return proxy

    def pin(self, name="server"):
        identity = {"server": shared_pki().server, "other": shared_pki().other_host}.get(name)
        return shared_pki().spki_sha256(identity() if identity else name)


class Requests(Network):
    def test_headers(self):
        self.list()
        [request] = self.tower.requests()
        self.assertEqual(sorted(name.lower() for name, _ in request.headers),
                         ["accept", "accept-version", "authorization", "host", "user-agent"])
        self.assertEqual(request.token, TOKEN)
        self.assertRegex(dict(request.headers)["User-Agent"], r"^tw-agentctl/\d")

    def test_redirects_are_not_followed(self):
        other = self.other_tower()
        for status in (301, 302, 303, 307, 308):
            self.tower.on("other", redirect(status, f"{other.url}/credentials"))
            self.refuse(1, f"answered {status}: redirects are not followed")
        self.assertEqual(other.events.list("tcp-accept"), [])

    def test_netrc_and_curlrc_are_not_read(self):
        """Whoever opened one would wait for its writer for ever."""
        for name in (".netrc", ".curlrc"):
            os.mkfifo(os.path.join(self.directory, name))
            give(os.path.join(self.directory, name), self.user, 0o600)
        self.list(env={"NETRC": os.path.join(self.directory, ".netrc")})

    def test_cookies_are_not_kept(self):
        self.tower.on("other", lambda request: Reply(
            json={"user": {"id": 1}}, headers=[("Set-Cookie", "a=b")]), 1)
        self.list("--workspace", "7101")
        self.assertEqual(len(self.tower.requests()), 3)
        for request in self.tower.requests():
            self.assertNotIn("cookie", [name.lower() for name, _ in request.headers])

    def test_keys_are_not_recorded(self):
        path = os.path.join(self.directory, "keys")
        self.list(env={"SSLKEYLOGFILE": path, "OPENSSL_CONF": "/nonexistent"})
        self.assertFalse(os.path.exists(path))


@unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "no IPv6 here")
class Addresses(Network):
    tower_options = {"ipv6": True}

    def test_addresses(self):
        for host in ("localhost", "127.0.0.1", "[::1]"):
            self.list(url=self.tower.url_for(host))
            self.assertEqual(dict(self.tower.requests()[-1].headers)["Host"],
                             f"{host}:{self.tower.port}")


class Proxies(Network):
    def test_other_variables_are_not_honoured(self):
        names = ("ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy", "SOCKS_PROXY")
        self.list(env={name: DEAD for name in names})

    def test_the_agents_variables_are(self):
        for name in ("HTTPS_PROXY", "https_proxy"):
            self.refuse(5, f"could not connect to the proxy {DEAD}", env={name: DEAD})
            self.list(env={name: DEAD, "NO_PROXY": "localhost"})
            self.list("--proxy=", env={name: DEAD})
            self.refuse(5, "the proxy", "--proxy", DEAD, env={"NO_PROXY": "localhost"})

    def test_through_a_proxy(self):
        proxy = self.proxy()
        path = self.write("proxy", f"http://us%65r:s3same%3a@{proxy.url[7:]}\n", 0o600)
        done = self.list("--proxy-file", path)
        self.assertNotIn("s3same", done.out)
        [head] = proxy.heads
        self.assertIn(b"Proxy-Authorization: Basic dXNlcjpzM3NhbWU6", head)  # user:s3same:
        self.assertNotIn(b"Bearer", head)
        self.assertEqual(self.tower.requests()[-1].token, TOKEN)
        self.assertNotIn("proxy-authorization", [name.lower() for name, _ in
                                                 self.tower.requests()[-1].headers])

    def test_proxies_that_refuse(self):
        for manner, words in (("407 Proxy Authentication Required", "refused: 407"),
                              ("503 Busy", "refused: 503"), ("end", "the proxy")):
            done = self.refuse(5, words, "--proxy", "http://u:s3same@" + self.proxy(manner).url[7:])
            self.assertNotIn("s3same", done.err)
        self.assertEqual(self.tower.events.list("tcp-accept"), [])

    def test_a_proxy_that_hangs(self):
        self.refuse(5, "within 700 ms", "--timeout=700ms", "--proxy", self.proxy("hang").url)


class Tls(Network):
    def assert_no_request(self):
        self.assertEqual(self.tower.requests(), [])

    def test_another_authority(self):
        other = Pki(os.path.join(self.directory, "other"))
        os.chmod(other.directory, 0o755)
        self.refuse(5, "certificate is refused: unable to get local issuer", ca=other.ca)
        # Not even when the environment trusts it.
        self.refuse(5, "certificate is refused", ca=other.ca,
                    env={"SSL_CERT_FILE": self.tower.ca, "CURL_CA_BUNDLE": self.tower.ca})
        self.assert_no_request()

    def test_bad_certificates(self):
        pki = shared_pki()
        for identity, words in ((pki.expired(), "certificate has expired"),
                                (pki.not_yet_valid(), "certificate is not yet valid"),
                                (pki.other_ca(), "unable to get local issuer certificate"),
                                (pki.other_host(), "it is for another host")):
            self.tower.configure_tls(identity=identity)
            self.refuse(5, words)
        self.assert_no_request()

    def test_a_certificate_is_no_authority(self):
        """As the agent: a chain goes up to a root."""
        self.refuse(5, "certificate is refused: unable to get", ca=shared_pki().server().cert)
        self.assert_no_request()

    def test_versions(self):
        for version in ("1.2", "1.3"):
            self.tower.configure_tls(tls=version)
            self.list()

    def test_pins(self):
        own, wrong = self.pin(), "ab" * 32
        authority = self.pin(shared_pki()._authority("ca"))
        for pins in ((own,), (wrong, own), (authority,), (f"{wrong},{own.upper()}",)):
            self.list(*[f"--pin-spki={pin}" for pin in pins])
        served = len(self.tower.requests())
        for pins in ((wrong,), (self.pin("other"), wrong)):
            self.refuse(5, "localhost: no key of the certificate chain is pinned",
                        *[f"--pin-spki={pin}" for pin in pins])
        self.assertEqual(len(self.tower.requests()), served)
        self.refuse(2, "a pin is 64 hexadecimal digits", "--pin-spki=abc")

    def test_not_tls(self):
        self.tower.on("tls", Raw(b"SSH-2.0-OpenSSH_9.2\r\n", then="fin"))
        self.refuse(5, "localhost: TLS failed")
        self.tower.on("tls", Stall())
        self.refuse(5, "no TLS connection within 3000 ms", "--timeout=3s")


class Answers(Network):
    """Hostile ones: a clear end, soon, and in little memory."""

    def tearDown(self):
        # Of whichever of our children took the most so far; a sanitizer needs more for itself.
        if not build_has("TW_SANITIZE"):
            used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            self.assertLess(used, 96, "MiB")
        super().tearDown()

    def answer(self, code, regex, answer):
        self.tower.on("other", answer)
        return self.refuse(code, regex)

    def test_floods(self):
        for answer in (Reply(body=endless_body, chunked=True), Reply(body=endless_body, length=False),
                       Raw(endless_headers), Raw(header_flood(2000)), Raw(interim_flood),
                       Raw(lambda: interim_flood(100)), Reply(500, body=endless_body, chunked=True)):
            self.answer(1, "the answer of localhost is too large", answer)

    def test_depth_and_number(self):
        row = {"id": "a", "name": "b", "provider": "tw-agent", "keys": {}}
        for body in (b"[" * 100000, b'{"credentials":' + b"[" * 40 + b"]" * 40 + b"}",
                     b'{"credentials":[' + b"0," * 400000 + b"0]}",
                     b'{"credentials":' + b"9" * 100000 + b"}"):
            self.answer(1, "the answer of .* is not usable: (nested too|too many|a number)",
                        Reply(body=body))
        self.tower.on("other", Reply(json={"credentials": [row] * 2000}))
        self.assertEqual(self.list().out.count("\n"), 2001)

    def test_not_as_expected(self):
        for body, words in ((b"<html>", "not usable: it is not JSON"),
                            (b'{"credentials":[', "not usable: it is not JSON"),
                            (b'{"a":1,"a":2}', "not usable: it is not JSON"),
                            (b'{"credentials":"\xff\xfe"}', "not usable: it is not JSON"),
                            (b"", "list of credentials is not as expected"),
                            (b"[]", "list of credentials is not as expected"),
                            (b'{"credentials":{"a":1}}', "list of credentials is not as expected")):
            self.answer(1, words, Reply(body=body))
        for body in (b"", b"[]", b"{}", b'{"user":7}', b'{"user":{"id":"x"}}',
                     b'{"user":{"id":-1}}'):
            self.tower.on("other", Reply(body=body))
            self.refuse(1, "list of workspaces is not as expected", "--workspace", "7101")
        self.tower.clear()
        self.tower.on("other", Reply(json={"credentials": [None, 7, [], {}, {"provider": 1},
                                                           {"provider": "tw-agent", "keys": 3}]}))
        self.assertEqual(self.list().out.count("\n"), 2)

    def test_cut_short(self):
        self.answer(1, "gave no whole answer", Reply(body=b'{"credentials":[]}',
                                                     headers=[("Content-Length", "99")],
                                                     then="fin"))
        self.answer(1, "gave no whole answer", Raw(b"", then="rst"))
        self.answer(1, "gave no whole answer", Raw(b"HTTP/1.1 200 OK\r\nContent-Le", then="fin"))
        self.answer(1, "gave no whole answer", Raw(b"\x00\x01\x02 nothing like it\r\n\r\n"))

    def test_silence(self):
        for answer in (Stall(), Reply(json={"credentials": []}, drip=0.3),
                       Reply(body=b"{", headers=[("Content-Length", "9")], then="stall")):
            self.tower.on("other", answer)
            self.refuse(5, "did not answer within 4000 ms", "--timeout=4s")

    def test_texts(self):
        """Names and messages from the server: nothing in them reaches the terminal as it is."""
        nasty = "a\x1b[2Jb\rc\nd\u202ee\x9bf\x7f\u2066g\tü"
        self.tower.on("other", error(400, nasty))
        done = self.refuse(1, r"Tower answered 400: a\\x1b\[2Jb")
        self.assertEqual(done.err.count("\n"), 1)
        rows = [{"id": nasty, "name": nasty, "provider": "tw-agent", "description": nasty,
                 "keys": {"connectionId": nasty, "workDir": nasty}}]
        self.tower.on("other", Reply(json={"credentials": rows}))
        self.assertEqual(self.list().out.count("\n"), 2)
        whole = self.list("--json")
        self.assertEqual(whole.out.count("\n"), 1)
        self.assertEqual(whole.json["credentials"], rows)
        self.tower.clear()
        self.tower.rest.workspaces = [type(self.tower.rest.workspaces[0])(1, nasty, nasty)]
        self.assertEqual(self.refuse(6, "no workspace", "--workspace=x/y").err.count("\n"), 2)
        self.tower.on("other", error(500, "x" * 100000))
        self.assertLess(len(self.refuse(1, "Tower answered 500").err), 1000)

    def test_what_repeats_the_token(self):
        for status in (200, 400, 401):
            for spoken in (TOKEN, json.dumps(TOKEN).replace("t", "\\u0074")[1:-1]):
                body = '{"message":"bad token ' + spoken + '","credentials":[]}'
                done = self.answer(4 if status == 401 else 1, "Tower answered|repeats the access",
                                   Reply(status, body=body))
                self.assertNotIn(TOKEN[:12], done.err)
        for spoken in (base64.b64encode(TOKEN.encode()).decode(), TOKEN.encode().hex()):
            done = self.answer(1, r"Tower answered 400: bad token \[redacted\]",
                               error(400, "bad token " + spoken))
            self.assertNotIn(spoken[:12], done.err)
        self.tower.clear()
        self.tower.rest.add(TOKEN, connectionId="lab")
        self.refuse(1, "it repeats the access token")


class Secrecy(Network):
    def arguments(self, way):
        """(arguments, variables) that give the token in that way."""
        if way == "env":
            return [], {"TOWER_ACCESS_TOKEN": TOKEN}
        if way == "arg":
            return ["-t", TOKEN], {}
        if way == "long":
            return [f"--access-token={TOKEN}"], {}
        return ["--token-file", self.token_file], {}

    @modes("system", "user")
    def test_neither_arguments_nor_environment(self):
        for way in ("file", "env", "arg", "long"):
            self.tower.on("other", Stall())
            arguments, variables = self.arguments(way)
            mark = self.tower.mark()
            popen = self.start_ctl("credentials", "list", "--url", self.tower.url, "--ca-file",
                                   self.tower.ca, *arguments, env=variables, bare=True)
            self.tower.wait_event("http-request", TIMEOUT, mark, token=TOKEN)
            shown = b""
            for name in ("cmdline", "environ") if AS_ROOT else ("cmdline",):
                with open(f"/proc/{popen.pid}/{name}", "rb") as file:
                    shown += file.read()
            self.assertIn(b"credentials\0list", shown)
            self.assertNotIn(TOKEN[:6].encode(), shown)
            # Nobody of the same user looks into it either: root owns what is not dumpable.
            self.assertEqual(os.stat(f"/proc/{popen.pid}/environ").st_uid, 0)
            popen.kill()
            self.judge(0, *popen.communicate())

    def test_a_token_for_all_to_read_is_warned_of(self):
        for way, words in (("env", "TOWER_ACCESS_TOKEN"), ("arg", "--access-token")):
            arguments, variables = self.arguments(way)
            done = self.run_ctl("credentials", "list", "--url", self.tower.url, "--ca-file",
                                self.tower.ca, *arguments, env=variables, bare=True)
            self.assertEqual(done.code, 0, done)
            self.assertRegex(done.err, f"{words} was readable by other users .* --token-file\n$")

    def test_a_token_in_the_wrong_place_is_not_repeated(self):
        token = "eyJ0aWQiOiAxMjM0NX0uNDU2Nzg5MGFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        for arguments in (["--for", token[:60]], ["--workspace", token], [token], ["--name", token],
                          ["--id", token], ["--" + token], ["--config", token]):
            for action in ("list", "show", "delete"):
                done = self.run_ctl("credentials", action, *arguments)
                self.assertNotEqual(done.code, 0)
                self.assertNotIn(token[:12], done.err + done.out)

    def test_sources(self):
        """As the agent takes them, and refuses them."""
        base = ("--url", self.tower.url, "--ca-file", self.tower.ca)
        reading, writing = os.pipe()
        os.write(writing, TOKEN.encode() + b"\n")
        os.close(writing)
        self.addCleanup(os.close, reading)
        self.list(*base, f"--token-fd={reading}", pass_fds=(reading,), bare=True)
        self.write("service/token", TOKEN, 0o600)
        self.list(*base, env={"CREDENTIALS_DIRECTORY": os.path.join(self.directory, "service")},
                  bare=True)
        link = os.path.join(self.directory, "link")
        os.symlink(self.token_file, link)
        for path, words in ((self.directory + "/none", "No such file"), (link, "symbolic link"),
                            (self.write("blank", "a b"), "it holds a blank"),
                            (self.write("long", "x" * 4097), "longer than 4096"),
                            (self.write("empty", ""), "it is empty"),
                            (self.directory, "not a regular file")):
            self.refuse(3, f"the token file is not usable: .*{words}", token_file=path)
        self.refuse(2, "give one of --token-file and --token-fd", "--token-fd=0")
        self.refuse(3, "--token-fd: Bad file|descriptor", *base, "--token-fd=77", bare=True)


main()
