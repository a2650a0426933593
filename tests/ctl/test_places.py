#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl check: the state directory, the work directory, certificates and proxy."""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys

from ctl import HERE, CtlCase, harness, mounted, no_view_of_etc
from harness import AS_ROOT, PROGRAM, give, shared_pki

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "faults"))
import fuse  # noqa: E402

NO_MOUNTS = no_view_of_etc()


class Metrics(CtlCase):
    def test_place(self):
        for host in self.modes():
            place = host.make("place", host.agent_user, 0o700)
            config = host.write("agent.conf", f"metrics_file = {place}/x.prom\n")
            if not host.system:
                give(config, host.user, 0o600)
            found = host.well(config=config).findings("metrics-file")
            self.assertEqual({severity for severity, _ in found}, {"ok"})
            self.assertEqual(os.listdir(place), [])
            if AS_ROOT:
                give(place, "root", 0o770, "root")
                host.finds("metrics-file", "error", "Permission denied.*let the agent's user",
                           config=config)
            shutil.rmtree(place)
            host.finds("metrics-file", "error", "No such file.*make the directory", config=config)


class State(CtlCase):
    def test_missing(self):
        for host in self.modes():
            above = host.make("above", "root" if host.system else host.user, 0o755)
            new = os.path.join(above, "new")
            self.assertRegex(str(host.well(state_dir=new).findings("state-directory")), "will be made")
            self.assertFalse(os.path.exists(new))
            host.finds("state-directory", "error", "directory above it does not exist",
                       state_dir=os.path.join(new, "new"))
        host = self.mode("user")
        if AS_ROOT:
            give(os.path.join(host.directory, "work"), "root", 0o755)
            host.finds("state-directory", "error", "cannot be made", work_dir="/tmp",
                       state_dir=os.path.join(host.work, "new"))

    def test_default(self):
        host = self.mode("user")
        host.well(state_dir=None)
        self.assertEqual(sorted(os.listdir(host.directory)), ["state", "token", "work"])
        os.makedirs(os.path.join(host.directory, ".local"))
        give(os.path.join(host.directory, ".local"), host.user, 0o500)
        host.finds("state-directory", "error", "cannot be made", state_dir=None)

    def test_unsafe(self):
        for host in self.modes():
            os.symlink(host.state, os.path.join(host.directory, "link"))
            host.finds("state-directory", "error", "symbolic link",
                       state_dir=os.path.join(host.directory, "link"))
            host.finds("state-directory", "error", "not a directory", state_dir=host.token)
            for mode, words in ((0o770, "others can write"), (0o707, "others can write"),
                                (0o500, "cannot write")):
                os.chmod(host.state, mode)
                host.finds("state-directory", "error", words)
            os.chmod(host.state, 0o700)
            host.well()
            if AS_ROOT:
                shutil.chown(host.state, "daemon")
                host.finds("state-directory", "error", "another user")

    def test_file_systems(self):
        if NO_MOUNTS:
            self.skipTest(NO_MOUNTS)
        host = self.mode("system")
        uid = pwd.getpwnam("tw-agent").pw_uid
        memory = ("tmpfs", "none", host.state, f"size=64k,mode=0700,uid={uid}")
        host.well(under=mounted(memory))
        full = mounted(memory)
        full[4] = full[4].replace('exec "$@"', f"head -c 65536 /dev/zero > '{host.state}/x'; "
                                  'exec "$@"')
        host.finds("state-directory", "error", "file system is full", under=full)
        host.finds("state-directory", "error", "read-only",
                   under=mounted((*memory[:3], memory[3] + ",ro")))

    def test_instance(self):
        """An agent that runs is seen, and not disturbed."""
        for host in self.modes():
            command = [PROGRAM, *host.options(url="https://127.0.0.1:9", token_file=host.token),
                       "lab"]
            identity = {} if host.system or not AS_ROOT else harness.identity_of(host.user)
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, cwd=host.directory,
                                  env={"PATH": "/usr/bin:/bin", "HOME": host.directory,
                                       "USER": host.user}, **identity) as agent:
                for line in agent.stderr:
                    if b" starts: connection ID" in line:
                        break
                try:
                    host.finds("instance", "note", "runs on this host", "lab")
                    self.assertEqual(host.well("other").findings("instance"), [])
                    self.assertIsNone(agent.poll())
                finally:
                    agent.terminate()
                    agent.communicate()
            self.assertEqual(host.well("lab").findings("instance"), [])


class Work(CtlCase):
    def test_unusable(self):
        for host in self.modes():
            file = host.write("file", "")
            host.finds("work-directory", "error", "Not a directory", work_dir=file)
            host.finds("work-directory", "error", "No such file", work_dir="/nowhere/work")
            os.chmod(host.work, 0o500)
            host.finds("work-directory", "warning", "cannot write there")
            os.chmod(host.work, 0o600)
            host.finds("work-directory", "error", "cannot enter it: Permission denied")
            os.chmod(host.work, 0o700)
            host.well()
            if AS_ROOT:
                shutil.chown(host.work, "root")  # who checks could enter, the commands' user not
                host.finds("work-directory", "error", "cannot enter it: Permission denied")

    def test_group_of_its_user(self):
        """Supplementary groups count."""
        host = self.mode("system")
        groups = harness.identity_of(host.user)["extra_groups"]
        give(host.work, "root", 0o770, groups[-1])
        host.well()

    def test_hangs(self):
        if reason := fuse.why_not():
            self.skipTest(reason)
        fuse.own_mounts()
        for host in self.modes():
            entry = pwd.getpwnam(host.user)
            files = fuse.FileSystem(host.work, entry.pw_uid, entry.pw_gid)
            try:
                host.well()
                files.hang(reading=True)  # whoever asks cannot be killed
                host.finds("work-directory", "error", "no answer in 5 s")  # check() has a limit
            finally:
                files.resume()
                files.close()


class Network(CtlCase):
    def test_certificates(self):
        for host in self.modes():
            content, key, expired = (
                pathlib.Path(path).read_text("ascii") for path in
                (shared_pki().ca, shared_pki().server().key, shared_pki().expired().cert))
            host.well("--ca-file", host.write("good.pem", content))
            body = content.index("\n", content.index("BEGIN CERTIFICATE")) + 1
            broken = content[:body] + "A" * 40 + content[body + 40:]
            for text, words in (("", "no certificate"), (key, "no certificate"),
                                (broken, "certificate 1 cannot be read"),
                                (expired, "none is valid today")):
                host.finds("ca-certificates", "error", words, "--ca-file",
                           host.write("bad.pem", text))
            host.finds("ca-certificates", "warning", "certificate 2 cannot be read", "--ca-file",
                       host.write("half.pem", content + broken))
            host.finds("ca-certificates", "error", "No such file", "--ca-file", "/nowhere.pem")

    def test_proxy(self):
        for host in self.modes():
            secret = "bd6f-proxy-password"
            path = host.write("proxy", f"http://user:{secret}@proxy.example:3128\n")
            report = host.well("--proxy-file", path)
            self.assertRegex(str(report.findings("proxy")), "http://proxy.example:3128.*password")
            self.assertNotIn(secret, report.text)
            host.finds("configuration", "error", "--proxy-file: No such file", "--proxy-file",
                       "/nowhere")


if __name__ == "__main__":
    harness.main()
