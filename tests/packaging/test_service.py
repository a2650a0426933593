#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The installed unit under a real systemd: start, reload, end, failures, what outlives it, an upgrade while commands run."""

import os
import pwd
import re
import resource
import select
import shutil
import subprocess
import tempfile

import packages
import harness
from harness import RUN_AS, TIMEOUT
from packages import NAME, WORK, PackageCase

UNIT = f"tw-agent@{NAME}.service"
LOG = "/var/log/tw-agent.log"


class Service(PackageCase):
    """One instance, installed, its log in a file since no journal runs here."""

    def setUp(self):
        super().setUp()
        self.host = self.installed("systemd")
        self.drop_in("log", "[Service]", f"StandardError=append:{LOG}")

    def drop_in(self, name, *lines):
        self.host.write(f"/etc/systemd/system/tw-agent@.service.d/{name}.conf", "\n".join(lines) + "\n")
        self.host.run("systemctl", "daemon-reload")

    def start(self):
        done = self.host.run("systemctl", "start", UNIT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + self.log() + self.host.log()[-1500:])
        self.wait_online()

    def log(self):
        return self.host.read(LOG) if os.path.exists(self.host.path(LOG)) else ""

    def show(self, *names):
        said = self.host.run("systemctl", "show", UNIT, *(f"--property={name}" for name in names))
        values = dict(line.split("=", 1) for line in said.splitlines())
        return [values[name] for name in names]

    def wait_shown(self, name, value, timeout=TIMEOUT):
        """Until the unit's property has that value. Asked again and again: its signals need a bus, and none runs here."""
        for _ in range(timeout * 10):
            if self.show(name) == [value]:
                return
            select.select([], [], [], 0.1)
        self.fail(f"{name} is {self.show(name)}, not {value}\n{self.log()}\n{self.host.log()[-2000:]}")

    def gate(self, name="gate"):
        """A command that waits until open() is called: its text, and how to let it go on."""
        paths = [f"{WORK}/{name}.{end}" for end in ("ready", "go")]
        for path in paths:
            os.mkfifo(self.host.path(path))
            os.chown(self.host.path(path), pwd.getpwnam(RUN_AS).pw_uid, -1)
        ready, go = (os.open(self.host.path(path), os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK) for path in paths)
        self.addCleanup(os.close, ready)
        self.addCleanup(os.close, go)

        def reached():
            self.assertTrue(select.select([ready], [], [], TIMEOUT)[0], "no command came to the gate")
        return f"echo here >{paths[0]}; read _ <{paths[1]}", reached, lambda: os.write(go, b"\n")

    def detached(self):
        """Starts what left its process group, and gives its process's id inside."""
        text = "setsid nohup sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"
        return int(self.tower.run(text).output)

    def alive(self, pid):
        return os.path.exists(self.host.path(f"/proc/{pid}"))

    def wait_ended(self, pid):
        """Whoever killed it does not wait until it has died."""
        wait = ("import os, select\ntry:\n    process = os.pidfd_open({0})\nexcept ProcessLookupError:\n    raise SystemExit\n"
                "raise SystemExit(not select.select([process], [], [], {1})[0])")
        done = self.host.run("python3", "-c", wait.format(pid, TIMEOUT), check=False)
        self.assertEqual(done.returncode, 0, f"process {pid} runs on\n{done.stdout}")


