# SPDX-License-Identifier: Apache-2.0
"""Ratios, aims and the table."""

import math
import statistics

from figures import AT_ONCE

_PERCENT = 100
# Name of the aim: (what it bounds, "most" or "least", the bound).
AIMS = {
    "start_ms": ("most", 50),
    "trip_p50": ("most", 1.3),
    "trip_p99": ("most", 2.0),
    "rate_32": ("least", 0.9),
    "big": ("least", 0.5),
    "reconnect_4001_ms": ("most", 100),
    "pss_mb": ("most", 12),
    "wakes": ("most", 2),
}


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // _PERCENT)]


def paired(values, floors):
    """The median of the ratios of what was measured next to each other."""
    return statistics.median(a / b for a, b in zip(values, floors))


def ratios(found, name="tw-agent"):
    """What the aims bound, of one agent; None where it could not be measured."""
    trips, big = found["trip_ms"], found["big_mbs"]
    floor = trips["spawn+echo"]
    slowest = min(("pipe", "base64", "tls"), key=lambda stage: statistics.median(big[stage]))
    memory = found["pss_mb"][name]
    values = {
        "start_ms": statistics.median(found["start_ms"][name]),
        "trip_p50": statistics.median(trips[name]) / statistics.median(floor),
        "trip_p99": percentile(trips[name], 99) / percentile(floor, 99),
        "big": paired(big[name], big[slowest]),
        "big_chain": paired(big[name], big["floor"]),
        "reconnect_4001_ms": statistics.median(found["reconnect_4001_ms"][name]),
        "reconnect_rst_ms": statistics.median(found["reconnect_rst_ms"][name]),
        "pss_mb": None if memory is None else sum(memory.values()),
        "wakes": max(slept for slept, _ in found["wakes"][name].values()),
    }
    for at_once in map(str, AT_ONCE):
        load = found["load"][at_once]
        values[f"rate_{at_once}"] = paired(load["rate"][name], load["rate"]["spawn"])
        values[f"cpu_{at_once}"] = load["cpu_us"][name] / load["cpu_us"]["spawn"]
    return values


def verdicts(values, lasted):
    """{aim: whether it was reached}; None where that cannot be said."""
    reached = {}
    for aim, (way, bound) in AIMS.items():
        value = values[aim]
        if value is None or (aim == "reconnect_4001_ms" and not lasted):
            reached[aim] = None
        else:
            reached[aim] = value <= bound if way == "most" else value >= bound
    return reached


def insane(found):
    """What is wrong with the figures, whatever the machine: a list of lines."""
    wrong = []

    def walk(path, value):
        if isinstance(value, dict):
            for key, part in value.items():
                walk(f"{path}.{key}", part)
        elif isinstance(value, list):
            if not value:
                wrong.append(f"{path} is empty")
            for part in value:
                walk(path, part)
        elif isinstance(value, (int, float)):
            # A process that sleeps through all heartbeats, or has not used a tick, is no fault.
            least = 0 if path.startswith(("wakes", "load")) else 1e-9
            if not math.isfinite(value) or value < least:
                wrong.append(f"{path} is {value}")
        elif value is None and not path.startswith(("pss", "ratios")):
            wrong.append(f"{path} is missing")

    for key, value in found.items():
        if key not in ("amounts", "reached"):
            walk(key, value)
    for name, values in found["ratios"].items():
        for key in ("trip_p50", "trip_p99", "rate_1", "rate_8", "rate_32", "big"):
            # The slowest of a few trips may be one during which the machine stood still.
            most = 1e6 if key == "trip_p99" else 1000
            if not 1 / most < values[key] < most:
                wrong.append(f"{name}: the ratio {key} is {values[key]}")
    if found["ratios"]["tw-agent"]["wakes"] < 0.5:
        wrong.append("wakes: no process woke for a heartbeat that arrived")
    return wrong


