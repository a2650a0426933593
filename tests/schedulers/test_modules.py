#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sites whose scheduler is on the PATH only after `module load`, and login profiles that get in the
way: through Tower and the agent. What exec alone does with profiles is tested in tests/exec."""

import os
import pwd
import subprocess

import cases
import harness
from harness import AS_ROOT, identity_of, modes, own_user, why_not
from login_user import commands_user, write_profile
from slurm import Slurm
from support import public_directory, write_file

USER = "twlab-modules"
MODULES = "/usr/share/modules/init/bash"
CLIENTS = ("sbatch", "squeue", "scancel")
DEADLINE = 10  # seconds that a login shell may take

# As a site's: it talks, and knows a path of its own and where modules are.
PROFILE = """
echo 'Welcome to the cluster'
echo 'Quota exceeded' >&2
. {init}
export PATH={bin}
module use {modulefiles}
"""
MODULEFILE = """#%Module1.0
prepend-path PATH {clients}
setenv SLURM_CONF {conf}
setenv SITE_MODULE loaded
"""


def links(directory, names, source="/usr/bin"):
    for name in names:
        os.symlink(os.path.join(source, name), os.path.join(directory, name))


class Site(cases.JobCase):
    scheduler_type = Slurm

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if AS_ROOT:
            cls.enterClassContext(commands_user(USER))

    def setUp(self):
        super().setUp()
        if not os.path.exists(MODULES):
            self.skipTest("not installed: environment-modules (scripts/deps --test)")
        # Other shells than bash take no function from their environment.
        self.load = "module load"
        if os.path.basename(pwd.getpwnam(own_user()).pw_shell) != "bash":
            self.load = f". {os.path.dirname(MODULES)}/sh; module load"
        self.site = self.enterContext(public_directory())
        for name in ("bin", "clients", "modulefiles"):
            os.mkdir(os.path.join(self.site, name))
        links(f"{self.site}/bin", set(os.listdir("/usr/bin")) - set(CLIENTS))
        links(f"{self.site}/clients", CLIENTS)
        write_file(f"{self.site}/modulefiles", "slurm", MODULEFILE.format(
            clients=f"{self.site}/clients", conf=self.scheduler.conf))
        self.profile = PROFILE.format(init=MODULES, bin=f"{self.site}/bin",
                                      modulefiles=f"{self.site}/modulefiles")

    def site_agent(self, **config):
        """An agent of that site: in system mode from the user's profile; in user mode started
        from a shell that has read it."""
        if self.mode == "system":
            write_profile(USER, self.profile)
            self.agent = self.online_agent(config=config)
        else:
            profile = write_file(self.site, "profile", self.profile)
            said = subprocess.run(["bash", "-c", f". {profile} > /dev/null 2>&1; env -0"],
                                  env={"PATH": "/usr/bin:/bin"}, check=True,
                                  stdout=subprocess.PIPE, **identity_of(own_user())).stdout
            environment = dict(item.split("=", 1) for item in said.decode().split("\0") if item)
            self.agent = self.online_agent(config=config, env=environment)

    @modes()
    def test_module_load(self):
        submit = ("sbatch -o job.log <<'EOF'\n#!/bin/bash\necho \"$SLURM_JOB_NAME $SITE_MODULE\"\n"
                  "EOF\n")
        self.site_agent()
        for client in CLIENTS:
            self.assertRegex(self.command(client, 127), f"{client}: .*not found")
        self.agent.terminate()
        self.assertEqual(self.agent.wait(), 0)
        self.site_agent(env_init=f"{self.load} slurm", set_env="SBATCH_JOB_NAME=named by set_env")
        job = self.job_of(self.command(submit))
        self.wait_state(job, "CD")
        self.assertEqual(self.command("cat job.log"), "named by set_env loaded\n")
        said = self.command("command -v sbatch; env")
        self.assertEqual(said.splitlines()[0], f"{self.site}/clients/sbatch")
        for banner in ("Welcome", "Quota"):
            self.assertNotIn(banner, said)

    @modes()
    def test_unknown_module(self):
        """The line's failure is in the log, and commands run with what it left."""
        self.site_agent(env_init=f"export LEFT=1; {self.load} no-such-module")
        self.agent.wait_log("WARN .*env_init ended with status [1-9]")
        self.assertEqual(self.command("echo $LEFT"), "1\n")


class Hanging(harness.TowerCase):
    """At once, since each waits for the deadline: a profile, and a line of env_init."""

    @classmethod
    def setUpClass(cls):
        if AS_ROOT:
            cls.enterClassContext(commands_user(USER))

    def test_hanging(self):
        started = {}
        if not why_not("system"):
            write_profile(USER, "export LOST=1\nsleep 1000\n")
            self.mode = "system"
            started["profile"] = self.start_agent(connection_id="profile")
        self.mode = "user"
        started["line"] = self.start_agent(connection_id="line", env={"KEPT": "yes"}, config={
            "env_init": "export LOST=1; sleep 1000"})
        for id, words, output in (
                ("profile", "env_from = login: .* did not end .*; commands get a minimal", b"<>\n"),
                ("line", "env_init: .* did not end .*; commands get the environment without it",
                 b"<yes>\n")):
            if id not in started:
                print(f"SKIPPED: {self.id()}: a hanging profile: {why_not('system')}")
                continue
            started[id].wait_log("WARN .*" + words, timeout=harness.TIMEOUT + DEADLINE)
            conversation = self.tower.wait_online(harness.TIMEOUT, id)
            result = conversation.run("echo \"<$LOST$KEPT>\"")
            self.assertEqual((result.output, result.exit_status), (output, 0))
            for process in started[id].processes():
                if process.comm == "sleep":
                    self.assertTrue(process.wait_gone(harness.TIMEOUT), "what hung is ended")


if __name__ == "__main__":
    harness.main()