class Life(Service):
    def test_start_reload_stop(self):
        self.start()
        self.assertEqual(self.show("ActiveState", "Slice"), ["active", "tw-agent.slice"])
        self.assertEqual(self.tower.run("id -un").output.decode().strip(), RUN_AS)
        limits = self.tower.run("ulimit -Hs; ulimit -s; ulimit -Hn; ulimit -n; umask; grep NoNewPrivs /proc/self/status")
        most = 524288
        if self.host.run("prlimit", f"--nofile={most}:{most}", "true", check=False).returncode != 0:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # a container may have less, and not be able to raise it
        self.assertEqual(limits.output.decode().split(),
                         ["unlimited", "8192", str(most), "1024", "0022", "NoNewPrivs:", "1"])
        parent = int(self.show("MainPID")[0])
        self.assertRegex(self.host.read(f"/proc/{parent}/status"), r"(?m)^NoNewPrivs:\s+1$")
        self.assertNotRegex(self.log(), "setuid_helpers = yes has no effect")
        self.attack()
        self.host.run("systemctl", "reload", UNIT)
        self.assertEqual(self.tower.run("echo again").output, b"again\n")
        self.host.run("systemctl", "stop", UNIT)
        self.assertEqual(self.show("ActiveState", "Result", "ExecMainStatus"), ["inactive", "success", "0"])
        self.tower.wait_event("ws-close-received", code=1000)

    def attack(self):
        """What the agent tries against itself fails under the unit's directives too, and none of them keeps it from trying."""
        said = self.host.run("tw-agentctl", "attest", NAME, check=False)
        self.assertEqual(said.returncode, 0, said.stdout + self.log())

    def test_no_new_privs_is_left_to_the_settings(self):
        """Filters of a unit may bring no_new_privs with them, which setuid_helpers would be lost to."""
        packages.configure(self.host, self.tower, setuid_helpers="yes")
        self.start()
        self.assertNotRegex(self.log(), "has no effect")
        self.assertIn(b"NoNewPrivs:\t0", self.tower.run("cat /proc/self/status").output)

    def test_target(self):
        self.host.run("systemctl", "enable", UNIT)
        self.host.run("systemctl", "start", "tw-agent.target")
        self.wait_online()
        self.host.run("systemctl", "stop", "tw-agent.target")
        self.wait_shown("ActiveState", "inactive")

    def test_target_that_was_not_started_stops_all_the_same(self):
        self.start()
        self.host.run("systemctl", "stop", "tw-agent.target")
        self.wait_shown("ActiveState", "inactive")

    def test_killed_agent_comes_back(self):
        self.drop_in("soon", "[Service]", "RestartSec=100ms")
        self.start()
        before = self.show("MainPID")
        conversation = self.tower.agent
        self.host.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT)
        self.tower.wait_online(TIMEOUT, NAME, newer_than=conversation)
        self.assertEqual(self.tower.run("echo back").output, b"back\n")
        self.assertNotEqual(self.show("MainPID"), before)
        self.assertEqual(self.show("NRestarts"), ["1"])

    def test_nothing_is_tried_again_that_somebody_must_change(self):
        self.drop_in("soon", "[Service]", "RestartSec=100ms")
        for content, status in (({"run_as": "root"}, "3"), ({"require": "landlock>=999"}, "6")):
            with self.subTest(status):
                packages.configure(self.host, self.tower, **content)
                self.assertNotEqual(self.host.run("systemctl", "start", UNIT, check=False).returncode, 0)
                self.assertEqual(self.show("ActiveState", "ExecMainStatus", "NRestarts"), ["failed", status, "0"])
        packages.configure(self.host, self.tower, token="another-token-0123456789")
        self.host.run("systemctl", "start", UNIT, check=False)
        self.wait_shown("ActiveState", "failed")
        self.assertEqual(self.show("ExecMainStatus", "NRestarts"), ["4", "0"])

    def test_service_credential(self):
        packages.configure(self.host, self.tower)
        config = self.host.read(f"/etc/tw-agent/{NAME}.conf")
        self.host.write(f"/etc/tw-agent/{NAME}.conf", re.sub("(?m)^token_file.*\n", "", config), 0o640)
        self.host.run("chown", "root:root", f"/etc/tw-agent/{NAME}.token")
        os.chmod(self.host.path(f"/etc/tw-agent/{NAME}.token"), 0o600)
        self.drop_in("token", "[Service]", "LoadCredential=token:/etc/tw-agent/%i.token")
        self.start()
        seen = self.tower.run("env | grep -c CREDENTIALS; cat /run/credentials/*/token; mount | grep -c /run/credentials")
        self.assertNotIn(harness.TOKEN.encode(), seen.output)
        self.assertEqual(seen.output.split()[0], b"0")


class UserUnit(PackageCase):
    """The user's unit under a user's manager, which the machine's starts without logind."""

    MANAGER = """[Service]
Type=notify
User={user}
Delegate=yes
Environment=XDG_RUNTIME_DIR=/run/user/1 HOME={home}
ExecStartPre=+/bin/install -d -m 700 -o {user} /run/user/1
ExecStart=/lib/systemd/systemd --user
"""

    def test_start_stop(self):
        host = self.machine("systemd")
        packages.install(host, packages.package("*.deb"))
        user, home = RUN_AS, pwd.getpwnam(RUN_AS).pw_dir
        host.run("sh", "-c", "rm -rf /usr/lib/systemd/user/*.wants /usr/lib/systemd/user-generators")
        host.write("/run/systemd/system/manager.service", self.MANAGER.format(user=user, home=home))
        packages.configure(host, self.tower)
        text = host.read(f"/etc/tw-agent/{NAME}.conf").replace("/etc/tw-agent/ca.pem", "/etc/ca.pem")
        text = re.sub("(?m)^run_as.*\n", "", text).replace("/etc/tw-agent", f"{home}/.config/tw-agent")
        host.run("cp", "/etc/tw-agent/ca.pem", "/etc/ca.pem")
        host.write(f"{home}/.config/tw-agent/{NAME}.conf", text, 0o600)
        host.write(f"{home}/.config/tw-agent/{NAME}.token", harness.TOKEN, 0o600)
        host.run("chown", "-R", f"{user}:", home)
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "start", "manager")
        control = ("setpriv", "--reuid", user, "--regid", user, "--init-groups", "env", "XDG_RUNTIME_DIR=/run/user/1",
                   "systemctl", "--user")
        host.run(*control, "start", UNIT)
        self.wait_online()
        self.assertEqual(self.tower.run("id -un").output.decode().strip(), user)
        host.run(*control, "stop", UNIT)
        self.tower.wait_event("ws-close-received", code=1000)
        self.assertIn("ExecMainStatus=0", host.run(*control, "show", UNIT, "--property=ExecMainStatus"))


