"""Reading HTTP requests, keeping the bytes as they came."""

import base64
import hashlib
import urllib.parse

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
MAX_HEAD = 1024 * 1024


class BadRequest(Exception):
    """What came is no HTTP request."""


class Request:
    """One request: method, raw path, all headers in their order, the raw head, the body."""

    def __init__(self, head):
        self.head = head
        self.body = b""
        try:
            lines = head.decode("latin-1").split("\r\n")
            self.method, self.target, self.version = lines[0].split(" ")
            self.headers = [tuple(part.strip(" \t") for part in line.split(":", 1))
                            for line in lines[1:] if line]
            if any(len(pair) != 2 for pair in self.headers):
                raise ValueError("a header line has no colon")
        except ValueError as reason:
            raise BadRequest(str(reason)) from None
        self.path, _, self.query = self.target.partition("?")

    def header(self, name, default=None):
        """The first header of that name."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    @property
    def token(self):
        scheme, _, token = self.header("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None

    @property
    def connection_id(self):
        """The decoded connection ID of a path …/agent/{id}/connect, else None."""
        parts = self.path.split("/")
        if len(parts) >= 4 and parts[-3] == "agent" and parts[-1] == "connect":
            return urllib.parse.unquote(parts[-2])
        return None

    def upgrade_problem(self):
        """What keeps this from being a WebSocket upgrade; None when it is one."""
        checks = [
            (self.method == "GET", "the method is not GET"),
            (self.version == "HTTP/1.1", "the version is not HTTP/1.1"),
            ("websocket" in self.header("Upgrade", "").lower(), "no Upgrade: websocket"),
            ("upgrade" in self.header("Connection", "").lower(), "no Connection: Upgrade"),
            (self.header("Sec-WebSocket-Version") == "13", "the version is not 13"),
            (_is_key(self.header("Sec-WebSocket-Key", "")), "the key is not 16 bytes of base64"),
        ]
        return next((problem for right, problem in checks if not right), None)

    @property
    def accept(self):
        key = self.header("Sec-WebSocket-Key", "")
        return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def _is_key(value):
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except ValueError:
        return False


class RequestReader:
    """Takes requests from `recv`; what follows a request stays in `rest`."""

    def __init__(self, recv):
        self._recv = recv
        self.rest = b""

    def next(self):
        """The next request; None at a clean end between two."""
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            data = self._recv()
            if not data and not self.rest:
                return None
            if not data or len(self.rest) > MAX_HEAD:
                raise BadRequest(f"no end of the head in {len(self.rest)} bytes")
            self.rest += data
        request = Request(self.rest[:end + 4])
        self.rest = self.rest[end + 4:]
        try:
            size = int(request.header("Content-Length", "0"))
        except ValueError:
            raise BadRequest("Content-Length is no number") from None
        while len(self.rest) < size:
            data = self._recv()
            if not data:
                raise BadRequest("the body ended early")
            self.rest += data
        request.body, self.rest = self.rest[:size], self.rest[size:]
        return request
