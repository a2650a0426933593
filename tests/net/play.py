# SPDX-License-Identifier: Apache-2.0
"""A session under test: its parent, core and connector, and the TLS server it talks to."""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "net_start")]

import wire  # noqa: E402
from tower.pki import Pki  # noqa: E402

PROGRAM = os.environ.get("TW_SESSION", "")
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
PATIENCE = 60  # for what comes at once, but for a machine that stops for seconds
PURPOSES = ("probe", "login", "agent")
(RESOLVE, CONNECT, PROXY, TLS, PIN, TOKEN, HTTP, UPGRADE, CLOSED, CLOSING, DROPPED, PROTOCOL,
 TIMEOUT, INTERNAL) = range(14)
SEALS = 0xf  # seal, shrink, grow, write
_F_ADD_SEALS = 1033


def memfd(data, seal=True):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    if seal:
        fcntl.fcntl(fd, _F_ADD_SEALS, SEALS)
    return fd


def read_memfd(fd):
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()


def decode(frame):
    """One message: its name and its fields."""
    at, values = 1, []
    if frame[0] == 0xdc:
        at = 3
    while at < len(frame):
        tag = frame[at]
        at += 1
        if tag < 0x80:
            values.append(tag)
        elif tag >= 0xe0:
            values.append(tag - 256)
        elif tag in (0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3):
            width = 1 << ((tag - 0xcc) & 3)
            values.append(int.from_bytes(frame[at:at + width], "big", signed=tag >= 0xd0))
            at += width
        else:
            if 0xa0 <= tag < 0xc0:
                n, width = tag & 31, 0
            else:
                width = {0xd9: 1, 0xda: 2, 0xc4: 1, 0xc5: 2}[tag]
                n = int.from_bytes(frame[at:at + width], "big")
            text = frame[at + width:at + width + n]
            values.append(text if tag in (0xc4, 0xc5) else text.decode())
            at += width + n
    name = wire.NAMES[values[0]]
    return name, dict(zip([field for _, field in wire.TABLE[name][1]], values[1:]))


