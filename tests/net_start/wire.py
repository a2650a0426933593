# SPDX-License-Identifier: Apache-2.0
"""The packets of ipc/messages.def, for a test that plays the parent."""

import os
import re
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _table():
    with open(os.path.join(ROOT, "ipc", "messages.def"), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    table = {}
    for number, part in enumerate(re.split(r"\bMESSAGE\(", text)[1:]):
        name = re.match(r"\w+", part)[0]
        fields = re.findall(r"\b([UISB])\(%s, (\w+)," % name, part)
        table[name] = (number, fields)
    return table


TABLE = _table()
NAMES = {number: name for name, (number, _) in TABLE.items()}


def pack(value):
    """One unsigned integer, text or bytes in msgpack."""
    if isinstance(value, int):
        if value < 128:
            return bytes([value])
        return b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xda" + struct.pack(">H", len(data)) + data
    return b"\xc5" + struct.pack(">H", len(value)) + value


def array(values):
    return b"\xdc" + struct.pack(">H", len(values)) + b"".join(map(pack, values))


def encode(name, **fields):
    number, rows = TABLE[name]
    assert set(fields) == {field for _, field in rows}, (name, rows)
    return array([number] + [fields[field] for _, field in rows])


def decode(frame):
    """Messages of small integers alone, which is what the launcher sends."""
    at = 1
    values = []
    while at < len(frame):
        tag = frame[at]
        width = {0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8}.get(tag, 0)
        values.append(int.from_bytes(frame[at + 1:at + 1 + width], "big") if width else tag)
        at += 1 + width
    name = NAMES[values[0]]
    return name, dict(zip([field for _, field in TABLE[name][1]], values[1:]))
