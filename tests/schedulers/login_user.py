# SPDX-License-Identifier: Apache-2.0
"""A user whose login shell is bash and whose profile a test may write; only root makes such ones."""

import contextlib
import fcntl
import os
import pwd
import subprocess

import daemons  # sets the path to the harness  # noqa: F401
import harness
from support import write_file


@contextlib.contextmanager
def commands_user(name, *groups):
    """Agents run commands as that user meanwhile. Two runs on one machine take turns."""
    with open(os.open(f"/run/lock/tw-agent-tests-{name}", os.O_RDWR | os.O_CREAT, 0o600), "r+",
              encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        former, harness.RUN_AS = harness.RUN_AS, name
        harness.ensure_users()
        with harness.users_locked():
            for group in groups:
                subprocess.run(["groupadd", "-f", group], check=True)
                subprocess.run(["usermod", "-aG", group, name], check=True)
            subprocess.run(["usermod", "-s", "/bin/bash", name], check=True,
                           stdout=subprocess.DEVNULL)
        write_profile(name, "")
        try:
            yield
        finally:
            write_profile(name, "")
            harness.RUN_AS = former


def write_profile(name, text):
    write_file(pwd.getpwnam(name).pw_dir, ".bash_profile", text)
