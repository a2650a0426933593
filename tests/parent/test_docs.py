# SPDX-License-Identifier: Apache-2.0
"""docs/configuration.md names the options, variables, keys and defaults that the help text names."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("TW_BUILD", os.path.join(ROOT, "build", "release")))
NO_KEY = {"access-token", "config", "help", "version"}


def told_by_the_program():
    text = subprocess.run([os.path.join(BUILD, "bin", "tw-agent"), "--help"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    rows = {}
    for line in text.splitlines():
        variable = re.search(r"\[(\w+)\]", line)
        default = re.search(r"\(([^() ]*)\)$", line)
        facts = (variable[1] if variable else "", default[1] if default else "")
        if found := re.match(r"  (?:-\w, |    )--([\w-]+)", line):
            key = "" if found[1] in NO_KEY else found[1].replace("-", "_")
            rows[key or found[1]] = (found[1], key, *facts)
        elif found := re.match(r"  (\w+) = ", line):
            rows[found[1]] = ("", found[1], *facts)
    return rows


def told_by_the_page():
    rows = {}
    with open(os.path.join(ROOT, "docs", "configuration.md"), encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").replace(r"\|", "¦").split("|")]
            if len(cells) != 5 or cells[0] in ("option", "---"):
                continue
            option = re.search(r"--([\w-]+)", cells[0])
            variable, key, default = [cell.strip("`").partition("`")[0] for cell in cells[1:4]]
            if option or key:
                rows[key or option[1]] = (option[1] if option else "", key, variable, default)
    return rows


def main():
    program, page = told_by_the_program(), told_by_the_page()
    wrong = [f"{name}: the program says {program.get(name)}, the page {page.get(name)}"
             for name in sorted({*program, *page}) if program.get(name) != page.get(name)]
    print("\n".join(wrong) or f"{len(page)} rows agree")
    return bool(wrong)


sys.exit(main())
