"""What the Tower can be told to answer, and the script that says when."""

import collections
import json as jsonlib
import threading
from http import HTTPStatus


class Reply:
    """An HTTP reply of any status, headers and body.

    `headers` is a dict or a list of pairs; a value of None leaves that header out. `drip` sends
    one byte at a time with that many seconds between. `then` is what follows: "keep" the
    connection for another request, or end it by "tls" (an orderly close), "fin", "rst" or
    "stall". `body` may be any iterable of bytes when `chunked` is set.
    """

    def __init__(self, status=200, body=b"", *, json=None, headers=(), reason=None, delay=0,
                 drip=None, chunked=False, length=True, then="keep"):
        self.status, self.reason = status, reason
        self.delay, self.drip, self.then = delay, drip, then
        self._chunked, self._length = chunked, length
        self._headers = list(headers.items() if isinstance(headers, dict) else headers)
        self._json = json is not None
        self._body = jsonlib.dumps(json).encode() if self._json else body
        if isinstance(self._body, str):
            self._body = self._body.encode()

    def blocks(self):
        """The bytes to send, in pieces."""
        yield self.head()
        if self._chunked:
            pieces = [self._body] if isinstance(self._body, bytes) else _blocks(self._body)
            for piece in pieces:
                if piece:
                    yield b"%x\r\n%b\r\n" % (len(piece), piece)
            yield b"0\r\n\r\n"
        elif isinstance(self._body, bytes):
            yield self._body
        else:
            yield from _blocks(self._body)

    def head(self):
        fields = [("Content-Type", "application/json" if self._json else "text/plain")]
        if self._chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif self._length and isinstance(self._body, bytes) and self.status not in (101, 204, 304):
            fields.append(("Content-Length", str(len(self._body))))
        return response_head(self.status, self.reason, merge(fields, self._headers))


class Raw:
    """Any bytes instead of an HTTP reply; `data` is bytes, or a function giving blocks of them.

    At the step "tls" they go out below TLS.
    """

    def __init__(self, data, *, delay=0, drip=None, then="tls"):
        self.data, self.delay, self.drip, self.then = data, delay, drip, then

    def blocks(self):
        return [self.data] if isinstance(self.data, bytes) else _blocks(self.data)


class Upgrade:
    """The answer 101 and a conversation after it; by default a right one.

    `accept` replaces the value of Sec-WebSocket-Accept, `headers` adds or (by None) removes
    headers, `trailing` is sent in the same write as the head. With converse=False nothing follows.
    """

    def __init__(self, *, status=101, accept=None, headers=(), trailing=b"", delay=0, drip=None,
                 converse=True, then="stall"):
        self.status, self.accept, self.trailing = status, accept, trailing
        self.delay, self.drip, self.converse, self.then = delay, drip, converse, then
        self._headers = list(headers.items() if isinstance(headers, dict) else headers)

    def blocks(self, right_accept):
        accept = right_accept if self.accept is None else self.accept
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                  ("Sec-WebSocket-Accept", accept)]
        yield response_head(self.status, None, merge(fields, self._headers)) + self.trailing


class Stall:
    """Takes what comes and never answers; ends with the connection."""


class Delay:
    """Waits, then does what is done by default."""

    def __init__(self, seconds):
        self.seconds = seconds


class Drip:
    """At the step "tls": our side of the handshake byte by byte, `interval` seconds apart."""

    def __init__(self, interval):
        self.interval = interval


class Drop:
    """Ends the connection at once: "rst", "fin", or "tls" for an orderly close."""

    def __init__(self, how="rst"):
        self.how = how


def redirect(status, location, **options):
    return Reply(status, headers=[("Location", location)], **options)


def error(status, message, **options):
    """An error as Tower words it."""
    return Reply(status, json={"message": message}, **options)


def header_flood(count, size=100):
    """A reply with that many headers, complete at last."""
    lines = b"".join(b"X-Flood-%d: %b\r\n" % (i, b"f" * size) for i in range(count))
    return b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\n{}"


def endless_headers():
    """A head that never ends; use as Raw(endless_headers)."""
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-Endless: and on and on\r\n" * 400


def interim_flood(status=103):
    """For ever interim replies, and never a final one; use as Raw(interim_flood)."""
    while True:
        yield b"HTTP/1.1 %d Interim\r\n\r\n" % status * 400


def endless_body(block=b" " * 16384):
    """A body for Reply(body=endless_body, chunked=True) or with length=False."""
    while True:
        yield block


def response_head(status, reason, fields):
    if reason is None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Other"
    lines = [f"HTTP/1.1 {status} {reason}"] + [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def merge(fields, changes):
    """Fields with the changes made: None removes, a known name replaces, another one is added."""
    changed = {name.lower() for name, _ in changes}
    kept = [(name, value) for name, value in fields if name.lower() not in changed]
    return kept + [(name, value) for name, value in changes if value is not None]


def _blocks(source):
    return source() if callable(source) else iter(source)


class Script:
    """Which answer is next at each step.

    Answers given a count are used up in their order; after them comes the one for ever, if any,
    and after that what the Tower does by itself.
    """

    STEPS = ("tls", "open", "service-info", "user", "connect", "other", "any")

    def __init__(self):
        self._lock = threading.Lock()
        self._counted = collections.defaultdict(collections.deque)
        self._forever = {}

    def on(self, step, answer, times=None):
        """`answer` may be a function of the request; times=None means for ever."""
        if step not in self.STEPS:
            raise ValueError(f"no step {step}: one of {', '.join(self.STEPS)}")
        with self._lock:
            if times is None:
                self._forever[step] = answer
            else:
                self._counted[step].extend([answer] * times)

    def clear(self, step=None):
        with self._lock:
            for name in [step] if step else self.STEPS:
                self._counted.pop(name, None)
                self._forever.pop(name, None)

    def take(self, step, request=None):
        with self._lock:
            counted = self._counted.get(step)
            answer = counted.popleft() if counted else self._forever.get(step)
        return answer(request) if callable(answer) else answer
