# SPDX-License-Identifier: Apache-2.0
"""What a configuration file can have wrong, told by the real program at its start and by --check-config: file, line, key and
remedy, exit code 3, all mistakes at once, nothing of a value."""

import os
import pwd
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "pages"))

from pages import rows  # noqa: E402
from test_cli import AS_ROOT, TOKEN, URL, Cli, missing_users  # noqa: E402

MIB = 1 << 20
BY_KIND = {
    "octal": ["8", "rw-", "", "-1", "0o22"],
    "duration": ["soon", "", "-1s", "45 s", "PT", "1.5.5s"],
    "choice": ["", "other", "FULL", "full read-only", "full|read-only"],
    "switch": ["", "maybe", "1", "YES", "true", "yes no"],
    "number": ["", "x", "-1", "1e3", "0x10", "1 2", "99999999999999999999999"],
}
# Texts and lists: values that cannot be, and words of the message.
BY_KEY = {
    "url": (["", "http://tower.example", "tower.example", "https://", "https://h?x=1", "https://u:p@h"], "https|URL"),
    "ca_file": (["", "/nowhere.pem", "/", "/dev/null"], "not usable"),
    "proxy": (["https://p:1", "p", "socks5://p:1"], "proxy|proxies"),
    "proxy_file": (["", "/nowhere", "/dev/null"], "."),
    "pin_spki": (["", "00", "x" * 64, ",", ",".join(["0" * 64] * 9)], "64 hexadecimal|no pin|more than 8"),
    "require": (["magic", "seccomp, magic", "landlock", "landlock>=0"], "the names are landlock>=N"),
    "log_level": (["", "loud"], "not one of error"),
    "env_from": (["profile", "login"], "only when started as root"),
    "env_init": (["x" * 5000], "more than 4 KiB"),
    "set_env": (["A", "=x", "1A=b", "A=" + "x" * 9000], "NAME=VALUE|more than 8 KiB"),
    "pass_env": (["A=B", "A, 1B", "A" * 5000], "name of a variable|more than 4 KiB"),
    "metrics_file": (["metrics.prom", "/", "/run/", "/run/..", "/" + "x" * 300], "not the absolute path of a file"),
    "metrics_mode": (["0777", "0666", "600x", "", "0", "0604"], "not 0600, 0640 or 0644|not an octal"),
    "connection_id": (["", "x" * 1025], "1 to 1024 bytes"),
    "run_as": (["nobody-of-that-name"], "no user|only when started as root"),
    "net_user": (["nobody-of-that-name"], "no user|only when started as root"),
}
# Judged later, and tested with what judges them: the token's source (parent.cli), the directories (parent.cli, ctl.places).
JUDGED_LATER = {"token_file", "work_dir", "state_dir", "user_name"}


def bad_values(row):
    """(value, words of its message) that this row must refuse."""
    if row["key"] in BY_KEY:
        return [(value, BY_KEY[row["key"]][1]) for value in BY_KEY[row["key"]][0]]
    values = list(BY_KIND.get(row["kind"], []))
    least, most = int(row["least"]), int(row["most"])
    if row["kind"] == "number":
        values += [str(most + 1)] + ([str(least - 1)] if least else [])
    if row["kind"] == "octal":
        values.append(f"{most + 1:o}")
    if row["kind"] == "duration" and least:
        values += ["off", "0", f"{least - 1}ms"]
    words = {"number": f"not a number from {least} to {most}", "octal": "not an octal number",
             "duration": "not a duration", "choice": "not one of", "switch": "not yes or no"}
    return [(value, words[row["kind"]]) for value in values]


