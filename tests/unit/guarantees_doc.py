# SPDX-License-Identifier: Apache-2.0
"""The tables in SECURITY.md are what print_guarantees prints; with --write they become it."""

import difflib
import pathlib
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "SECURITY.md"
BEGIN = "<!-- guarantees: tests/unit/guarantees_doc.py BUILD/tests/print_guarantees --write -->\n"
END = "<!-- end of guarantees -->\n"


def main():
    printed = "\n" + subprocess.run([sys.argv[1]], check=True, text=True, stdout=subprocess.PIPE).stdout + "\n"
    text = DOCUMENT.read_text()
    before, found, rest = text.partition(BEGIN)
    written, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"{DOCUMENT.name} lacks its marks")
    if "--write" in sys.argv:
        DOCUMENT.write_text(before + BEGIN + printed + END + after)
    elif written != printed:
        sys.stdout.writelines(difflib.unified_diff(written.splitlines(True), printed.splitlines(True),
                                                   DOCUMENT.name, "print_guarantees"))
        sys.exit(1)


main()
