#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl setup: what it asks, what it refuses before anything is written, what it writes, and
that an agent starts with it."""

import functools
import os
import pathlib
import pwd
import re
import stat
import subprocess

from control import ControlCase, harness
from ctl import mounted, no_view_of_etc
from harness import CONTROL, PROGRAM, TIMEOUT, TOKEN, give, modes
from tower import Drop, Reply, error

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class SetupCase(ControlCase):
    @functools.cached_property
    def place(self):
        """Where the files come to be; the test's mode is known only in the test."""
        give(self.directory, self.user, 0o755)
        if self.mode == "user":
            return os.path.join(self.directory, "config", "tw-agent")
        if reason := no_view_of_etc():
            self.skipTest(reason)
        os.makedirs("/etc/tw-agent", exist_ok=True)
        return self.make("etc", "root", 0o755)

    @property
    def under(self):
        return mounted(("bind", self.place, "/etc/tw-agent", "")) if self.mode == "system" else []

    @functools.cached_property
    def work(self):
        return self.make("work", harness.own_user(), 0o700)

    @property
    def real(self):
        """The same directory, as the instance's own programs see it."""
        return "/etc/tw-agent" if self.mode == "system" else self.place

    def run_ctl(self, *arguments, **options):
        self.assertTrue(self.place)
        return super().run_ctl(*arguments, **options)

    def make(self, name, user, mode):
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        give(path, user, mode)
        return path

    def arguments(self, name, *more, run_as=True):
        return ["setup", name, *(["--run-as", harness.own_user()] if run_as else []),
                "--work-dir", self.work, *more]

    def setup(self, name, *more, run_as=True, **options):
        return self.run_ctl(*self.arguments(name, *more, run_as=run_as),
                            under=options.pop("under", self.under), timeout=2 * TIMEOUT, **options)

    def done(self, *arguments, **options):
        """It was written; in user mode the judgement may complain about a token that jobs read."""
        result = self.setup(*arguments, **options)
        self.assertIn(result.code, (0,) if self.mode == "system" else (0, 1), result)
        self.assertRegex(result.out, r"wrote|^\{", result)
        return result

    def path(self, name):
        return os.path.join(self.place, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def keys(self, name):
        return [tuple(line.split(" = ", 1)) for line in self.read(name).splitlines()
                if not line.startswith("#")]

    def nothing_written(self):
        self.assertFalse(os.path.exists(self.place) and os.listdir(self.place))


class Written(SetupCase):
    @modes()
    def test_files(self):
        said = self.done("lab")
        owner = ("root", "tw-agent", 0o640) if self.mode == "system" else (
            self.user, self.user, 0o600)
        for name in ("lab.conf", "lab.token"):
            st = os.stat(self.path(name))
            self.assertEqual((pwd.getpwuid(st.st_uid).pw_name, stat.S_IMODE(st.st_mode)),
                             (owner[0], owner[2]))
            if self.mode == "system":
                self.assertEqual(st.st_gid, pwd.getpwnam("tw-agent").pw_gid)
        self.assertEqual(self.read("lab.token"), TOKEN + "\n")
        keys = dict(self.keys("lab.conf"))
        self.assertRegex(keys.pop("connection_id"), f"^{UUID4}$")
        self.assertEqual(keys, {"url": self.tower.url, "token_file": f"{self.real}/lab.token",
                                "run_as": harness.own_user(), "work_dir": self.work,
                                "ca_file": self.tower.ca})
        self.assertEqual(sorted(os.listdir(self.place)), ["lab.conf", "lab.token"])
        for words in ("lab.token", "lab.conf", "tw-agentctl doctor lab", "tw-agentctl selftest lab",
                      "--for lab", "check: "):
            self.assertIn(words, said.out)
        self.assertRegex(said.out, "systemctl .*enable --now tw-agent@lab|tw-agent --config ")

    @modes()
    def test_agent_starts_with_it(self):
        self.done("lab", "--connection-id", "from setup", "--state-dir",
                  self.make("state", "tw-agent" if self.mode == "system" else self.user, 0o700))
        with subprocess.Popen([*self.under, PROGRAM, "--config", f"{self.real}/lab.conf"],
                              env=self.environment(), stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, **self.identity) as agent:
            try:
                self.assertEqual(self.tower.wait_online(TIMEOUT, "from setup").run("id -un").output,
                                 harness.own_user().encode() + b"\n")
            finally:
                agent.terminate()
                agent.communicate()

    @modes()
    def test_reads_back_exactly(self):
        """Whatever may stand in a value, or a refusal."""
        awkward = ("#x", ";x", "a = b", "[a]", "\"q", "'q", "a\\b", "ü€", "%s%n", "a  b", "$HOME",
                   "a#b;c")
        for i, text in enumerate(awkward):
            self.done(f"lab{i}", "--connection-id", text, "--offline")
            self.assertIn(("connection_id", text), self.keys(f"lab{i}.conf"))
            checked = subprocess.run(
                [*self.under, PROGRAM, "--check-config", "--config",
                 f"{self.real}/lab{i}.conf"],
                env=self.environment(), check=False, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, **self.identity)
            self.assertEqual(checked.returncode, 0, checked.stdout)

    @modes()
    def test_cannot_be_written(self):
        for text in (" x", "x ", "x\t", "\"q\"", "'q'", "a#b ; c", "a\nrun_as = root", "a\rb", "\x1b[31m", "x\x7f"):
            result = self.setup("lab", "--offline", "--connection-id", text)
            self.assertIn(result.code, (2, 3), text)
            self.nothing_written()
        result = self.setup("lab", "--offline", "--state-dir", "/x\nmax_commands = 1")
        self.assertEqual(result.code, 2)
        self.assertIn("cannot stand in a configuration file", result.err)
        self.nothing_written()

    def test_lists(self):
        pins = ["a" * 64, "b" * 64 + "," + "c" * 64]
        self.done("lab", "--offline", *(f"--pin-spki={pin}" for pin in pins), "--require=seccomp")
        self.assertEqual([value for key, value in self.keys("lab.conf") if key == "pin_spki"], pins)

    def test_two_have_two_ids(self):
        ids = set()
        for name in ("a", "b"):
            self.done(name)
            ids.add(dict(self.keys(f"{name}.conf"))["connection_id"])
        self.assertEqual(len(ids), 2)

    @modes()
    def test_json(self):
        said = self.done("lab", "--json", "--connection-id", "x").json
        self.assertEqual((said["name"], said["connectionId"], said["tokenKept"]), ("lab", "x", False))
        self.assertEqual(os.path.basename(said["config"]), "lab.conf")
        self.assertEqual(said["ok"], said["check"]["ok"])

    @modes()
    def test_work_directory(self):
        """Made as its user, where that is wanted."""
        new = os.path.join(self.work, "new")
        result = self.run_ctl("setup", "lab", "--run-as", harness.own_user(), "--work-dir", new,
                              "--yes", under=self.under)
        self.assertIn("wrote", result.out)
        st = os.stat(new)
        self.assertEqual((pwd.getpwuid(st.st_uid).pw_name, stat.S_IMODE(st.st_mode)),
                         (harness.own_user(), 0o700))
        os.chmod(self.work, 0o500)
        result = self.run_ctl("setup", "other", "--run-as", harness.own_user(), "--work-dir",
                              new + "er", "--yes", under=self.under)
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, "cannot be made as user .*Permission denied")
        self.assertFalse(os.path.exists(self.path("other.conf")))


