# SPDX-License-Identifier: Apache-2.0
"""What is measured, and how. Each function gives plain numbers that report.py turns into ratios."""

import contextlib
import os
import random
import statistics
import tempfile
import time

from subjects import Failure, Floor, Other, Ours

BIG = 7 * 1024 * 1024
AT_ONCE = (1, 8, 32)
_WARM_UP = 20
_FILES = 16


class Bench:
    """What the measurements share: the driver, the stages, the options, the agents to start."""

    def __init__(self, driver, stages, bundle, authority, options, amounts):
        self.driver, self.stages = driver, stages
        self.bundle, self.authority = bundle, authority
        self.mode, self.other = options.mode, options.agent
        self.amounts = amounts
        self.kinds = [Ours, Floor] + ([Other] if self.other else [])

    @contextlib.contextmanager
    def agent(self, kind, connection_id, **options):
        """An agent that is online; it is stopped at the end."""
        subject = kind(self, f"{kind.name}-{connection_id}", *self._options(kind, options))
        try:
            try:
                subject.online_at = self.driver.online(subject)
            except Failure as reason:
                raise Failure(f"{kind.name} did not come online ({reason}):\n"
                              f"{subject.log}") from None
            yield subject
        finally:
            subject.stop()

    @staticmethod
    def _options(kind, options):
        heartbeat = options.get("heartbeat", "45s")
        if kind is Ours:
            return ["--max-commands", "32", "--heartbeat", heartbeat]
        return [heartbeat]


def starts(bench):
    """{kind: milliseconds from just before the start to the info message}."""
    times = {kind.name: [] for kind in bench.kinds}
    for i in range(bench.amounts.starts):
        for kind in bench.kinds:
            with bench.agent(kind, f"start-{i}") as subject:
                times[kind.name].append((subject.online_at - subject.begun) * 1000)
    return times


def trips(bench, subjects):
    """Milliseconds of `true`, one at a time, and of what it is made of, in turn."""
    ours, floor = subjects["tw-agent"], subjects["floor"]
    targets = [(ours, "true"), (floor, ":echo"), (floor, ":spawn"), (floor, "true")]
    names = ["tw-agent", "echo", "spawn", "floor"]
    if "other" in subjects:
        targets.append((subjects["other"], "true"))
        names.append("other")
    answer = bench.driver.load(_WARM_UP + bench.amounts.rounds, 1, *targets)
    times = {}
    for name, us, status in zip(names, answer["us"], answer["status"]):
        if name == "spawn":  # by its own clock, which is in the exit status
            us = status
        elif any(status):
            raise Failure(f"{name}: `true` failed")
        times[name] = [value / 1000 for value in us[_WARM_UP:]]
    times["spawn+echo"] = [a + b for a, b in zip(times["spawn"], times["echo"])]
    return times


def rates(bench, subjects, at_once, count):
    """Commands a second and CPU of them, so many in flight, in batches that take turns."""
    found = {name: [] for name in ("spawn", *subjects)}
    cpu = dict.fromkeys(found, 0.0)
    names = list(found)
    for batch in range(bench.amounts.batches + 1):
        for name in names[batch % len(names):] + names[:batch % len(names)]:
            if name == "spawn":
                answer = bench.stages.ask("spawn", count, at_once, "true")
                used, bad = answer["cpu"], answer["bad"]
            else:
                subject = subjects[name]
                before = subject.cpu_seconds()
                answer = bench.driver.load(count, at_once, (subject, "true"))
                used, bad = subject.cpu_seconds() - before, sum(answer["status"][0])
            if bad:
                raise Failure(f"{name}: `true` failed {bad} times")
            if batch > 0:  # the first one warms up
                found[name].append(count / answer["seconds"])
                cpu[name] += used
    total = count * bench.amounts.batches
    return {"rate": found, "cpu_us": {name: used / total * 1e6 for name, used in cpu.items()}}


def headroom(bench, subjects):
    """Requests a second that the driver can do with an agent that answers at once."""
    count = bench.amounts.per_batch * 8
    rounds = [bench.driver.load(count, 32, (subjects["floor"], ":echo"))["seconds"]
              for _ in range(bench.amounts.batches)]
    return [count / seconds for seconds in rounds]


