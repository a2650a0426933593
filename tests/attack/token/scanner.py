# SPDX-License-Identifier: Apache-2.0
"""The forms in which a secret may lie about, and the program that looks for them in processes."""

import base64
import os
import subprocess
import sys
from typing import NamedTuple

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "integration"))

from harness import BUILD  # noqa: E402

SCANNER = os.path.join(BUILD, "tests", "token_scan")
PLANT = os.path.join(BUILD, "tests", "token_plant")

WINDOW = 8  # bytes of the token; each encoding needs more characters to show that many
RECORD_WINDOW = 16  # bytes of ciphertext
_LONGEST = 20000


class Pattern(NamedTuple):
    name: str
    shortest: int
    data: bytes


class Hit(NamedTuple):
    pid: int
    pattern: str
    length: int
    place: str


class Facts(NamedTuple):
    """How much of a process was looked at."""

    pid: int
    mappings: int
    bytes: int
    unreadable: int
    threads: int
    descriptors: int


def _base64_at(secret, shift, alphabet):
    """What base64 makes of the secret behind `shift` bytes, less what those bytes have a part in
    and what the bytes behind it would change."""
    encoded = base64.b64encode(b"\0" * shift + secret, alphabet)
    first = -(-shift * 8 // 6)
    return encoded[first:(shift + len(secret)) * 8 // 6]


def token_patterns(token):
    """Every form of the token that the scan is for."""
    secret = token.encode()
    hexadecimal = secret.hex()
    forms = [Pattern("raw", WINDOW, secret),
             Pattern("hex", 2 * WINDOW, hexadecimal.encode()),
             Pattern("HEX", 2 * WINDOW, hexadecimal.upper().encode())]
    for name, alphabet in (("base64", b"+/"), ("base64url", b"-_")):
        for shift in range(3):
            # 8 bytes that begin inside a character show in 10 whole ones.
            forms.append(Pattern(f"{name}+{shift}", 10, _base64_at(secret, shift, alphabet)))
    unique = {form.data: form for form in reversed(forms)}
    return list(unique.values())


def record_patterns(records):
    """(ciphertext, tag) of each record. The tag is 16 bytes that say something of the plaintext to
    whoever has the keys, and the session does."""
    return [Pattern(f"{name}{i}", RECORD_WINDOW, part[:_LONGEST])
            for i, parts in enumerate(records) for name, part in zip(("record", "tag"), parts)]


def pieces_in(data, patterns):
    """Names of the patterns of which a piece is in the data; for what is no process."""
    found = []
    for pattern in patterns:
        size = pattern.shortest
        if any(pattern.data[i:i + size] in data for i in range(len(pattern.data) - size + 1)):
            found.append(pattern.name)
    return found


def scan(pids, patterns):
    """(hits, facts by pid, pids that were gone) of the running processes."""
    lines = "".join(f"{p.name} {p.shortest} {p.data.hex()}\n" for p in patterns)
    done = subprocess.run([SCANNER, *map(str, pids)], input=lines, capture_output=True, text=True,
                          errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeError(f"token_scan: {done.stderr}")
    hits, facts, gone = [], {}, []
    for line in done.stdout.splitlines():
        kind, pid, rest = (line.split(" ", 2) + [""])[:3]
        if kind == "hit":
            name, length, place = rest.split(" ", 2)
            hits.append(Hit(int(pid), name, int(length), place))
        elif kind == "process":
            facts[int(pid)] = Facts(int(pid), *map(int, rest.split()))
        else:
            gone.append(int(pid))
    return hits, facts, gone
