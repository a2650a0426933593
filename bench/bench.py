#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Start-up time, memory and round trip of the agent, against the least that any agent would need.

Everything is measured in one run, interleaved, by one driver: the Tower simulator, whose times are
taken next to the socket calls. bench/floor.c plays the floor: an agent without any protection."""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import BUILD, TIMEOUT, TOKEN, Agent, shared_pki, why_not  # noqa: E402
from tower import Tower  # noqa: E402

FLOOR = os.path.join(BUILD, "tests", "tw_bench_floor")
AIM_START_MS, AIM_PSS_MB, AIM_RATIO = 50, 12, 1.3
_WARM_UP = 20
_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PERCENT = 100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--mode", choices=("system", "user"),
                        default="user" if why_not("system") else "system")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if an aim is missed")
    return parser.parse_args()


def summary(values):
    """Median and 99th percentile."""
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "count": len(ordered),
            "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // _PERCENT)]}


@contextlib.contextmanager
def whole_bundle(own):
    """The system's certificate authorities and our own, as a site with its own CA would have."""
    with tempfile.NamedTemporaryFile("wb", prefix="tw-bench-", suffix=".pem", dir="/tmp") as file:
        for path in (_SYSTEM_BUNDLE, own):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as part:
                file.write(part.read())
        file.flush()
        os.chmod(file.name, 0o644)
        yield file.name


def start_agent(tower, mode, ca_file, connection_id):
    """(agent, its conversation, milliseconds from just before its start to its info message)."""
    mark = tower.mark()
    made = {}

    class Timed(Agent):
        def _start(self, *options):
            made["t"] = time.monotonic()
            super()._start(*options)

    agent = Timed(mode, url=tower.url, ca_file=ca_file, connection_id=connection_id)
    try:
        conversation = tower.wait_online(TIMEOUT, connection_id=connection_id)
    except TimeoutError:
        log = agent.log
        agent.finish()
        raise SystemExit(f"the agent did not come online:\n{log}") from None
    info = tower.wait_event("ws-message", after=mark, conn=conversation.number, type="info")
    return agent, conversation, (info.t - made["t"]) * 1000


def stop_agent(agent):
    agent.terminate()
    agent.wait()
    agent.finish()


def starts(tower, mode, ca_file, count):
    times = []
    for i in range(count):
        agent, _, milliseconds = start_agent(tower, mode, ca_file, f"start-{i}")
        times.append(milliseconds)
        stop_agent(agent)
    return times


def pss_mb(agent):
    """{program: MB} of the processes together; None when the kernel lets nobody but root see."""
    total = {}
    for process in agent.processes():
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:
                kib = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except PermissionError:
            return None
        name = os.path.basename(process.argv[0].decode()) if process.argv else process.comm
        total[name] = total.get(name, 0) + kib / 1024
    return total


@contextlib.contextmanager
def floor_agent(tower):
    child = subprocess.Popen([FLOOR, str(tower.port), tower.ca, TOKEN, "floor"])
    try:
        yield tower.wait_online(TIMEOUT, connection_id="floor")
    finally:
        child.kill()
        child.wait()


def round_trips(agent, floor, rounds):
    """Milliseconds of each round: through the agent, and what the floor is made of."""
    times = {"agent": [], "spawn": [], "echo": [], "bare": []}
    for i in range(-_WARM_UP, rounds):
        through = agent.run("true", timeout=TIMEOUT)
        echo = floor.run("echo", timeout=TIMEOUT)
        bare = floor.run("spawn", timeout=TIMEOUT)
        if through.exit_status != 0 or through.output:
            raise SystemExit(f"`true` gave {through!r}: {through.output!r}")
        if i >= 0:
            times["agent"].append(through.seconds * 1000)
            times["echo"].append(echo.seconds * 1000)
            times["spawn"].append(bare.exit_status / 1000)
            times["bare"].append(bare.seconds * 1000)
    return times


