#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent at work: connects to a Tower on this host, runs commands, is attacked, loses its
connection, stops. Every line of the transcript is computed; the exit code is 0 only if all is
true."""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import (AS_ROOT, BUILD, PROGRAM, TIMEOUT, Agent, ensure_users,  # noqa: E402
                     identity_of, own_user, shared_pki, why_not)
from support import Gate  # noqa: E402
from tower import Tower  # noqa: E402
from tower.cli import shell_loop  # noqa: E402
from transcript import Transcript  # noqa: E402

_LOG_LINES = 7
_WIDTH = 124
_TIME = re.compile(r"^\S*\d\d:\d\d:\d\d\S*\s+")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shell", action="store_true",
                        help="instead of the tour, type commands that travel through Tower")
    parser.add_argument("--keep", action="store_true", help="leave the agent's files")
    parser.add_argument("--mode", choices=("system", "user"),
                        default="system" if AS_ROOT else "user",
                        help="default: system as root, else user")
    return parser.parse_args()


def new_token():
    """Begins as Tower's own tokens do, so that the hunter knows what to look for."""
    text = '{"tid": %d}.%s' % (secrets.randbelow(10_000), secrets.token_hex(20))
    return base64.b64encode(text.encode()).decode()


def fingerprint(token):
    return hashlib.sha256(token.encode()).hexdigest()[:12]


