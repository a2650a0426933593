# SPDX-License-Identifier: Apache-2.0
"""The programs of a benchmark: the Tower that drives agents, single stages, and the agents."""

import collections
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import (BUILD, TIMEOUT, TOKEN, Agent, give, identity_of, own_user,  # noqa: E402
                     process_tree)

_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_TICKS = os.sysconf("SC_CLK_TCK")
ANSWER_TIMEOUT = 120


class Failure(Exception):
    """A figure that could not be had."""


def program(name):
    return os.path.join(BUILD, "tests", name)


class Asked:
    """A program that answers each line of fields with a line of JSON."""

    def __init__(self, *command):
        self._name = os.path.basename(command[0])
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       bufsize=0, env={"PATH": _PATH, "HOME": "/", "USER": "bench",
                                                       "LANG": "C.UTF-8", "SHLVL": "0"})
        self._rest = b""

    def line(self, timeout=ANSWER_TIMEOUT):
        deadline = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = max(0, deadline - time.monotonic())
            if not select.select([self._popen.stdout], [], [], left)[0]:
                raise Failure(f"{self._name} has not answered in {timeout:.0f} s")
            piece = os.read(self._popen.stdout.fileno(), 1 << 20)
            if not piece:
                raise Failure(f"{self._name} has ended")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def ask(self, *fields, timeout=ANSWER_TIMEOUT):
        self._popen.stdin.write("\t".join(map(str, fields)).encode() + b"\n")
        return self.line(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._popen.stdin.close()
        self._popen.kill()
        self._popen.wait()
        self._popen.stdout.close()


class Driver(Asked):
    """The benchmark's Tower."""

    def __init__(self, identity):
        super().__init__(program("tw_bench_tower"), identity.cert, identity.key)
        self.url = f"https://localhost:{self.line()['port']}/api"

    def load(self, rounds, in_flight, *targets):
        """Requests to (agent, text) targets in turn; the answer has a list for each target."""
        fields = [field for agent, text in targets for field in (agent.id, text)]
        return self.ask("load", rounds, in_flight, *fields)

    def online(self, agent, number=1, timeout=TIMEOUT):
        """The monotonic time of its info message of this number."""
        return self.ask("online", agent.id, number, timeout=timeout)["t"]

    def end(self, agent, how):
        """Ends its connection by a Close code or "rst"; the monotonic time of that."""
        return self.ask("close", agent.id, how)["t"]


class Stages(Asked):
    """Stages of an agent's work, without an agent."""

    def __init__(self):
        super().__init__(program("tw_bench_stages"))


class Subject:
    """An agent under measurement: `id`, `pid` and `begun`, the monotonic time just before its
    start, are set by each kind."""

    def processes(self):
        return process_tree(self.pid)

    def each(self, look):
        """(process, look(its pid)) of those that do not end meanwhile."""
        for process in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield process, look(process.pid)

    def cpu_seconds(self):
        """User and system time of its processes and of the children they have waited for."""
        return sum(ticks for _, ticks in self.each(cpu_ticks)) / _TICKS

    def switches(self):
        """{process name: [how often its threads slept, how often they were preempted]}."""
        total = collections.defaultdict(lambda: [0, 0])
        for process, counts in self.each(switches_of):
            for i, count in enumerate(counts):
                total[name_of(process)][i] += count
        return total

    def pss_mb(self):
        """{process name: MB}; None where the kernel shows it to root alone."""
        total = {}
        try:
            for process, kib in self.each(pss_kib):
                total[name_of(process)] = total.get(name_of(process), 0) + kib / 1024
        except PermissionError:
            return None
        return total

    def alone_mb(self):
        """MB if no other program used the same files: of pages that can be shared each file's
        most resident copy, of all others the PSS."""
        own, shared = 0, {}
        try:
            for _, found in self.each(mappings):
                for key, sizes in found:
                    together = sizes["Shared_Clean"] + sizes["Shared_Dirty"]
                    if key is None:
                        own += sizes["Pss"]
                    else:
                        own += sizes["Rss"] - together
                        shared[key] = max(shared.get(key, 0), together)
        except PermissionError:
            return None
        return (own + sum(shared.values())) / 1024


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)


