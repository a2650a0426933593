# SPDX-License-Identifier: Apache-2.0
"""What a hostile command would try: read everything there is, and look for a Tower token in it.

Standard library only, since it travels as a here-document. Prints JSON: for each place how many
were tried, how many could be read and of which processes, and the fingerprints of the tokens found
(never the tokens)."""

import hashlib
import json
import os
import re
import stat

TOKEN = re.compile(rb"eyJ0aWQi[A-Za-z0-9+/=_-]{30,}")  # {"tid": in base64, as Tower's tokens begin
LARGEST = 64 << 20


def fingerprints(data):
    return {hashlib.sha256(found).hexdigest()[:12] for found in TOKEN.findall(data)}


class Place:
    def __init__(self):
        self.tried, self.readable, self.pids, self.found = 0, 0, [], set()

    def look(self, read, argument, pid=None):
        self.tried += 1
        try:
            data = read(argument)
        except OSError:
            return b""
        self.readable += 1
        if pid is not None:
            self.pids.append(pid)
        self.found |= fingerprints(data)
        return data


def read_file(path):
    # A FIFO or a device would keep us waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return file.read(LARGEST)


def read_own_environment(environment):
    return b"\0".join(name + b"=" + value for name, value in environment.items())


def read_proc(path):
    with open(path, "rb") as file:
        return file.read()


def read_memory(pid):
    """All of it that can be read; OSError when the kernel does not let us in."""
    pieces = []
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(text, 16) for text in span.split("-"))
            if rights[0] != "r" or end - begin > LARGEST:
                continue
            try:
                memory.seek(begin)
                pieces.append(memory.read(end - begin))
            except (OSError, OverflowError, ValueError):
                continue
    return b"\n".join(pieces)


def read_descriptors(pid):
    folder = f"/proc/{pid}/fd"
    pieces = []
    for name in os.listdir(folder):
        try:
            pieces.append(read_file(os.path.join(folder, name)))
        except OSError:
            continue
    return b"\n".join(pieces)


def ancestors():
    found, pid = [], os.getppid()
    while pid > 1:
        found.append(pid)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return found


def files_named_in(arguments):
    """Every file that those command lines name, or that lies below a directory they name."""
    for argument in arguments:
        path = argument.rpartition(b"=")[2]
        if not path.startswith(b"/") or path == b"/":
            continue
        if not os.path.isdir(path):
            yield path
        for folder, _, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in names)


def main():
    places = {name: Place() for name in ("its own environment", "arguments of processes (ps)",
                                         "environments of processes", "memory of the agent's",
                                         "descriptors of the agent's", "files of the agent's")}
    own, arguments, environments, memory, descriptors, files = places.values()
    own.look(read_own_environment, os.environb)
    agents, named = set(ancestors()), []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid == os.getpid():
            continue
        line = arguments.look(read_proc, f"/proc/{pid}/cmdline").split(b"\0")
        environments.look(read_proc, f"/proc/{pid}/environ", pid)
        if b"tw-agent" in line[0]:
            agents.add(pid)
            named += line[1:]
    for pid in agents:
        memory.look(read_memory, pid, pid)
        descriptors.look(read_descriptors, pid, pid)
    for path in files_named_in(named):
        files.look(read_file, path)
    print(json.dumps({name: {"tried": place.tried, "readable": place.readable,
                             "pids": place.pids, "found": sorted(place.found)} for name, place in places.items()}))


main()