class Existing(SetupCase):
    @modes()
    def test_never_overwritten(self):
        self.done("lab")
        before = {name: self.read(name) for name in os.listdir(self.place)}
        result = self.setup("lab", "--connection-id", "other")
        self.assertEqual(result.code, 1)
        self.assertIn("is there already: --force", result.err)
        self.assertEqual({name: self.read(name) for name in os.listdir(self.place)}, before)

    @modes()
    def test_force_keeps_the_rest(self):
        self.done("lab", "--max-commands", "3", "--pin-spki", "a" * 64, "--offline")
        with open(self.path("lab.conf"), "a", encoding="utf-8") as file:
            file.write("# the site's own words\nset_env = A=1\n  B=2\nenv_init = module load slurm\n")
        before = self.read("lab.conf")
        # A token that the shell happens to have replaces none that is there.
        result = self.run_ctl("setup", "lab", "--force", "--heartbeat", "30s", "--offline",
                              env={"TOWER_ACCESS_TOKEN": "another-token-9081726354"},
                              under=self.under, bare=True)
        self.assertIn("wrote", result.out, result)
        self.assertRegex(result.out, "kept .*lab.token")
        self.assertEqual(self.read("lab.conf.bak"), before)
        mode = 0o640 if self.mode == "system" else 0o600
        self.assertEqual(stat.S_IMODE(os.stat(self.path("lab.conf.bak")).st_mode), mode)
        old = [tuple(line.split(" = ", 1)) for line in before.splitlines() if " = " in line]
        self.assertEqual(sorted(self.keys("lab.conf")),
                         sorted([*old, ("set_env", "B=2"), ("heartbeat", "30s")]))
        self.assertEqual(self.read("lab.token"), TOKEN + "\n")

    @modes()
    def test_force_with_a_new_token(self):
        self.done("lab")
        other = self.write("other", "another-token-9081726354\n", 0o600)
        result = self.run_ctl("setup", "lab", "--force", "--token-file", other, bare=True,
                              under=self.under)
        self.assertEqual(result.code, 4, result)
        self.assertEqual(self.read("lab.token"), TOKEN + "\n")
        result = self.run_ctl("setup", "lab", "--force", "--offline", "--token-file", other,
                              bare=True, under=self.under)
        self.assertIn("wrote", result.out)
        self.assertEqual(self.read("lab.token"), "another-token-9081726354\n")
        self.assertEqual([name for name in os.listdir(self.place) if "token" in name], ["lab.token"])

    @modes()
    def test_links_are_not_followed(self):
        """Neither of a directory, nor of a file: what they point to stays as it is."""
        self.done("lab")
        precious = self.write("precious", "precious")
        for name in ("lab.conf", "lab.token"):
            kept = self.read(name)
            os.unlink(self.path(name))
            os.symlink(precious, self.path(name))
            self.setup("lab", "--force", "--offline")
            self.setup("lab", "--offline")
            with open(precious, encoding="ascii") as file:
                self.assertEqual(file.read(), "precious")
            if os.path.islink(self.path(name)):
                os.unlink(self.path(name))
                with open(self.path(name), "w", encoding="utf-8") as file:
                    file.write(kept)
                give(self.path(name), self.user, 0o600)
        os.symlink(precious, self.path("new.conf"))
        self.assertEqual(self.setup("new", "--offline").code, 1)
        self.assertEqual(os.path.exists(self.path("new.token")), False)

    def test_broken(self):
        self.done("lab")
        with open(self.path("lab.conf"), "a", encoding="utf-8") as file:
            file.write("no_such_key = 1\n")
        result = self.setup("lab", "--force", "--offline")
        self.assertEqual(result.code, 3)
        self.assertRegex(result.err, "no_such_key[^\n]*\n.*repair .*lab.conf")