@contextlib.contextmanager
def reachable_program(mode):
    """The agent's program where its users may enter: a checkout in a private home is copied."""
    if why_not(mode) is None:
        yield PROGRAM
        return
    with tempfile.TemporaryDirectory(prefix="tw-demo-", dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        for part in ("bin", "libexec"):
            shutil.copytree(os.path.join(BUILD, part), os.path.join(directory, part))
        yield os.path.join(directory, "bin", "tw-agent")


class Demo:
    """The chapters of the tour, in their order."""

    def __init__(self, mode, out, tower, agent, token, begun):
        self.mode, self.out, self.tower, self.agent = mode, out, tower, agent
        self.token, self.begun = token, begun

    def connect(self):
        out = self.out
        out.chapter("Connect")
        out.say(f"Tower listens at {self.tower.url}")
        out.say("$ " + self.shown_command())
        conversation = self.tower.wait_online(TIMEOUT)
        info = self.tower.wait_event("ws-message", type="info")
        tls = self.tower.wait_event("tls-ok", conn=conversation.number)
        lines = self.agent.log.splitlines()
        for line in lines[:_LOG_LINES]:
            line = _TIME.sub("", line).replace(self.agent.directory + os.sep, "")
            out.say("| " + (line if len(line) <= _WIDTH else line[:_WIDTH - 1] + "…"))
        if len(lines) > _LOG_LINES:
            out.say(f"| … {len(lines) - _LOG_LINES} more lines")
        out.check(f"online after {(info.t - self.begun) * 1000:.0f} ms: {tls.version}, connection "
                  f"ID {conversation.connection_id!r}, user {info.message['userName']}",
                  info.message["userName"] == self.agent.user)
        steps = [(request.step, "token" if request.token == self.token else "no token")
                 for request in self.tower.requests()]
        out.check("requests: " + ", ".join(f"{step} ({with_})" for step, with_ in steps),
                  steps == [("service-info", "no token"), ("user", "token"), ("connect", "token")])

    def shown_command(self):
        """The command line as it was given; long paths by their last part."""
        words = [os.path.relpath(word, self.agent.directory)
                 if word.startswith(self.agent.directory + os.sep) else word
                 for word in self.agent.command[1:]]
        words = [os.path.basename(word) if word == self.tower.ca else word for word in words]
        return " ".join(["tw-agent", *words])

    def processes(self):
        out = self.out
        out.chapter("Its processes, as the kernel reports them")
        out.say(f"{'PID':>7} {'user':<13} {'capabilities':<12} {'no new privs':<12} "
                f"{'filters':<7} {'traceable':<9} program")
        self.agent.wait_log("attestation: [0-9]+ attacks")  # whose processes come and go
        tree = self.agent.processes()
        right = []
        for process in tree:
            dumpable = os.stat(f"/proc/{process.pid}/environ").st_uid == process.uids[1] != 0
            filters = process.status.get("Seccomp_filters", "?")
            name = " ".join(word.decode() for word in process.argv[:2 if process is not tree[0]
                                                                   else 1])
            user = pwd.getpwuid(process.uids[1]).pw_name
            out.say(f"{process.pid:>7} {user:<13} {process.capabilities['Eff']:<12x} "
                    f"{process.no_new_privs:<12} {filters:<7} {'yes' if dumpable else 'no':<9} "
                    f"{os.path.basename(name)}")
            right.append(not dumpable and process.seccomp == 2 and process.uids[1] != 0
                         and process.capabilities["Eff"] == process.capabilities["Prm"] == 0)
        users = {process.uids for process in tree}
        out.check(f"{len(tree)} processes of {len(users)} user{'s'[:len(users) != 1]}: none is "
                  "root, has a capability, lacks a filter or can be traced by its own user",
                  all(right) and len(tree) >= 5 and len(users) == (3 if self.mode == "system"
                                                                   else 1))

    def commands(self):
        out = self.out
        out.chapter("Commands, through Tower")
        kernel = f"{os.uname().sysname} {os.uname().release}"
        for text, expected, status in (
                ("id -un", f"{self.agent.user}\n", 0),
                ("tr a-z A-Z <<'END'\n#SBATCH -J nf-workflow\nEND", "#SBATCH -J NF-WORKFLOW\n", 0),
                ("uname -sr; exit 3", kernel + "\n", 3)):
            result = self.tower.run(text, timeout=TIMEOUT)
            output = result.output.decode(errors="replace")
            shown = text.replace("\n", "⏎ ")
            out.check(f"$ {shown:<58} → {output.strip()}  [exit {result.exit_status}, "
                      f"{result.seconds * 1000:.1f} ms]",
                      output == expected and result.exit_status == status)

    def hunt(self):
        out = self.out
        out.chapter("A command hunts for the token")
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hunter.py"),
                  encoding="utf-8") as file:
            hunter = file.read()
        ordinary = self.hunt_in_ordinary_agent(hunter)
        result = self.tower.run(f"python3 - <<'END-OF-HUNTER'\n{hunter}\nEND-OF-HUNTER\n",
                                timeout=TIMEOUT)
        if result.exit_status != 0:
            out.check("the hunter ran: " + result.output.decode(errors="replace")[-300:], False)
            return
        here = json.loads(result.output)
        wanted = fingerprint(self.token)
        agents = {process.pid for process in self.agent.processes()}
        let_in = agents & {pid for seen in here.values() for pid in seen["pids"]}
        out.say(f"{'where it looked':<30} {'an ordinary agent':<30} tw-agent")
        for place, seen in here.items():
            out.say(f"{place:<30} {self.cell(ordinary[place], wanted):<30} "
                    f"{self.cell(seen, wanted)}")
        leaks = [place for place, seen in ordinary.items() if wanted in seen["found"]]
        out.check(f"the hunter works: it takes the token from an ordinary agent, in {len(leaks)} "
                  "places", len(leaks) >= 2)
        out.check(f"of the agent's {len(agents)} processes {len(let_in)} let it in; what it reads is "
                  "its own shell's", len(agents) >= 5 and not let_in)
        out.check("it finds nothing, neither this token nor another",
                  not any(seen["found"] for seen in here.values()))

    @staticmethod
    def cell(seen, wanted):
        verdict = "TOKEN FOUND" if wanted in seen["found"] else "nothing"
        return f"read {seen['readable']} of {seen['tried']}: {verdict}"

    def hunt_in_ordinary_agent(self, hunter):
        """The same hunt as a command of a program that holds the token as the public agent does:
        in its environment and its arguments."""
        with tempfile.NamedTemporaryFile("w", prefix="hunter-", suffix=".py", dir="/tmp",
                                         encoding="utf-8") as file:
            file.write(hunter)
            file.flush()
            os.chmod(file.name, 0o644)
            done = subprocess.run(
                ["/bin/sh", "-c", f"python3 {file.name}; exit $?", "ordinary-agent",
                 "-t", self.token], check=True, capture_output=True, cwd="/",
                env={"PATH": "/usr/bin:/bin", "TOWER_ACCESS_TOKEN": self.token},
                **identity_of(own_user()))
        return json.loads(done.stdout)

    def drop(self):
        out = self.out
        out.chapter("The connection is lost while a command runs")
        first = self.tower.agent
        gate = Gate(self.agent)
        try:
            id = first.send_command(f"echo x >> count; {gate.text}; echo finished; exit 7")
            gate.reached()
            begun = time.monotonic()
            first.drop("rst")
            gate.open()
            second = self.tower.wait_online(TIMEOUT, newer_than=first)
            back = time.monotonic()
            result = self.tower.wait_result(id, TIMEOUT)
        finally:
            gate.close()
        out.say(f"TCP reset on connection {first.number}; online again on connection "
                f"{second.number} after {(back - begun) * 1000:.0f} ms")
        out.check(f"its result came on connection {result.conn}: {result.output.decode().strip()} "
                  f"[exit {result.exit_status}]",
                  (result.output, result.exit_status, result.conn)
                  == (b"finished\n", 7, second.number))
        runs = self.tower.run("grep -c x count", timeout=TIMEOUT).output.strip()
        out.check(f"it ran {runs.decode()} time", runs == b"1")

    def stop(self):
        out = self.out
        out.chapter("Stop")
        conversation = self.tower.agent
        begun = time.monotonic()
        self.agent.terminate()
        code = self.agent.wait()
        took = (time.monotonic() - begun) * 1000
        out.check(f"SIGTERM: exit code {code} after {took:.0f} ms", code == 0)
        try:
            close = self.tower.wait_event("ws-close-received", conn=conversation.number).code
        except TimeoutError:
            close = None
        out.check(f"the WebSocket was closed with code {close}", close == 1000)
        left = self.agent.children_left()
        out.check(f"processes left: {len(left)}", left == [])
        out.check("its log does not have the token", self.token not in self.agent.log)