class Table:
    """Rows of one figure each: the floors, each agent, its ratio and aim."""

    def __init__(self, found):
        self.found = found
        self.agents = list(found["ratios"])

    def row(self, what, figure, aim=None, ratio=None):
        """`figure` gives the text for an agent's name; `ratio` is a name in ratios."""
        text = f"{what:<44}"
        for agent in self.agents:
            text += f"{figure(agent):>13}"
            value = self.found["ratios"][agent].get(ratio)
            text += f"{'' if value is None else f'{value:.2f}':>7}"
        if aim is not None:
            way, bound = AIMS[aim]
            verdict = {True: "reached", False: "MISSED", None: ""}[self.found["reached"][aim]]
            text += f"  {'≤' if way == 'most' else '≥'} {bound:<5} {verdict}"
        print(text.rstrip())

    @staticmethod
    def floor(what, text):
        print(f"  {what:<42}{text:>13}".rstrip())

    def times(self):
        found, median = self.found, statistics.median
        self.row("start to info received, median", lambda a: f"{median(found['start_ms'][a]):.1f} ms",
                 "start_ms")
        self.floor("floor: agent of one process", f"{median(found['start_ms']['floor']):.1f} ms")
        trip = found["trip_ms"]
        for percent, aim in ((50, "trip_p50"), (99, "trip_p99")):
            self.row(f"round trip of `true`, p{percent}",
                     lambda a, p=percent: f"{percentile(trip[a], p):.3f} ms", aim, aim)
            for what, name in (("TLS echo of the same size", "echo"),
                               ("posix_spawn, pipe, wait", "spawn"),
                               ("both: the floor", "spawn+echo"),
                               ("(agent of one process)", "floor")):
                self.floor(what, f"{percentile(trip[name], percent):.3f} ms")

    def loads(self):
        for at_once in map(str, AT_ONCE):
            load = self.found["load"][at_once]
            rate = {name: statistics.median(values) for name, values in load["rate"].items()}
            aim = "rate_32" if at_once == "32" else None
            self.row(f"`true` a second, {at_once} in flight", lambda a, r=rate: f"{r[a]:.0f}",
                     aim, f"rate_{at_once}")
            self.floor("floor: posix_spawn", f"{rate['spawn']:.0f}")
            self.floor("(agent of one process)", f"{rate['floor']:.0f}")
        self.floor("(driver's limit: answers at once)",
                   f"{statistics.median(self.found['driver_rate']):.0f}")
        for at_once in map(str, AT_ONCE):
            cpu = self.found["load"][at_once]["cpu_us"]
            self.row(f"CPU a command, {at_once} in flight", lambda a, c=cpu: f"{c[a]:.0f} us", None,
                     f"cpu_{at_once}")
            self.floor("floor: posix_spawn", f"{cpu['spawn']:.0f} us")
            self.floor("(agent of one process)", f"{cpu['floor']:.0f} us")

    def output(self):
        rate = {name: statistics.median(v) for name, v in self.found["big_mbs"].items()}
        self.row("7 MiB of output, end to end", lambda a: f"{rate[a]:.0f} MB/s", "big", "big")
        for what, name in (("pipe alone", "pipe"), ("base64 alone", "base64"),
                           ("TLS alone", "tls"), ("pipe, base64, TLS in one process", "floor"),
                           ("(a new file alone)", "file")):
            self.floor(what, f"{rate[name]:.0f} MB/s")
        self.row("  beside the chain in one process", lambda a: "", None, "big_chain")

    def rest(self):
        found, median = self.found, statistics.median
        lasted = f"after {found['session_s']} s"
        for what, key, aim in ((f"4001 {lasted} to info", "reconnect_4001_ms", "reconnect_4001_ms"),
                               (f"reset {lasted} to info", "reconnect_rst_ms", None)):
            self.row(what, lambda a, k=key: f"{median(found[k][a]):.1f} ms", aim)
            self.floor("floor: agent of one process", f"{median(found[key]['floor']):.1f} ms")
        self.row("idle memory (PSS)", lambda a: "not shown" if found["pss_mb"][a] is None else
                 f"{sum(found['pss_mb'][a].values()):.2f} MB", "pss_mb")
        for name, size in (found["pss_mb"]["tw-agent"] or {}).items():
            self.floor(name, f"{size:.2f} MB")
        if found["pss_after_mb"] is not None:
            self.floor("all, were nothing shared with others", f"{found['pss_alone_mb']:.2f} MB")
            self.floor("all, after the load", f"{sum(found['pss_after_mb'].values()):.2f} MB")
        self.row("wake-ups a heartbeat, most of any process",
                 lambda a: f"{found['ratios'][a]['wakes']:.1f}", "wakes")
        for name, (slept, preempted) in found["wakes"]["tw-agent"].items():
            self.floor(name, f"{slept:.1f}" + (f"  (and {preempted:.1f} times preempted)"
                                               if preempted else ""))


def print_table(found):
    amounts = found["amounts"]
    print(f"{found['mode']} mode, kernel {found['kernel']}, {found['processors']} processors, "
          f"{found['authorities']} certificate authorities; {amounts['starts']} starts, "
          f"{amounts['rounds']} round trips, {amounts['batches']} batches of each load, "
          f"{amounts['bigs']} big outputs, {amounts['beats']} heartbeats of "
          f"{amounts['heartbeat_ms']} ms; all in turn. Load average {found['load_before']:.1f} "
          f"before, {found['load_after']:.1f} after. Ratios are to the floor below.")
    table = Table(found)
    print(f"{'':<44}" + "".join(f"{agent:>13}{'ratio':>7}" for agent in table.agents) + "  aim")
    table.times()
    table.loads()
    table.output()
    table.rest()
