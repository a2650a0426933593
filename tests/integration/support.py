# SPDX-License-Identifier: Apache-2.0
"""What several test files share beyond the harness: the status file, gates that hold a command at
a point until the test lets it go on, files and facts about the build."""

import contextlib
import ctypes
import functools
import json
import os
import select
import tempfile
import time

from harness import AS_ROOT, BUILD, TIMEOUT, give, own_user

_IN_MOVED_TO = 0x80


def status_file(agent):
    """The one status.json below the agent's state directory."""
    found = [os.path.join(folder, "status.json")
             for folder, _, names in os.walk(agent.state_dir) if "status.json" in names]
    if len(found) != 1:
        raise AssertionError(f"status files: {found}\nThe agent's log:\n{agent.log}")
    return found[0]


def read_status(agent):
    with open(status_file(agent), encoding="utf-8") as file:
        return json.load(file)


def _read_if_there(path):
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        return json.load(file)
    return None


def wait_status(agent, condition, timeout=TIMEOUT, folder=None):
    """The agent's status once condition(status) holds; each rename of a new file wakes us. With a
    folder the file need not be there yet."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        path = os.path.join(folder, "status.json") if folder else status_file(agent)
        folder = os.path.dirname(path)
        if libc.inotify_add_watch(watch, folder.encode(), _IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), folder)
        deadline = time.monotonic() + timeout
        while not ((status := _read_if_there(path)) and condition(status)):
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"the status stays {status}\nThe agent's log:\n{agent.log}")
            if select.select([watch], [], [], left)[0]:
                os.read(watch, 65536)
        return status
    finally:
        os.close(watch)


class Gate:
    """Holds a command: `text`, put into a command, tells the test that the command is there and
    waits until the test opens the gate."""

    def __init__(self, agent, name="gate"):
        self._paths = [os.path.join(agent.work_dir, f"{name}.{end}") for end in ("ready", "go")]
        for path in self._paths:
            os.mkfifo(path)
            give(path, agent.user, 0o600)
        self.text = "echo here > '{}'; read _ < '{}'".format(*self._paths)
        # Reading and writing at once: opening does not wait, and no end of file comes in between.
        self._ready, self._go = [os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
                                 for path in self._paths]

    def reached(self, timeout=TIMEOUT):
        """Waits until a command is at the gate."""
        if not select.select([self._ready], [], [], timeout)[0]:
            raise AssertionError(f"no command came to the gate in {timeout} s")
        os.read(self._ready, len(b"here\n"))  # one command's word, not the next one's

    def passed_by_anyone(self):
        """Whether a command is at the gate that reached() has not seen."""
        return bool(select.select([self._ready], [], [], 0)[0])

    def open(self):
        os.write(self._go, b"\n")

    def close(self):
        os.close(self._ready)
        os.close(self._go)


def gate(test, agent, name="gate"):
    """A gate that is closed at the end of the test."""
    made = Gate(agent, name)
    test.addCleanup(made.close)
    return made


def write_file(directory, name, content):
    """A file that everyone may read; gives its path."""
    path = os.path.join(directory, name)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(path, 0o644)
    return path


@contextlib.contextmanager
def public_directory():
    """A directory that every user may enter, which goes with its content."""
    with tempfile.TemporaryDirectory(prefix="shared-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield path


def commands_file(agent, name):
    """The content of a file in the work directory; None when there is none."""
    try:
        with open(os.path.join(agent.work_dir, name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


@functools.lru_cache(maxsize=None)
def build_options():
    """The variables of the build's CMakeCache.txt."""
    options = {}
    with contextlib.suppress(FileNotFoundError), \
            open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        for line in file:
            name, found, value = line.rstrip("\n").partition("=")
            if found and not name.startswith(("#", "//")):
                options[name.partition(":")[0]] = value
    return options


def build_has(option):
    return build_options().get(option, "OFF").upper() in ("ON", "TRUE", "YES", "1")


def peak_memory(process):
    """VmHWM of a process in bytes; 0 when it has gone."""
    try:
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def alarms(log, role=""):
    """The log's lines of level WARN and ERROR, of all programs or of one (the parent may warn at
    start of what it cannot promise here)."""
    return [line for line in log.splitlines()
            if (" WARN " in line or " ERROR " in line) and f"tw-agent[{role}" in line]


def pieces_of(secret, size=8):
    """Every substring of that size, as a leak would show it."""
    return {secret[i:i + size] for i in range(len(secret) - size + 1)}


def plain_user():
    """subprocess's options for starting a program as the plain user; none when we are it."""
    from harness import identity_of
    return identity_of(own_user()) if AS_ROOT else {}
