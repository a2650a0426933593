# SPDX-License-Identifier: Apache-2.0
"""What the tests of tw-agentctl status share."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import AS_ROOT, CONTROL, TIMEOUT, TowerCase, identity_of, own_user  # noqa: E402
from support import status_file, wait_status  # noqa: E402


class StatusCase(TowerCase):
    def identity(self):
        return identity_of(own_user()) if AS_ROOT and self.mode == "user" else {}

    def control(self, *arguments, home="/", env=None):
        """Exit code, standard output and standard error of `status`."""
        done = subprocess.run([CONTROL, "status", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", text=True,
                              timeout=TIMEOUT, check=False, **self.identity(),
                              env={"PATH": "/usr/bin:/bin", "HOME": home, **(env or {})})
        for text in (done.stdout, done.stderr):
            self.assertNotIn("\x1b", text)
        self.assertNotRegex(done.stderr, "AddressSanitizer|runtime error")
        self.assertIn(done.returncode, (0, 1, 2), done)
        return done.returncode, done.stdout, done.stderr

    def ask(self, agent, *arguments):
        return self.control("--state-dir", agent.state_dir, *arguments)

    def settled(self, agent):
        """Its attack on itself is over, and the status says so."""
        agent.wait_log("attestation: [0-9]+ attacks")
        wait_status(agent, lambda status: status["attestation"] in ("ok", "failed"))

    def stopped_core(self, agent):
        """Nothing but what the test writes is in the status file from here on."""
        pid = agent.process("tw-agent-core").pid
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)

    @staticmethod
    def write(agent, content, name="status.json"):
        path = os.path.join(os.path.dirname(status_file(agent)), name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
