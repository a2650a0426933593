#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Autobahn conformance cases, sections 1 to 10, against the session's WebSocket code.

autobahn.py WS_ECHO DIRECTORY: the server comes from PyPI into a virtual environment in DIRECTORY.
Passes when all cases ran, and none failed or was non-strict, in behaviour and in closing.
"""

import collections
import glob
import json
import os
import shutil
import socket
import subprocess
import sys
import time

PACKAGE = "kosoku==0.1.0"
CASES = 301
GOOD = {"OK", "INFORMATIONAL"}
SKIPPED = 77
AGENT = "tw-agent"


def skip(reason):
    print("SKIPPED: autobahn: " + reason)
    sys.exit(SKIPPED)


def install(directory):
    """The server's program; made once."""
    environment = os.path.join(directory, "venv")
    program = os.path.join(environment, "bin", "kosoku")
    if os.path.exists(program):
        return program
    shutil.rmtree(environment, ignore_errors=True)
    for command in ([sys.executable, "-m", "venv", environment],
                    [os.path.join(environment, "bin", "pip"), "install", "-q",
                     "--disable-pip-version-check", PACKAGE]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(environment, ignore_errors=True)
            skip(f"{PACKAGE} cannot be installed: " + (done.stderr.strip() or done.stdout.strip())
                 .splitlines()[-1])
    return program


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def wait_for(port, server):
    for _ in range(500):
        if server.poll() is not None:
            sys.exit(f"the server ended at once (code {server.returncode})")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit("the server does not listen")


def run(echo, directory):
    """The report: case → what the server makes of it."""
    program, reports = install(directory), os.path.join(directory, "reports")
    shutil.rmtree(reports, ignore_errors=True)
    port = free_port()
    server = subprocess.Popen([program, "-m", "fuzzingserver", "-x", "12.*", "-x", "13.*",
                               "-o", reports, f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        subprocess.run([echo, "127.0.0.1", str(port), AGENT], check=True, timeout=300)
        server.wait(60)  # it writes its report at its end
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    index = glob.glob(os.path.join(reports, "**", "index.json"), recursive=True)
    with open(index[0], encoding="utf-8") as file:
        return json.load(file)[AGENT]


def main():
    cases = run(sys.argv[1], sys.argv[2])
    counts, bad = collections.Counter(), []
    for name, result in sorted(cases.items()):
        counts[result["behavior"]] += 1
        if result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD:
            bad.append(f"{name}: {result['behavior']}, close {result['behaviorClose']}")
    print(f"{len(cases)} cases, " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    for line in bad:
        print(line)
    return 1 if bad or len(cases) != CASES else 0


if __name__ == "__main__":
    sys.exit(main())
