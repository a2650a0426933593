#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A launcher that does as it likes. Nothing from outside reaches it, so its order stands in its
configuration, as the user name for the proxy."""

import os
import sys
import tempfile
import urllib.parse

from puppets import PARENT, PuppetCase, array, frame, program_of
import harness
from harness import TIMEOUT, modes
from support import write_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "token"))

from recording import HoldingProxy  # noqa: E402


class LauncherCase(PuppetCase):
    role = "launcher"

    def led(self, *orders):
        proxy = HoldingProxy(self.tower.port)
        self.addCleanup(proxy.close)
        user = urllib.parse.quote("!launcher " + "; ".join(orders), safe="")
        directory = self.enterContext(tempfile.TemporaryDirectory())
        path = write_file(directory, "proxy", proxy.url.replace("://", f"://{user}:x@") + "\n")
        harness.give(directory, harness.own_user(), 0o755)
        harness.give(path, "root" if self.mode == "system" else harness.own_user(), 0o600)
        return self.start_agent(program=program_of(self.role), args=("--proxy-file", path))


class Reach(LauncherCase):
    @modes()
    def test_each(self):
        """No other program, no other port, nobody's files or processes."""
        with tempfile.TemporaryDirectory() as directory:
            harness.give(directory, harness.own_user(), 0o755)
            secret = write_file(directory, "secret", "x")
            ways = ["exec /bin/sh", "kill {pid} 0", "ptrace {pid}", "vm {pid}", "memory {pid}",
                    f"open {secret}", f"create {directory}/new",
                    f"connect 127.0.0.1 {self.tower.port}"]
            self.baseline(ways)
            os.unlink(os.path.join(directory, "new"))
            pid = self.bystander("tw-agent-net" if self.mode == "system" else harness.own_user())
            agent = self.led(*(way.format(pid=pid) for way in ways))
            for way in ways:
                with self.subTest(way):
                    self.assertIn(self.outcome(agent, way.split()[0], 0), ("EPERM", "EACCES"))
            self.assertNotIn("puppet program", agent.log)
        self.tower.wait_online(TIMEOUT)
        self.goes_on()


class ToTheParent(LauncherCase):
    def test_each(self):
        """It has one thing to say, once; another when it is asked."""
        for order, why in {f"raw {PARENT} {frame('started')}": "message repeated",
                           f"raw {PARENT} {frame('token_request')}": "another direction",
                           f"raw {PARENT} {frame('open_session')}": "another direction",
                           f"raw {PARENT} {frame('finish')}": "another direction",
                           f"raw {PARENT} {frame('pong')}": "pong",
                           f"raw {PARENT} {array(99)}": "unknown type"}.items():
            with self.subTest(order, why=why):
                agent = self.led(order)
                self.ends_with_code_7(agent, rf"tw-agent\[parent\].*net broke the rules.*{why}")


if __name__ == "__main__":
    harness.main()
