#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed corpora, tests/fuzz/corpus/NAME/*, from what the agent and Tower really say to each other.

Files named seed-* are made here; others are inputs that fuzzing found, and stay as they are.
"""
import json
import pathlib
import re
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def write(name, seeds):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("seed-*"):
        old.unlink()
    for key, content in seeds.items():
        (folder / f"seed-{key}").write_bytes(content if isinstance(content, bytes) else content.encode())


# ---- HTTP answers: two bytes of seed, then the bytes ----

ACCEPT = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
UP = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
SERVICE_INFO = '{"serviceInfo":{"version":"23.1","apiVersion":"1.9.0","loginPath":"/login"}}'


def http():
    def answer(status, headers, body=""):
        return f"\x01\x02HTTP/1.1 {status}\r\n{headers}\r\n{body}".encode("latin-1")
    refused = '{"message":"Unauthorized\\u001b[31m"}'
    date = "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n"
    return {
        "upgrade": answer("101 Switching Protocols", UP + ACCEPT) + b"\x81\x02hi",
        "upgrade-protocol": answer("101 S", UP + ACCEPT + "Sec-WebSocket-Protocol: x\r\n"),
        "upgrade-extension": answer("101 S", UP + ACCEPT + "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        "upgrade-twice": answer("101 S", UP + UP + ACCEPT),
        "upgrade-h2c": answer("101 S", "Upgrade: h2c\r\nConnection: upgrade\r\n" + ACCEPT),
        "upgrade-body": answer("101 S", UP + ACCEPT + "Content-Length: 5\r\n", "hello"),
        "early-hints": b"\x00\x03HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
                       + answer("101 S", UP + ACCEPT)[2:],
        "service-info": answer("200 OK", f"Content-Length: {len(SERVICE_INFO)}\r\n", SERVICE_INFO),
        "chunked": answer("200 OK", "Transfer-Encoding: chunked\r\n",
                          f"{len(SERVICE_INFO):x};a=b\r\n{SERVICE_INFO}\r\n0\r\nTrailer: t\r\n\r\n"),
        "refused": answer("401 Unauthorized", f"Content-Length: {len(refused)}\r\n", refused),
        "until-eof": answer("403 Forbidden", "Connection: close\r\n", '{"message":"no"}'),
        "retry-date": answer("503 Busy", date + "Content-Length: 0\r\n"),
        "retry-number": answer("429 Slow", "retry-after: 120\r\nContent-Length: 0\r\n"),
        "redirect": answer("302 Found", "Location: https://elsewhere/\r\nContent-Length: 0\r\n"),
        "no-content": answer("204 No Content", ""),
        "two-lengths": answer("200 OK", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        "both-framings": answer("200 OK", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        "cut-short": answer("200 OK", "Content-Length: 50\r\n", "{"),
        "folded": answer("200 OK", "X: a\r\n b\r\nContent-Length: 0\r\n"),
        "upgrade-bare-cr": answer("101 S", UP + ACCEPT + "A: b\r\n\rX").replace(b"\r\n\rX\r\n", b"\r\n\rX"),
        "upgrade-bare-cr-status": answer("101 S\rX" + UP, ACCEPT).replace(b"Upgrade\r\n\r\n", b"Upgrade\r\n"),
        "upgrade-no-connection": answer("101 S", "Upgrade: websocket\r\n" + ACCEPT),
        "upgrade-space": answer("101 S", UP + ACCEPT + "Bad Header: 5\r\n"),
        "interim-many": b"\0\0" + b"HTTP/1.1 100 C\r\n\r\n" * 5 + answer("204 No Content", "")[2:],
        "status-999": answer("999 X", "Content-Length: 0\r\n"),
        "version-2": b"\x00\x00HTTP/2.0 200 OK\r\n\r\n",
        "http-10": b"\x00\x00HTTP/1.0 200 OK\r\n\r\n" + SERVICE_INFO.encode(),
        "not-http": b"\x00\x00SSH-2.0-OpenSSH_9\r\n",
        "many-headers": answer("200 OK", "".join(f"h{i}: x\r\n" for i in range(101))),
        "long-head": answer("200 OK", "A: " + "a" * 16500 + "\r\n"),
        "spaces": answer("200 OK", "A:" + " " * 16500 + "\r\n"),
    }


# ---- WebSocket: flags, bound, two bytes of seed, then frames ----

def frame(opcode, payload=b"", fin=True, rsv=0, length=None):
    n = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += bytes([n]) if n < 126 else bytes([126]) + struct.pack(">H", n) if n < 65536 else \
        bytes([127]) + struct.pack(">Q", n)
    return head + payload


BINARY, ECHO, CLOSE, HOLD, STALL, BUILD, RESULT = 1, 2, 4, 8, 16, 32, 64
HEARTBEAT = b'{"@type":"heartbeat"}'


def ws():
    def stream(flags, *frames, bound=255):
        return bytes([flags, bound, 3, 7]) + b"".join(frames)

    def described(flags, *frames):
        out = bytes([flags | BUILD, 255, 1, 9])
        for opcode, payload in frames:
            assert len(payload) < 128
            out += bytes([opcode, len(payload)]) + payload
        return out
    command = b'{"@type":"command-request","id":"a1","command":"squeue -u me"}'
    return {
        "heartbeat": stream(0, frame(1, HEARTBEAT)),
        "echo": stream(ECHO | STALL, frame(1, HEARTBEAT), frame(1, command), frame(9, b"p")),
        "fragments": stream(ECHO, frame(1, command[:9], fin=False), frame(9, b"ping"), frame(0, command[9:30], fin=False),
                            frame(10, b"pong"), frame(0, command[30:])),
        "held": stream(HOLD | ECHO | STALL, frame(1, command), frame(9), frame(1, HEARTBEAT), frame(8, b"\x03\xe8")),
        "close": stream(0, frame(8, b"\x0f\xa1again")),
        "close-empty": stream(0, frame(8)),
        "close-one-byte": stream(0, frame(8, b"\x03")),
        "close-code": stream(0, frame(8, b"\x03\xed")),
        "close-reason": stream(0, frame(8, b"\x03\xe8\xc3\xbc\xff")),
        "we-close": stream(CLOSE, frame(1, b"x"), frame(1, b"y"), frame(8, b"\x03\xe8")),
        "binary": stream(BINARY | ECHO, frame(2, b"\x00\xff" * 70), frame(1, b"t")),
        "binary-refused": stream(0, frame(2, b"\x00")),
        "utf8": stream(0, frame(1, "aé€😀".encode()[:3], fin=False), frame(0, "aé€😀".encode()[3:])),
        "bad-utf8": stream(0, frame(1, b"ab\xed\xa0\x80")),
        "cut-utf8": stream(0, frame(1, b"ab\xe2\x82")),
        "rsv": stream(0, frame(1, b"x", rsv=4)),
        "opcode": stream(0, frame(3, b"x")),
        "continuation": stream(0, frame(0, b"x")),
        "interleaved": stream(0, frame(1, b"x", fin=False), frame(1, b"y")),
        "masked": stream(0, b"\x81\x81abcdx"),
        "long-ping": stream(0, frame(9, b"p" * 126)),
        "cut-ping": stream(0, frame(9, b"p", fin=False)),
        "too-big": stream(0, frame(1, b"x" * 41), bound=10),
        "too-big-sum": stream(0, frame(1, b"x" * 30, fin=False), frame(0, b"x" * 30), bound=10),
        "huge": stream(0, frame(1, b"", length=1 << 40)),
        "not-minimal": stream(0, b"\x81\x7e\x00\x05hello"),
        "medium": stream(ECHO, frame(1, b"m" * 300)),
        "results": stream(RESULT | STALL, frame(1, b"abc"), frame(9, b"p"), frame(1, b"de"), frame(1, b"x" * 90)),
        "large": stream(HOLD, frame(1, b"l" * 20000, fin=False), frame(0, b"m" * 3000)),
        "described": described(ECHO | STALL, (1, b"ab"), (0x89, b"q"), (0x80, b"c"), (0x81, b"d" * 127), (0x88, b"\x03\xe9")),
        "pings": described(STALL, *[(0x89, b"p" * i) for i in range(20)]),
    }


# ---- JSON ----

def messages():
    def text(**members):
        return json.dumps({k.replace("at_type", "@type"): v for k, v in members.items()}, ensure_ascii=False)
    return {
        "heartbeat": HEARTBEAT,
        "command": text(at_type="command-request", id="5Dx3", command="cd /work && sbatch .command.run"),
        "command-env": text(at_type="command-request", id="b", more=[1, {"x": None}],
                            command="export TOWER_ACCESS_TOKEN=eyJ0aWQiOiAxfQ==\nnextflow run 'a b' \"c\"\t\\"),
        "escapes": '{"command":"a \\"b\\"\\n\\u00e9 \\ud83d\\ude00\\/","id":"x\\u0001","@type":"command-request"}',
        "unicode": text(at_type="command-request", id="é€😀", command="echo ü"),
        "no-id": text(at_type="command-request", command="x"),
        "empty-id": text(at_type="command-request", id="", command="x"),
        "long-id": text(at_type="command-request", id="i" * 1025, command="x"),
        "id-number": text(at_type="command-request", id=1, command="x"),
        "empty-command": text(at_type="command-request", id="e", command=""),
        "nul": '{"@type":"command-request","id":"a","command":"a\\u0000b"}',
        "newer": text(at_type="job-request", id="x", spec={"a": [True, False, None, -1.5e3]}),
        "twice": '{"@type":"heartbeat","@type":"heartbeat"}',
        "depth": "[" * 17 + "]" * 17,
        "depth-allowed": '{"@type":"heartbeat","x":' + "[" * 15 + "]" * 15 + "}",
        "tokens": "[" + "0," * 4100 + "0]",
        "strings": "[" + '"",' * 4100 + '""]',
        "depth-behind-escape": '["\\"",' + "[" * 17 + "]" * 17 + ',"\\""]',
        "number": '{"n":' + "9" * 65 + "}",
        "not-json": "{'@type':'heartbeat'}",
        "bad-utf8": b'{"@type":"heartbeat","s":"\xff"}',
        "surrogate": '{"@type":"heartbeat","s":"\\ud800"}',
        "service-info": SERVICE_INFO,
        "error": '{"message":"no such user\\u001b[31m \\u202e ü"}',
    }


# ---- channels: direction, phase, flags; then steps ----

DIRECTIONS = ["PARENT_TO_CORE", "CORE_TO_PARENT", "PARENT_TO_EXEC", "EXEC_TO_PARENT", "PARENT_TO_LAUNCHER",
              "LAUNCHER_TO_PARENT", "PARENT_TO_SESSION", "SESSION_TO_PARENT", "CORE_TO_EXEC", "EXEC_TO_CORE",
              "CORE_TO_SESSION", "SESSION_TO_CORE", "LAUNCHER_TO_CONNECT", "CONNECT_TO_SESSION"]
PHASES = ["PHASE_CONFIG", "PHASE_RUN", "PHASE_BEFORE_GO", "PHASE_ASKED", "PHASE_ONLINE"]
DESCRIPTORS = {"NO_FD": 0, "MEMFD": 1, "MAYBE_MEMFD": 1, "SOCKET": 8, "DIRECTORY": 9, "REGULAR_FILE": 12}


def table():
    """The rows of messages.def: name, directions, phases, whether often, descriptor, number of fields."""
    text = (CORPUS.parent.parent.parent / "ipc" / "messages.def").read_text()
    text = text[text.index("MESSAGE(started"):]
    for entry in text.split("MESSAGE(")[1:]:
        name, directions, phases, frequency, descriptor = [x.strip() for x in entry.split(",")[:5]]
        fields = len(re.findall(rf"\b[UISB]\({name},", entry))
        yield name, directions.split(" | "), phases.split(" | "), frequency == "OFTEN", DESCRIPTORS[descriptor], fields


def channel():
    seeds = {}
    for number, direction in enumerate(DIRECTIONS):
        rows = [r for r in table() if direction in r[1]]
        phase = {"PHASE_ANY": 1}.get(rows[-1][2][0]) or PHASES.index(rows[-1][2][0])
        out = bytes([number, phase, 0])
        for index, (_, _, phases, often, descriptor, fields) in enumerate(rows):
            wanted = phase if phases == ["PHASE_ANY"] else PHASES.index(phases[0])
            out += bytes([5, wanted]) if wanted != phase else b""
            phase = wanted
            for sort in range(1 + often):  # every field at its least, then at its most
                out += bytes([descriptor << 3, index, 0]) + bytes([sort]) * fields
        seeds[direction.lower().replace("_", "-")] = out
    go = b"\x0b\x04"
    seeds["wrong-descriptors"] = go + b"\x01" + b"".join(bytes([kind << 3, 3, 0, 0, 0]) for kind in range(12))
    seeds["damaged"] = go + b"\x02" + bytes([2, 2, 0, 0, 0, 0, 1, 0]) * 3
    seeds["raw"] = go + b"\x00" + bytes([3, 3]) + b"\x92\x1e\x00" + bytes([3, 6]) + b"\xdd\x10\x00\x00\x00\x00"
    seeds["hostile-verdict"] = go + b"\x04" + bytes([0, 3, 0, 0]) * 4
    seeds["long"] = go + b"\x00" + bytes([4, 64, 4, 65])
    return seeds


def frames():
    return {"surplus-field": b"\x93\x1e\x00\x00", "elements": b"\xdc\x00\x40" + bytes(64),
            "heartbeat-reply": b"\x92\x1e\x00", "response": b"\x96\x1b\xcc\xc8\x00\x01\xa31.9\xa0",
            "array16": b"\xdc\x00\x02\x00\x00", "started": b"\x95\x00\x03\x00\x01\x20", "array32": b"\xdd\x10\x00\x00\x00",
            "bin": b"\x93\x1f\xa1i\xc4\x02id", "str32": b"\x93\x10\xcf" + bytes(8) + b"\xdb\xff\xff\xff\xffx",
            "negative": b"\x94\x23\x00\xff\xa1x", "ended": b"\x94\x23\x08\xcd\x0f\xa0\xa5again"}


# ---- configuration: flags, arguments NUL variables NUL file; $ is the secret ----

PIN = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"


def config():
    def all_three(arguments, variables="", file="", root=True):
        return bytes([root]) + b"\0".join(x.encode() for x in ("\n".join(arguments), variables, file))
    everything = "\n".join([
        "# tw-agent.conf", "token_file = /etc/tw-agent/token", "url = https://tower.example.org:8443/api/", "work_dir = ~/work",
        "ca_file = /etc/ca.pem", "run_as = labsvc", "state_dir = /var/lib/tw-agent", "proxy = http://u:p%40$@proxy:3128",
        f"pin_spki = {PIN}", f"  {PIN}", "heartbeat = PT45S", "max_commands = 8", "command_timeout = 1h", "max_output = 4096",
        "isolate = read-only", "require = landlock>=3, seccomp", "log_level = debug", "log_format = json", "net_user = net2",
        "user_name = Zoë", "env_from = file:/etc/tw-agent/env", "env_init = module load slurm", "set_env = A=1",
        "  B=two $ words", "pass_env = X, Y", "umask = 0027", "setuid_helpers = no", "allow_namespaces = no",
        "max_results_memory = 1048576", "max_results_disk = 0", ""])
    bad = {"url = http://$": "http", "proxy = socks5://u:$@p:1": "socks", "heartbeat = $": "duration", "umask = 8$": "octal",
           "set_env = $": "set-env", "pass_env = A=$": "pass-env", "pin_spki = $": "pin", "env_from = file:$": "env-from",
           "access_token = $": "token", "$ = 1": "key", "$": "no-key", "[$]": "section", "url = https://a\nurl = $": "twice",
           "  $": "indent", "isolate = $": "choice", "require = $": "require", "log_level = $": "level"}
    seeds = {f"bad-{name}": all_three(["lab"], "", line + "\n") for line, name in bad.items()}
    seeds["everything"] = all_three(["lab"], "", everything)
    seeds["arguments"] = all_three(["-u", "https://[::1]:444/api", "--work-dir=/w", "-t", "$", "--proxy", "u:$@p:1", "-h", "-V",
                                    "--max-commands=64", "--pin-spki", PIN, "--require", "seccomp,split-uid", "--", "-lab ü"])
    seeds["variables"] = all_three(["lab"], "$\nhttps://v/api\n/work\nhttp://u:$@p:1\n\n45\ninfo\nexample.org,.v\n")
    seeds["proxy-file"] = all_three(["lab", "--proxy-file", "/p"], "", "heartbeat = 45s\nhttp://u:$@proxy:1")
    seeds["plain-user"] = all_three(["lab"], "", "net_user = $\n", root=False)
    seeds["unknown-option"] = all_three(["--url$", "x"])
    seeds["close-option"] = all_three(["--urll=$"])
    seeds["no-value"] = all_three(["--url", "--token-fd", "3"])
    seeds["two-ids"] = all_three(["lab", "$"])
    seeds["nul"] = all_three(["lab"], "", "url = https://a\0$\n")
    seeds["not-utf8-line"] = all_three(["lab"]) + b"env_init = \xff\n"
    seeds["nine-pins"] = all_three(["lab"], "", "pin_spki = " + ",".join([PIN] * 9) + "\n")
    seeds["set-env-full"] = all_three(["lab"], "", "set_env = A=" + "x" * 8190 + "\n")
    seeds["not-utf8"] = all_three(["lab"], "", "url = $\n") + b"user_name = \xff\n"
    return seeds


def address():
    lines = ["https://tower.example.org/api\nhttp://u:p%40%3a@[::1]:8080\n.example.org:443, x\nPT1H2M3.5S",
             "https://h:8443/a/b/\nproxy:3128/\n*.h *\n1500ms", "HTTPS://[2001:db8::1]:1/%41~!$&'()*+,;=:@\nu@p:1\n2001:db8::1\nP1DT2H",
             "https://api.cloud.seqera.io\nu:p@@proxy:1\ncloud.seqera.io cloud\n45.123s", "http://h\nhttps://p:1\n10.0.0.1,0.0.1\n45x",
             "https://u:p@h\nhttp://p:0\n\n3650d", "https://h?x\nhttp://u%0a@p:1\n[::1]:443\n99999999999999999999",
             "https://h:0\nhttp://p:1/x\n\nPT", "https://h/../a\n\n, ,\n1h", "https://.h\n://p:1\norg\nP1D1D", "\n\n\n18446744073709551617s"]
    return {str(i): line for i, line in enumerate(lines)}


def text():
    return {"words": "squeue: error \u202e Bearer eyJ0aWQiOiAxfQ.abc TOWER_ACCESS_TOKEN='x' https://u:p@h/ephemeral/ab",
            "control": b"a\x00b\x1b[31m\x7f\xc2\x9b\xff\xe2\x82\"\\\n", "bidi": "\u200b\u2066\ufeff\u061c", "dots": "..", "dot": ".x/..",
            "number": "18446744073709551615", "number-over": "18446744073709551616", "long": "a/" * 300, "empty": "",
            "twice": "authorization: Bearer", "shell": "export TOWER_ACCESS_TOKEN=\"", "id": "Zürich ✓ 100%"}


def records():
    """Each record: type, ticket, length; the payload (core/records.h)."""
    def record(kind, ticket, payload=b""):
        return bytes([kind, ticket, len(payload)]) + payload

    def accepted(ticket, key, since=5):
        return record(1, ticket, struct.pack("<QQq", 7, 3, since) + key)

    def ended(ticket, where, output=b"", length=None):
        return record(3, ticket, struct.pack("<iIQQ", 0, where, len(output) if length is None else length, 1) + output)
    life = accepted(1, b"a") + record(2, 1) + ended(1, 0, b"out") + record(4, 1)
    return {"life": life, "again": life + accepted(2, b"a", 9) + record(2, 2), "file": accepted(1, b"a") + ended(1, 1, length=5000) + record(4, 1),
            "memory": accepted(1, b"a") + record(2, 1) + ended(1, 2, length=99) + record(4, 1), "forgotten": accepted(1, b"a") + ended(1, 3) + record(4, 1),
            "twice": accepted(1, b"a") + ended(1, 0, b"x") + ended(1, 0, b"short"), "unknown": record(2, 9) + record(9, 1) + ended(3, 0),
            "many": b"".join(accepted(i, bytes([64 + i]), i) + record(2, i) + ended(i, i % 4) + record(4, i) for i in range(1, 60)),
            "too-long": accepted(1, b"a") + ended(1, 1, length=1 << 40), "other-length": accepted(1, b"a") + ended(1, 0, b"out", 5),
            "bad-id": accepted(1, b"\xff") + accepted(0, b"b") + accepted(2, b"b", -1 << 60)}


# ---- sessions: purpose, two bytes of seed; then steps (enum doing in fuzz_session.c) ----

(CONNECT, GO, GIVE, ACCEPTED, BYTES, FRAME, COMMAND, BEAT, CORE, STALLED, END, DEADLINE, CORE_READS) = range(13)
STEPS = 13


def session():
    def steps(purpose, *parts):
        return bytes([purpose, 1, 2]) + b"".join(bytes([p]) if isinstance(p, int) else p for p in parts)

    def server(text):
        text = text if isinstance(text, bytes) else text.encode()
        return bytes([BYTES]) + struct.pack(">H", len(text)) + text

    def ws_frame(first, payload):
        return bytes([FRAME, first]) + struct.pack(">H", len(payload)) + payload

    def command(length):
        return bytes([COMMAND]) + struct.pack(">H", length)

    def core(index, fields=0, sort=0, descriptor=0):
        # Of those that go to a session: go, info, heartbeat, result, close_session.
        return bytes([CORE + STEPS * descriptor, index, 0]) + bytes([sort]) * fields
    online = (CONNECT, GO, GIVE, ACCEPTED)
    info, beat, result = core(1, 3), core(2, 1), core(3, 2)
    ok = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(SERVICE_INFO), SERVICE_INFO)
    return {
        "online": steps(2, *online, command(10), BEAT, command(0x8060), command(0x8001), BEAT),
        "stalled": steps(2, *online, info, STALLED, beat, core(3, 2, 0, 4), result, command(3), STALLED, BEAT),
        "results": steps(2, *online, info, *[core(3, 2, 0, d) for d in (1, 2, 4)], beat, core(4, 1, 1)),
        "result-wrong": steps(2, *online, core(3, 2, 0, 6)),
        "pings": steps(2, *online, ws_frame(0x89, b"p"), ws_frame(1, b'{"@type":'), ws_frame(0x89, b""), ws_frame(0x80, b'"heartbeat"}')),
        "server-closes": steps(2, *online, ws_frame(0x88, b"\x0f\xa1"), END),
        "senseless": steps(2, *online, *[ws_frame(0x81, b"{}")] * 18),
        "unknown": steps(2, *online, *[ws_frame(0x81, b'{"@type":"new"}')] * 18),
        "core-deaf": steps(2, *online, CORE_READS, *[command(0x8001)] * 20, CORE_READS, BEAT),
        "probe": steps(0, CONNECT, GO, server(ok)),
        "login": steps(1, CONNECT, GO, GIVE, server("HTTP/1.1 401 No\r\nRetry-After: 9\r\n\r\n{\"message\":\"no\"}"), END),
        "login-101": steps(1, CONNECT, GO, GIVE, ACCEPTED),
        "bad-token": steps(1, CONNECT, GO, GIVE + STEPS),
        "no-token": steps(2, CONNECT, GO, GIVE + 2 * STEPS),
        "early-go": steps(2, GO, CONNECT, GIVE, ACCEPTED, END),
        "no-connection": steps(2, CONNECT + STEPS),
        "request-stalled": steps(2, CONNECT, STALLED, GO, GIVE, STALLED, ACCEPTED, BEAT),
        "deadlines": steps(2, CONNECT, GO, GIVE, DEADLINE),
        "not-http": steps(2, CONNECT, GO, GIVE, server("SSH-2.0-x\r\n")),
        "refused": steps(2, CONNECT, GO, GIVE, server("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")),
    }


# ---- the parent: steps (enum doing in fuzz_parent.c), each with a byte that says more ----

def parent():
    child, other, opens, says, asks, leaves, damaged, search = range(8)
    core, executor, launcher = range(3)

    def steps(*parts):
        return b"".join(bytes(p) for p in parts)
    started = (child, executor, 0, 0, 0, 0, 0, 0)
    return {
        "token": steps(started, (opens, 2), (opens, 1), (opens, 0), (asks, 0), (asks, 1), (asks, 2)),
        "twice": steps((opens, 2), (asks, 0), (asks, 0), (leaves, 0), (opens, 2), (asks, 1)),
        "flood": steps(*[(opens, 1)] * 12, *[(leaves, i) for i in range(3)], *[(opens, 2), (asks, 3), (leaves, 3)] * 4),
        "probe": steps((opens, 0), (asks, 0), (says, 0, 20, 0, 0, 0)),
        "spoilt": steps((opens, 2), (says, 0, 3, 0, 0, 0, 0), (asks, 0)),
        "with-descriptor": steps((opens, 2), (says, 0, 20, 0, 0, 1), (asks, 0)),
        "search": steps(*[(search, i) for i in range(5)]),
        "search-unsealed": steps((child, core + 3 * 6, 2, 0, 6)),
        "reread": steps((opens, 0x82), (asks, 0)),
        "finish": steps((child, core, 3, 0, 0), (opens, 2)),
        "finish-usage": steps((child, core, 3, 0, 2, 2)),
        "other": steps((other, launcher, 5, 0, 0)),
        "damaged": steps((damaged, 3, 0x92, 0x02, 0x00)),
    }


# ---- core: steps (enum doing in fuzz_core.c), each with a byte that says more ----

def core():
    (online, command, ready, finish, searched, reply, progress, ended, drop, timer, stop, session_says, exec_says,
     damaged) = range(14)

    def steps(*parts):
        return b"".join(bytes(p) for p in parts)
    up = ((ready, 0), (online, 0))
    one = ((command, 0), (finish, 1), (searched, 1))
    return {
        "online": steps(*up), "one": steps(*up, *one, (progress, 1), (timer, 1), (reply, 0)),
        "withheld": steps(*up, (command, 0), (finish, 1), (searched, 0x81)),
        "empty": steps(*up, (command, 0x80), (finish, 0x87)),
        "repeated": steps(*up, *one, (command, 0), (timer, 1), (reply, 0), (command, 0), (command, 10)),
        "many": steps(*up, *[(command, i) for i in range(10)], *([(finish, i) for i in range(11)] + [(searched, i) for i in range(11)]) * 4,
                      (progress, 3)),
        "dropped": steps(*up, *one, (drop, 2), (timer, 0), *up, (progress, 1), (reply, 0)),
        "refused": steps(*up, *one, (ended, 8), (timer, 0), *up),
        "stop": steps(*up, (command, 1), (stop, 0), (finish, 1), (searched, 1), (progress, 1), (timer, 1), (reply, 0)),
        "late-exec": steps((online, 0), (command, 0), (command, 1), (ready, 0), (finish, 1), (searched, 1)),
        "hostile-progress": steps(*up, *one, (progress, 0x80), (timer, 0), *up),
        "hostile-session": steps(*up, (session_says, 2 + 3, 0, 0, 0, 0)), "hostile-exec": steps(*up, (exec_says, 0, 0, 0, 0)),
        "damaged": steps(*up, (damaged, 2, 0x92, 0x1e), (timer, 0), *up, *one),
        "timers": steps(*[(timer, i) for i in range(5)], *up, *[(timer, i) for i in range(5)]),
    }


def main():
    write("core", core())
    write("parent", parent())
    write("session", session())
    write("http", http())
    write("config", config())
    write("address", address())
    write("text", text())
    write("records", records())
    write("channel", channel())
    write("frames", frames())
    write("ws", ws())
    write("json", messages())


if __name__ == "__main__":
    main()
