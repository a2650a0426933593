"""The conversation on an upgraded connection: messages, heartbeats, closes and mischief."""

import base64
import json
import threading
import uuid

from . import frames
from .events import PATIENCE


class Result:
    """A command-response: `output` is bytes (an absent result is b""), `raw` the message.

    `sent_at` and `received_at` are monotonic times taken next to the socket calls, so their
    difference has no thread switch of the simulator in it.
    """

    def __init__(self, raw, conn, sent_at, received_at):
        self.raw = raw
        self.conn = conn
        self.id = raw["id"]
        self.exit_status = raw["exitStatus"]
        encoded = raw.get("result")
        self.output = b"" if encoded is None else base64.b64decode(encoded, validate=True)
        self.sent_at, self.received_at = sent_at, received_at

    @property
    def seconds(self):
        return self.received_at - self.sent_at

    def __repr__(self):
        return f"<Result {self.id} exit {self.exit_status}, {len(self.output)} bytes>"


def _check(message):
    """What is wrong with an agent's message, else None."""
    wanted = {
        "info": {"userName": str, "workDir": str, "agentVersion": str},
        "heartbeat": {},
        "command-response": {"id": str, "exitStatus": int},
    }
    if not isinstance(message, dict):
        return "no object"
    fields = wanted.get(message.get("@type"))
    if fields is None:
        return f"unknown @type {message.get('@type')!r}"
    for name, kind in fields.items():
        value = message.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name} is {value!r}"
    return None


