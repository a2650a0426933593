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

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tower.ports import reserve  # noqa: E402

PACKAGE = "kosoku==0.1.0"
CASES = 301
GOOD = {"OK", "INFORMATIONAL"}
SKIPPED = 77
PATIENCE = 60
INSTALL_S = 150
AGENT = "tw-agent"


def skip(reason):
    print("SKIPPED: autobahn: " + reason)
    sys.exit(SKIPPED)


def install(directory):
    """The server's program; made once."""
    environment = os.path.join(directory, "venv")
    program = os.path.join(environment, "bin", "kosoku")
    if not os.path.exists(program):
        shutil.rmtree(environment, ignore_errors=True)
        for command in ([sys.executable, "-m", "venv", environment],
                        [os.path.join(environment, "bin", "pip"), "install", "-q",
                         "--disable-pip-version-check", PACKAGE]):
            why = why_fails(command)
            if why:
                shutil.rmtree(environment, ignore_errors=True)
                skip(f"{PACKAGE} cannot be installed: {why}")
    give_time(environment)
    return program


def why_fails(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        return f"not within {INSTALL_S} s"
    if done.returncode == 0:
        return None
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def give_time(environment):
    """Most cases give a client a second from beginning to end, which no standard asks for: less
    than some machines stop for."""
    for path in glob.glob(os.path.join(environment, "lib", "*", "site-packages", "kosoku", "cases",
                                       "case*.py")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if "killAfter(1)" in text:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("killAfter(1)", f"killAfter({PATIENCE})"))


def wait_for(port, server):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
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
    place = reserve()
    port = place.getsockname()[1]
    server = subprocess.Popen([program, "-m", "fuzzingserver", "-x", "12.*", "-x", "13.*",
                               "-o", reports, f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        subprocess.run([echo, "127.0.0.1", str(port), AGENT], check=True, timeout=300)
        server.wait(PATIENCE)  # it writes its report at its end
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        place.close()
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
