# SPDX-License-Identifier: Apache-2.0
"""A Tower that keeps the bytes as they came over the wire, and can hold back an answer."""

import socket
import threading

from scanner import BUILD  # noqa: F401  (sets the path to the simulator)
from harness import TIMEOUT
from tower import Tower

APPLICATION_DATA = 23  # RFC 8446, section 5.1
_HEADER, _TAG = 5, 16  # a record's, with AES-GCM and ChaCha20-Poly1305 alike


class _Recorder(socket.socket):
    """The accepted socket; what is read from it is kept up to a limit."""

    def __init__(self, sock, keep):
        super().__init__(fileno=sock.detach())
        self.received = bytearray()
        self._keep = keep

    def recv(self, *args):
        data = super().recv(*args)
        room = self._keep - len(self.received)
        if room > 0:
            self.received += data[:room]
        return data


def _records(stream):
    """(type, record with its header) of each whole TLS record."""
    at = 0
    while at + 5 <= len(stream):
        size = int.from_bytes(stream[at + 3:at + 5], "big")
        if at + 5 + size > len(stream):
            return
        yield stream[at], bytes(stream[at:at + 5 + size])
        at += 5 + size


class RecordingTower(Tower):
    """See the module's text."""

    def __init__(self, *args, keep=65536, **options):
        super().__init__(*args, **options)
        self._keep = keep
        self._recorders = {}

    def _begin(self, sock, peer):
        recorder = _Recorder(sock, self._keep)
        # Only the accepting thread begins connections, so the next number is this one's.
        self._recorders[self._counter + 1] = recorder
        super()._begin(recorder, peer)

    def token_record(self, request):
        """The ciphertext that carried the token of an http-request event, and the tag behind it."""
        needed = request.head.index(request.token.encode()) + len(request.token)
        for kind, record in _records(self._recorders[request.conn].received):
            if kind == APPLICATION_DATA and len(record) > _HEADER + needed + _TAG:
                return record[_HEADER:-_TAG], record[-_TAG:]
        raise AssertionError(f"no record of connection {request.conn} has room for the request")

    def token_records(self):
        """token_record of each request with the token so far."""
        return [self.token_record(request) for request in self.requests() if request.token]


class Hold:
    """An answer for Tower.on that waits, and then leaves the answer to the Tower."""

    def __init__(self):
        self._reached = threading.Event()
        self._go = threading.Event()

    def __call__(self, request):
        self._reached.set()
        self._go.wait(TIMEOUT)

    def reached(self):
        if not self._reached.wait(TIMEOUT):
            raise AssertionError("the request did not come")

    def release(self):
        self._go.set()


class HoldingProxy:
    """An HTTP proxy for CONNECT that can let a client wait for its answer: Hold in `hold`."""

    def __init__(self, port):
        self.hold = None
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return
            head += data
        if self.hold is not None:
            self.hold(head)
        with client, socket.create_connection(self._target) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=[server, client], daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source, sink):
    """Until either side ends, which then ends for both."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for sock in (source, sink):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
