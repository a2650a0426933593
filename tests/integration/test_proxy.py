#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Through an HTTP proxy: how it is given, whom it is used for, and where its password may be."""

import os
import queue
import shutil
import subprocess
import tempfile
import threading

import harness
from harness import TIMEOUT, TowerCase, give, modes
from support import read_status
from tower.ports import reserve

PASSWORD = "pr0xy%50ass9"  # as it stands in a URL; decoding is part of the test
PLAIN_PASSWORD = "pr0xyPass9"


class Proxy:
    """A tinyproxy on loopback, with the tunnels that it was asked for."""

    def __init__(self, program, *lines):
        self._place = reserve()  # tinyproxy can share it
        self.port = self._place.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = tempfile.TemporaryDirectory(prefix="tw-proxy-", dir="/tmp")
        path = os.path.join(self.directory.name, "conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join([f"Port {self.port}", "Listen 127.0.0.1", "Allow 127.0.0.1",
                                  "Timeout 600", "MaxClients 50", "LogLevel Info", *lines, ""]))
        self._process = subprocess.Popen([program, "-d", "-c", path], stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True)
        self._lines = queue.Queue()
        self.log = []
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_line("Accepting connections")

    def _read(self):
        for line in self._process.stdout:
            self.log.append(line)
            self._lines.put(line)

    def wait_line(self, words):
        while words not in self._lines.get(timeout=TIMEOUT):
            pass

    def wait_tunnels(self, count):
        """Waits until so many were asked for."""
        while sum("CONNECT " in line for line in self.log) < count:
            self._lines.get(timeout=TIMEOUT)

    def stop(self):
        self._place.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        self.directory.cleanup()


class ProxyCase(TowerCase):
    def proxy(self, *lines):
        program = shutil.which("tinyproxy") or shutil.which("tinyproxy", path="/usr/sbin:/usr/bin")
        if program is None:
            self.skipTest("tinyproxy is not installed (package tinyproxy-bin)")
        made = Proxy(program, *lines)
        self.addCleanup(made.stop)
        return made

    def with_password(self):
        return self.proxy(f"BasicAuth ann {PLAIN_PASSWORD}")

    def check_used(self, proxy, agent):
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        proxy.wait_tunnels(3)
        self.check_secret(agent)

    def check_secret(self, agent):
        environment = self.tower.run("env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline "
                                     "2>/dev/null | tr '\\0' '\\n'; true").output.decode(
                                         errors="replace")
        for place in (environment, agent.log, str(read_status(agent))):
            for secret in (PASSWORD, PLAIN_PASSWORD):
                self.assertNotIn(secret, place)


class Given(ProxyCase):
    @modes()
    def test_option(self):
        proxy = self.proxy()
        self.check_used(proxy, self.online_agent(args=("--proxy", proxy.url)))

    def test_variable(self):
        for name in ("HTTPS_PROXY", "https_proxy"):
            proxy = self.proxy()
            agent = self.online_agent(connection_id=name, env={name: proxy.url})
            self.check_used(proxy, agent)

    def test_option_comes_before_the_variable(self):
        proxy = self.proxy()
        agent = self.online_agent(args=("--proxy", proxy.url),
                                  env={"HTTPS_PROXY": "http://127.0.0.1:9"})
        self.check_used(proxy, agent)

    @modes()
    def test_file(self):
        proxy = self.with_password()
        with tempfile.NamedTemporaryFile("w", dir="/tmp") as file:
            file.write(f"http://ann:{PASSWORD}@127.0.0.1:{proxy.port}\n")
            file.flush()
            give(file.name, "root" if self.mode == "system" else harness.own_user(), 0o600)
            self.check_used(proxy, self.online_agent(args=("--proxy-file", file.name)))

    def test_no_proxy(self):
        for value in ("localhost", "elsewhere.example, localhost", "*", ".local,LocalHost"):
            with self.subTest(value):
                agent = self.online_agent(connection_id=str(len(value)), env={
                    "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": value})
                self.assertEqual(self.tower.run("echo on").output, b"on\n")
                self.assertNotIn("proxy gives", agent.log)

    def test_no_proxy_for_others(self):
        proxy = self.proxy()
        agent = self.online_agent(env={"HTTPS_PROXY": proxy.url,
                                       "NO_PROXY": "elsewhere.example,ocalhost,127.0.0.1"})
        self.check_used(proxy, agent)

    def test_other_variables_are_not_meant(self):
        self.online_agent(env={"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "127.0.0.1:9"})


class Passwords(ProxyCase):
    def url(self, proxy, user="ann", password=PASSWORD):
        return f"http://{user}:{password}@127.0.0.1:{proxy.port}"

    @modes()
    def test_in_the_option(self):
        proxy = self.with_password()
        self.check_used(proxy, self.online_agent(args=("--proxy", self.url(proxy))))

    @modes()
    def test_in_the_variable(self):
        proxy = self.with_password()
        agent = self.online_agent(env={"HTTPS_PROXY": self.url(proxy), "NO_PROXY": "elsewhere",
                                       "http_proxy": self.url(proxy), "ALL_PROXY": self.url(proxy)})
        self.check_used(proxy, agent)

    def test_wrong_password(self):
        proxy = self.with_password()
        for user, password in (("ann", "wrong-pa55"), ("bob", PASSWORD)):
            agent = self.start_agent(args=("--proxy", self.url(proxy, user, password)))
            agent.wait_log(r"the proxy gives no connection: .*(401|407)")
            self.assertNotIn("wrong-pa55", agent.log)
            self.assertNotIn(PASSWORD, agent.log)
            agent.terminate()
            self.assertEqual(agent.wait(), 0)
        self.assertEqual(self.tower.events.list("tcp-accept"), [])

    def test_password_is_missing(self):
        proxy = self.with_password()
        agent = self.start_agent(args=("--proxy", proxy.url))
        agent.wait_log(r"the proxy gives no connection: .*407")


class Failures(ProxyCase):
    def test_no_proxy_there(self):
        place = self.enterContext(reserve())
        agent = self.start_agent(args=("--proxy", f"http://127.0.0.1:{place.getsockname()[1]}"))
        agent.wait_log("(?i)could not connect to the proxy .*refused")
        self.assertEqual(self.tower.events.list("tcp-accept"), [], "never around the proxy")

    def test_proxy_forbids_the_port(self):
        proxy = self.proxy("ConnectPort 1")
        agent = self.start_agent(args=("--proxy", proxy.url))
        agent.wait_log("the proxy gives no connection: .*403")

    def test_proxy_comes_back(self):
        proxy = self.proxy()
        agent = self.online_agent(args=("--proxy", proxy.url))
        first = self.tower.agent
        first.drop()
        self.tower.wait_online(TIMEOUT, newer_than=first)
        proxy.wait_tunnels(4)
        self.assertIsNone(agent.popen.poll())

    def test_unusable_proxies(self):
        for url in ("ftp://127.0.0.1:3128", "http://", "127.0.0.1:x", "http://127.0.0.1:99999",
                    "https://127.0.0.1:3128"):
            with self.subTest(url):
                agent = self.start_agent(args=("--proxy", url))
                self.assertIn(agent.wait(), (2, 3))
                self.assertIn("proxy", agent.log)


if __name__ == "__main__":
    harness.main()
