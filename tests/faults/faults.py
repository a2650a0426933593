# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: restarts as a service manager makes them, a proxy that can hold a
connection, and results of which only a digest is kept."""

import contextlib
import hashlib
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))

import harness  # noqa: E402
from harness import TIMEOUT, TOKEN, TowerCase, shared_pki  # noqa: E402
from support import build_has  # noqa: E402
from tower import Tower  # noqa: E402

MIB = 1024 * 1024
SANITIZED = build_has("TW_SANITIZE")
UNKNOWN = b"outcome unknown: the agent was stopped while it ran"
NOT_RUN = b"the command was not run: the agent was stopped"
NOT_KEPT = b"it is no longer kept"
TRY_LATER = 75
END_SECONDS = TIMEOUT  # for an agent to end when one of its processes is killed


class FaultCase(TowerCase):
    """A test whose agent is ended and started again."""

    def restart(self, agent, **options):
        """An agent in the place of one that has ended: same state, same work directory."""
        options = {"state_dir": agent.state_dir, "work_dir": agent.work_dir, **options}
        return self.start_agent(**options)

    def another_tower(self, **options):
        """A Tower beside self.tower."""
        tower = Tower(shared_pki(), token=TOKEN, **options).start()
        self.addCleanup(tower.stop)
        return tower

    def check_ended(self, agent, code):
        """It ends by itself, with this code, and leaves no process behind."""
        start = time.monotonic()
        self.assertEqual(agent.wait(END_SECONDS), code, agent.log)
        self.assertEqual(agent.children_left(END_SECONDS - (time.monotonic() - start)), [])


def newest_session(processes):
    """The network session that is in use; one before it may still be ending."""
    return max((process for process in processes if process.comm == "tw-agent-net-se"
                and process.argv[1:] != [b"trial"]), key=lambda process: process.started)


def results_directory(agent):
    """Where this agent keeps results on disk."""
    found = [folder for folder, _, _ in os.walk(agent.state_dir)
             if os.path.basename(folder) == "results"]
    if len(found) != 1:
        raise AssertionError(f"directories of results: {found}\nThe agent's log:\n{agent.log}")
    return found[0]


class HoldingProxy:
    """An HTTP proxy that can keep a CONNECT waiting for ever."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._lock = threading.Condition()
        self._holding = False
        self._held = []
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self):
        """Connections to come are taken and not answered."""
        with self._lock:
            self._holding = True

    def release(self):
        """Connections to come are served; those held are closed."""
        with self._lock:
            self._holding = False
            for held in self._held:
                held.close()
            self._held.clear()

    def wait_held(self, timeout=TIMEOUT):
        with self._lock:
            if not self._lock.wait_for(lambda: self._held, timeout):
                raise AssertionError("no connection came to the proxy")

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._sockets + self._held:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                client.close()
                return
            head += data
        with self._lock:
            if self._holding:
                self._held.append(client)
                self._lock.notify_all()
                return
        host, _, port = head.split()[1].decode().rpartition(":")
        try:
            server = socket.create_connection((host, int(port)))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        with self._lock:
            self._sockets += [client, server]
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=self._relay, args=[server, client], daemon=True)
        back.start()
        self._relay(client, server)
        back.join()
        client.close()
        server.close()

    @staticmethod
    def _relay(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(262144):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def keep_digest(result):
    """For Tower.take_result: of a large output only size and SHA-256 stay."""
    result.size = len(result.output)
    result.digest = hashlib.sha256(result.output).hexdigest()
    if result.size > 65536:
        result.output = None
        result.raw["result"] = None
    return result


def memory_of(pid, field="VmHWM"):
    """VmHWM or VmRSS of a process in bytes; 0 when it has gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    return 0


def lines_of(agent, name):
    """How often each line stands in a file of the work directory."""
    counts = {}
    with contextlib.suppress(FileNotFoundError):
        with open(os.path.join(agent.work_dir, name), encoding="utf-8") as file:
            for line in file:
                counts[line.rstrip("\n")] = counts.get(line.rstrip("\n"), 0) + 1
    return counts


def say(text):
    """A figure or a fact for the log of the tests."""
    print(text, file=sys.stderr, flush=True)


main = harness.main