class Conversation:
    """One agent's session. Attributes a test may set at any time:

    `heartbeat_replies` (off: heartbeats stay unanswered), `heartbeat_delay` in seconds,
    `answer_pings`.
    """

    def __init__(self, connection, request):
        self.tower = connection.tower
        self.transport = connection.transport
        self.log = connection.log
        self.number = connection.number
        self.token = request.token
        self.connection_id = request.connection_id
        self.heartbeat_replies = self.tower.heartbeat_replies
        self.heartbeat_delay = self.tower.heartbeat_delay
        self.answer_pings = True
        self.info = None
        self.ended = False
        self.close_sent = None
        self.close_received = None
        self._reader = frames.Reader()
        self._assembler = frames.Assembler()

    @property
    def key(self):
        return self.token, self.connection_id

    @property
    def online(self):
        return (self.info is not None and not self.ended and self.close_sent is None
                and self.close_received is None)

    def over(self, hold_dead):
        """Whether it has ended, though its own thread may not have come to that yet."""
        if self.close_sent or self.close_received:
            return True
        return not hold_dead and self.transport.peer_is_gone()

    # Commands.

    def send_command(self, command, id=None):
        """Sends a command-request and returns its id."""
        if id is None:
            id = str(uuid.uuid4())
        message = json.dumps({"@type": "command-request", "id": id, "command": command})
        self.log("command-sent", id=id)
        self.tower.note_sent(id)
        self.transport.send(frames.text(message))
        return id

    def run(self, command, id=None, timeout=PATIENCE):
        """Sends a command-request and waits for the response that follows it."""
        before = 0 if id is None else len(self.tower.results(id))
        id = self.send_command(command, id)
        return self.tower.wait_result(id, timeout, count=before + 1)

    # Sending anything.

    def send_json(self, message):
        self.transport.send(frames.text(json.dumps(message)))

    def send_text(self, text):
        """One text frame, valid JSON or not."""
        self.transport.send(frames.text(text))

    def send_raw(self, data, timeout=None):
        """Raw frame bytes, or blocks of them for ever; returns how many bytes were taken.

        Blocks end when the peer does (ConnectionError is swallowed then) or, by TimeoutError,
        when it does not read for `timeout` seconds. While a fragmented message is open, set
        heartbeat_replies to False, or a reply may fall into it.
        """
        if isinstance(data, bytes):
            self.transport.send(data, timeout)
            return len(data)
        total = 0
        try:
            for block in data:
                self.transport.send(block, timeout)
                total += len(block)
        except ConnectionError:
            pass
        return total

    def send_slowly(self, data, interval=1.0):
        """Raw frame bytes, one at a time."""
        self.transport.send_slowly(data, interval)

    def send_tcp(self, data):
        """Bytes below TLS, which break the TLS session."""
        self.transport.send_tcp(data)

    def ping(self, payload=b""):
        self.transport.send(frames.ping(payload))

    # Ending and hindering.

    def close(self, code=1000, reason=""):
        """Sends a Close frame; the connection ends when the peer has answered it.

        code=None sends an empty body.
        """
        self.close_sent = (code, reason)
        self.log("ws-close-sent", code=code, reason=reason)
        self.transport.send(frames.close(code, reason))

    def drop(self, how="rst"):
        """Ends TCP without a Close frame: "rst", "fin", or "tls" (with TLS's close_notify)."""
        self.transport.end(how)
        self.tower.events.wait("tcp-closed", conn=self.number)

    def go_silent(self, seconds=None):
        """No reads and no replies; `resume` or the end of `seconds` lifts it."""
        self.transport.pause(seconds)

    pause_reading = go_silent

    def resume(self):
        self.transport.resume()

    def throttle(self, bytes_per_second, receive_buffer=4096):
        """Reads slowly, with a small TCP window; None for full speed."""
        if bytes_per_second is not None:
            self.transport.shrink_receive_buffer(receive_buffer)
        self.transport.throttle(bytes_per_second)

    # The connection's own thread.

    def serve(self, rest, admitted):
        """Handles what the agent sends until either side ends the conversation."""
        self.log("ws-open", connection_id=self.connection_id)
        if not admitted:
            self.close(4000, "Another agent is connected with this ID")
        data = rest or self.transport.recv()
        try:
            while data:
                for item in self._reader.feed(data):
                    message = self._assembler.add(item)
                    if message is not None and self._take(*message):
                        return
                data = self.transport.recv()
        except frames.Violation as reason:
            self.log("ws-violation", reason=str(reason))
            self.close(1002, str(reason))

    def _take(self, opcode, payload):
        """Handles a message or control frame; True when the conversation is over."""
        if opcode == frames.PING:
            self.log("ws-ping", payload=payload)
            if self.answer_pings:
                self.transport.send_soon(frames.pong(payload))
        elif opcode == frames.PONG:
            self.log("ws-pong", payload=payload)
        elif opcode == frames.CLOSE:
            return self._take_close(payload)
        elif opcode == frames.BINARY:
            self.log("ws-bad-message", reason="a binary message", payload=payload)
        else:
            self._take_text(payload)
        return False

    def _take_close(self, payload):
        if len(payload) == 1:
            raise frames.Violation("a Close body of 1 byte")
        code = int.from_bytes(payload[:2], "big") if payload else None
        self.close_received = (code, payload[2:].decode(errors="replace"))
        self.log("ws-close-received", code=code, reason=self.close_received[1])
        if self.close_sent is None:
            self.close(code if code is not None else 1000)
        return True

    def _take_text(self, payload):
        try:
            message = json.loads(payload.decode())
            problem = _check(message)
            if problem is None and message["@type"] == "command-response":
                self.tower.add_result(message, self)
        except ValueError as reason:
            problem = str(reason)
        if problem is not None:
            self.log("ws-bad-message", reason=problem, payload=payload)
            return
        kind = message["@type"]
        if kind == "info":
            self.info = message
        self.log("ws-message", type=kind, message=message)
        if kind == "heartbeat" and self.heartbeat_replies:
            self._reply_to_heartbeat()

    def _reply_to_heartbeat(self):
        reply = frames.text('{"@type":"heartbeat"}')
        if not self.heartbeat_delay:
            self.transport.send_soon(reply)
            return
        timer = threading.Timer(self.heartbeat_delay, self._send_late, [reply])
        timer.daemon = True
        timer.start()

    def _send_late(self, data):
        try:
            self.transport.send_soon(data)
        except OSError:
            pass  # the session ended meanwhile; its socket may be closed already
