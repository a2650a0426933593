"""The simulator on the command line: JSON lines for scripts, or a prompt for people."""

import argparse
import json
import os
import secrets
import sys
import tempfile

from . import frames
from .answers import Reply
from .events import PATIENCE
from .pki import Pki
from .server import Tower

_FOREVER = 1e9  # seconds; infinity is refused by the threading module
_SETTINGS = ("token", "api_version", "heartbeat_replies", "heartbeat_delay", "hold_dead",
             "refuse_duplicates")


def _arguments():
    parser = argparse.ArgumentParser(
        description="A Tower server on the loopback interface, for tests and demonstrations. "
        "The first line it prints is JSON: url, port, ca, token_file. Without --shell it then "
        'takes one JSON object a line, such as {"op": "run", "command": "id"}, and answers each '
        "with one line; it ends with its input.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, picks a free one")
    parser.add_argument("--ipv6", action="store_true", help="listen on ::1 as well")
    parser.add_argument("--tls", choices=("any", "1.2", "1.3"), default="any")
    parser.add_argument("--dir", help="for certificates and token; default: a temporary one")
    parser.add_argument("--token-file", help="the token to expect; default: a new one in --dir")
    parser.add_argument("--shell", action="store_true", help="take plain command lines instead")
    parser.add_argument("--timeout", type=float, default=600, help="for results in --shell")
    parser.add_argument("--verbose", action="store_true", help="log every event on stderr")
    return parser.parse_args()


def _token_file(options, directory):
    if options.token_file is None:
        path = os.path.join(directory, "token")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        return path
    return options.token_file


def _plain(value):
    """Events hold bytes, which JSON has no type for."""
    return value.decode(errors="replace") if isinstance(value, bytes) else repr(value)


def _print(answer):
    print(json.dumps(answer, default=_plain), flush=True)


def _event_json(event):
    return {"t": round(event.t, 6), "conn": event.conn, "kind": event.kind, **event.data}


def _result_json(result):
    return {"id": result.id, "exit_status": result.exit_status, "output": result.output,
            "result": result.raw.get("result"), "seconds": round(result.seconds, 6)}


class Control:
    """The operations of the JSON protocol: op_<name>(line) gives the fields of the answer."""

    def __init__(self, tower):
        self._tower = tower
        self.stopped = False

    def handle(self, text):
        """The answer to one line; `ok` says whether it worked."""
        line = {}
        try:
            line = json.loads(text)
            operation = getattr(self, "op_" + line["op"], None)
            if operation is None:
                raise ValueError(f"no op {line['op']}")
            return {"op": line["op"], "ok": True, **(operation(line) or {})}
        except (ValueError, KeyError, TypeError, OSError) as reason:
            op = line.get("op") if isinstance(line, dict) else None
            return {"op": op, "ok": False, "error": f"{type(reason).__name__}: {reason}"}

    def op_wait_online(self, line):
        agent = self._tower.wait_online(line.get("timeout", PATIENCE), line.get("connection_id"))
        return {"connection_id": agent.connection_id, **agent.info}

    def op_wait_offline(self, line):
        self._tower.wait_offline(line.get("timeout", PATIENCE), line.get("connection_id"))

    def op_run(self, line):
        return _result_json(self._tower.run(line["command"], line.get("id"),
                                            line.get("timeout", PATIENCE)))

    def op_send(self, line):
        return {"id": self._tower.send_command(line["command"], line.get("id"))}

    def op_result(self, line):
        return _result_json(self._tower.wait_result(line["id"], line.get("timeout", PATIENCE),
                                                    line.get("count", 1)))

    def op_text(self, line):
        self._agent().send_raw(frames.text(line["text"]))

    def op_close(self, line):
        self._agent().close(line.get("code", 1000), line.get("reason", ""))

    def op_drop(self, line):
        self._agent().drop(line.get("how", "rst"))

    def op_silent(self, line):
        self._agent().go_silent(line.get("seconds"))

    def op_resume(self, _):
        self._agent().resume()

    def op_answer(self, line):
        reply = Reply(line["status"], line.get("body", ""), json=line.get("json"),
                      headers=line.get("headers", {}), delay=line.get("delay", 0),
                      then=line.get("then", "keep"))
        self._tower.on(line["step"], reply, line.get("times"))

    def op_clear(self, line):
        self._tower.clear(line.get("step"))

    def op_listen(self, line):
        if line["on"]:
            self._tower.start_listening()
        else:
            self._tower.stop_listening()

    def op_set(self, line):
        if line["name"] not in _SETTINGS:
            raise ValueError(f"name is one of {', '.join(_SETTINGS)}")
        setattr(self._tower, line["name"], line["value"])

    def op_events(self, line):
        events = self._tower.events.list(line.get("kind"), line.get("after", 0))
        return {"next": self._tower.mark(), "events": [_event_json(event) for event in events]}

    def op_stop(self, _):
        self.stopped = True

    def _agent(self):
        if self._tower.agent is None:
            raise ConnectionError("no agent is online")
        return self._tower.agent


def _control_loop(tower):
    control = Control(tower)
    for text in sys.stdin:
        if not text.strip():
            continue
        _print(control.handle(text))
        if control.stopped:
            return


def shell_loop(tower, timeout):
    """Takes command lines from standard input until its end, and shows each result."""
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401  (gives input() its line editing)
    while True:
        if tower.agent is None:
            print("waiting for an agent ...", file=sys.stderr, flush=True)
            agent = tower.wait_online(timeout=_FOREVER if interactive else timeout)
            print(f"agent online: {agent.info['userName']} in {agent.info['workDir']}, "
                  f"connection ID {agent.connection_id}", file=sys.stderr, flush=True)
        try:
            command = input("tower> " if interactive else "")
        except EOFError:
            if interactive:
                print()
            return
        if not command.strip():
            continue
        try:
            result = tower.run(command, timeout=timeout)
        except (ConnectionError, TimeoutError) as reason:
            print(f"no result: {str(reason).splitlines()[0]}", file=sys.stderr, flush=True)
            continue
        sys.stdout.buffer.write(result.output)
        if result.output and not result.output.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        print(f"[exit {result.exit_status}, {result.seconds * 1000:.1f} ms]", flush=True)


def main():
    options = _arguments()
    if options.dir is not None:
        return _run(options, os.path.abspath(options.dir))
    with tempfile.TemporaryDirectory(prefix="tower-") as directory:
        os.chmod(directory, 0o711)  # the CA is for all to read
        return _run(options, directory)


def _run(options, directory):
    pki = Pki(os.path.join(directory, "pki"))
    token_file = os.path.abspath(_token_file(options, directory))
    with open(token_file, encoding="utf-8") as file:
        token = file.read().strip()

    def show(event):
        print(json.dumps(_event_json(event), default=_plain), file=sys.stderr, flush=True)

    tower = Tower(pki, token=token, port=options.port, ipv6=options.ipv6, tls=options.tls,
                  observer=show if options.verbose else None)
    with tower:
        _print({"url": tower.url, "port": tower.port, "ca": tower.ca, "token_file": token_file,
                "dir": directory})
        try:
            if options.shell:
                shell_loop(tower, options.timeout)
            else:
                _control_loop(tower)
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return 0
