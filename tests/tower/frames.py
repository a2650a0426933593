"""WebSocket frames (RFC 6455): builders that may break every rule, and a strict reader."""

import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# Larger than what Tower accepts (15 MB), so that a test sees what was sent rather than a refusal.
MAX_MESSAGE = 64 * 1024 * 1024

_MASK_CHUNK = 16 * 1024


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool


class Violation(Exception):
    """The peer broke the framing rules."""


def apply_mask(payload, mask):
    """XOR with the 4-byte mask; by pieces, since one huge integer would be slower."""
    if len(payload) <= _MASK_CHUNK:
        return _xor(payload, mask)
    view = memoryview(payload)
    return b"".join(_xor(view[i:i + _MASK_CHUNK], mask)
                    for i in range(0, len(payload), _MASK_CHUNK))


def _xor(piece, mask):
    size = len(piece)
    pad = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(piece, "little") ^ int.from_bytes(pad, "little")
    return number.to_bytes(size, "little")


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=None, claim=None, form=None):
    """One frame, right or wrong.

    `claim` replaces the length in the header, `form` (7, 16 or 64) forces the length's encoding,
    `mask` (4 bytes) masks, which a server must not do.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if claim is None else claim
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    bit = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    if form == 7:
        head += bytes([bit | size])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if mask is not None:
        return head + mask + apply_mask(payload, mask)
    return head + payload


def text(payload, **options):
    return frame(TEXT, payload, **options)


def binary(payload, **options):
    return frame(BINARY, payload, **options)


def ping(payload=b"", **options):
    return frame(PING, payload, **options)


def pong(payload=b"", **options):
    return frame(PONG, payload, **options)


def close(code=None, reason="", **options):
    """A Close frame; without a code its body is empty."""
    if isinstance(reason, str):
        reason = reason.encode()
    body = b"" if code is None else struct.pack(">H", code) + reason
    return frame(CLOSE, body, **options)


def fragments(payload, size=1, opcode=TEXT, between=b""):
    """The payload in frames of `size` bytes, `between` (a ping, say) put between them."""
    if isinstance(payload, str):
        payload = payload.encode()
    pieces = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return between.join(frame(opcode if i == 0 else CONTINUATION, piece, fin=i == last)
                        for i, piece in enumerate(pieces))


def endless_fragments(piece=b"a", opcode=TEXT, batch=1000):
    """A message that never ends, in blocks of `batch` frames."""
    yield frame(opcode, piece, fin=False)
    block = frame(CONTINUATION, piece, fin=False) * batch
    while True:
        yield block


def flood(one_frame, batch=1000):
    """The same frame for ever, in blocks of `batch`."""
    block = one_frame * batch
    while True:
        yield block


class Reader:
    """Takes bytes, gives frames. Strict, since it judges the client under test."""

    def __init__(self, expect_masked=True):
        self._buffer = bytearray()
        self._expect_masked = expect_masked
        self._head = None

    def feed(self, data):
        """Yields each frame that is complete; raises Violation at a bad header."""
        self._buffer += data
        while True:
            if self._head is None and not self._read_head():
                return
            first, mask, size, offset = self._head
            if len(self._buffer) < offset + size:
                return
            payload = bytes(memoryview(self._buffer)[offset:offset + size])
            del self._buffer[:offset + size]
            self._head = None
            if mask is not None:
                payload = apply_mask(payload, mask)
            yield Frame(first & 0x0F, payload, bool(first & 0x80), (first >> 4) & 7,
                        mask is not None)

    def _read_head(self):
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        size, offset = buffer[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < 2 + width:
                return False
            size, offset = int.from_bytes(buffer[2:2 + width], "big"), 2 + width
            if size < (126 if width == 2 else 65536):
                raise Violation(f"length {size} not in its shortest form")
        masked = bool(buffer[1] & 0x80)
        self._check(buffer[0], size, masked)
        mask = None
        if masked:
            if len(buffer) < offset + 4:
                return False
            mask = bytes(buffer[offset:offset + 4])
            offset += 4
        self._head = (buffer[0], mask, size, offset)
        return True

    def _check(self, first, size, masked):
        opcode = first & 0x0F
        if first & 0x70:
            raise Violation("a reserved bit is set")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(f"unknown opcode {opcode}")
        if opcode >= CLOSE and (size > 125 or not first & 0x80):
            raise Violation("a control frame is long or fragmented")
        if masked != self._expect_masked:
            raise Violation("frame is not masked" if self._expect_masked else "frame is masked")
        if size > MAX_MESSAGE:
            raise Violation(f"frame of {size} bytes")


class Assembler:
    """Joins data frames to messages, and passes control frames through."""

    def __init__(self):
        self._opcode = None
        self._pieces = []
        self._size = 0

    def add(self, item):
        """(opcode, payload) when a message or control frame is complete, else None."""
        if item.opcode >= CLOSE:
            return item.opcode, item.payload
        if (item.opcode == CONTINUATION) != (self._opcode is not None):
            raise Violation("continuation frame out of place")
        if self._opcode is None and item.fin:
            return item.opcode, item.payload
        if self._opcode is None:
            self._opcode = item.opcode
        self._pieces.append(item.payload)
        self._size += len(item.payload)
        if self._size > MAX_MESSAGE:
            raise Violation(f"message of over {MAX_MESSAGE} bytes")
        if not item.fin:
            return None
        message = self._opcode, b"".join(self._pieces)
        self.__init__()
        return message
