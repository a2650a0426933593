# SPDX-License-Identifier: Apache-2.0
"""The manual pages build, groff has nothing to say about them, and they hold every option, key, exit code and subcommand."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from pages import BUILD, ROOT, rows, subcommands

PAGES = ("tw-agent.1", "tw-agentctl.1", "tw-agent.conf.5", "tw-agent-security.7")
NO_KEY = {"access-token", "config", "check-config", "help", "version"}


def source(page):
    """As scdoc is given it."""
    return (BUILD / "pages" / f"{page}.scd").read_text(encoding="utf-8")


def shown(page):
    """As man shows it, in plain text and one paragraph a line."""
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", BUILD / "share" / "man" / f"man{page[-1]}" / page],
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={"PATH": "/usr/bin:/bin", "MANWIDTH": "1000", "LC_ALL": "C.UTF-8"})
    return re.sub(".\b", "", done.stdout), done


def plain(scd):
    return re.sub(r"\\(.)", r"\1", scd.replace("*", ""))


class Sources(unittest.TestCase):
    """What needs no scdoc."""

    def test_options(self):
        text = plain(source("tw-agent.1"))
        for row in rows():
            if row["name"]:
                self.assertRegex(text, rf"(?m)^(-\w, )?--{row['name']}\b")

    def test_keys(self):
        text = plain(source("tw-agent.conf.5"))
        self.assertEqual(re.findall(r"(?m)^(\w+) = _", text), [row["key"] for row in rows() if row["key"]])
        for row in rows():
            if row["name"]:
                self.assertEqual(row["key"], "" if row["name"] in NO_KEY else row["name"].replace("-", "_"))

    def test_exit_codes(self):
        header = (ROOT / "config" / "options.h").read_text(encoding="utf-8")
        codes = sorted({"0", *re.findall(r"(?m)^    EXIT_\w+ = (\d+)", header)})
        self.assertEqual(re.findall(r"(?m)^(\d+)$", plain(source("tw-agent.1"))), codes)
        header = (ROOT / "ctl" / "ctl.h").read_text(encoding="utf-8")
        codes = re.findall(r"#define CTL_\w+ +(\d+)$|X\(CTL_\w+, (\d+),", header, re.M)
        self.assertGreaterEqual(len(codes), 3)
        self.assertEqual(re.findall(r"(?m)^(\d+)$", plain(source("tw-agentctl.1"))), sorted({a or b for a, b in codes}))

    def test_every_subcommand_has_a_section_with_a_text(self):
        text = source("tw-agentctl.1")
        self.assertIn("check", subcommands())
        self.assertEqual(re.findall(r"(?m)^## (\S+)$", text), subcommands())
        for name in subcommands():
            path = ROOT / "man" / "subcommands" / f"{name}.scd"
            self.assertTrue(path.is_file(), f"{path.relative_to(ROOT)} is missing: what does tw-agentctl {name} do?")
            self.assertIn(path.read_text(encoding="utf-8"), text)

    def test_pages_name_each_other(self):
        for page in PAGES:
            for other in PAGES:
                if other != page:
                    self.assertIn(f"*{other[:-2]}*({other[-1]})", source(page))


@unittest.skipUnless(shutil.which("scdoc"), "scdoc is not installed")
class Built(unittest.TestCase):
    def test_no_warnings(self):
        if not shutil.which("man") or not shutil.which("groff"):
            self.skipTest("man-db or groff is not installed")
        for page in PAGES:
            text, done = shown(page)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)
            self.assertIn("SEE ALSO", text)
            for line in text.splitlines():
                self.assertNotRegex(line, r"\*\w+\*|\b_\w+_\b|\\", page)

    def test_they_say_what_the_tables_say(self):
        if not shutil.which("man"):
            self.skipTest("man-db is not installed")
        options, keys = shown("tw-agent.1")[0], shown("tw-agent.conf.5")[0]
        for row in rows():
            if row["name"]:
                self.assertIn(f"--{row['name']}", options)
            if row["key"]:
                self.assertIn(f"{row['key']} = {row['argument']}", keys)
            if row["standard"] and row["key"]:
                self.assertIn(f"Default: {row['standard']}.", keys)

    def test_a_fault_is_noticed(self):
        """The check above would see what groff complains about."""
        with tempfile.NamedTemporaryFile("w", suffix=".1") as file:
            file.write('.TH x 1\n.SH NAME\nx \\- y\n.nosuchrequest\n\\[nosuchglyph]\n')
            file.flush()
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", file.name], check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.assertIn("nosuchrequest", done.stderr)


class Installed(unittest.TestCase):
    def test_where_they_go(self):
        with tempfile.TemporaryDirectory(prefix="tw-pages-", dir="/tmp") as root:
            subprocess.run(["cmake", "--install", BUILD, "--prefix", root], check=True, stdout=subprocess.DEVNULL)
            wanted = ["share/doc/tw-agent/tw-agent.conf.example",
                      *[f"share/bash-completion/completions/{name}" for name in ("tw-agent", "tw-agentctl")],
                      *[f"share/man/man{page[-1]}/{page}" for page in PAGES if shutil.which("scdoc")]]
            for name in wanted:
                self.assertEqual((pathlib.Path(root) / name).stat().st_mode & 0o7777, 0o644, name)


if __name__ == "__main__":
    unittest.main()
