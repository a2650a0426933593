#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A job submitted through the agent is the one that the user's own login would have submitted.

Slurm hands limits, umask and environment of whoever submits to the job: that is its default, and it
is not changed here. The same script is submitted from a login shell and through the agent, and what
the two jobs were given is compared but for what is named below. In system mode the login is one by
`su -`, in user mode it is the process that starts the agent, peculiar in every respect.
"""

import json
import os
import signal
import subprocess

import cases
import harness
from harness import AS_ROOT, PROGRAM, TOKEN, identity_of, own_user, why_not
from login_user import commands_user, write_profile
from probe import Probe, differences
from slurm import Slurm
from support import public_directory, write_file

USER, GROUP = "twlab-login", "twlab-extra"

# What differs from one job to the next, whoever submits.
EACH_JOB = {
    "environment SLURM_JOB_ID": "the job's own number",
    "environment SLURM_JOBID": "the same",
    "environment SLURM_TASK_PID": "the job's own process",
}
AGENT = {
    "environment TW_AGENT_WORK": "the agent tells its commands their work directory",
    "environment OLDPWD": "where a shell was before its last cd",
}
BASH = {  # a login's shell; commands run in /bin/sh
    "environment _": "what bash ran last",
    "environment SHLVL": "bash counts shells",
    "environment BASH_FUNC_": "functions that bash exports; dash as /bin/sh passes none on",
}
LOGIN = {
    "environment MAIL": "of a PAM session, and the agent opens none",
    "environment LANG": "the agent passes its own where the profile sets none",
    "environment XDG_SESSION_ID": "of a PAM session; gone when its user logs out",
    "environment XDG_SESSION_TYPE": "the same",
    "environment XDG_SESSION_CLASS": "the same",
    "environment XDG_RUNTIME_DIR": "the same",
    "environment DBUS_SESSION_BUS_ADDRESS": "the same",
}
SANDBOX = {  # of commands; a job is no child of theirs and has none
    "status NoNewPrivs": "commands gain no privileges",
    "status Seccomp": "commands have a filter",
}
SECRETS = {
    "TOWER_ACCESS_TOKEN": TOKEN,
    "HTTPS_PROXY": "http://someone:proxy-password@127.0.0.1:9",
    "NOTIFY_SOCKET": "/run/notify", "CREDENTIALS_DIRECTORY": "/run/credentials",
    "LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "INVOCATION_ID": "1" * 32,
    "JOURNAL_STREAM": "8:1", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "MAINPID": "1",
}
AROUND_SECRETS = {"NO_PROXY": "localhost"}

# Starts the agent in the state that a file describes, after another command in the same state.
_STARTER = """#!/usr/bin/python3
import json, os, resource, signal, subprocess, sys
with open({state!r}, encoding="utf-8") as file:
    state = json.load(file)
for number in signal.valid_signals() - {{signal.SIGKILL, signal.SIGSTOP}}:
    signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore some
for name, (soft, hard) in state["limits"].items():
    resource.setrlimit(getattr(resource, name), (soft, hard))
os.umask(state["umask"])
os.nice(state["nice"])
for number in state["ignored"]:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, state["blocked"])
with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
    file.write(str(state["oom_score_adj"]))
for command in state["before"]:
    subprocess.run(["/bin/bash", "-c", command], check=True, restore_signals=False)
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""
with open("/proc/self/oom_score_adj", encoding="ascii") as _file:
    OWN_SCORE = int(_file.read())  # going below it takes a capability that containers lack
PECULIAR_SCORE = min(OWN_SCORE + 100, 1000)
PLAIN = {"limits": {}, "umask": 0o22, "nice": 0, "ignored": [], "blocked": [],
         "oom_score_adj": OWN_SCORE, "before": []}
PECULIAR = {"limits": {"RLIMIT_NOFILE": [1234, 2345], "RLIMIT_CORE": [0, 4096000],
                       "RLIMIT_STACK": [4194304, 16777216], "RLIMIT_MEMLOCK": [49152, 65536],
                       "RLIMIT_NPROC": [4000, 5000], "RLIMIT_FSIZE": [50000000, 60000000]},
            "umask": 0o27, "nice": 3, "oom_score_adj": PECULIAR_SCORE, "before": [],
            "ignored": [signal.SIGUSR1, signal.SIGHUP], "blocked": [signal.SIGUSR2]}


PECULIAR_SEEN = {"ulimit -aS open files": "1234", "ulimit -aH open files": "2345", "umask": "0027",
                 "oom_score_adj": str(PECULIAR_SCORE),
                 # SigBlk is not among them: dash unblocks all signals when it starts.
                 "status SigIgn": f"{0x201:016x}"}
_SAY_LIMITS = """
import json, resource
print(json.dumps({name: resource.getrlimit(getattr(resource, name))
                  for name in dir(resource) if name.startswith("RLIMIT_")}))
"""
PROFILE = """
export SLURM_CONF={conf} SITE_SETTING='from the profile'
site_function() {{ echo "$@"; }}
export -f site_function
"""
PROFILE_LIMITS = "ulimit -Ss 4096; ulimit -Sn 700; ulimit -Hc 54321; umask 0007\n"
FUNCTION = "environment BASH_FUNC_site_function%%"


