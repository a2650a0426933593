"""A small client that plays the agent, to test the simulator by itself."""

import base64
import contextlib
import json
import select
import socket
import ssl
import struct

from . import frames
from .events import PATIENCE

KEY = base64.b64encode(b"0123456789abcdef").decode()


class Client:
    """TLS, requests by hand, frames by hand; `tower` has a port, a ca and a token."""

    def __init__(self, tower, *, host="127.0.0.1", tls=True, version=None):
        self.token = tower.token
        self.sock = socket.create_connection((host, tower.port), timeout=PATIENCE)
        if tls:
            context = ssl.create_default_context(cafile=tower.ca)
            context.set_alpn_protocols(["http/1.1"])
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
            if version is not None:
                context.minimum_version = context.maximum_version = version
            with contextlib.ExitStack() as undo:
                undo.callback(self.sock.close)
                self.sock = context.wrap_socket(self.sock, server_hostname="localhost",
                                                suppress_ragged_eofs=False)
                undo.pop_all()
        self.reader = frames.Reader(expect_masked=False)
        self.inbox = []
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def request(self, path, *, token=None, headers=()):
        lines = [f"GET {path} HTTP/1.1", "Host: localhost",
                 f"Authorization: Bearer {token or self.token}", *headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def head(self):
        while b"\r\n\r\n" not in self.rest:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.rest)
            self.rest += data
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return head.decode()

    def get(self, path, **options):
        """(status, body) of a reply with a Content-Length."""
        self.request(path, **options)
        head = self.head()
        size = next(int(line.split(":")[1]) for line in head.split("\r\n")
                    if line.lower().startswith("content-length"))
        while len(self.rest) < size:
            self.rest += self.sock.recv(65536)
        body, self.rest = self.rest[:size], self.rest[size:]
        return int(head.split()[1]), body

    def upgrade(self, connection_id="lab", info=True):
        self.request(f"/api/agent/{connection_id}/connect", headers=[
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}"])
        head = self.head()
        if info and head.startswith("HTTP/1.1 101"):
            self.send({"@type": "info", "userName": "u", "workDir": "/w", "agentVersion": "1"})
        return head

    def send(self, message):
        self.sock.sendall(frames.text(json.dumps(message), mask=b"abcd"))

    def respond(self, id, output=b"", status=0):
        self.send({"@type": "command-response", "id": id, "exitStatus": status,
                   "result": base64.b64encode(output).decode()})

    def frame(self):
        while not self.inbox:
            data, self.rest = self.rest or self.sock.recv(262144), b""
            if not data:
                raise EOFError
            self.inbox += self.reader.feed(data)
        return self.inbox.pop(0)

    def message(self):
        return json.loads(self.frame().payload)

    def end(self):
        """How the Tower ended the connection: "rst", "fin" or "tls".

        Asked of the kernel, since Python's TLS shows a reset as a mere end of file.
        """
        poller = select.poll()
        poller.register(self.sock, select.POLLRDHUP)
        if poller.poll(PATIENCE * 1000)[0][1] & select.POLLERR:
            return "rst"
        try:
            while self.sock.recv(65536):
                pass
            return "tls"
        except ssl.SSLError:
            return "fin"  # an end of file that TLS did not announce

    def closed_with(self):
        """The code of the Close that comes next, answered in kind."""
        frame = self.frame()
        assert frame.opcode == frames.CLOSE, frame
        self.sock.sendall(frames.frame(frames.CLOSE, frame.payload[:2], mask=b"abcd"))
        return struct.unpack(">H", frame.payload[:2])[0]
