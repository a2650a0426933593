#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The system's crypto policy, which is in OpenSSL's configuration file: a stricter one is honoured,
and no variable of whoever starts the agent puts another one in its place."""

import os
import shlex
import subprocess
import sys

import harness
from harness import CONTROL, TIMEOUT, TowerCase, modes, shared_pki
from support import public_directory, write_file

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "ctl"))
from ctl import mounted, no_view_of_etc  # noqa: E402

POLICY = """openssl_conf = init
[init]
ssl_conf = sections
[sections]
system_default = policy
[policy]
{lines}
"""
# Would be loaded into every process that reads this file.
MODULE = """openssl_conf = init
[init]
providers = providers
[providers]
evil = evil
default = default
[default]
activate = 1
[evil]
module = {module}
activate = 1
"""


def configuration():
    """The file that OpenSSL of this system reads; links resolved."""
    said = subprocess.run(["openssl", "version", "-d"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout
    return os.path.realpath(os.path.join(said.split('"')[1], "openssl.cnf"))


class Policy(TowerCase):
    def setUp(self):
        super().setUp()
        if self.mode != "system":
            self.skipTest("only root can replace the system's OpenSSL configuration")
        if reason := no_view_of_etc():
            self.skipTest(reason)
        self.directory = self.enterContext(public_directory())

    def under(self, text):
        """The words before a program for which that is the system's policy."""
        path = write_file(self.directory, "openssl.cnf", text)
        return mounted(("bind", path, configuration(), ""))

    def refused(self, lines, words):
        """With this policy nothing is sent; without, the same agent comes online."""
        self.online_agent(connection_id="without")
        mark = self.tower.mark()
        agent = self.policy_agent(POLICY.format(lines=lines))
        self.assertRegex(agent.wait_log("nothing was sent to it.*|cannot connect.*").string, words)
        self.assertEqual(self.tower.requests(after=mark), [])

    def policy_agent(self, text, **options):
        return self.start_agent(connection_id="with", mode="system", program=self.wrapper(text),
                                **options)

    def wrapper(self, text):
        """A program that is tw-agent under this policy."""
        path = write_file(self.directory, "agent", "#!/bin/sh\nexec " + shlex.join(self.under(text))
                          + f' {harness.PROGRAM} "$@"\n')
        os.chmod(path, 0o755)
        return path

    def test_min_protocol(self):
        self.tower.configure_tls(tls="1.2")
        self.refused("MinProtocol = TLSv1.3", "(?i)protocol|alert|version")

    def test_cipher_string(self):
        self.tower.configure_tls(tls="1.2")
        self.refused("CipherString = AES128-SHA256",
                     "(?i)cipher|handshake|alert|set up")

    def test_security_level(self):
        """Keys of 2048 bits are 112 bits of security: level 3 wants 128."""
        self.tower.configure_tls(identity=shared_pki().rsa())
        self.refused("CipherString = DEFAULT@SECLEVEL=3", "(?i)key too (small|weak)|weak|small|EE")

    def test_weaker_is_not_taken(self):
        """TLS 1.2 is the least, whatever the policy allows."""
        self.policy_agent(POLICY.format(lines="MinProtocol = TLSv1"))
        self.tower.wait_online(TIMEOUT)
        hello = self.tower.wait_event("tls-ok")
        self.assertEqual(hello.version, "TLSv1.3")

    def test_doctor(self):
        """ctl is under the same policy."""
        self.tower.configure_tls(tls="1.2")
        agent = self.online_agent()
        config = write_file(self.directory, "lab.conf", "".join(
            f"{key} = {value}\n" for key, value in (
                ("connection_id", "lab"), ("url", self.tower.url), ("ca_file", self.tower.ca),
                ("run_as", harness.RUN_AS), ("work_dir", agent.work_dir),
                ("state_dir", agent.state_dir), ("token_file", agent.token_file))))
        command = [CONTROL, "doctor", "--config", config]
        agent.terminate()
        agent.wait()
        self.tower.wait_offline(TIMEOUT, "lab")
        self.assertEqual(self.said(command), (0, True))
        strict = POLICY.format(lines="MinProtocol = TLSv1.3")
        self.assertEqual(self.said([*self.under(strict), *command]), (5, False))

    def said(self, command, env=None):
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": "/root", **(env or {})})
        return done.returncode, "ok       tls" in done.stdout


class Variables(TowerCase):
    """What is in the environment of whoever starts the agent has no say over OpenSSL."""

    @modes()
    def test_no_variable_counts(self):
        self.tower.configure_tls(tls="1.2")
        with public_directory() as directory:
            touched = os.path.join(directory, "module.so")
            os.mkfifo(touched)  # whoever loads it hangs, and shows
            for text in (POLICY.format(lines="MinProtocol = TLSv1.3"),
                         MODULE.format(module=touched)):
                path = write_file(directory, "openssl.cnf", text)
                variables = {"OPENSSL_CONF": path, "OPENSSL_MODULES": directory,
                             "OPENSSL_ENGINES": directory, "SSLKEYLOGFILE": f"{directory}/keys",
                             "SSL_CERT_FILE": "/nowhere"}
                agent = self.online_agent(env=variables)
                self.assertEqual(self.tower.run("echo on").output, b"on\n")
                agent.terminate()
                self.assertEqual(agent.wait(), 0)
                self.tower.wait_offline(TIMEOUT, "lab")
            self.assertEqual(sorted(os.listdir(directory)), ["module.so", "openssl.cnf"])

    def test_they_count_elsewhere(self):
        """The attack works on a program that lets them."""
        self.tower.configure_tls(tls="1.2")
        with public_directory() as directory:
            path = write_file(directory, "openssl.cnf", POLICY.format(lines="MinProtocol = TLSv1.3"))
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.tower.port}"]
            for env, code in (({}, 0), ({"OPENSSL_CONF": path}, 1)):
                done = subprocess.run(command, check=False, env={"PATH": "/usr/bin:/bin", **env},
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
                self.assertEqual(done.returncode, code)


if __name__ == "__main__":
    harness.main()