class Jobs(cases.JobCase):
    scheduler_type = Slurm
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if AS_ROOT:
            cls.enterClassContext(commands_user(USER, GROUP))

    def setUp(self):
        super().setUp()
        self.answers = self.enterContext(public_directory())
        os.chmod(self.answers, 0o777)
        self.probe = Probe(self.answers)
        self.addCleanup(self.probe.close)

    def starter(self, state):
        """A program that starts the agent in that state."""
        described = write_file(self.answers, "state.json", json.dumps(state))
        path = write_file(self.answers, "start", _STARTER.format(state=described, program=PROGRAM))
        os.chmod(path, 0o755)
        return path

    def submit(self, name):
        return (f"cd {self.answers} && "
                f"sbatch -o /dev/null {self.probe.command(self.answers, name)} > /dev/null")

    def direct(self, name):
        return f"cd {self.answers} && {self.probe.command(self.answers, name)}"

    def found(self, name):
        return self.probe.read(self.answers, name, cases.SLOW)

    def log_in(self, text):
        """Runs a command in a login shell of the user; gives its output."""
        return subprocess.run(["env", "-i", "PATH=/usr/bin:/bin", "su", "-", USER, "-c", text],
                              check=True, stdout=subprocess.PIPE, text=True).stdout

    def assert_same(self, reference, found, *named):
        """Nothing differs but what is named; a name that ends in _ stands for all that begin so."""
        names = {name for group in named for name in group}
        beginnings = tuple(name for name in names if name.endswith("_") and name[-2:] != " _")
        self.assertEqual({name: pair for name, pair in differences(reference, found).items()
                          if name not in names and not name.startswith(beginnings)}, {})

    def assert_no_secrets(self, found):
        text = "\n".join(f"{name}={value}" for name, value in found.items())
        for name, value in SECRETS.items():
            self.assertNotIn(f"environment {name}", found)
            if len(value) > 10:
                self.assertNotIn(value, text, name)

    def through_agent(self):
        """A job and a command that the agent ran, when it says what they were given."""
        self.command(self.submit("agent-job"))
        self.command(self.direct("agent-command"))
        job, command = self.found("agent-job"), self.found("agent-command")
        self.assert_no_secrets(job)
        self.assert_no_secrets(command)
        self.assertEqual((job["status Seccomp"], job["status NoNewPrivs"]), ("0", "0"))
        return job, command

    def test_system_mode(self):
        """Its unit is taken to set the limits that PAM gives a login; the profile does the rest."""
        if reason := why_not("system"):
            self.skipTest(reason)
        self.mode = "system"
        limits = json.loads(self.log_in(f"/usr/bin/python3 -c '{_SAY_LIMITS}'"))
        write_profile(USER, PROFILE.format(conf=self.scheduler.conf) + PROFILE_LIMITS)
        self.log_in(self.submit("login-job"))
        self.log_in(self.direct("login-command"))
        environment = {**SECRETS, **AROUND_SECRETS}
        self.online_agent(program=self.starter({**PLAIN, "limits": limits}), env=environment,
                          token_by="env", config={"pass_env": ", ".join(SECRETS)})
        job, command = self.through_agent()
        login = self.found("login-job")
        self.assertEqual(login["environment SITE_SETTING"], "from the profile")
        self.assertEqual((login["umask"], login["ulimit -aS open files"]), ("0007", "700"))
        self.assertIn(FUNCTION, login)
        self.assertIn(GROUP, login["id"])
        self.assert_same(login, job, EACH_JOB, AGENT, BASH, LOGIN)
        self.assert_same(self.found("login-command"), command, AGENT, BASH, LOGIN, SANDBOX)

    def test_user_mode(self):
        """Whatever the state is in which a user starts it, jobs and commands are in the same."""
        if reason := why_not("user"):
            self.skipTest(reason)
        self.mode = "user"
        environment = {**SECRETS, **AROUND_SECRETS, **self.scheduler.variables(), "ODD": "a=b\nc",
                       FUNCTION.split()[1]: "() {  echo hello\n}"}
        state = {**PECULIAR, "before": [self.submit("own-job"), self.direct("own-command")]}
        self.online_agent(program=self.starter(state), env=environment, token_by="env")
        job, command = self.through_agent()
        own_job, own_command = self.found("own-job"), self.found("own-command")
        secrets = {f"environment {name}" for name in SECRETS}
        self.assertLessEqual(secrets, own_job.keys(), "they were there to be taken away")
        self.assertIn(FUNCTION, own_job)
        self.assert_same(own_job, job, EACH_JOB, AGENT, BASH, secrets)
        self.assert_same(own_command, command, AGENT, BASH, SANDBOX, secrets)
        self.assertEqual({name: command[name] for name in PECULIAR_SEEN}, PECULIAR_SEEN)

    def test_comparison_sees(self):
        """Slurm does hand on what the submitter has, and a difference is found by its name."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/", **self.scheduler.variables()}
        change = "ulimit -Sn 1000; ulimit -Ss 4096; ulimit -Hc 100; umask 077; export ODD=1; "
        for name, before in (("plain", ""), ("odd", change)):
            for text in (self.submit(f"{name}-job"), self.direct(f"{name}-command")):
                subprocess.run(["bash", "-c", before + text], check=True, env=environment,
                               **identity_of(own_user()))
        seen = differences(self.found("plain-job"), self.found("odd-job"))
        self.assertEqual(seen.keys() - EACH_JOB.keys(),
                         {"ulimit -aS open files", "ulimit -aS stack size", "umask",
                          "environment ODD"})
        seen = differences(self.found("plain-command"), self.found("odd-command"))
        self.assertEqual(set(seen) - BASH.keys(),
                         {"ulimit -aS open files", "ulimit -aS stack size",
                          "ulimit -aH core file size", "umask", "environment ODD"})


if __name__ == "__main__":
    harness.main()