class Session:
    """The program, started as the launcher starts it; we hold the other ends."""

    def __init__(self, purpose="agent", *, ca=SYSTEM_CA, host="localhost", port=443, url_path="",
                 connection_id="id-1", pins=b"", timeout_ms=PATIENCE * 1000, log_level=3, environment=None,
                 program=None):
        self.log = tempfile.TemporaryFile("w+")
        self.parent, parent = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.core, core = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connector, connector = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for s in (self.parent, self.core, self.connector):
            s.settimeout(PATIENCE)
        with open(ca, "rb") as file:
            bundle = memfd(file.read())
        socket.send_fds(self.parent, [wire.encode(
            "session_config", purpose=PURPOSES.index(purpose), serial=1, log_level=log_level,
            log_format=0, port=port, timeout_ms=timeout_ms, sandbox_log=0, host=host, url_path=url_path,
            connection_id=connection_id, pins=pins)], [bundle])
        os.close(bundle)
        self.code = None
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._become((parent, core, connector), purpose, environment or {},
                         program or PROGRAM)
        for s in (parent, core, connector):
            s.close()

    def _become(self, ends, purpose, environment, program):
        try:
            null, log = os.open("/dev/null", os.O_RDWR), self.log.fileno()
            # Above all targets first, so that no target is a source still needed.
            sources = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10)
                       for fd in (null, null, log, *(s.fileno() for s in ends))]
            for target, source in enumerate(sources):
                os.dup2(source, target)
            os.execve(program, ["tw-agent-net-session", purpose], environment)
        finally:
            os._exit(99)

    def connect(self, port, host="127.0.0.1"):
        """What the connector does."""
        with socket.create_connection((host, port)) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                socket.send_fds(self.connector, [wire.encode("connected", unused=0)], [s.fileno()])
            except BrokenPipeError:
                raise AssertionError(f"ended with {self.wait()}: {self.lines()}") from None
        self.connector.close()

    def tell(self, name, fd=None, **fields):
        """A message of core's; the descriptor is closed."""
        try:
            socket.send_fds(self.core, [wire.encode(name, **fields)], [] if fd is None else [fd])
        finally:
            if fd is not None:
                os.close(fd)

    def go(self):
        with contextlib.suppress(BrokenPipeError):  # over already; its words are still to be heard
            self.tell("go", unused=0)

    def hear(self, patience=PATIENCE):
        """The next message to core: name, fields, and content of the memfd; None at the end."""
        self.core.settimeout(patience)
        try:
            frame, fds, _, _ = socket.recv_fds(self.core, 70000, 1)
        except ConnectionResetError:
            # Once: it ended with something of ours unread. What it had said is behind that.
            frame, fds, _, _ = socket.recv_fds(self.core, 70000, 1)
        if not frame:
            return None
        name, fields = decode(frame)
        return name, fields, read_memfd(fds[0]) if fds else None

    def expect(self, name, skip=("progress",)):
        while True:
            heard = self.hear()
            if heard and heard[0] in skip and heard[0] != name:
                continue
            assert heard and heard[0] == name, (name, heard, self.lines())
            return heard[1] if heard[2] is None else (heard[1], heard[2])

    def give_token(self, token):
        name, _ = decode(self.parent.recv(65536))
        assert name == "token_request", name
        self.parent.send(token)
        end = self.parent.recv(10)
        assert end == b"", end
        self.parent.close()

    def wait(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                os.kill(self.pid, 9)
                raise AssertionError("the session does not end: " + self.lines())
            else:
                time.sleep(0.002)
        return self.code

    def lines(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        for s in (self.parent, self.core, self.connector):
            s.close()
        if self.code is None:
            self.wait()
        self.log.close()


class Peer:
    """The server's end of one connection, after the handshake."""

    def __init__(self, connection):
        self.connection = connection
        connection.settimeout(PATIENCE)
        self.data = bytearray()  # which grows without a copy of what is there

    def fill(self):
        more = self.connection.recv(65536)
        if not more:
            raise EOFError
        self.data += more

    def take(self, n):
        while len(self.data) < n:
            self.fill()
        out = bytes(self.data[:n])
        del self.data[:n]
        return out

    def head(self):
        while b"\r\n\r\n" not in self.data:
            self.fill()
        head = self.take(self.data.index(b"\r\n\r\n") + 4)
        return head[:-4].decode()

    def send(self, data):
        self.connection.sendall(data)

    def frame(self):
        """opcode, payload of the next frame, which must be whole and masked."""
        first, second = self.take(2)
        assert first & 0x80 and second & 0x80, (first, second)
        n = second & 0x7f
        if n >= 126:
            n = int.from_bytes(self.take(2 if n == 126 else 8), "big")
        mask, payload = self.take(4), self.take(n)
        whole = (mask * (n // 4 + 1))[:n]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
        return first & 0xf, plain.to_bytes(n, "big")

    def drained(self):
        """Everything until the client's end of file; False when it resets."""
        with contextlib.suppress(EOFError, ssl.SSLError):
            while True:
                self.fill()
        return True


def frame(opcode, payload=b"", fin=True, length=None):
    n = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    if n < 126:
        head += bytes([n])
    elif n < 65536:
        head += b"\x7e" + struct.pack(">H", n)
    else:
        head += b"\x7f" + struct.pack(">Q", n)
    return head + payload


class Server:
    """Accepts one TLS connection and runs a script on it in a thread."""

    def __init__(self, script, identity, version=None, alpn=("http/1.1",), raw=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity.cert, identity.key)
        self.context.set_alpn_protocols(list(alpn))
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        self.script, self.raw, self.error, self.result = script, raw, None, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            connection, _ = self.listener.accept()
            connection.settimeout(PATIENCE)
            with connection:
                if self.raw:
                    self.result = self.raw(connection)
                    return
                with self.context.wrap_socket(connection, server_side=True) as tls:
                    self.result = self.script(Peer(tls))
        except Exception as reason:  # noqa: BLE001: reported by the test that joins
            self.error = reason

    def join(self, quietly=False):
        self.thread.join(PATIENCE)
        self.listener.close()
        assert not self.thread.is_alive(), "the server's script hangs"
        if self.error and not quietly:
            raise self.error
        return self.result


def command(ident, text):
    return json.dumps({"@type": "command-request", "id": ident, "command": text}).encode()


def closing(code, reason=b""):
    return frame(8, struct.pack(">H", code) + reason)


def accept_key(head):
    import base64
    import hashlib
    key = next(line.split(": ", 1)[1] for line in head.split("\r\n")
               if line.lower().startswith("sec-websocket-key:"))
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def upgrade(peer, extra=""):
    head = peer.head()
    peer.send((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               f"Sec-WebSocket-Accept: {accept_key(head)}\r\n{extra}\r\n").encode())
    return head


def make_pki():
    directory = tempfile.mkdtemp(prefix="tw-net-")
    return Pki(directory), lambda: shutil.rmtree(directory, ignore_errors=True)