def tour(demo):
    demo.connect()
    demo.processes()
    demo.commands()
    demo.hunt()
    demo.drop()
    demo.stop()


def shell(demo):
    demo.connect()
    demo.out.chapter("Type commands; Ctrl-D ends")
    shell_loop(demo.tower, timeout=600)
    demo.stop()


def finish(agent, keep):
    """Ends the agent, should it still run, and removes its files unless they are to be kept."""
    if keep:
        kept = agent.directory + "-kept"
        os.rename(agent.directory, kept)
        os.mkdir(agent.directory)
        print(f"kept: {kept} (stderr: its log, state/: its state, work/: the commands' directory)")
    agent.finish()


def main():
    options = arguments()
    if options.mode == "system" and not AS_ROOT:
        raise SystemExit("system mode needs root")
    if AS_ROOT:
        ensure_users()
    out, token = Transcript(), new_token()
    print(f"tw-agent, {options.mode} mode, kernel {os.uname().release}, build {BUILD}")
    with contextlib.ExitStack() as undo:
        program = undo.enter_context(reachable_program(options.mode))
        tower = undo.enter_context(Tower(shared_pki(), token=token))
        begun = time.monotonic()
        # A file that only root and tw-agent can read, or, where all have one user, no file.
        agent = Agent(options.mode, url=tower.url, ca_file=tower.ca, token=token, program=program,
                      connection_id="demo", token_by="file" if options.mode == "system" else "fd")
        undo.callback(finish, agent, options.keep)
        demo = Demo(options.mode, out, tower, agent, token, begun)
        try:
            (shell if options.shell else tour)(demo)
        except (TimeoutError, AssertionError, ConnectionError) as reason:
            out.check(f"no exception: {reason}", False)
            print(f"The agent's log:\n{agent.log}")
        except KeyboardInterrupt:
            print()
            return 130
        return out.verdict()


if __name__ == "__main__":
    sys.exit(main())