def measure(options):
    with (Tower(shared_pki(), token=TOKEN, keep_events=2000) as tower,
          whole_bundle(tower.ca) as bundle):
        with open(bundle, "rb") as file:
            authorities = file.read().count(b"BEGIN CERTIFICATE")
        begun = starts(tower, options.mode, bundle, options.starts)
        agent, conversation, _ = start_agent(tower, options.mode, bundle, "rounds")
        try:
            memory = pss_mb(agent)
            with floor_agent(tower) as floor:
                times = round_trips(conversation, floor, options.rounds)
            busy_memory = pss_mb(agent)
        finally:
            stop_agent(agent)
    floor_times = [spawn + echo for spawn, echo in zip(times["spawn"], times["echo"])]
    floor_median = statistics.median(floor_times)
    return {
        "mode": options.mode, "kernel": platform.release(), "processors": os.cpu_count(),
        "authorities": authorities,
        "start_ms": summary(begun), "pss_mb": memory, "pss_after_rounds_mb": busy_memory,
        "agent_ms": summary(times["agent"]), "spawn_ms": summary(times["spawn"]),
        "echo_ms": summary(times["echo"]), "bare_ms": summary(times["bare"]),
        "floor_ms": summary(floor_times),
        "ratio": statistics.median(times["agent"]) / floor_median,
        "ratio_p99": summary(times["agent"])["p99"] / summary(floor_times)["p99"],
    }


def verdicts(found):
    """{aim: whether it was reached}; None where it could not be measured."""
    memory = found["pss_mb"]
    return {"start": found["start_ms"]["median"] <= AIM_START_MS,
            "memory": None if memory is None else sum(memory.values()) <= AIM_PSS_MB,
            "ratio": found["ratio"] <= AIM_RATIO}


def _row(what, value, p99="", aim="", reached=None):
    mark = {True: "reached", False: "MISSED", None: ""}[reached]
    print(f"{what:<46} {value:>10} {p99:>10}  {aim:<10} {mark}".rstrip())


def print_table(found, reached):
    print(f"{found['mode']} mode, kernel {found['kernel']}, {found['processors']} processors, "
          f"{found['authorities']} certificate authorities; {found['start_ms']['count']} starts, "
          f"{found['agent_ms']['count']} rounds, interleaved")
    _row("", "median", "p99", "aim")

    def times(what, key, aim="", verdict=None):
        _row(what, f"{found[key]['median']:.2f} ms", f"{found[key]['p99']:.2f} ms", aim, verdict)

    times("start to info received", "start_ms", f"≤ {AIM_START_MS} ms", reached["start"])
    memory = found["pss_mb"]
    if memory is None:
        print("memory: not measured; other processes' smaps_rollup needs root")
    else:
        _row(f"idle memory of {len(memory)} programs (PSS)", f"{sum(memory.values()):.2f} MB", "",
             f"≤ {AIM_PSS_MB} MB", reached["memory"])
        for name, size in memory.items():
            _row(f"  {name}", f"{size:.2f} MB")
        _row("  all, after the rounds", f"{sum(found['pss_after_rounds_mb'].values()):.2f} MB")
    times("`true` through Tower and the agent", "agent_ms")
    times("floor: TLS echo of the same size", "echo_ms")
    times("floor: posix_spawn of sh -c true, pipe, wait", "spawn_ms")
    times("floor: both together", "floor_ms")
    times("(an agent of one process that does both)", "bare_ms")
    _row("ratio to the floor", f"{found['ratio']:.2f}", f"{found['ratio_p99']:.2f}",
         f"≤ {AIM_RATIO}", reached["ratio"])


def main():
    options = arguments()
    if reason := why_not(options.mode):
        raise SystemExit(f"cannot measure: {reason}")
    found = measure(options)
    reached = verdicts(found)
    if options.json:
        print(json.dumps({**found, "reached": reached}))
    else:
        print_table(found, reached)
    return 1 if options.strict and False in reached.values() else 0


if __name__ == "__main__":
    sys.exit(main())