class Refused(SetupCase):
    @modes()
    def test_token_refused_by_tower(self):
        bad = self.write("bad", "wrong-token-1234567890\n", 0o600)
        result = self.setup("lab", token_file=bad)
        self.assertEqual(result.code, 4)
        self.assertIn("nothing was written", result.err)
        self.nothing_written()
        self.done("lab", "--offline", token_file=bad)

    def test_token_malformed(self):
        for text, words in (("", "empty|1 to 4096|no token"), ("a b\n", "blank|ASCII|printable"),
                            ("x" * 5000, "long|4096")):
            result = self.setup("lab", "--offline", token_file=self.write("bad", text, 0o600))
            self.assertEqual(result.code, 3, text[:10])
            self.assertRegex(result.err, words)
            self.nothing_written()

    @modes()
    def test_variables(self):
        """The token is tried at the Tower of this shell, and the file names it; a file that is there
        stays as it is."""
        variables = {"TOWER_API_ENDPOINT": self.tower.url, "TOWER_AGENT_HEARTBEAT": "30s",
                     "USER": "somebody", "HTTPS_PROXY": "http://proxy.invalid:1"}
        more = ("--ca-file", self.tower.ca, "--token-file", self.token_file)
        result = self.setup("lab", *more, env=variables, bare=True)
        self.assertIn("wrote", result.out, result)
        self.assertEqual(len(self.tower.requests("user")), 1)
        keys = dict(self.keys("lab.conf"))
        self.assertEqual((keys["url"], keys["heartbeat"]), (self.tower.url, "30s"))
        self.assertNotIn("proxy", keys)
        self.assertNotIn("user_name", keys)
        variables["TOWER_API_ENDPOINT"] = "https://elsewhere.invalid/api"
        self.run_ctl("setup", "lab", "--force", "--offline", env=variables, bare=True,
                     under=self.under)
        self.assertEqual(dict(self.keys("lab.conf")), keys)

    def test_no_connection_id(self):
        """An empty one, as of an unset variable, is not one to be made up."""
        result = self.setup("lab", "--offline", "--connection-id", "")
        self.assertEqual(result.code, 2, result)
        self.assertIn("--connection-id is empty", result.err)
        self.nothing_written()

    def test_no_token(self):
        result = self.run_ctl(*self.arguments("lab", "--offline"), bare=True, under=self.under)
        self.assertEqual(result.code, 3, result)
        self.nothing_written()

    @modes()
    def test_url_is_no_tower(self):
        for answer, code, words in ((error(404, "not here"), 6, "not here"),
                                    (Reply(200, body="<html>"), 1, "not usable"),
                                    (Reply(200, json={"hello": 1}), 3, "not a Tower.*HOST/api")):
            self.tower.on("service-info", answer, times=1)
            result = self.setup("lab")
            self.assertEqual(result.code, code, result)
            self.assertRegex(result.err, words)
            self.nothing_written()

    @modes()
    def test_tower_is_away(self):
        """No reason not to write, and said."""
        for i, answer in enumerate((Drop(), error(503, "maintenance"))):
            self.tower.on("service-info", answer)
            self.assertIn("was not tried", self.done(f"away{i}").err)
            self.tower.clear()

    def test_commands_user(self):
        """By the agent's own rules."""
        if self.mode != "system":
            self.skipTest("needs root")
        for user, words in (("root", "must not run as root"), ("tw-agent", "own user"),
                            ("nobody-of-that-name", "no user")):
            result = self.run_ctl("setup", "lab", "--run-as", user, "--work-dir", self.work,
                                  under=self.under)
            self.assertEqual(result.code, 3, result)
            self.assertRegex(result.err, words)
            self.nothing_written()
        result = self.setup("lab", run_as=False)
        self.assertEqual(result.code, 3)
        self.assertIn("--run-as", result.err)

    def test_member_of_the_agents_group(self):
        if self.mode != "system":
            self.skipTest("needs root")
        etc = self.make("groups", "root", 0o755)
        with open("/etc/group", encoding="utf-8") as file:
            text = re.sub(r"(?m)^(tw-agent:.*)$", rf"\1{harness.RUN_AS}", file.read())
        group = os.path.join(etc, "group")
        with open(group, "w", encoding="utf-8") as file:
            file.write(text)
        result = self.setup("lab", under=mounted(("bind", group, "/etc/group", ""),
                                                 ("bind", self.place, "/etc/tw-agent", "")))
        self.assertEqual(result.code, 3)
        self.assertIn("member of the agent's groups", result.err)
        self.nothing_written()

    def test_service_users_are_missing(self):
        """Named, and made where that is wanted; as on a host that never had them."""
        if self.mode != "system":
            self.skipTest("needs root")
        etc = self.make("overlay", "root", 0o755)
        for name in ("up", "work"):
            os.mkdir(os.path.join(etc, name))
        overlay = mounted(("overlay", "none", "/etc",
                           f"lowerdir=/etc,upperdir={etc}/up,workdir={etc}/work"))
        strip = ["/bin/sh", "-c", "sed -i '/^tw-agent/d' /etc/passwd /etc/group /etc/shadow "
                 "/etc/gshadow; rm -rf /etc/tw-agent /etc/sysusers.d/tw-agent.conf; "
                 "eval \"$FIRST\"; exec \"$@\"", "sh"]
        if subprocess.run([*overlay, *strip, "true"], env={**os.environ, "FIRST": ""},
                          check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no overlay file system here")
        result = self.setup("lab", under=[*overlay, *strip], env={"FIRST": ""})
        self.assertEqual(result.code, 3, result)
        self.assertRegex(result.err, "sysusers.*systemd-sysusers")
        if not os.path.exists("/usr/bin/systemd-sysusers"):
            self.skipTest("systemd-sysusers is not installed")
        file = os.path.join(harness.ROOT, "packaging/sysusers.d/tw-agent.conf")
        copy = self.write("tw-agent.conf", pathlib.Path(file).read_text("utf-8"))
        env = {"FIRST": f"mkdir -p /etc/sysusers.d; cp {copy} /etc/sysusers.d/tw-agent.conf"}
        result = self.setup("lab", "--yes", under=[*overlay, *strip], env=env)
        self.assertEqual(result.code, 0, result)
        made = os.stat(f"{etc}/up/tw-agent")
        self.assertEqual((made.st_uid, stat.S_IMODE(made.st_mode)), (0, 0o750))
        with open(f"{etc}/up/passwd", encoding="utf-8") as passwd:
            self.assertIn("\ntw-agent-net:", passwd.read())

    @modes()
    def test_names_and_options(self):
        for arguments, words in ((["../x"], "NAME must be"), ([".x"], "NAME must be"),
                                 (["x" * 65], "NAME must be"), ([], "NAME must be"),
                                 (["x", "y"], "more than one"),
                                 (["x", "--config", "/x"], "no option --config"),
                                 (["x", "-t", TOKEN], "no option --access-token"),
                                 (["x", "--connection-id", "i" * 1025], "1024")):
            result = self.run_ctl("setup", *arguments, bare=True, under=self.under)
            self.assertEqual(result.code, 2, arguments)
            self.assertIn(words, result.err)
        self.nothing_written()

    def test_directory_of_others(self):
        os.makedirs(self.place, exist_ok=True)
        give(self.place, self.user, 0o777)
        result = self.setup("lab", "--offline")
        self.assertEqual(result.code, 1, result)
        self.assertIn("could be changed by others", result.err)
        self.nothing_written()


class FileSystems(SetupCase):
    """Nothing half written is left."""

    def on(self, options):
        """setup with /etc/tw-agent on such a file system; its answer, and what is there then."""
        show = ["/bin/sh", "-c", '"$@"; code=$?; echo there: $(ls -A /etc/tw-agent); exit $code', "sh"]
        return self.setup("lab", "--offline", "--max-output", "1000",
                          under=[*mounted(("tmpfs", "none", "/etc/tw-agent", options)), *show])

    @modes("system")
    def test_read_only(self):
        result = self.on("ro,mode=0755")
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, "lab.token cannot be written: Read-only file system")

    @modes("system")
    def test_full(self):
        """Room for the token alone: it goes again, since the instance is none."""
        result = self.on("size=4k,mode=0755")
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, "lab.conf cannot be written: No space left")
        self.assertEqual(result.out, "there:\n")


