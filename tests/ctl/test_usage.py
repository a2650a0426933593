#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl usage: the lines that it prints, run as they stand once the placeholders are
replaced, start an agent."""

import os
import signal
import subprocess

from control import ControlCase, own_user
from ctl import mounted, no_view_of_etc
from harness import AS_ROOT, PROGRAM, TIMEOUT, TOKEN, identity_of, main, modes

ODD = "-it's $(odd) \"ID\" & -more"


class Usage(ControlCase):
    def usage(self, *arguments, **options):
        return self.well("usage", *arguments, bare=True, **options)

    def test_no_token_and_nobody_is_asked(self):
        done = self.usage("lab", "--url", self.tower.url, env={"TOWER_ACCESS_TOKEN": TOKEN})
        self.assertIn("<YOUR TOKEN>", done.out)
        self.assertEqual(self.tower.events.list("tcp-accept"), [])

    def test_refused(self):
        self.expect(2, "give a connection ID, or the name of an instance", "usage", bare=True)
        self.expect(2, "more than one AGENT_CONNECTION_ID", "usage", "lab", "lab2", bare=True)
        self.expect(2, "AGENT_CONNECTION_ID is not a text", "usage", "a\nb", bare=True)
        self.expect(2, "http is refused", "usage", "lab", "--url=http://x", bare=True)
        self.expect(2, "has no option --token-file", "usage", "lab", "--token-file=/x", bare=True)

    @modes("user")
    def test_plain_lines_start_an_agent(self):
        plain = self.usage("--url", self.tower.url, "--json", "--", ODD).json["plain"]
        lines = plain.replace("<YOUR TOKEN>", TOKEN).splitlines()
        # What only this Tower and these directories need comes by the configuration file.
        config = self.write("agent.conf", f"ca_file = {self.tower.ca}\nwork_dir = {self.directory}\n"
                                          f"state_dir = {self.directory}/state\n")
        os.chown(self.directory, *[os.stat(config).st_uid, -1])
        script = "\n".join([*lines[:-1], lines[-1].replace("tw-agent ", f"exec tw-agent --config "
                                                           f"{config} ", 1)])
        agent = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=self.environment({"PATH": os.path.dirname(PROGRAM)
                                                       + ":/usr/bin:/bin"}), **self.identity)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        self.assertEqual(self.tower.wait_online(TIMEOUT).connection_id, ODD)
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(TIMEOUT), 0)

    @modes("system")
    def test_hardened_lines_make_an_instance(self):
        """With a systemctl that only writes down how it was called."""
        if reason := no_view_of_etc():
            self.skipTest(reason)
        text = self.usage("--url", self.tower.url, "--run-as", own_user(), "--", ODD).out
        lines = text.partition("# Hardened")[2].partition("# Plain")[0]
        os.makedirs("/etc/tw-agent", exist_ok=True)
        place = os.path.join(self.directory, "etc")
        os.mkdir(place)
        called = os.path.join(self.directory, "called")
        self.write("bin/systemctl", f'#!/bin/sh\necho "$*" > {called}\n', 0o755)
        script = ("# Hardened" + lines.replace("<YOUR TOKEN>", TOKEN)
                  + f"exec {PROGRAM} --check-config --config /etc/tw-agent/lab.conf")
        done = subprocess.run([*mounted(("bind", place, "/etc/tw-agent", "")), "/bin/sh", "-ec",
                               script], env=self.environment({
                                   "PATH": f"{self.directory}/bin:/usr/bin:/bin:/usr/sbin:/sbin"}),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=TIMEOUT)
        self.assertEqual((done.returncode, done.stdout), (0, "/etc/tw-agent/lab.conf: good\n"))
        with open(called, encoding="utf-8") as file:
            self.assertEqual(file.read(), "enable --now tw-agent@lab\n")
        token = os.stat(os.path.join(place, "lab.token"))
        group = identity_of("tw-agent")["group"] if AS_ROOT else -1
        self.assertEqual((token.st_mode & 0o7777, token.st_uid, token.st_gid), (0o640, 0, group))
        with open(os.path.join(place, "lab.conf"), encoding="utf-8") as file:
            self.assertIn(f"connection_id = {ODD}\n", file.read())

    @modes("system", "user")
    def test_an_instance(self):
        """Its configuration file is not written anew."""
        under = self.instance("site", url=self.tower.url, connection_id="lab-id")
        found = self.usage("site", "--json", under=under).json
        self.assertEqual((found["connectionId"], found["url"]), ("lab-id", self.tower.url))
        self.assertNotIn(".conf", found["hardened"])
        unit = "systemctl enable" if self.mode == "system" else "systemctl --user enable"
        self.assertIn(f"{unit} --now tw-agent@site\n", found["hardened"])
        self.assertIn("site.token <<'END'\n<YOUR TOKEN>\nEND\n", found["hardened"])
        self.assertIn(f"tw-agent --url {self.tower.url} lab-id\n", found["plain"])


main()
