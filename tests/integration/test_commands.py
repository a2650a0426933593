#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Commands: what comes back byte for byte, limits, ids, environment, and what others can see."""

import hashlib
import json
import os
import pwd
import random
import re
import secrets
import signal

import harness
from harness import TIMEOUT, TOKEN, Process, TowerCase, modes, why_not
from support import commands_file, gate, wait_status, write_file

BIG = 120  # seconds for megabytes under sanitizers


class RoundTrip(TowerCase):
    def check(self, command, output, status=0):
        result = self.tower.run(command, timeout=TIMEOUT)
        self.assertEqual((result.output, result.exit_status), (output, status), command)
        return result

    def test_bytes(self):
        agent = self.online_agent()
        for name, data in {"nul": b"a\0b\0", "crlf": b"one\r\ntwo\r\n", "invalid": b"\xff\xfe\xc3(",
                           "no newline": b"x", "newlines": b"\n\n\n", "bom": b"\xef\xbb\xbfx",
                           "all": bytes(range(256)) * 300,
                           "random": random.Random(1).randbytes(200_001)}.items():
            write_file(agent.work_dir, "data", data)
            with self.subTest(name):
                self.check("cat data", data)

    def test_empty_output(self):
        self.online_agent()
        result = self.check("true", b"")
        self.assertFalse(result.raw.get("result"))
        self.check("", b"")
        self.check("exit 5", b"", 5)

    @modes()
    def test_exit_statuses(self):
        self.online_agent()
        self.check("exit 0", b"")
        self.check("echo out; exit 3", b"out\n", 3)
        self.check("exit 255", b"", 255)
        self.check("kill -9 $$", b"", 128 + 9)
        self.check("kill -TERM $$", b"", 128 + 15)
        self.check("kill -SEGV $$", b"", 128 + 11)
        self.check("(", self.tower.run("(").output, 2)
        result = self.tower.run("no-such-program-here")
        self.assertEqual(result.exit_status, 127)
        self.assertRegex(result.output, rb"no-such-program-here: .*not found")

    def test_streams(self):
        self.online_agent()
        self.check("echo a; echo b >&2; echo c; echo d >&2", b"a\nb\nc\nd\n")
        self.check("cat; echo end", b"end\n")
        self.check("readlink /proc/self/fd/0", b"/dev/null\n")
        self.check("ls /proc/self/fd | tr '\\n' ' '", b"0 1 2 3 ")  # 3 is ls's own

    @modes()
    def test_place(self):
        agent = self.online_agent()
        self.check("pwd -P", agent.work_dir.encode() + b"\n")
        self.check('printf %s "$TW_AGENT_WORK"', agent.work_dir.encode())
        self.check("id -un", f"{agent.user}\n".encode())
        self.check('echo "$0" "$#"', b"sh 0\n")

    def test_own_session(self):
        self.online_agent()
        fields = self.tower.run("cut -d' ' -f4-7 /proc/$$/stat; echo $$").output.split()
        parent, group, session, terminal, own = map(int, fields)
        self.assertEqual((group, session, terminal), (own, own, 0))
        self.assertEqual(Process(parent).comm, "tw-agent-exec")

    def test_here_document(self):
        self.online_agent()
        body = "".join(f"line {i} of $HOME `not run` {'x' * 50}\n" for i in range(25_000))
        self.assertGreater(len(body), 2_000_000)
        digest = hashlib.sha256(body.encode()).hexdigest()
        result = self.tower.run(f"sha256sum <<'END'\n{body}END\n", timeout=BIG)
        self.assertEqual(result.output.split()[0].decode(), digest)

    def test_largest_command(self):
        self.online_agent()
        size = 10_485_760 - len(json.dumps({"@type": "command-request", "id": "large",
                                            "command": ": ''; echo done"}))
        self.tower.send_command(f": '{'y' * size}'; echo done", id="large")
        self.assertEqual(self.tower.wait_result("large", BIG).output, b"done\n")

    def test_large_output(self):
        self.online_agent()
        size = 7 * 1024 * 1024
        result = self.tower.run(f"head -c {size} /dev/zero | tr '\\0' x", timeout=BIG)
        self.assertEqual((len(result.output), result.output.count(b"x")), (size, size))
        self.check("echo on", b"on\n")

    def test_largest_output(self):
        agent = self.online_agent()
        result = self.tower.run("head -c 12000000 /dev/zero; exit 4", timeout=BIG)
        self.assertEqual((len(result.output), result.exit_status), (10_485_660, 4))
        agent.wait_log(r"exceeded --max-output \(10485660 bytes\): 1514340 bytes were cut off")

    def test_max_output(self):
        agent = self.online_agent(args=("--max-output", "1000"))
        result = self.tower.run("head -c 1000 /dev/zero | tr '\\0' a")
        self.assertEqual(result.output, b"a" * 1000)
        self.assertNotIn("exceeded", agent.log)
        result = self.tower.run("head -c 5000 /dev/zero | tr '\\0' b; exit 3")
        self.assertEqual((result.output, result.exit_status), (b"b" * 1000, 3))
        agent.wait_log("4000 bytes were cut off")


