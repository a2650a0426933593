# SPDX-License-Identifier: Apache-2.0
"""Where things are, and what pages/fill makes of the programs' tables."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TW_BUILD", ROOT / "build" / "release")).resolve()
FILL = BUILD / "pages" / "fill"
COLUMNS = ("name", "key", "kind", "least", "most", "choices", "argument", "standard")


def made(part):
    """What stands for @part@ in a template."""
    return subprocess.run([FILL, "-", BUILD / "pages" / "help", ROOT / "man" / "subcommands"], input=f"@{part}@\n",
                          check=True, text=True, stdout=subprocess.PIPE).stdout


def rows():
    """The option table, a dictionary for each row."""
    return [dict(zip(COLUMNS, line.split("\t"))) for line in made("rows").splitlines()]


def subcommands():
    """The names in tw-agentctl's table."""
    return made("ctl-completion-names").split()
