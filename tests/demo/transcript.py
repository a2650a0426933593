# SPDX-License-Identifier: Apache-2.0
"""The transcript: plain lines, a mark for each thing that was checked, colours on a terminal."""

import os
import sys


class Transcript:
    """What was said, and whether all of it was true."""

    def __init__(self):
        self.checks = 0
        self.failures = []
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._chapters = 0

    def chapter(self, title):
        self._chapters += 1
        print("\n" + self._paint("1", f"{self._chapters}. {title}"), flush=True)

    def say(self, text):
        print("   " + text, flush=True)

    def check(self, text, true):
        """A line that is claimed to be true, and is marked by whether it is."""
        self.checks += 1
        if not true:
            self.failures.append(text)
        mark = self._paint("32", "ok") if true else self._paint("31", "NO")
        print(f"{mark} {text}", flush=True)
        return true

    def verdict(self):
        """The last line; gives the exit code."""
        if self.failures:
            print("\n" + self._paint("31", f"{len(self.failures)} of {self.checks} checks failed:"))
            for text in self.failures:
                print("   " + text)
            return 1
        print("\n" + self._paint("32", f"All {self.checks} checks passed."))
        return 0

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self._colour else text
