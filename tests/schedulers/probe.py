# SPDX-License-Identifier: Apache-2.0
"""What a process was given: a script that writes it down, its reader, and the comparison of two."""

import os
import select

# The shell is bash for its ulimit; the script itself is any batch script. Its environment is read as
# it was given: dash would leave out what is no name for it, such as functions of bash.
_SCRIPT = """#!/bin/sh
#SBATCH -J probe
{
    for what in 'ulimit -aS' 'ulimit -aH' umask; do
        printf '%s\\n' "# $what"
        bash -c "$what"
    done
    echo '# id'; id
    echo '# nice'; nice
    echo '# oom_score_adj'; cat /proc/self/oom_score_adj
    echo '# status'; grep -E '^(Sig(Blk|Ign)|Cap|NoNewPrivs|Seccomp:)' /proc/self/status
    echo '# environment'; cat /proc/$$/environ
} > "$1" 2>&1
echo done > "$2"
"""


class Probe:
    """The script in a directory that everyone may pass, and answers in another one."""

    def __init__(self, directory):
        self.script = os.path.join(directory, "probe")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(_SCRIPT)
        os.chmod(self.script, 0o755)
        self._done = {}

    def command(self, answers, name):
        """The command line that lets it write its answer NAME into the directory `answers`."""
        fifo = os.path.join(answers, name + ".done")
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        # Open here from now on, so that the script's opening does not wait.
        self._done[name] = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return f"{self.script} {os.path.join(answers, name)} {fifo}"

    def read(self, answers, name, timeout):
        """What it found, once it has: "ulimit -aS open files" → "1024" and so on, and
        "environment PATH" → its value."""
        if not select.select([self._done[name]], [], [], timeout)[0]:
            raise AssertionError(f"no answer from the probe {name} in {timeout} s")
        with open(os.path.join(answers, name), encoding="utf-8", errors="surrogateescape") as file:
            return _parse(file.read())

    def close(self):
        for descriptor in self._done.values():
            os.close(descriptor)


def _parse(text):
    found = {}
    text, _, environment = text.partition("# environment\n")
    for part in text.split("# ")[1:]:
        what, *lines = part.splitlines()
        for line in lines:
            name, value = "", line
            if what.startswith("ulimit"):
                name, value = line[:line.index("(")], line[line.index(")") + 1:]
            elif what == "status":
                name, value = line.split(":")
            found[f"{what} {name}".strip()] = value.strip()
    for item in environment.split("\0"):
        name, equals, value = item.partition("=")
        if equals:
            found[f"environment {name}"] = value
    return found


def differences(one, other):
    """Name → the two values, for all that is not the same in both; None: not there."""
    return {name: (one.get(name), other.get(name)) for name in sorted({*one, *other})
            if one.get(name) != other.get(name)}
