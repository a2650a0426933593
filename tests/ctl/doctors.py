# SPDX-License-Identifier: Apache-2.0
"""What the tests of doctor share: hosts whose road to Tower is good, to be spoilt step by step."""

import base64
import os
import socket
import subprocess
import threading

from ctl import TOKEN, CtlCase, harness
from harness import AS_ROOT, CONTROL, give, identity_of, shared_pki
from tower import Tower

ROAD = ["configuration", "work-directory", "environment", "scheduler", "dns", "tcp", "tls",
        "service-info", "token", "upgrade", "info"]
OFFLINE, UNREACHABLE, REFUSED, CONFIGURATION = 8, 5, 4, 3


class Proxy:
    """An HTTP proxy that answers CONNECT as it is told, and then is the host."""

    def __init__(self, test, tower, answer=None, password=None):
        self.tower, self.answer, self.password, self.asked = tower, answer, password, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(self._listener.close)
        test.addCleanup(self._listener.shutdown, socket.SHUT_RDWR)

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            self.asked.append(head)
            wanted = base64.b64encode((self.password or "").encode())
            if self.answer or (self.password and wanted not in head):
                client.sendall(self.answer or b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
                return
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self.tower.port)) as host:
                back = threading.Thread(target=self._copy, args=(host, client))
                back.start()
                self._copy(client, host)
                back.join()

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class DoctorCase(CtlCase):
    def tower(self, **options):
        made = Tower(shared_pki(), token=TOKEN, **options)
        made.start()
        self.addCleanup(made.stop)
        return made

    def config(self, host, tower, **changes):
        keys = {"url": tower.url, "ca_file": tower.ca, "work_dir": host.work,
                "state_dir": host.state, "connection_id": "lab", "token_file": host.token,
                "set_env": "PATH=/usr/bin:/bin",
                **({"run_as": harness.RUN_AS} if host.system else {}), **changes}
        return host.write("lab.conf", "".join(f"{key} = {value}\n" for key, value in keys.items()
                                              if value is not None))

    def doctor(self, host, tower, *arguments, program=CONTROL, env=None, **changes):
        return host.control("--json", "doctor", "--config", self.config(host, tower, **changes),
                            *arguments, program=program, env=env)

    def ends(self, report, name, code, words, output=".*"):
        said = report.text + report.stderr
        self.assertEqual((report.json["endsAt"], report.json["ok"], report.code),
                         (name, False, code), said)
        step = report.json["steps"][-1]
        self.assertEqual((step["name"], step["state"]), (name, "failed"), said)
        self.assertRegex(step["detail"] + " -> " + step["remedy"], words)
        self.assertRegex(step["output"].replace("\n", " "), output)
        for before in report.json["steps"][:-1]:
            self.assertNotEqual(before["state"], "failed")

    def one(self, mode="user"):
        host = self.mode(mode)
        return host, self.tower()

    def gate(self, host):
        """Holds a command: its text, and how to let it go on."""
        path = os.path.join(host.directory, "gate")
        os.mkfifo(path)
        give(path, host.user, 0o600)
        gate = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, gate)
        return f"read _ < {path}", lambda: os.write(gate, b"\n")

    def start(self, host, tower, **changes):
        """doctor as a process, whose lines are read one by one."""
        identity = {} if host.system or not AS_ROOT else identity_of(host.user)
        return subprocess.Popen(
            [CONTROL, "doctor", "--config", self.config(host, tower, **changes)], text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": host.directory, "USER": host.user},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **identity)
