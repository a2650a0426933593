# SPDX-License-Identifier: Apache-2.0
"""Processes as /proc shows them."""

import contextlib
import os
import select


class Process:
    """A process as /proc showed it once."""

    def __init__(self, pid):
        self.pid = pid
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(") ")[2].split()
        self.state = fields[0]
        self.ppid = int(fields[1])
        self.started = int(fields[19])
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            self.status = {key: value.strip() for key, _, value in
                           (line.partition(":") for line in file)}
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            self.argv = file.read().split(b"\0")[:-1]
        self.comm = self.status["Name"]
        self.uids = tuple(map(int, self.status["Uid"].split()))
        self.gids = tuple(map(int, self.status["Gid"].split()))
        self.groups = tuple(map(int, self.status["Groups"].split()))
        self.seccomp = int(self.status["Seccomp"])
        self.no_new_privs = int(self.status["NoNewPrivs"])
        self.capabilities = {name: int(self.status["Cap" + name], 16)
                             for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}

    @property
    def alive(self):
        """Whether this very process still runs; a zombie does not."""
        try:
            now = Process(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return now.started == self.started and now.state not in "ZX"

    def wait_gone(self, timeout):
        """Waits without polling, whoever's child it is; False when it is still there."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (ProcessLookupError, FileNotFoundError):  # gone, or going just now
            return True
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            return not self.alive or bool(poller.poll(max(0, timeout) * 1000))
        finally:
            os.close(descriptor)

    def __repr__(self):
        return f"<{self.pid} {self.comm} state {self.state} parent {self.ppid} uid {self.uids[1]}>"


def process_tree(pid):
    """The process and all its descendants, parents first."""
    everyone = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                everyone[int(name)] = Process(int(name))
    tree = [everyone[pid]] if pid in everyone else []
    for parent in tree:
        tree += [process for process in everyone.values() if process.ppid == parent.pid]
    return tree