class Asked(SetupCase):
    @modes("user")
    def test_token(self):
        """Without echo, and never shown."""
        self.assertTrue(self.place)
        url = ["--url", self.tower.url, "--ca-file", self.tower.ca]
        terminal = self.on_terminal_of([CONTROL, *self.arguments("lab"), *url])
        terminal.read_until("Access token")
        self.assertFalse(terminal.echoes)
        terminal.type(TOKEN + "\n")
        terminal.read_until("check: ")
        terminal.wait()
        self.assertNotIn(TOKEN, terminal.shown)
        self.assertEqual(self.read("lab.token"), TOKEN + "\n")

    @modes("user")
    def test_work_directory(self):
        self.assertTrue(self.place)
        new = os.path.join(self.work, "new")
        command = [CONTROL, "setup", "lab", "--url", self.tower.url, "--ca-file", self.tower.ca,
                   "--token-file", self.token_file, "--work-dir", new]
        terminal = self.on_terminal_of(command)
        terminal.read_until(r"does not exist.*\n.*Make it, as that user\? \[y/N\] ")
        terminal.type("n\n")
        terminal.read_until("work-directory")
        self.assertEqual(terminal.wait(), 1)
        self.assertFalse(os.path.exists(new))
        terminal = self.on_terminal_of([*command, "--force"])
        terminal.read_until("Make it")
        terminal.type("y\n")
        terminal.read_until("check: ")
        terminal.wait()
        self.assertTrue(os.path.isdir(new))


