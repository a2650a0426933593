#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent costs, against the least that any agent would need.

Everything is measured in one run, in turn: the agent of this build, with --agent another one, and
floors. The driver is a Tower in C (tower.c), which keeps requests in flight and takes the times."""

import argparse
import json
import os
import shlex
import shutil
import sys
from types import SimpleNamespace

from subjects import Driver, Failure, Stages, whole_bundle  # sets the path of what follows
from harness import AS_ROOT, shared_pki, why_not
from figures import Bench, measure
from report import insane, print_table, ratios, verdicts

_FULL = {"starts": 15, "rounds": 2000, "batches": 9, "per_batch": 300, "bigs": 25, "reconnects": 5,
         "beats": 17, "heartbeat_ms": 3000, "session_s": 61}
_QUICK = {"starts": 2, "rounds": 60, "batches": 2, "per_batch": 40, "bigs": 2, "reconnects": 1,
          "beats": 2, "heartbeat_ms": 1500, "session_s": 0}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument("--quick", action="store_true",
                        help="a few of each, in 20 s: whether all figures can be had, not their "
                        "values; exit code 1 if one is missing or senseless")
    parser.add_argument("--agent", metavar="COMMAND",
                        help="measure this agent too; it is given the public agent's options, "
                        "TOWER_ACCESS_TOKEN and SSL_CERT_FILE, and {ca} in it is that file's name")
    parser.add_argument("--mode", choices=("system", "user"),
                        default="user" if why_not("system") else "system")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if an aim is missed")
    options = parser.parse_args()
    if options.agent:
        options.agent = shlex.split(options.agent)
        found = options.agent and shutil.which(options.agent[0])
        if not found:
            parser.error("--agent: there is no such program")
        options.agent[0] = os.path.abspath(found)  # each agent has a directory of its own
    return options


def run(options):
    amounts = SimpleNamespace(**(_QUICK if options.quick else _FULL))
    pki = shared_pki()
    with (Driver(pki.server()) as driver, Stages() as stages, whole_bundle(pki.ca) as bundle):
        bench = Bench(driver, stages, bundle, pki.ca, options, amounts)
        found = measure(bench)
    found["amounts"] = vars(amounts)
    found["ratios"] = {kind.name: ratios(found, kind.name) for kind in bench.kinds
                       if kind.name != "floor"}
    found["reached"] = verdicts(found["ratios"]["tw-agent"], not options.quick)
    return found


def main():
    options = arguments()
    if reason := why_not(options.mode):
        if options.quick:
            print(f"SKIPPED: {options.mode} mode: {reason}")
            return 0
        raise SystemExit(f"cannot measure: {reason}")
    try:
        found = run(options)
    except Failure as reason:
        raise SystemExit(f"cannot measure: {reason}") from None
    if options.json:
        print(json.dumps(found))
    else:
        print_table(found)
    if not AS_ROOT:
        print("SKIPPED: system mode, and memory of the agent: not run as root", file=sys.stderr)
    wrong = insane(found) if options.quick else []
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong or (options.strict and False in found["reached"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