@contextlib.contextmanager
def big_file():
    """A file like a long log: what searches the output must not find it easier than real text."""
    words = random.Random(4)
    block = "".join(f"Nov-24 10:{i % 60:02}:00.{words.randrange(1000):03} [Task submitter] INFO  "
                    f"[{words.getrandbits(24):06x}/{words.getrandbits(24):06x}] Submitted process "
                    f"> ALIGN (sample_{words.randrange(10 ** 6)})\n" for i in range(2000)).encode()
    with tempfile.NamedTemporaryFile(prefix="tw-bench-", dir="/tmp") as file:
        file.write((block * (BIG // len(block) + 1))[:BIG])
        file.flush()
        os.chmod(file.name, 0o644)
        try:
            yield file.name
        finally:
            for i in range(_FILES):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{file.name}.{i}")


def big(bench, subjects, path):
    """MB of output a second, end to end and stage by stage."""
    big_text = f"cat {path}"
    found = {name: [] for name in ("pipe", "base64", "file", "tls", *subjects)}
    for round in range(bench.amounts.bigs + 1):
        for name in found:
            if name == "pipe":
                answer = bench.stages.ask("pipe", big_text)
                right = answer["bytes"] == BIG
            elif name == "file":  # new and kept for a while, as a result on disk is
                answer = bench.stages.ask("file", BIG, f"{path}.{round % _FILES}")
                right = answer["bytes"] == BIG
            elif name == "base64":
                answer = bench.stages.ask("base64", BIG)
                right = answer["bytes"] >= BIG / 3 * 4
            else:
                text = f":big {BIG}" if name == "tls" else big_text
                subject = subjects["floor" if name == "tls" else name]
                answer = bench.driver.load(1, 1, (subject, text))
                right = answer["bytes"] >= BIG / 3 * 4 and answer["status"] == [[0]]
            if not right:
                raise Failure(f"{name}: the output is not whole")
            if round > 0:
                found[name].append(BIG / answer["seconds"] / 1e6)
    return found


def at_work(bench):
    """All that one set of agents, each with 32 commands at once, is measured for."""
    found = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(bench.agent(Ours, "work"))
        subjects = {"tw-agent": ours}
        found["pss_mb"] = {"tw-agent": ours.pss_mb()}
        found["pss_alone_mb"] = ours.alone_mb()
        for kind in bench.kinds[1:]:
            subjects[kind.name] = stack.enter_context(bench.agent(kind, "work"))
            found["pss_mb"][kind.name] = subjects[kind.name].pss_mb()
        found["trip_ms"] = trips(bench, subjects)
        found["load"] = {}
        for at_once in AT_ONCE:
            count = bench.amounts.per_batch * (1 if at_once == 1 else 2)
            found["load"][str(at_once)] = rates(bench, subjects, at_once, count)
        found["driver_rate"] = headroom(bench, subjects)
        with big_file() as path:
            found["big_mbs"] = big(bench, subjects, path)
        found["pss_after_mb"] = ours.pss_mb()
    return found


def wakes(bench, subjects):
    """{kind: {process: how often it slept and was woken, and was preempted, in one heartbeat}}:
    the medians of intervals that begin half-way between heartbeats of ours."""
    def half_way():
        bench.driver.ask("beats", subjects[0][1].id, 1)
        time.sleep(bench.amounts.heartbeat_ms / 2000)
        return ([subject.switches() for _, subject in subjects],
                [bench.driver.ask("beats", subject.id, 0)["beats"] for _, subject in subjects])

    samples = [half_way() for _ in range(bench.amounts.beats + 1)]
    found = {}
    for i, (kind, _) in enumerate(subjects):
        counts = [switches[i] for switches, _ in samples]
        if samples[0][1][i] == samples[-1][1][i]:
            raise Failure(f"{kind} sends no heartbeats every {bench.amounts.heartbeat_ms} ms")
        found[kind] = {name: [statistics.median(new[name][j] - old[name][j]
                                                for old, new in zip(counts, counts[1:]))
                              for j in (0, 1)] for name in counts[-1]}
    return found


def reconnects(bench, subjects, how):
    """Milliseconds from the connection's end, one agent after the other, to the next info."""
    times = {}
    for kind, subject in subjects:
        ended = bench.driver.end(subject, how)
        online = bench.driver.online(subject, 2)
        times.setdefault(kind, []).append((online - ended) * 1000)
    return times


def at_rest(bench):
    """Wake-ups of idle agents, and their coming back, in the full run after sessions that lasted."""
    heartbeat_ms = bench.amounts.heartbeat_ms
    found = {"heartbeat_ms": heartbeat_ms}
    ends = {"4001": [], "rst": []}
    with contextlib.ExitStack() as stack:
        for how in ends:
            for i in range(bench.amounts.reconnects):
                for kind in bench.kinds:
                    subject = stack.enter_context(bench.agent(
                        kind, f"rest-{how}-{i}", heartbeat=f"{heartbeat_ms}ms"))
                    ends[how].append((kind.name, subject))
        youngest = time.monotonic()
        found["wakes"] = wakes(bench, ends["4001"][:len(bench.kinds)])
        time.sleep(max(0, youngest + bench.amounts.session_s - time.monotonic()))
        found["session_s"] = round(time.monotonic() - youngest)
        for how, subjects in ends.items():
            found[f"reconnect_{how}_ms"] = reconnects(bench, subjects, how)
    return found


def measure(bench):
    with open(bench.bundle, "rb") as file:
        authorities = file.read().count(b"BEGIN CERTIFICATE")
    return {"mode": bench.mode, "kernel": os.uname().release, "processors": os.cpu_count(),
            "authorities": authorities, "load_before": os.getloadavg()[0], "start_ms": starts(bench), **at_work(bench),
            **at_rest(bench), "load_after": os.getloadavg()[0]}
