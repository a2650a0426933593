# SPDX-License-Identifier: Apache-2.0
"""What documents have from the programs' tables is what the programs say now; with --write it becomes it. What they quote
exists."""

import difflib
import os
import re
import subprocess
import sys
import tempfile
import unittest

from pages import BUILD, FILL, ROOT, made, rows, subcommands

EXAMPLE = ROOT / "packaging" / "tw-agent.conf.example"
MARKED = re.compile(r"(?s)(<!-- made of ([\w-]+): [^\n]* -->\n)(.*?)(<!-- end of \2 -->\n)")
ADMIN = ROOT / "docs" / "admin"


def documents():
    return [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def example():
    return subprocess.run([FILL, ROOT / "pages" / "tw-agent.conf.example.in"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def renewed(text):
    return MARKED.sub(lambda m: m[1] + "\n" + made(m[2]) + "\n" + m[4], text)


def write():
    EXAMPLE.write_text(example(), encoding="utf-8")
    for path in documents():
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


class Made(unittest.TestCase):
    def same(self, path, new):
        old = path.read_text(encoding="utf-8")
        self.assertEqual(old, new, "run tests/pages/test_documents.py --write:\n" + "".join(
            difflib.unified_diff(old.splitlines(True), new.splitlines(True), path.name, "the programs")))

    def test_tables(self):
        found = 0
        for path in documents():
            text = path.read_text(encoding="utf-8")
            found += len(MARKED.findall(text))
            self.same(path, renewed(text))
        self.assertGreaterEqual(found, 2)

    def test_example(self):
        self.same(EXAMPLE, example())

    def test_a_change_is_noticed(self):
        text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8").replace("`max_commands`", "`most`")
        self.assertNotEqual(text, renewed(text))


class Example(unittest.TestCase):
    def judge(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(text)
            file.flush()
            if os.geteuid() == 0:
                os.chown(file.name, 0, 0)
            return subprocess.run([BUILD / "bin" / "tw-agent", "--config", file.name, "--check-config"], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "USER": "someone"})

    def test_every_key_once(self):
        keys = re.findall(r"(?m)^#(\w+) = ", EXAMPLE.read_text(encoding="utf-8"))
        self.assertEqual(keys, [row["key"] for row in rows() if row["key"]])

    def test_defaults_are_good_values(self):
        """Each line with a default, without its #, is taken by the agent."""
        lines = [f"{row['key']} = {row['standard']}" for row in rows()
                 if row["key"] and row["standard"] and row["key"] != "net_user"]
        self.assertGreater(len(lines), 8)
        text = EXAMPLE.read_text(encoding="utf-8")
        for line in lines:
            self.assertIn(f"#{line}\n", text)
            text = text.replace(f"#{line}\n", f"{line}\n")
        text = text.replace("#connection_id = ID", "connection_id = ID")
        if os.geteuid() == 0:
            text = text.replace("#run_as = USER", "run_as = nobody")
        done = self.judge(text)
        if "there is no user 'tw-agent" in done.stdout:
            self.skipTest("system mode needs the system users")
        self.assertEqual((done.returncode, done.stdout[-6:]), (0, " good\n"), done.stdout)


SOURCES = ("base", "config", "core", "ctl", "exec", "ipc", "net", "net/connect", "net/launcher", "net/session", "parent",
           "policy", "sandbox")
# Words of a command line in a code block, as far as ours go.
COMMAND = re.compile(r"^(?:[#$] )?(?:.* )?(tw-agent(?:ctl)?) (.*)$")
# Subcommands of tw-agentctl that the documents use.
KNOWN = {"check", "attest", "setup", "doctor", "selftest", "status", "credentials", "usage"}


def literals():
    """All texts of the agent's sources, what printf fills in as …; neighbours are one text."""
    texts = []
    for folder in SOURCES:
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
            for name, value in re.findall(r'(?m)^#define (\w+) +("[^"\n]*")$', text):
                text = re.sub(rf"(?m)^(?!#)(.*)\b{name}\b", lambda m, value=value: m[1] + value, text)
            text = re.sub(r'"\s*(?:PRI\w+|TW_VERSION)\s*"', "%s", text)
            text = re.sub(r'"\s*\n?\s*"', "", text)
            for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text):
                literal = literal.replace('\\"', '"')
                texts.append(re.sub(r"(%[-.*0-9]*(?:ll|z|l|h)*[a-z])+", "…", literal))
    return texts


def said_by(message, texts):
    """True when one text holds the message, whose … stand for whatever stands there."""
    pattern = re.compile(".*?".join(re.escape(part.strip()) for part in message.split("…")))
    return any(pattern.search(text) for text in texts)


def code_blocks(path):
    return re.findall(r"(?ms)^ *```\n(.*?)^ *```", path.read_text(encoding="utf-8"))


class Quotes(unittest.TestCase):
    """What the documents quote exists."""

    def test_messages_of_troubleshooting(self):
        texts = literals()
        self.assertGreater(len(texts), 1000)
        quoted = re.findall(r"(?m)^\| `(.+?)` \|", (ADMIN / "troubleshooting.md").read_text(encoding="utf-8"))
        quoted += re.findall(r"(?m)^\| `(.+?)` \|", (ADMIN / "rotate-token.md").read_text(encoding="utf-8"))
        self.assertGreater(len(quoted), 60)
        for message in quoted:
            # A word that printf fills in stands at the end of two of them.
            message = re.sub(r": (un|re)changed$|: replaced$", ": …", message)
            self.assertTrue(said_by(message, texts), f"no program says {message!r}")
        self.assertFalse(said_by("the agent is tired", texts))
        self.assertFalse(said_by("state directory … must belong to … and be writable by all", texts))

    def test_links(self):
        for path in [*documents(), ROOT / "CHANGELOG.md"]:
            for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
                if not target.startswith("https://"):
                    self.assertTrue((path.parent / target).exists(), f"{path.name} links to {target}")

    def test_every_page_of_the_administrator_is_in_the_index(self):
        index = (ADMIN / "README.md").read_text(encoding="utf-8")
        for path in ADMIN.glob("*.md"):
            if path.name != "README.md":
                self.assertIn(f"]({path.name})", index)

    def test_keys_in_code_blocks(self):
        keys = {row["key"] for row in rows() if row["key"]}
        found = 0
        for path in documents():
            for block in code_blocks(path):
                for key in re.findall(r"(?m)^ *([a-z_]+) += ", block):
                    found += 1
                    self.assertIn(key, keys, path.name)
        self.assertGreater(found, 15)

    def options_of(self, program, words):
        """The options that this command line may have; None: the subcommand is not here."""
        options = {"--" + row["name"] for row in rows() if row["name"]}
        if program == "tw-agent":
            return options
        words = [word for word in words if word != "--json"]
        name = words[0] if words else ""
        self.assertIn(name, KNOWN)
        if name not in subcommands():
            self.absent.add(name)
            return None
        line = next(line for line in made("ctl-completion-words").splitlines() if line.startswith(f"    {name}) "))
        return set(re.findall(r"'(--[a-z-]+)'", line)) | (options if "options[@]" in line else {"--json"})

    def test_command_lines(self):
        found, self.absent = 0, set()
        for path in documents():
            for block in code_blocks(path):
                for line in block.splitlines():
                    for command in re.split(r" && |; ", re.sub(r" {3,}.*", "", line)):
                        match = COMMAND.match(command)
                        if not match or "=" in match[1] or re.match(r"^ *[├└│]", line) or "apt" in command:
                            continue
                        words = match[2].split()
                        used = [word.split("=")[0] for word in words if re.fullmatch(r"--[a-z-]+(=.*)?", word)]
                        allowed = self.options_of(match[1], words) if used or match[1] == "tw-agentctl" else None
                        for option in used if allowed is not None else []:
                            found += 1
                            self.assertIn(option, allowed, f"{path.name}: {line}")
        self.assertGreater(found, 8)
        for name in sorted(self.absent):
            print(f"SKIPPED: command lines of tw-agentctl {name}: it is not built here")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main()
