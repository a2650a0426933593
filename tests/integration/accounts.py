# SPDX-License-Identifier: Apache-2.0
"""The users that tests run agents as."""

import contextlib
import fcntl
import os
import pwd
import subprocess

RUN_AS = "twlab"
SERVICE_USERS = ("tw-agent", "tw-agent-net")


@contextlib.contextmanager
def users_locked():
    """Whoever changes users or groups takes turns: useradd and its kin do not wait for ever."""
    with open(os.open("/run/lock/tw-agent-tests", os.O_RDWR | os.O_CREAT, 0o600), "r+",
              encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure_users():
    """Creates the users of system mode where they are missing; for root."""
    with users_locked():
        for name in (*SERVICE_USERS, RUN_AS):
            with contextlib.suppress(KeyError):
                pwd.getpwnam(name)
                continue
            options = (["--create-home", "--shell", "/bin/sh"] if name == RUN_AS else
                       ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin"])
            subprocess.run(["useradd", "--user-group", *options, name], check=True)