class NeverReadable(SetupCase):
    """No moment in which others could read the token."""

    @modes("system")
    def test_modes_at_every_call(self):
        strace = "/usr/bin/strace"
        if not os.path.exists(strace):
            self.skipTest("strace is not installed")
        trace = os.path.join(self.directory, "trace")
        self.setup("lab", "--offline", under=[*self.under, strace, "-f", "-o", trace, "-e",
                                              "trace=openat,fchmod,fchown,rename,renameat2,write",
                                              "-s", "0"])
        with open(trace, encoding="utf-8", errors="replace") as file:
            calls = [line for line in file if ".lab.token." in line or "fch" in line or
                     "lab.conf" in line]
        opened = next(i for i, line in enumerate(calls) if ".lab.token." in line)
        self.assertRegex(calls[opened], r"O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC, 0600")
        rest = "".join(calls[opened:])
        if self.mode == "system":
            self.assertRegex(rest, r"fchown\(\d+, 0, \d+\)[^\n]*\n[^\n]*fchmod\(\d+, 0640\)")
        self.assertNotRegex(rest, r"fchmod\(\d+, 0[0-7]*[1-7]\)|fchmod\(\d+, 066")
        self.assertIn("RENAME_NOREPLACE", rest)


if __name__ == "__main__":
    harness.main()
