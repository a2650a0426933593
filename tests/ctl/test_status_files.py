#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl status: files that lie, an agent that hangs; and --watch."""

import contextlib
import ctypes
import json
import os
import pty
import select
import signal
import subprocess
import time

from status import StatusCase
from harness import CONTROL, TIMEOUT, main, modes
from support import read_status, status_file

_IN_CLOSE_NOWRITE = 0x10


class Lies(StatusCase):
    """In user mode commands can write the files."""

    def test_files(self):
        self.mode = "user"
        agent = self.online_agent()
        self.settled(agent)
        self.stopped_core(agent)
        good = read_status(agent)

        def changed(**keys):
            return json.dumps({**good, **keys})
        cases = {
            b"": "no whole JSON", b"{": "no whole JSON", json.dumps(good)[:200]: "no whole JSON",
            b"\0" * 1000: "no whole JSON", b"[" * 100000: "no whole JSON", b"[]": "no JSON object",
            b" " * 300000: "too long", '{"format":1,"format":1}': "no whole JSON",
            '{"version":"0.9"}': "no format", changed(format=2): "its format is 2, and this .* 1:",
            changed(format="1"): "no format", changed(format=1 << 62): "its format is",
            changed(pid=-1): '"pid" in it', changed(pid=1 << 60): '"pid" in it',
            changed(written="now"): '"written" in it', changed(since=1e300): '"since" in it',
            changed(state=None): '"state" in it', changed(url="x" * 9000): '"url" in it',
            changed(running={}): '"running" in it', changed(running=[{}]): '"running" in it',
            changed(running=[{"id": "a", "seconds": 1}] * 65): '"running" in it',
            changed(sandbox="full"): '"level" in it',
            changed(server=[]): '"version" in it', changed(exitCode=999): '"exitCode" in it',
            changed(written=1 << 50): '"written" in it',
            changed(pid=agent.pid + 1): "is of an earlier run, process"}
        for content, words in cases.items():
            self.write(agent, content)
            code, out, err = self.ask(agent)
            self.assertEqual((code, err), (1, ""), content[:100])
            self.assertRegex(out, rf"^UNKNOWN \(process {agent.pid}\): .*{words}")
            report = json.loads(self.ask(agent, "--json")[1])
            self.assertEqual((report["online"], report["condition"]), (False, "unknown"))
        os.unlink(status_file(agent))
        folder = os.path.join(agent.state_dir, os.listdir(agent.state_dir)[0])
        for make in (lambda path: os.symlink("/etc/passwd", path), os.mkfifo, os.mkdir):
            make(os.path.join(folder, "status.json"))
            code, out, _ = self.ask(agent)
            self.assertEqual(code, 1)
            self.assertRegex(out, "^UNKNOWN .*status.json cannot be used: ")
            self.assertNotIn("root:", out)
            path = os.path.join(folder, "status.json")
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)

    def test_texts(self):
        """Nothing raw reaches a terminal, in text or JSON."""
        self.mode = "user"
        agent = self.online_agent()
        self.settled(agent)
        self.stopped_core(agent)
        bad = "\x1b[2J\u202eevil\u009b\x7f"
        status = read_status(agent)
        for key in ("version", "state", "reason", "lastError", "connectionId", "url", "workDir",
                    "mode", "attestation"):
            status[key] = bad
        status |= {"server": {"version": bad, "apiVersion": bad}, "lastErrorTime": 1,
                   "running": [{"id": bad, "seconds": 1 << 52}], "since": 99999999999}
        status["sandbox"] |= {"level": bad, "reduced": [bad]}
        self.write(agent, json.dumps(status))
        for arguments in ([], ["--json"], ["--all"], ["--all", "--json"]):
            code, out, err = self.ask(agent, *arguments)
            self.assertEqual((code, err), (1, ""))
            for character in "\x1b\u202e\u009b":
                self.assertNotIn(character, out)

    def test_long_names(self):
        """An instance that says more of itself than fits is shown all the same, and so is one in a
        directory whose name is no text."""
        self.mode = "user"
        agent = self.online_agent()
        self.settled(agent)
        self.stopped_core(agent)
        self.write(agent, json.dumps({**read_status(agent), "connectionId": "a" + "\u00e9" * 2000}))
        folder = os.path.join(agent.state_dir, os.listdir(agent.state_dir)[0])
        other = os.path.join(os.fsencode(agent.state_dir),
                             b"\xff@" + os.fsencode(folder.rpartition("@")[2]))
        os.mkdir(other)
        for arguments, n in ((["--json", "lab"], 1), (["--all", "--json"], 2)):
            _, out, err = self.ask(agent, *arguments)
            report = json.loads(out)
            found = report["instances"] if n > 1 else [report]
            self.assertEqual((err, len(found)), ("", n))
            self.assertIn(folder, [item["stateDirectory"] for item in found])

    @modes("system", "user")
    def test_hangs(self):
        agent = self.online_agent()
        self.settled(agent)
        self.stopped_core(agent)
        status = read_status(agent)
        self.write(agent, json.dumps({**status, "nextWrite": int(time.time()) - 1,
                                      "written": int(time.time()) - 500}))
        code, out, _ = self.ask(agent)
        self.assertEqual(code, 1)
        self.assertRegex(out, rf"^NOT RESPONDING: process {agent.pid} runs, but has not updated its "
                              "status for 8 min; it was ONLINE\n")

    def test_first_file(self):
        """An agent writes it before it knows its pid: whoever asks then waits for the next one."""
        self.mode = "user"
        agent = self.online_agent()
        self.settled(agent)
        self.stopped_core(agent)
        good, now = read_status(agent), int(time.time())
        path = status_file(agent)
        for state in ("probing", "logging-in", "connecting"):
            self.write(agent, json.dumps(good), "next.json")
            self.write(agent, json.dumps({**good, "pid": 0, "state": state, "started": now}))
            with self.watched(path, _IN_CLOSE_NOWRITE) as was_read:
                process = subprocess.Popen([CONTROL, "status", "--state-dir", agent.state_dir],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           cwd="/", env={"PATH": "/usr/bin", "HOME": "/"},
                                           **self.identity())
                was_read()
                os.rename(os.path.join(os.path.dirname(path), "next.json"), path)
            out, _ = process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, 0, out)
            self.assertRegex(out, rb"^ONLINE since ")

    @contextlib.contextmanager
    def watched(self, path, event):
        """Waits, when it is called, until this happened to the file."""
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_CLOEXEC)
        self.assertGreaterEqual(libc.inotify_add_watch(watch, path.encode(), event), 0)
        try:
            yield lambda: self.assertTrue(select.select([watch], [], [], TIMEOUT)[0], path)
        finally:
            os.close(watch)

    def test_lock(self):
        self.mode = "user"
        agent = self.online_agent()
        self.settled(agent)
        for content in ("1\n", "", "4194303\n", "-1\n", "9" * 100, "\x1b[31m"):
            self.write(agent, content, "lock")
            code, out, _ = self.ask(agent)
            self.assertEqual(code, 1)
            self.assertRegex(out, "^UNKNOWN.*: the lock .* is held, and process -?\\d+, which")