class Limits(TowerCase):
    def test_many_at_once(self):
        agent = self.online_agent(args=("--max-commands", "4"))
        os.mkdir(os.path.join(agent.work_dir, "run"))
        os.chmod(os.path.join(agent.work_dir, "run"), 0o777)
        ids = [self.tower.send_command("touch run/$$; ls run | wc -l; sleep 0.1; rm run/$$")
               for _ in range(60)]
        counts = [int(self.tower.wait_result(id, BIG).output) for id in ids]
        self.assertLessEqual(max(counts), 4)
        self.assertGreater(max(counts), 1)
        self.assertEqual([len(self.tower.results(id)) for id in ids], [1] * 60)

    def test_order_with_one_at_a_time(self):
        agent = self.online_agent(args=("--max-commands", "1"))
        ids = [self.tower.send_command(f"echo {i} >> order") for i in range(20)]
        for id in ids:
            self.tower.wait_result(id, TIMEOUT)
        self.assertEqual(commands_file(agent, "order").split(), [str(i) for i in range(20)])

    def test_a_short_command_passes_a_long_one(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        slow = self.tower.send_command(hold.text + "; echo slow")
        hold.reached()
        self.assertEqual(self.tower.run("echo fast").output, b"fast\n")
        hold.open()
        self.assertEqual(self.tower.wait_result(slow).output, b"slow\n")

    def test_background_child_holds_the_output(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        result = self.tower.run(f"echo first; ({hold.text}; yes | head -c 300000) & echo $!",
                                timeout=TIMEOUT)
        first, pid = result.output.split()
        self.assertEqual((first, result.exit_status), (b"first", 0))
        self.assertLess(result.seconds, TIMEOUT)
        child = Process(int(pid))
        hold.reached()
        hold.open()
        self.assertTrue(child.wait_gone(TIMEOUT), "its late output must not block it")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def test_time_limit(self):
        agent = self.online_agent(args=("--command-timeout", "4s"))
        patient = "sleep 300 & echo $$ $!; trap '' TERM HUP INT; while :; do wait; sleep 1; done"
        for command in ("echo $$ $$; exec sleep 300", patient):
            result = self.tower.run(command, timeout=TIMEOUT)
            self.assertEqual(result.exit_status, 124)
            self.assertGreater(result.seconds, 3.9)
            pids = result.output.split()[:2]
            self.assertEqual(len(pids), 2)
            for pid in pids:
                self.assert_gone(int(pid))
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertIsNone(agent.popen.poll())

    def assert_gone(self, pid):
        try:
            self.assertTrue(Process(pid).wait_gone(TIMEOUT), f"{pid} still runs")
        except (FileNotFoundError, ProcessLookupError):
            pass


class Ids(TowerCase):
    def test_repeated_after_delivery(self):
        agent = self.online_agent(args=("--heartbeat", "1s"))
        first = self.tower.run("echo x >> count; wc -l < count", id="same")
        self.assertEqual(first.output.split(), [b"1"])
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        again = self.tower.run("echo x >> count; wc -l < count", id="same")
        self.assertEqual((again.output, again.exit_status), (first.output, 0))
        self.assertEqual(commands_file(agent, "count"), "x\n")
        status = wait_status(agent, lambda status: status["commands"]["delivered"] == 2)
        self.assertEqual((status["commands"]["started"], status["commands"]["repeated"]), (1, 1))

    def test_repeated_while_it_runs(self):
        agent = self.online_agent(args=("--heartbeat", "1s"))
        hold = gate(self, agent)
        text = f"echo x >> count; {hold.text}; echo done"
        self.tower.send_command(text, id="same")
        hold.reached()
        self.tower.send_command(text, id="same")
        agent.wait_log("delivered again")
        hold.open()
        self.assertEqual(self.tower.wait_result("same").output, b"done\n")
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        self.assertEqual(commands_file(agent, "count"), "x\n")
        self.assertFalse(hold.passed_by_anyone())

    def test_another_text(self):
        agent = self.online_agent()
        self.tower.run("echo one >> said", id="same")
        self.tower.send_command("echo two >> said", id="same")
        agent.wait_log("repeats an id with another text: refused")
        wait_status(agent, lambda status: status["commands"]["refused"] == 1)
        self.tower.run("true")
        self.assertEqual(commands_file(agent, "said"), "one\n")
        self.assertEqual(len(self.tower.results("same")), 1)

    def test_any_text_is_an_id(self):
        agent = self.online_agent()
        wanted = ["0", " ", "../../x", "a\"b\\c/d", "ü" * 512, "x" * 1024, "😀 \u202e", "line\nfeed",
                  "tab\t\x01\x7f", "null", "{}"]
        for id in wanted:
            with self.subTest(id[:20]):
                result = self.tower.run(f"echo {len(id)}", id=id)
                self.assertEqual(result.output, b"%d\n" % len(id))
                self.assertEqual(result.raw["id"], id)
        self.assertNotIn("\u202e", agent.log)


class Secrecy(TowerCase):
    @modes()
    def test_text_is_in_no_command_line(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        marker = "m" + secrets.token_hex(12)
        for filler in ("", "z" * 200_000):
            id = self.tower.send_command(f": {marker} {filler}; sleep 0.01; {hold.text}")
            hold.reached()
            seen = {process.pid for process in agent.processes()}
            self.assertGreater(len(seen), 4)
            for name in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        self.assertNotIn(marker.encode(), file.read(), name)
                except (FileNotFoundError, ProcessLookupError):
                    pass
            hold.open()
            self.tower.wait_result(id)
        self.assertNotIn(marker, agent.log)

    def test_text_is_in_no_log(self):
        agent = self.online_agent(args=("--log-level", "trace"))
        marker = "m" + secrets.token_hex(12)
        self.tower.run(f"echo {marker}; no-such-{marker}")
        self.tower.run("exit 3", id="id-" + marker)
        agent.terminate()
        agent.wait()
        self.assertEqual([line for line in agent.log.splitlines() if "echo " + marker in line], [])
        self.assertNotIn("no-such-" + marker, agent.log)

    @modes()
    def test_canary(self):
        agent = self.online_agent()
        for text in (f"echo x{TOKEN}y", f"printf '%s' {TOKEN} | od -An -tx1 | tr -d ' \\n'",
                     *(f"printf '%s' {'z' * i}{TOKEN} | base64 -w0" for i in range(3))):
            result = self.tower.run(text)
            self.assertNotIn(TOKEN.encode(), result.output)
            self.assertRegex(result.output, b"withheld", text)
        agent.wait_log("ALARM: a command's output contains the owner's token")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")


class Environment(TowerCase):
    def environment(self):
        output = self.tower.run("env -0").output.decode(errors="surrogateescape")
        return dict(item.split("=", 1) for item in output.split("\0") if item)

    def in_mode(self, mode):
        if reason := why_not(mode):
            self.skipTest(reason)
        self.mode = mode

    @modes()
    def test_no_token(self):
        for way in ("env", "file", "arg", "fd"):
            with self.subTest(way):
                agent = self.online_agent(token_by=way, env={
                    "NOTIFY_SOCKET": "/nowhere", "CREDENTIALS_DIRECTORY": "/nowhere",
                    "LISTEN_FDS": "1"})
                environment = self.environment()
                for name, value in environment.items():
                    self.assertNotIn(TOKEN, value, name)
                for name in ("TOWER_ACCESS_TOKEN", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY",
                             "LISTEN_FDS"):
                    self.assertNotIn(name, environment)
                agent.terminate()
                self.assertEqual(agent.wait(), 0)

    def test_user_mode_inherits(self):
        self.in_mode("user")
        agent = self.online_agent(env={"SLURM_CONF": "/etc/slurm.conf", "ODD": "a=b\nc",
                                       "LD_LIBRARY_PATH": "/opt/lib", "EMPTY": ""})
        environment = self.environment()
        self.assertLessEqual({"SLURM_CONF": "/etc/slurm.conf", "ODD": "a=b\nc", "EMPTY": "",
                              "LD_LIBRARY_PATH": "/opt/lib", "HOME": agent.home,
                              "TW_AGENT_WORK": agent.work_dir}.items(), environment.items())

    @modes()
    def test_limits_of_the_shell(self):
        """What ulimit and umask do in the shell that says the environment reaches commands, as a
        profile's lines reach a login's jobs."""
        agent = self.online_agent(config={
            "env_init": "ulimit -Sn 333; ulimit -Hc 12345; ulimit -Sc 0; umask 027"})
        told = "ulimit -Sn; ulimit -Hc; ulimit -Sc; umask"
        self.assertEqual(self.tower.run(told).output.split(), [b"333", b"12345", b"0", b"0027"])
        agent.terminate()
        agent.wait()
        self.online_agent(config={"env_init": "umask 027", "umask": "007"})
        self.assertEqual(self.tower.run("umask").output, b"0007\n", "the key goes first")

    def test_shell_that_cannot_say_its_limits(self):
        """Its first variable must not be taken for them: nothing of it is used, and the log says so."""
        self.in_mode("system")
        agent = self.online_agent(config={"env_init": "ulimit -n 10"})
        agent.wait_log("the shell ended .* without saying its (limits|environment)")
        environment = self.environment()
        self.assertLessEqual({"USER", "HOME", "PATH", "LOGNAME", "SHELL"}, environment.keys())

    def test_system_mode_logs_in(self):
        self.in_mode("system")
        agent = self.online_agent(env={"ROOTS_OWN": "secret", "SLURM_CONF": "/etc/slurm.conf",
                                       "KEPT": "yes"},
                                  config={"pass_env": "KEPT", "set_env": "SITE=lab 1"})
        environment = self.environment()
        entry = pwd.getpwnam(agent.user)
        self.assertLessEqual({"HOME": entry.pw_dir, "USER": entry.pw_name,
                              "LOGNAME": entry.pw_name, "SHELL": entry.pw_shell, "KEPT": "yes",
                              "SITE": "lab 1", "TW_AGENT_WORK": agent.work_dir}.items(),
                             environment.items())
        self.assertIn("/usr/bin", environment["PATH"].split(":"))
        self.assertNotIn("ROOTS_OWN", environment)
        self.assertNotIn("SLURM_CONF", environment)

    def test_system_mode_without_login(self):
        self.in_mode("system")
        agent = self.online_agent(env={"ROOTS_OWN": "x"}, config={"env_from": "none"})
        environment = self.environment()
        self.assertEqual(environment["TW_AGENT_WORK"], agent.work_dir)
        self.assertIn("PATH", environment)
        self.assertNotIn("ROOTS_OWN", environment)

    @modes()
    def test_limits_are_those_of_the_start(self):
        self.online_agent()
        with open("/proc/self/limits", "rb") as file:
            self.assertEqual(self.tower.run("cat /proc/self/limits").output, file.read())
        mask = os.umask(0o22)
        os.umask(mask)
        self.assertEqual(int(self.tower.run("umask").output, 8), mask)
        signals = self.tower.run("grep -E 'Sig(Blk|Ign)' /proc/self/status").output.decode()
        # Python's subprocess module restores what Python itself ignores.
        pythons = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
        with open("/proc/self/status", encoding="utf-8") as file:
            own = {name: int(value, 16) for name, value in
                   re.findall(r"(?m)^Sig(Blk|Ign):\t([0-9a-f]+)", file.read())}
        own["Ign"] &= ~pythons
        self.assertEqual({name: int(value, 16) for name, value in
                          re.findall(r"Sig(Blk|Ign):\t([0-9a-f]+)", signals)}, own)
        scores = self.tower.run("cat /proc/self/oom_score_adj; nice").output.split()
        with open("/proc/self/oom_score_adj", "rb") as file:
            own = [file.read().strip(), b"%d" % os.getpriority(os.PRIO_PROCESS, 0)]
        self.assertEqual(scores, own)


if __name__ == "__main__":
    harness.main()