class Outlives(Service):
    def test_detached_work_survives_a_stop_and_its_group_does_not(self):
        self.start()
        detached = self.detached()
        group = int(self.tower.run("sleep 1000 >/dev/null 2>&1 & echo $!").output)
        self.host.run("systemctl", "stop", UNIT)
        self.assertTrue(self.alive(detached))
        self.wait_ended(group)
        self.start()
        self.assertTrue(self.alive(detached))

    def test_killmode_mixed_would_end_it(self):
        self.drop_in("mixed", "[Service]", "KillMode=mixed")
        self.start()
        detached = self.detached()
        self.host.run("systemctl", "stop", UNIT)
        self.wait_shown("ActiveState", "inactive")
        self.wait_ended(detached)


class Upgrade(Service):
    """A new version whose programs do not understand the old one's messages."""

    def newer(self):
        """The deb once more, as a later version, with network programs that understand nobody."""
        with tempfile.TemporaryDirectory(prefix="tw-deb-", dir="/tmp") as work:
            tree = os.path.join(work, "tree")
            subprocess.run(["dpkg-deb", "--raw-extract", packages.package("*.deb"), tree], check=True)
            control = os.path.join(tree, "DEBIAN/control")
            with open(control, encoding="utf-8") as file:
                text = re.sub(r"(?m)^Version: .*", "Version: 99.0.0-1", file.read())
            with open(control, "w", encoding="utf-8") as file:
                file.write(text)
            for name in ("tw-agent-net-session", "tw-agent-net-connect"):
                path = os.path.join(tree, "usr/libexec/tw-agent", name)
                shutil.move(path, path + ".kept")
                with open(path, "w", encoding="ascii") as file:
                    file.write("#!/bin/sh\ntouch /tmp/new-program-ran\nexit 1\n")
                os.chmod(path, 0o755)
            subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, self.host.path("/tmp/newer.deb")],
                           check=True, stdout=subprocess.DEVNULL)

    def test_running_instances_keep_their_programs(self):
        """Where nothing restarts them (policy-rc.d): old parents start old programs, whatever lies at their paths."""
        self.host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        self.start()
        pid = self.show("MainPID")
        self.newer()
        self.host.run("dpkg", "--install", "/tmp/newer.deb")
        self.assertEqual(self.show("MainPID"), pid)
        before = self.tower.agent
        before.drop()
        self.tower.wait_online(TIMEOUT, NAME, newer_than=before)
        self.assertEqual(self.tower.run("echo old").output, b"old\n")
        self.assertFalse(os.path.exists(self.host.path("/tmp/new-program-ran")))

    def test_while_commands_run(self):
        """Running commands finish, their results arrive, one that could not arrive waits on disk; then the new version runs."""
        self.start()
        text, reached, let_go = self.gate()
        old = self.show("MainPID")
        conversation = self.tower.agent
        running = conversation.send_command(text + "; echo finished; exit 7")
        reached()
        packages.install(self.host, packages.package("*.deb"))
        self.wait_shown("ActiveState", "deactivating")
        refused = self.tower.run("echo not run")
        self.assertEqual(refused.exit_status, 75)
        let_go()
        result = self.tower.wait_result(running)
        self.assertEqual((result.output, result.exit_status), (b"finished\n", 7))
        self.tower.wait_online(TIMEOUT, NAME, newer_than=conversation)
        self.wait_shown("ActiveState", "active")
        self.assertNotEqual(self.show("MainPID"), old)
        self.assertEqual(self.tower.run("echo new").output, b"new\n")

    def test_result_that_cannot_be_delivered_is_kept(self):
        """Tower is away while the old version drains; the new version brings the result."""
        packages.configure(self.host, self.tower, heartbeat="500ms")
        self.start()
        text, reached, let_go = self.gate()
        old = self.show("MainPID")
        conversation = self.tower.agent
        running = conversation.send_command(text + "; echo kept; exit 5")
        reached()
        self.tower.stop_listening()
        conversation.drop()
        packages.install(self.host, packages.package("*.deb"))
        self.wait_shown("ActiveState", "deactivating")
        let_go()
        self.wait_shown("ActiveState", "active")
        self.assertNotEqual(self.show("MainPID"), old)
        self.assertEqual(self.tower.results(running), [])
        self.tower.start_listening()
        result = self.tower.wait_result(running)
        self.assertEqual((result.output, result.exit_status), (b"kept\n", 5))


if __name__ == "__main__":
    harness.main()
