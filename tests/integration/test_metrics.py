#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The metrics file: Prometheus's format, held by a parser that takes nothing else and by promtool
where it is installed; its values; and docs/operation.md's table of it."""

import os
import re
import shutil
import subprocess

from harness import ROOT, TIMEOUT, TowerCase, main, modes
from support import gate, read_status, status_file, wait_status

NAME = r"[a-z][a-z0-9_]*"
LABELS = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
HOSTILE_ID = 'a "quoted\\" \\n {id} # é'


def parse(text):
    """{name: (type, {labels: value})} of a file in the format; fails on anything else."""
    found, typed = {}, None
    if not text.endswith("\n"):
        raise AssertionError("the last line has no end")
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({NAME}) (\S.*\.)", line):
            helped = match[1]
            if helped in found:
                raise AssertionError(f"two groups of {helped}")
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (gauge|counter)", line):
            if match[1] != helped:
                raise AssertionError(f"type without help: {line}")
            typed = match[1]
            found[typed] = (match[2], {})
        elif match := re.fullmatch(rf"({NAME})\{{(.*)\}} ([0-9]+)", line):
            if match[1] != typed:
                raise AssertionError(f"not in its group: {line}")
            labels = tuple(LABELS.findall(match[2]))
            if ",".join(f'{key}="{value}"' for key, value in labels) != match[2]:
                raise AssertionError(f"labels: {line}")
            if labels in found[typed][1]:
                raise AssertionError(f"a series twice: {line}")
            found[typed][1][labels] = int(match[3])
        else:
            raise AssertionError(f"no line of the format: {line!r}")
    return found


def read_metrics(agent):
    path = os.path.join(os.path.dirname(status_file(agent)), "metrics.prom")
    with open(path, encoding="utf-8", newline="\n") as file:
        return file.read()


class Metrics(TowerCase):
    def value(self, metrics, name, **labels):
        """Of the one series with these labels beside the connection ID."""
        wanted = {"connection_id": "lab", **labels}
        found = [value for key, value in metrics["tw_agent_" + name][1].items()
                 if dict(key) == wanted]
        self.assertEqual(len(found), 1, name)
        return found[0]

    @modes("system", "user")
    def test_values(self):
        agent = self.online_agent(env={"TOWER_AGENT_HEARTBEAT": "1s"})
        for _ in range(3):
            self.tower.agent.run("echo x")
        hold = gate(self, agent)
        self.tower.send_command(hold.text)
        hold.reached()

        def settled(status):  # in both: the metrics are written behind the status
            metrics = parse(read_metrics(agent))
            return (status["commands"]["delivered"] == 3 and status["running"] and
                    status["attestation"] in ("ok", "incomplete", "failed") and
                    self.value(metrics, "results_delivered_total") == 3 and
                    self.value(metrics, "attestation", result=status["attestation"]) == 1)
        wait_status(agent, settled)
        metrics, status = parse(read_metrics(agent)), read_status(agent)
        commands = status["commands"]
        for name, value in (("commands_received_total", 4), ("commands_started_total", 4),
                            ("commands_finished_total", 3), ("results_delivered_total", 3),
                            ("commands_running", 1), ("commands_queued", 0),
                            ("commands_repeated_total", commands["repeated"]),
                            ("results_undelivered", 0), ("results_on_disk", 1),
                            ("token_releases_total", status["tokenReleases"]),
                            ("start_time_seconds", status["started"]),
                            ("state_start_time_seconds", status["since"]),
                            ("sandbox_full", int(self.mode == "system"))):
            self.assertEqual(self.value(metrics, name), value, name)
        self.assertEqual(self.value(metrics, "info", version=status["version"], mode=self.mode), 1)
        self.assertLess(self.value(metrics, "commands_running_oldest_seconds"), TIMEOUT)
        self.assertGreater(self.value(metrics, "heartbeats_answered_total"), 0)
        for name, label, is_now in (("state", "state", "online"),
                                    ("attestation", "result", status["attestation"])):
            series = metrics["tw_agent_" + name][1]
            self.assertEqual([dict(key)[label] for key, value in series.items() if value],
                             [is_now])
        hold.open()

    def test_format(self):
        """With a connection ID that is as unpleasant as it may be."""
        agent = self.online_agent(connection_id=HOSTILE_ID)
        wait_status(agent, lambda status: status["state"] == "online")
        text = read_metrics(agent)
        metrics = parse(text)
        for name, (kind, series) in metrics.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
            self.assertRegex(name, "^tw_agent_")
            self.assertLessEqual(len(series), 8, f"{name}: bounded by what we chose")
            for key in series:
                value = dict(key)["connection_id"]
                self.assertEqual(value.replace('\\"', '"').replace("\\\\", "\\"), HOSTILE_ID)
        promtool = shutil.which("promtool")
        if not promtool:
            print("SKIPPED: promtool check metrics: it is not installed (Debian: prometheus)")
            return
        for broken, code in ((text, 0), (text + "tw_agent_x{a=\"b} 1\n", 1)):
            done = subprocess.run([promtool, "check", "metrics"], input=broken, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                  timeout=TIMEOUT)
            self.assertEqual(done.returncode, code, done.stdout)
            if code == 0:
                self.assertEqual(done.stdout, "")

    def test_parser(self):
        """What it must not take."""
        good = '# HELP a_b Text.\n# TYPE a_b gauge\na_b{c="d"} 1\n'
        self.assertEqual(parse(good), {"a_b": ("gauge", {(("c", "d"),): 1})})
        for bad in (good[:-1], good + good, good.replace(" 1", " -1"), good.replace(" 1", ""),
                    good.replace('"d"', '"d\\x"'), good.replace('"d"', '"d"e"'),
                    good.replace("gauge", "enum"), good + "\n", good + 'a_b{c="d"} 2\n',
                    good.replace("# HELP a_b Text.\n", "# HELP b Text.\n"),
                    good.replace('{c="d"}', '{c="d",}')):
            with self.assertRaises(AssertionError, msg=bad):
                parse(bad)

    def test_documents(self):
        agent = self.online_agent()
        written = {(name, kind) for name, (kind, _) in parse(read_metrics(agent)).items()}
        with open(os.path.join(ROOT, "docs", "operation.md"), encoding="utf-8") as file:
            told = set(re.findall(r"(?m)^\| `(tw_agent_\w+)` \| (\w+) \| \S", file.read()))
        self.assertEqual(told, written)


if __name__ == "__main__":
    main()
