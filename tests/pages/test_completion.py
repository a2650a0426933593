# SPDX-License-Identifier: Apache-2.0
"""bash completes the command lines of tw-agent and tw-agentctl, driven as readline drives it: without the package
bash-completion, and in a shell that fails on what is not set."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import unittest

from pages import BUILD, rows, subcommands

SCRIPTS = BUILD / "share" / "bash-completion" / "completions"
# As readline cuts a line: at blanks, and at = as COMP_WORDBREAKS has it.
DRIVER = r"""
set -u
source "$1"; shift
function=$1; shift
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE=${COMP_WORDS[*]} COMP_POINT=${#COMP_LINE}
"$function" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
"""


class Completion(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="tw-completion-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.home)
        os.makedirs(os.path.join(self.home, "etc"))
        os.makedirs(os.path.join(self.home, ".config", "tw-agent"))
        for name in ("etc/lab.conf", "etc/lake.conf", "etc/lab.token", ".config/tw-agent/mine.conf", "a file.pem", "token"):
            with open(os.path.join(self.home, name), "w", encoding="utf-8"):
                pass
        os.mkdir(os.path.join(self.home, "work"))
        self.scripts = {}
        for program in ("tw-agent", "tw-agentctl"):
            with open(SCRIPTS / program, encoding="utf-8") as file:
                text = file.read()
            self.scripts[program] = os.path.join(self.home, "etc", program)
            with open(self.scripts[program], "w", encoding="utf-8") as file:
                file.write(text.replace("/etc/tw-agent", os.path.join(self.home, "etc")))

    def complete(self, *words, env=None):
        """What bash offers for these words, the last of which is being typed."""
        program = words[0]
        done = subprocess.run(["bash", "--norc", "-c", DRIVER, "bash", self.scripts[program],
                               "_" + program.replace("-", "_"), *words], check=False, cwd=self.home, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={"PATH": "/usr/bin:/bin", "HOME": self.home, **(env or {})})
        self.assertEqual((done.stderr, done.returncode), ("", 0), words)
        return [line for line in done.stdout.split("\n") if line]

    def agent(self, *words):
        return self.complete("tw-agent", *words)

    def control(self, *words, **options):
        return self.complete("tw-agentctl", *words, **options)

    def test_every_option(self):
        names = ["--" + row["name"] + ("=" if row["argument"] and row["kind"] not in ("flag", "switch") else "")
                 for row in rows() if row["name"]]
        self.assertGreater(len(names), 20)
        self.assertEqual(self.agent("--"), names)
        self.assertEqual(self.agent("-"), names)
        self.assertEqual(self.agent("--tok"), ["--token-file=", "--token-fd="])
        self.assertEqual(self.agent("--run-as", "x", "--ver"), ["--version"])
        self.assertEqual(self.agent("--nosuch"), [])
        self.assertEqual(self.agent(""), [])

    def test_choices(self):
        for row in rows():
            if row["name"] and row["choices"]:
                words = row["choices"].split("|")
                self.assertEqual(self.agent(f"--{row['name']}", ""), words)
                self.assertEqual(self.agent(f"--{row['name']}", "=", ""), words)
                self.assertEqual(self.agent(f"--{row['name']}", "="), words)
                self.assertEqual(self.agent(f"--{row['name']}", "=", words[0][:2]), words[:1])
                self.assertEqual(self.agent(f"--{row['name']}={words[0][:2]}"), words[:1])
        required = self.agent("--require", "")
        self.assertIn("token-unreachable", required)
        # bash would take it for a redirection.
        self.assertFalse([word for word in required if re.search("[<>]", word)])

    def test_files_directories_and_users(self):
        self.assertEqual(self.agent("--token-file", "tok"), ["token"])
        self.assertEqual(self.agent("--ca-file", "=", "a"), ["a file.pem"])
        self.assertEqual(self.agent("-w", "w"), ["work"])
        self.assertEqual(set(self.agent("--state-dir", "")) - {".config"}, {"etc", "work"})
        self.assertIn(pwd.getpwuid(0).pw_name, self.agent("--run-as", "roo"))
        self.assertEqual(self.agent("--max-commands", ""), [])
        self.assertEqual(self.agent("-t", ""), [])

    def test_subcommands(self):
        self.assertEqual(self.control(""), [*subcommands(), "--json", "--help", "--version"])
        self.assertEqual(self.control("--json", "at"), ["attest"])
        self.assertEqual(self.control("--j"), ["--json"])
        self.assertEqual(self.control("nosuch", "--"), [])

    def test_options_of_subcommands(self):
        self.assertIn("--token-file=", self.control("check", "--"))
        self.assertIn("--json", self.control("check", "--"))
        self.assertEqual(self.control("attest", "--st"), ["--state-dir"])
        self.assertEqual(self.control("check", "--isolate", "f"), ["full"])
        self.assertEqual(self.control("attest", "--state-dir", "w"), ["work"])
        for name in subcommands():
            self.assertIn("--json", self.control(name, "--j"))

    def test_instances(self):
        self.assertEqual(self.control("check", ""), ["lab", "lake", "mine"])
        self.assertEqual(self.control("attest", "la"), ["lab", "lake"])
        self.assertEqual(self.control("--json", "attest", "mi"), ["mine"])
        self.assertEqual(self.control("attest", "--for", "lab"), ["lab"])
        other = os.path.join(self.home, "other")
        os.makedirs(os.path.join(other, "tw-agent"))
        self.assertEqual(self.control("check", "m", env={"XDG_CONFIG_HOME": other}), [])

    def test_hostile_names_are_only_text(self):
        for name in ("etc/$(touch hit).conf", "etc/`touch hit`.conf", "$(touch hit).pem", "etc/* .conf"):
            with open(os.path.join(self.home, name), "w", encoding="utf-8"):
                pass
        self.assertEqual(self.control("check", ""), ["lab", "lake", "mine"])
        self.assertIn("$(touch hit).pem", self.agent("--ca-file", ""))
        self.agent("--isolate", "$(touch hit)")
        self.agent("--run-as", "`touch hit`")
        self.control("$(touch hit)")
        self.assertFalse(os.path.exists(os.path.join(self.home, "hit")))


if __name__ == "__main__":
    unittest.main()
