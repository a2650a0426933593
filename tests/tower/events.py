"""What happened, in order, for any thread to read or to wait for.

One condition variable serves every wait in the simulator: whoever changes state that a test may
wait for either adds an event or calls `touch`, so nothing ever polls or sleeps.
"""

import threading
import time

_ABSENT = object()
# Of a wait: a machine that runs tests may be slow, or stop for seconds.
PATIENCE = 60


class Event:
    """One thing that happened; its data are readable as attributes (`event.status`).

    `t` is monotonic time, `conn` the number of the connection (0 for none).
    """

    __slots__ = ("t", "kind", "conn", "data")

    def __init__(self, kind, conn, data):
        self.t = time.monotonic()
        self.kind = kind
        self.conn = conn
        self.data = data

    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"event {self.kind} has no {name}") from None

    def matches(self, kind, fields):
        return self.kind == kind and all(getattr(self, name, _ABSENT) == want
                                         for name, want in fields.items())

    def __repr__(self):
        parts = [f"{name}={_short(value)}" for name, value in self.data.items()]
        return f"<{self.t:.3f} #{self.conn} {self.kind} {' '.join(parts)}>"


def _short(value, limit=120):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…({len(text)})"


class EventLog:
    """A thread-safe list of events.

    `keep` bounds the memory of long benchmark runs: older events are dropped once twice as many
    have gathered. Positions (`mark`, `after`) count from the first event ever added, so they stay
    valid when that happens.
    """

    def __init__(self, keep=None, observer=None):
        self.changed = threading.Condition()
        self._events = []
        self._dropped = 0
        self._keep = keep
        self._observer = observer

    def add(self, kind, conn=0, **data):
        event = Event(kind, conn, data)
        with self.changed:
            self._events.append(event)
            if self._keep is not None and len(self._events) > 2 * self._keep:
                excess = len(self._events) - self._keep
                del self._events[:excess]
                self._dropped += excess
            self.changed.notify_all()
        if self._observer is not None:
            self._observer(event)
        return event

    def touch(self):
        """Wakes the waiters after a change of state that is no event."""
        with self.changed:
            self.changed.notify_all()

    def mark(self):
        """The position after the newest event, to be given as `after` later."""
        with self.changed:
            return self._dropped + len(self._events)

    def list(self, kind=None, after=0, **fields):
        with self.changed:
            events = self._events[max(after - self._dropped, 0):]
        return [e for e in events if kind is None or e.matches(kind, fields)]

    def count(self, kind, after=0, **fields):
        return len(self.list(kind, after, **fields))

    def wait_for(self, predicate, timeout=PATIENCE, after=0, what="event"):
        """The first event at or after position `after` for which predicate(event) is true."""
        deadline = time.monotonic() + timeout
        position = after
        with self.changed:
            while True:
                for event in self._events[max(position - self._dropped, 0):]:
                    if predicate(event):
                        return event
                position = self._dropped + len(self._events)
                self._wait(deadline, what)

    def wait(self, kind, timeout=PATIENCE, after=0, **fields):
        """The first event of this kind whose data equal `fields`."""
        return self.wait_for(lambda event: event.matches(kind, fields), timeout, after,
                             f"{kind} {fields or ''}")

    def wait_until(self, condition, timeout=PATIENCE, what="condition"):
        """Waits until condition() is true, and returns its value."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                self._wait(deadline, what)

    def _wait(self, deadline, what):
        left = deadline - time.monotonic()
        if left <= 0 or not self.changed.wait(left):
            if deadline - time.monotonic() <= 0:
                latest = "\n  ".join(map(repr, self._events[-12:])) or "none"
                raise TimeoutError(f"no {what} in time; the latest events:\n  {latest}")