class Watch(StatusCase):
    def watch(self, agent, out, *arguments):
        process = subprocess.Popen([CONTROL, "status", "--watch", "--state-dir", agent.state_dir,
                                    *arguments], stdin=subprocess.DEVNULL, stdout=out, cwd="/",
                                   env={"PATH": "/usr/bin", "HOME": "/"}, **self.identity())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def until(self, fd, words):
        """Reads until the words came."""
        text, deadline = "", time.monotonic() + TIMEOUT
        while words not in text:
            if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{words!r} did not come: {text!r}")
            text += os.read(fd, 65536).decode()
        return text

    def test_lines(self):
        """No terminal: a line is appended for each change."""
        agent = self.online_agent()
        self.settled(agent)
        for arguments in ([], ["--all"]):
            process = self.watch(agent, subprocess.PIPE, *arguments)
            fd = process.stdout.fileno()
            text = self.until(fd, "ONLINE since")
            self.assertRegex(text, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  lab +ONLINE since")
            self.tower.stop_listening()  # it stays so until it was seen
            self.tower.agent.close(1011)
            text = self.until(fd, "WAITING since")
            self.tower.start_listening()
            text += self.until(fd, "ONLINE since")
            self.assertNotIn("\x1b", text)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(TIMEOUT), 0)
            process.stdout.close()
        process = self.watch(agent, subprocess.PIPE)
        self.until(process.stdout.fileno(), "ONLINE since")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.until(process.stdout.fileno(), "NOT RUNNING since")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(TIMEOUT), 1)
        process.stdout.close()

    def test_json(self):
        agent = self.online_agent()
        self.settled(agent)
        process = self.watch(agent, subprocess.PIPE, "--json")
        self.assertTrue(json.loads(self.until(process.stdout.fileno(), "\n"))["online"])
        process.stdout.close()
        self.assertEqual(process.wait(TIMEOUT), 0, "its reader is gone")

    @modes("user", "system")
    def test_terminal(self):
        agent = self.online_agent()
        self.settled(agent)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.watch(agent, theirs)
        os.close(theirs)
        text = self.until(ours, "attestation")
        self.assertTrue(text.startswith("\x1b[H\x1b[J"), text)
        self.tower.agent.run("true")
        self.until(ours, "1 received, 1 started, 1 finished")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(TIMEOUT), 0)


if __name__ == "__main__":
    main()
