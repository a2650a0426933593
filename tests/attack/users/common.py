# SPDX-License-Identifier: Apache-2.0
"""What these tests share: programs of an ordinary user around an agent, and scripts that travel to
where a command can read them."""

import json
import os
import secrets
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "integration"), os.path.join(HERE, "..", "token")]

from harness import BUILD, TIMEOUT, TowerCase, give, identity_of, own_user  # noqa: E402
from support import public_directory  # noqa: E402

PYTHON = "/usr/bin/python3"  # one that every user may run
POLLER = os.path.join(BUILD, "tests", "users_poller")
STRANGER = "nobody"
DENIED = {"EACCES", "EPERM"}
# An ordinary process that any process of its user may trace, even under Yama.
VICTIM = ("import ctypes, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0); "
          "print('up', flush=True); sys.stdin.read()")


class UsersCase(TowerCase):
    def setUp(self):
        super().setUp()
        self.token = self.tower.token = secrets.token_urlsafe(32)
        self.directory = self.enterContext(public_directory())

    def script(self, name, folder=HERE):
        """A copy of one of our scripts where every user can read it."""
        path = shutil.copy(os.path.join(folder, name), self.directory)
        give(path, own_user(), 0o644)
        return path

    def victim(self, user=None, secret=""):
        """An ordinary process of that user, with the secret in its environment."""
        child = subprocess.Popen([PYTHON, "-c", VICTIM], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, cwd="/", env={"TW_SECRET": secret},
                                 **identity_of(user or own_user()))
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdin.close)
        self.assertEqual(child.stdout.readline(), b"up\n")
        return child

    def outside(self, *arguments, user=None):
        """What a script prints as JSON, run by that user outside the agent."""
        done = subprocess.run([PYTHON, *map(str, arguments)], check=True, capture_output=True,
                              cwd="/", **identity_of(user or own_user()))
        return json.loads(done.stdout)

    def inside(self, *arguments):
        """The same, run as a command that Tower sends."""
        result = self.tower.run(f"{PYTHON} {' '.join(map(str, arguments))}", timeout=TIMEOUT)
        self.assertEqual(result.exit_status, 0, result.output)
        return json.loads(result.output)

    def agents_processes(self, agent):
        names = {process.pid: process for process in agent.processes()
                 if process.argv and b"tw-agent" in process.argv[0]}
        self.assertGreaterEqual(len(names), 5, names)
        return names


class Poller:
    """users_poller, searching from now on until stop()."""

    def __init__(self, test, secret, user, *ways, top=None):
        self._child = subprocess.Popen([POLLER, str(top or os.getpid()), *ways], cwd="/", text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       **identity_of(user))
        test.addCleanup(self._end)
        self._ask(secret, "ready")

    def look(self):
        """Starts it, or waits until it has looked at all there is now."""
        self._ask("look", "looked")

    def _ask(self, line, answer):
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        assert self._child.stdout.readline() == answer + "\n"

    def stop(self):
        """The names of programs that were met, with what was seen of each."""
        self._child.stdin.close()
        seen = json.loads(self._child.stdout.read())
        assert self._child.wait() == 0
        self._child.stdout.close()
        return seen["names"]

    def _end(self):
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
