# SPDX-License-Identifier: Apache-2.0
"""Links with properties: a TCP relay that is slow, swallows much or goes dead, and a proxy that
misbehaves."""

import contextlib
import queue
import socket
import threading
import time

_STEPS = 20  # pieces a second, so that a slow link is even
_BUFFER = 16384  # of the kernel, on a link that holds little


class Relay:
    """Listens on `port` and passes bytes on to `target`, a port on loopback.

    `up` and `down` are bytes a second from and to the client; None is as fast as it goes. With
    `swallow`, what the client sends is taken at once, whatever the rate, and passed on later, as
    proxies with large buffers do.
    """

    def __init__(self, target, *, up=None, down=None, swallow=False):
        self.target = target
        self.up, self.down, self.swallow = up, down, swallow
        self.taken = 0  # bytes from clients so far, and when the latest came
        self.taken_at = 0.0
        self._flows = threading.Event()
        self._flows.set()
        self._sockets = []
        self._listener = socket.socket()
        if up is not None and not swallow:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"https://localhost:{self.port}/api"

    def freeze(self):
        """From now on nothing passes; both ends stay open."""
        self._flows.clear()

    def thaw(self):
        self._flows.set()

    def stop(self):
        self._flows.set()
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                self._sockets += [client, server]
                server.connect(("127.0.0.1", self.target))
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(client, server, self.up, self.swallow, True)
                self._start(server, client, self.down, False, False)

    def _start(self, source, sink, rate, swallow, counted):
        held = queue.Queue(0 if swallow else 1)
        threading.Thread(target=self._read, args=(source, held, rate, counted),
                         daemon=True).start()
        threading.Thread(target=self._write, args=(held, sink, rate), daemon=True).start()

    def _read(self, source, held, rate, counted):
        size = 65536 if rate is None else max(1, rate // _STEPS)
        data = b"-"
        while data:
            try:
                data = source.recv(size)
            except OSError:
                data = b""
            if counted and data:
                self.taken += len(data)
                self.taken_at = time.monotonic()
            held.put(data)

    def _write(self, held, sink, rate):
        with contextlib.suppress(OSError):
            while data := held.get():
                self._flows.wait()
                sink.sendall(data)
                if rate is not None:
                    time.sleep(len(data) / rate)
            sink.shutdown(socket.SHUT_WR)
            return
        while held.get():  # nobody takes it any more, but the reader must come to its end
            pass


class BadProxy:
    """A CONNECT proxy that does what it is told with each connection: "hang", "end", a status
    line, or "work". `heads` are the requests that it got."""

    def __init__(self, target):
        self.manner = "hang"
        self.asked = []
        self.heads = []
        self._target = target
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client, self.manner),
                                 daemon=True).start()

    def _serve(self, client, manner):
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            self.heads.append(head)
            self.asked.append(manner)
            if manner == "end":
                client.close()
            elif manner == "work":
                self._tunnel(client)
            elif manner != "hang":
                client.sendall(f"HTTP/1.1 {manner}\r\nContent-Length: 0\r\n\r\n".encode())

    def _tunnel(self, client):
        server = socket.create_connection(("127.0.0.1", self._target))
        self._open.append(server)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        threading.Thread(target=self._copy, args=(server, client), daemon=True).start()
        self._copy(client, server)

    @staticmethod
    def _copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
