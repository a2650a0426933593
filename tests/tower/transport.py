"""One accepted TCP connection, with TLS over memory buffers.

Python's TLS sockets must not be used by two threads at once. Here TLS only turns bytes into bytes
under a lock, and the socket is ours: one thread reads, any thread may write, and the connection
can be stalled, throttled, paused or reset at the level of TCP at any moment. Every wait also
watches an eventfd, so that `end` interrupts it.
"""

import collections
import os
import select
import socket
import ssl
import struct
import threading
import time

_READ_SIZE = 256 * 1024
_WRITE_SIZE = 256 * 1024
_DRAIN_SECONDS = 2
_THROTTLE_STEPS = 20  # pieces a second, so that a slow reader reads evenly


class Ended(ConnectionError):
    """This side has ended the connection."""


class Transport:
    """The byte stream; `recv`, `handshake` and `finish` belong to the connection's own thread."""

    def __init__(self, sock, context=None):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._state_lock = threading.Lock()
        self._ending = None
        self._finished = False
        self._gate = threading.Event()
        self._gate.set()
        self._rate = None
        self._send_lock = threading.Lock()
        self._deferred = collections.deque()
        self._tls_lock = threading.Lock()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = None
        self.peer_closed_tls = False
        self.received_at = 0.0
        if context is not None:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    # Control, from any thread.

    def end(self, how="fin"):
        """Makes the connection's thread stop and finish with "tls", "fin" or "rst"."""
        with self._state_lock:
            if self._finished:
                return
            self._ending = self._ending or how
            os.eventfd_write(self._wake, 1)
            self._gate.set()

    def pause(self, seconds=None):
        """Stops reading from the socket, for good or for a while."""
        self._gate.clear()
        if seconds is not None:
            timer = threading.Timer(seconds, self._gate.set)
            timer.daemon = True
            timer.start()

    def resume(self):
        self._gate.set()

    def wait_readable(self, timeout):
        """Whether bytes come that nobody has read yet, such as those sent to a paused side."""
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        return bool(poller.poll(timeout * 1000))

    def peer_is_gone(self):
        """Whether the peer has ended the connection; a paused side does not notice."""
        with self._state_lock:
            if self._finished:
                return True
            poller = select.poll()
            poller.register(self._sock, select.POLLRDHUP)
            return self._gate.is_set() and bool(poller.poll(0))

    def throttle(self, bytes_per_second):
        """Reads no faster than this; None lifts the limit."""
        self._rate = bytes_per_second

    def shrink_receive_buffer(self, size):
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    # Writing, from any thread.

    def send(self, data, timeout=None):
        """Sends all of it; TimeoutError when the peer does not take it in time, after which the
        stream is broken off inside a record and good for nothing but `end`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._send_lock:
            self._write(data, deadline)
        self._send_deferred()

    def send_soon(self, data):
        """For replies from the reading thread, which must not wait behind a long send."""
        self._deferred.append(data)
        self._send_deferred()

    def send_slowly(self, data, interval):
        """One byte in each TLS record, `interval` seconds apart."""
        for i in range(len(data)):
            if i > 0:
                self.sleep(interval)
            self.send(data[i:i + 1])

    def send_tcp(self, data):
        """Bytes below TLS: garbage instead of a record."""
        with self._send_lock:
            self._push(data, None)

    def sleep(self, seconds):
        """Sleeps, unless the connection is ended meanwhile."""
        self._wait(0, time.monotonic() + seconds)

    # The connection's own thread.

    def handshake(self, drip=None):
        """Does the TLS handshake; `drip` is the pause between single bytes of our side of it."""
        while self._tls is not None:
            try:
                with self._tls_lock:
                    self._tls.do_handshake()
                self._flush(drip)
                return
            except ssl.SSLWantReadError:
                self._flush(drip)
            except ssl.SSLError:
                self._flush(drip)
                raise
            data = self._recv_tcp()
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def tls_facts(self):
        if self._tls is None:
            return {"version": None}
        return {"version": self._tls.version(), "cipher": self._tls.cipher()[0],
                "alpn": self._tls.selected_alpn_protocol(),
                "sni": getattr(self._tls, "asked_name", None)}

    def recv(self):
        """Some decrypted bytes; b"" once the peer has closed."""
        if self._tls is None:
            return self._recv_tcp()
        while True:
            data = self._decrypt()
            if data is not None:
                return data
            data = self._recv_tcp()
            if not data:
                return b""
            with self._tls_lock:
                self._incoming.write(data)

    def swallow(self):
        """Reads and forgets, below TLS, until the peer closes: a server that never answers."""
        while self._recv_tcp():
            pass

    def finish(self, how="tls"):
        """Closes the socket; gives how, and whether the peer was seen to close its side too."""
        with self._state_lock:
            how = self._ending or how
            self._ending = how
            os.eventfd_write(self._wake, 1)
        closed = False
        with self._send_lock:
            try:
                if how == "rst":
                    self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
                else:
                    closed = self._close_gently(how)
            except OSError:
                pass
            with self._state_lock:
                self._finished = True
                self._sock.close()
                os.close(self._wake)
        return how, closed

    def _close_gently(self, how):
        if how == "tls" and self._tls is not None:
            try:
                with self._tls_lock:
                    self._tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass
            notice = self._outgoing.read()
            if notice:
                self._sock.send(notice)
        self._sock.shutdown(socket.SHUT_WR)
        # Closing with unread bytes would send a reset, and the peer would miss our last words.
        deadline = time.monotonic() + _DRAIN_SECONDS
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if poller.poll(left * 1000) and not self._sock.recv(_READ_SIZE):
                return True
        return False

    # Inside.

    def _write(self, data, deadline=None):
        view = memoryview(data)
        for start in range(0, len(view), _WRITE_SIZE):
            piece = view[start:start + _WRITE_SIZE]
            if self._tls is None:
                self._push(piece, deadline)
                continue
            with self._tls_lock:
                while len(piece) > 0:
                    piece = piece[self._tls.write(piece):]
                sealed = self._outgoing.read()
            self._push(sealed, deadline)

    def _send_deferred(self):
        while self._deferred and self._send_lock.acquire(blocking=False):
            try:
                while self._deferred:
                    self._write(self._deferred.popleft())
            finally:
                self._send_lock.release()

    def _flush(self, drip=None):
        if not self._outgoing.pending:
            return
        with self._send_lock:
            with self._tls_lock:
                sealed = self._outgoing.read()
            if drip is None:
                self._push(sealed, None)
                return
            for i in range(len(sealed)):
                self._push(sealed[i:i + 1], None)
                self.sleep(drip)

    def _push(self, data, deadline):
        view = memoryview(data)
        while len(view) > 0:
            if self._ending:
                raise Ended(self._ending)
            try:
                view = view[self._sock.send(view):]
            except BlockingIOError:
                if not self._wait(select.POLLOUT, deadline):
                    raise TimeoutError("the peer does not read") from None

    def _decrypt(self):
        pieces = []
        with self._tls_lock:
            try:
                while True:
                    piece = self._tls.read(_READ_SIZE)
                    if not piece:
                        self.peer_closed_tls = True
                        break
                    pieces.append(piece)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                # What came before a bad record counts; the error comes again at the next call.
                if not pieces:
                    raise
        self._flush()
        if pieces:
            return b"".join(pieces)
        return b"" if self.peer_closed_tls else None

    def _recv_tcp(self):
        while True:
            self._gate.wait()
            if self._ending:
                raise Ended(self._ending)
            rate = self._rate
            size = _READ_SIZE if rate is None else max(1, rate // _THROTTLE_STEPS)
            try:
                data = self._sock.recv(size)
                self.received_at = time.monotonic()
            except BlockingIOError:
                self._wait(select.POLLIN, None)
                continue
            if rate is not None and data:
                self.sleep(len(data) / rate)
            return data

    def _wait(self, events, deadline):
        """Waits for the socket (if any events are asked for); False when the time is up."""
        if self._ending:
            raise Ended(self._ending)
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        if events:
            poller.register(self._sock, events)
        timeout = None if deadline is None else max(0, (deadline - time.monotonic()) * 1000)
        ready = poller.poll(timeout)
        if self._ending:
            raise Ended(self._ending)
        return bool(ready)