class File(Cli):
    def setUp(self):
        super().setUp()
        self.state = os.path.join(self.directory, "state")

    def conf(self, text, mode=0o644):
        path = self.write("f.conf", text, mode)
        if AS_ROOT:
            os.chown(path, 0, 0)
        return path

    def around(self, *lines, without=()):
        """A file that is good but for these lines, the first of which is line 5."""
        good = {"url": URL, "token_file": self.token_file, "state_dir": self.state, "connection_id": "ID"}
        return "".join(f"{key} = {value}\n" if key not in without else "#\n" for key, value in good.items()) + \
            "".join(line + "\n" for line in lines)

    def told(self, path, *expected, root=False, code=3, more=()):
        """At a start and by --check-config alike: these lines, and no other."""
        for check in (["--check-config"], []):
            got, output = self.run_agent("--config", path, *check, *more, root=root)
            errors = re.findall(r" ERROR tw-agent\[parent\]: (.*)", output)
            self.assertEqual(len(errors), len(expected), output)
            for words, error in zip(expected, errors):
                self.assertRegex(error, words)
            self.assertEqual(got, code, output)

    def good(self, path, **options):
        self.assertEqual(self.run_agent("--config", path, "--check-config", **options), (0, f"{path}: good\n"))


class Values(File):
    def test_every_row_has_its_bad_values(self):
        for row in rows():
            if row["key"] and row["key"] not in JUDGED_LATER:
                self.assertTrue(row["key"] in BY_KEY or row["kind"] in BY_KIND, row["key"])

    def test_bad_values_of_every_key(self):
        for row in rows():
            key = row["key"]
            if not key or key in JUDGED_LATER:
                continue
            for value, words in bad_values(row):
                with self.subTest(key=key, value=value[:40]):
                    path = self.conf(self.around(f"{key} = {value}", without=[key]))
                    self.told(path, rf"f\.conf:5: {key}\b.*({words})")

    @unittest.skipIf(not AS_ROOT or missing_users(), "system mode needs root and the system users")
    def test_users_of_system_mode(self):
        for line, words in (("run_as = nobody-of-that-name", "no user 'nobody-of-that-name'"), ("run_as = root", "as root"),
                            ("run_as = tw-agent", "own user"), ("run_as =", None)):
            self.told(self.conf(self.around(line)), rf"f\.conf:5: run_as.*{words}" if words else "whom commands run as",
                      root=True)
        for line, words in (("net_user = nobody-of-that-name", "no user"), ("net_user = root", "root"),
                            ("net_user = tw-agent", "must not be tw-agent")):
            self.told(self.conf(self.around(line, f"run_as = {self.user.pw_name}")), rf"f\.conf:5: net_user.*{words}",
                      root=True)

    @unittest.skipIf(not AS_ROOT or missing_users(), "system mode needs root and the system users")
    def test_environment_of_system_mode(self):
        for value in ("profile", "file:x", "file:/" + "x" * 5000):
            self.told(self.conf(self.around(f"env_from = {value}", f"run_as = {self.user.pw_name}")),
                      r"f\.conf:5: env_from: not login, none or file:/absolute/path", root=True)

    def test_the_line_of_a_list_is_its_entry(self):
        path = self.conf(self.around("set_env = A=1", "  B=2", "  not one", "set_env = C=3", "require = seccomp", "  magic",
                                     "  split-uid", "pass_env = HOME", "pass_env = A-B", "pin_spki = " + "0" * 64,
                                     "  12"))
        self.told(path, r"f\.conf:15: pin_spki: a pin is", r"f\.conf:7: set_env: not NAME=VALUE",
                  r"f\.conf:13: pass_env: not the name", r"f\.conf:10: require: the names are")

    def test_quotes_and_comments_behind_values(self):
        for key, value in (("url", f'"{URL}"'), ("token_file", "'/etc/x'"), ("work_dir", '"/w"'), ("max_commands", '"3"'),
                           ("connection_id", "'a'")):
            path = self.conf(self.around(f"{key} = {value}", without=[key]))
            self.told(path, rf"f\.conf:5: {key}: quotes are not taken off here: write the value without them",
                      more=[] if key != "connection_id" else ["ID"])
        for line in ("max_commands = 3 # not more", "work_dir = /w  ; of all"):
            self.told(self.conf(self.around(line)), r"f\.conf:5: \w+: a comment stands on a line of its own")
        self.good(self.conf(self.around('env_init = "a b" "c"', 'set_env = A="x" # y')))

    def test_all_mistakes_at_once(self):
        path = self.conf(self.around("max_comands = 3", "heartbeat = soon", "umask = 9", "nonsense", "isolate = half",
                                     "umask = 022"))
        self.told(path, r"f\.conf:5: max_comands: unknown key; did you mean max_commands\?", r"f\.conf:8: not \"key = value\"",
                  r"f\.conf:10: umask: given twice: remove it here or in line 7", r"f\.conf:6: heartbeat: not a duration",
                  r"f\.conf:9: isolate: not one of full\|read-only", r"f\.conf:7: umask: not an octal")
        # Without the misspelt key it would not be told that a connection ID is missing.
        self.told(self.conf(self.around("conection_id = ID", without=["connection_id"])), "did you mean connection_id")
        many = self.conf(self.around(*["nonsense"] * 100))
        self.told(many, *["f.conf"] * 20, "too many mistakes")