def mappings(pid):
    """For each mapping the file and offset, None without a file, and its sizes in KiB."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                found.append((None if words[4] == "0" else (words[3], words[4], words[2]), {}))
            elif len(words) == 3 and words[2] == "kB":
                found[-1][1][words[0][:-1]] = int(words[1])
    return found


def name_of(process):
    return os.path.basename(process.argv[0].decode()) if process.argv else process.comm


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15]))


def switches_of(pid):
    """Voluntary and other context switches of its threads."""
    total = [0, 0]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.endswith("voluntary_ctxt_switches"):
                    total[name.startswith("non")] += int(value)
    return total


class Ours(Agent, Subject):
    """The agent of this build."""

    name = "tw-agent"

    def __init__(self, bench, connection_id, *args):
        self.id = connection_id
        super().__init__(bench.mode, url=bench.driver.url, ca_file=bench.bundle,
                         connection_id=connection_id, args=args)

    def _start(self, *options):
        self.begun = time.monotonic()
        super()._start(*options)

    def stop(self):
        self.terminate()
        self.wait()
        if left := self.finish():
            raise Failure(f"processes outlived the agent: {left}")


class Foreign(Subject):
    """Another agent with the public agent's command line, run as the plain user that commands run
    as. It finds the benchmark's certificate authority in $SSL_CERT_FILE."""

    def __init__(self, bench, connection_id, command, ca, heartbeat="45s"):
        self.id = connection_id
        user = own_user()
        self._directory = tempfile.mkdtemp(prefix="tw-bench-", dir="/tmp")
        give(self._directory, user, 0o700)
        self._log = tempfile.TemporaryFile(dir="/tmp")
        environment = {"PATH": _PATH, "HOME": self._directory, "USER": user, "LANG": "C.UTF-8",
                       "TOWER_ACCESS_TOKEN": TOKEN, "TOWER_AGENT_HEARTBEAT": heartbeat,
                       "SSL_CERT_FILE": ca}
        command = [*command, "-u", bench.driver.url, "-w", self._directory, connection_id]
        self.begun = time.monotonic()
        self._popen = subprocess.Popen(command, env=environment, cwd=self._directory,
                                       stdin=subprocess.DEVNULL, stdout=self._log,
                                       stderr=self._log, **identity_of(user))

    @property
    def pid(self):
        return self._popen.pid

    @property
    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self):
        processes = self.processes()
        self._popen.terminate()
        try:
            self._popen.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for process in processes:
            if not process.wait_gone(TIMEOUT):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, 9)
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)


class Floor(Foreign):
    """The least that an agent could be; it trusts one authority, where others read a bundle."""

    name = "floor"

    def __init__(self, bench, connection_id, heartbeat="45s"):
        super().__init__(bench, connection_id, [program("tw_bench_floor")], bench.authority,
                         heartbeat)


class Other(Foreign):
    """What --agent names; {ca} in the command stands for the file of certificate authorities."""

    name = "other"

    def __init__(self, bench, connection_id, heartbeat="45s"):
        command = [word.replace("{ca}", bench.bundle) for word in bench.other]
        super().__init__(bench, connection_id, command, bench.bundle, heartbeat)


@contextlib.contextmanager
def whole_bundle(own):
    """The system's certificate authorities and our own, as a site with its own CA would have."""
    with tempfile.NamedTemporaryFile("wb", prefix="tw-bench-", suffix=".pem", dir="/tmp") as file:
        for path in (_SYSTEM_BUNDLE, own):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as part:
                file.write(part.read())
        file.flush()
        os.chmod(file.name, 0o644)
        yield file.name