class Keys(File):
    def test_spelling(self):
        for key, words in (("Max_Commands", "max_commands"), ("max-commands", "max_commands"), ("URL", "url"),
                           ("--run-as", "run_as"), ("Max Commands", "max_commands"), ("SET_ENV", "set_env")):
            self.told(self.conf(self.around(f"{key} = 3")),
                      rf"f\.conf:5: {key}: keys are written with small letters and _: {words}$")

    def test_unknown(self):
        for key, words in (("hartbeat", "did you mean heartbeat"), ("tokenfile", "did you mean token_file"),
                           ("max_command", "did you mean max_commands"), ("zzz", r"tw-agent\.conf\(5\) lists them"),
                           ("TOWER_API_ENDPOINT", "a variable of the environment; the key is url"),
                           ("NO_PROXY", "has no key"), ("config", "has no key"), ("check-config", "has no key"),
                           ("TOWER_ACCESS_TOKEN", "name its file by token_file"),
                           ("access-token", "name its file by token_file")):
            self.told(self.conf(self.around(f"{key} = 3")), rf"f\.conf:5: .*{words}")

    def test_indented_lines_of_an_unknown_list(self):
        self.told(self.conf(self.around("sett_env = A=1", "  B=2", "  C=3", "umask = 9")), "did you mean set_env",
                  r"f\.conf:8: umask")

    def test_twice(self):
        for row in rows():
            if row["key"] and row["kind"] != "list":
                path = self.conf(self.around(f"{row['key']} = x", without=["url", "token_file", "state_dir",
                                                                           "connection_id"]) + f"{row['key']} = x\n")
                _, output = self.run_agent("--config", path, "--check-config")
                self.assertRegex(output, rf"f\.conf:6: {row['key']}: given twice: remove it here or in line 5")

    def test_lines(self):
        for line, words in (("max_commands", "not \"key = value\": there is no"), ("= 3", "there is no key in front"),
                            ("[agent]", "sections"), ("  3", "an indented line"), ("umask = 0\x1b22", "a control char"),
                            ("a\rb = 3", "a control char"), ("max_commands: 3", "not \"key = value\": there is no")):
            self.told(self.conf(self.around(line)), rf"f\.conf:5: {words}")

    def test_nothing_of_a_misplaced_token_is_told(self):
        """run_agent looks for it in all that is written."""
        for line in (TOKEN, f"{TOKEN}==", f"url = {TOKEN}", f"access_token = {TOKEN}", f"tokn_file = {TOKEN}",
                     f"[{TOKEN}]", f"{TOKEN.upper()} = 1", f"log_level = {TOKEN}", f"max_commands = '{TOKEN}'"):
            self.told(self.conf(self.around(line, without=["url"])), r"f\.conf:5: ")


class Files(File):
    def refused(self, path, words, **options):
        self.told(path, rf"the configuration file {re.escape(path)} .*{words}", more=["ID"], **options)

    def test_no_regular_file(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        dangling = os.path.join(self.directory, "dangling")
        os.symlink("nowhere", dangling)
        loop = os.path.join(self.directory, "loop")
        os.symlink("loop", loop)
        for path, words in ((fifo, "not a regular file"), (self.directory, "not a regular file"),
                            ("/dev/null", "not a regular file"), ("/dev/tty", "not a regular file|No such"),
                            (dangling, "No such file"), (loop, "symbolic links"), (self.token_file + "/x", "Not a directory"),
                            (self.directory + "/" + "x" * 300, "too long")):
            self.refused(path, words)

    def test_symbolic_link(self):
        link = os.path.join(self.directory, "link")
        os.symlink(self.conf(self.around()), link)
        self.good(link)

    @unittest.skipUnless(AS_ROOT, "needs another user's file")
    def test_owner_and_mode(self):
        path = self.conf(self.around())
        self.good(path)
        os.chmod(path, 0)
        self.refused(path, "Permission denied")
        for mode in (0o646, 0o664, 0o666):
            os.chmod(path, mode)
            self.refused(path, "written by .*writable by nobody else .chown, chmod go-w")
        os.chmod(path, 0o644)
        os.chown(path, pwd.getpwnam("daemon").pw_uid, 0)
        self.refused(path, "belongs neither to root nor to you.*chown")
        if not missing_users():
            self.refused(path, "does not belong to root.*must belong to root.*chown", root=True)
            os.chown(path, 0, 0)
            os.chmod(path, 0o664)
            self.refused(path, "written by its group.*must belong to root", root=True)

    def test_own_file(self):
        path = self.write("own.conf", self.around())
        if AS_ROOT:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        self.good(path)

    def test_size(self):
        filler = "# " + "x" * 100 + "\n"
        text = self.around()
        text += filler * ((256 * 1024 - len(text)) // len(filler))
        self.good(self.conf(text))
        self.refused(self.conf(text + 2 * filler), "cannot be read: it is larger than 256 KiB")
        self.refused(self.conf("x" * MIB), "larger than 256 KiB")

    def test_encodings(self):
        good = self.around().encode()
        for text, words in ((b"\xef\xbb\xbf" + good, ":1: begins with a byte order mark: save it as UTF-8 without one"),
                            (good + b"# caf\xe9\n", ":5: not UTF-8: save it as UTF-8"),
                            (good + b"# \xc0\x80\n", ":5: not UTF-8"), (good + b"#\n#\0\n", ":6: a NUL byte"),
                            (good.decode().encode("utf-16"), ":1: is UTF-16"), (good + b"\xe2\x82", ":5: not UTF-8")):
            self.told(self.conf(text), rf"f\.conf{words}")

    def test_good_oddities(self):
        good = self.around()
        for text in (good.replace("\n", "\r\n"), good.rstrip("\n"), "\n\n" + good + "\n \n\t\n", good.replace(" = ", "="),
                     good.replace(" = ", "\t=   "), good + "# ü ✓\n; x\n  # y\n", good + "user_name = Zoë\n",
                     good + "# " + "x" * 200000 + "\n", good + "set_env = A=" + "x" * 8000 + "\n", good + "proxy =\n"):
            self.good(self.conf(text))

    def test_empty(self):
        got, output = self.run_agent("--config", self.conf(""), "--check-config")
        self.assertEqual(got, 2)
        self.assertIn("give connection_id in the configuration file", output)

    def test_long_path(self):
        """Line and key are told all the same."""
        deep = os.path.join(self.directory, *["d" * 200] * 4)
        os.makedirs(deep)
        path = os.path.join(deep, "f.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.around("umask = 9"))
        self.told(path, r"\.\.\.d+.*/f\.conf:5: umask: not an octal")


if __name__ == "__main__":
    unittest.main()
