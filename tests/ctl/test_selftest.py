#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl selftest: a job through a real Slurm and through other schedulers' clients, played;
each step made to fail once."""

import os
import pathlib
import shutil
import signal
import subprocess

from ctl import CONTROL, HERE, harness
from harness import AS_ROOT, give, identity_of
from selftests import JOB, SelftestCase

import slurm

CLIENTS = {"pbs": ("qsub", "qstat", "qdel"), "lsf": ("bsub", "bjobs", "bkill"),
           "moab": ("msub", "showq", "canceljob")}
SAID = {"pbs": ("pbs_version = 22.05.11", "4711.a-long-server-name.example", "R"),
        "lsf": ("IBM Spectrum LSF Standard 10.1.0.13", "4711", "RUN"),
        "moab": ("Version: moab client 9.1.3", "4711", "Running")}


class Without(SelftestCase):
    def test_no_scheduler(self):
        for host in self.modes():
            report = self.selftest(host, "--no-scheduler", variables={"PATH": "/bin:/usr/bin"})
            self.assertEqual((report.code, list(report.states())),
                             (0, [*JOB[:4], JOB[-1]]), report.text + report.stderr)
            self.assertIn(f"as user '{host.user}', in {host.work}",
                          report.step("environment")["detail"])

    def test_text(self):
        host = self.mode("user")
        done = host.control("selftest", "--no-scheduler", "--work-dir", host.work, "lab")
        self.assertEqual(done.code, 0, done.stderr)
        self.assertRegex(done.text, r"(?m)^  ok +files +\S+: made, written, read, listed +\(\d+ ms\)$")
        self.assertRegex(done.text, "\nverdict: ok\n$")

    def test_no_clients(self):
        for host in self.modes():
            self.fails(self.selftest(host, set_env="PATH=/nowhere:/bin-is-not-there"), "files", "cannot be made",
                       "mkdir: not found")
            tools = host.make("tools", host.user, 0o755)
            for name in ("mkdir", "cat", "ls", "rm"):
                os.symlink(f"/bin/{name}", os.path.join(tools, name))
            self.fails(self.selftest(host, set_env=f"PATH={tools}"), "scheduler",
                       "none of sbatch, bsub, msub, qsub.*env_init.*--no-scheduler")
            os.symlink("/bin/true", os.path.join(tools, "qsub"))
            self.fails(self.selftest(host, set_env=f"PATH={tools}"), "scheduler",
                       "PBS: not on the PATH of commands: qstat, qdel")

    def test_places(self):
        for host in self.modes():
            self.fails(self.selftest(host, work_dir="/nowhere"), "environment",
                       "/nowhere: No such file")
            os.chmod(host.work, 0o500)
            self.fails(self.selftest(host), "files", "cannot be made", "Permission denied")
            os.chmod(host.work, 0o700)
            self.fails(self.selftest(host, url="http://tower.example"), "configuration", "https")

    def test_usage(self):
        host = self.mode("user")
        for arguments, words in ((["--scheduler", "cron"], "one of slurm"),
                                 (["--wait", "soon"], "--wait"), (["--wait"], "needs a value"),
                                 (["--no-scheduler=yes"], "takes no value"),
                                 (["--submit-options", "a\nb"], "one line"),
                                 (["--submit-options", "a", "--submit-options=b"], "twice"),
                                 (["--token-file", "/x"], "has no option --token-file")):
            done = host.control("selftest", "lab", *arguments)
            self.assertEqual((done.code, done.text), (2, ""), arguments)
            self.assertIn(words, done.stderr)


class Played(SelftestCase):
    """The clients of schedulers that cannot be had here."""

    def site(self, host, kind, behave=""):
        """A site with this scheduler; gives the key for its commands' environment."""
        fake = host.make(f"fake-{kind}", host.user, 0o755)
        for name in ("jobs", "bin"):
            os.mkdir(os.path.join(fake, name))
            give(os.path.join(fake, name), host.user, 0o755)
        clients = host.write("clients", pathlib.Path(HERE, "fake_clients.sh").read_bytes(),
                             0o755)
        for name in CLIENTS[kind]:
            os.symlink(clients, os.path.join(fake, "bin", name))
        host.write(f"fake-{kind}/behave", behave)
        os.mkfifo(os.path.join(fake, "gate"))
        give(os.path.join(fake, "gate"), host.user, 0o600)
        return {"FAKE": fake, "PATH": f"{fake}/bin:/usr/bin:/bin"}

    def run_it(self, host, kind, *arguments, behave=""):
        site = self.site(host, kind, behave)
        # Jobs are processes here, which the client that cancels them must be able to signal.
        report = self.selftest(host, "--scheduler", kind, *arguments, variables=site,
                               isolate="read-only")
        return site, report

    def kept(self, site, name, job="4711"):
        """What the clients keep of a job."""
        return pathlib.Path(site["FAKE"], "jobs", job, name).read_text("ascii")

    def test_job(self):
        for host in self.modes():
            for kind, (version, id, state) in SAID.items():
                site, report = self.run_it(host, kind, "--submit-options=-q 'a queue'",
                                           behave="grep Seccomp: /proc/self/status >> $FAKE/filter")
                self.passes(report)
                filters = set(pathlib.Path(site["FAKE"], "filter").read_text("ascii").split("\n"))
                self.assertEqual(filters, {"Seccomp:\t2", ""}, "clients run under the deny-list")
                self.assertIn(version, report.step("scheduler")["detail"])
                self.assertIn(f"gives job {id}", report.step("submit")["detail"])
                self.assertIn(f"in state {state}", report.step("poll")["detail"])
                self.assertRegex(report.step("read")["detail"], f"the job ran as {host.user} on ")
                directives = self.kept(site, "directives")
                self.assertIn("nf-selftest", directives)
                self.assertRegex(directives, r"(?m)^#\w+ -q 'a queue'$")
                pid = int(self.kept(site, "pid"))
                self.assertFalse(os.path.exists(f"/proc/{pid}") and
                                 harness.Process(pid).alive, "it was cancelled")

    def test_clients_fail(self):
        hidden = "TOWER_ACCESS_TOKEN=very-secret-value"
        for kind, behave, step, words, output in (
                ("pbs", f"[ $me != qsub ] || {{ printf 'qsub: \\033[31mno {hidden}\\n'; exit 3; }}",
                 "submit", "qsub ended with status 3", r"no TOWER_ACCESS_TOKEN=\[redacted\]"),
                ("lsf", "[ $me != bsub ] || [ $# -gt 0 ] || { echo 'Request queued.'; exit; }",
                 "submit", "no job id.*nf-selftest", "Request queued"),
                ("pbs", "[ $me != qstat ] || { echo 'cannot connect' >&2; exit 1; }", "poll",
                 "qstat ended with status 1", "cannot connect"),
                ("moab", "[ $me != canceljob ] || { echo 'not yours'; exit 1; }", "cancel",
                 "canceljob ended with status 1", "not yours")):
            host = self.mode("user")
            site, report = self.run_it(host, kind, behave=behave)
            self.fails(report, step, words, output)
            self.assertNotIn("very-secret", report.text)
            self.end_jobs(site)

    def end_jobs(self, site):
        """What could not be cancelled ends with the test."""
        for job in os.scandir(f"{site['FAKE']}/jobs"):
            try:
                os.killpg(int(self.kept(site, "pid", job.name)), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass

    def test_job_waits(self):
        """It never starts: that is said, and it is cancelled."""
        host = self.mode("user")
        site, report = self.run_it(host, "pbs", "--wait", "1s", behave="STATE=Q\n")
        self.fails(report, "read", "still in state Q after 1 s.*--wait.*--submit-options")
        self.assertEqual(report.states()["cancel"], "ok")
        self.assertEqual(self.kept(site, "state"), "F\n")

    def test_id_is_no_command(self):
        """What a client says is never run."""
        host = self.mode("user")
        site, report = self.run_it(
            host, "lsf", behave="[ $me != bjobs ] || exit 1; [ $me != bsub ] || [ $# -gt 0 ] || "
            "{ cat > /dev/null; echo 'Job <1;touch $FAKE/pwned> is submitted'; exit; }")
        self.assertEqual(report.step("submit")["detail"], "bsub gives job 1")
        self.assertFalse(os.path.exists(f"{site['FAKE']}/pwned"))

    def started(self, host, behave, *more):
        """A self-test as a process, whose lines are read one by one."""
        site = self.site(host, "pbs", behave)
        identity = identity_of(host.user) if AS_ROOT else {}
        return site, subprocess.Popen(
            [CONTROL, "selftest", "--scheduler", "pbs", "--work-dir", host.work, "lab", *more],
            env={"HOME": "/", "USER": host.user, **site}, text=True, stdout=subprocess.PIPE,
            **identity)

    def until(self, process, words):
        for line in process.stdout:
            if words in line:
                return
        self.fail(f"it did not say {words}")

    def test_interrupted(self):
        """A job that was submitted is cancelled, and the scheduler has the time that it takes."""
        slow = ("STATE=Q\n[ $me != qdel ] || { (sleep 2; echo F > $FAKE/jobs/${1%%.*}/state) "
                "> /dev/null 2>&1 & exit 0; }\n")
        host = self.mode("user")
        for number, behave in ((signal.SIGINT, "STATE=Q\n"), (signal.SIGHUP, "STATE=Q\n"),
                               (signal.SIGTERM, slow)):
            site, process = self.started(host, behave)
            with process:
                self.until(process, " poll ")
                process.send_signal(number)
                said = process.stdout.read()
            self.assertEqual(process.returncode, 1)
            self.assertRegex(said,
                             r"failed +read .*\(interrupted\)[^\n]*\n[^\n]*\n  ok +cancel ")
            self.assertEqual(self.kept(site, "state"), "F\n")
            self.assertEqual(os.listdir(host.work), [])
            shutil.rmtree(site["FAKE"])

    def test_reader_goes(self):
        """Nothing is left behind either."""
        host = self.mode("user")
        site, process = self.started(host, "STATE=Q\n", "--wait", "1s")
        with process:
            self.until(process, " environment ")
            process.stdout.close()
        self.assertEqual(process.returncode, 1)
        self.assertEqual(self.kept(site, "state"), "F\n")
        self.assertEqual(os.listdir(host.work), [])

    def test_interrupted_before(self):
        """What is not submitted yet never is."""
        host = self.mode("user")
        site, process = self.started(host, "[ $me:$1 != qstat:--version ] || read _ < $FAKE/gate\n")
        with process, open(f"{site['FAKE']}/gate", "r+b", buffering=0) as gate:
            self.until(process, " files ")
            process.send_signal(signal.SIGTERM)
            gate.write(b"\n")
            said = process.stdout.read()
        self.assertEqual(process.returncode, 1)
        self.assertRegex(said, "failed +submit +interrupted: nothing is submitted")
        self.assertEqual(os.listdir(os.path.join(site["FAKE"], "jobs")), [])
        self.assertEqual(os.listdir(host.work), [])


class Real(SelftestCase):
    """Slurm."""

    @classmethod
    def setUpClass(cls):
        cls.why = slurm.why_not()
        if not cls.why:
            cls.scheduler = slurm.Slurm()
            cls.addClassCleanup(cls.scheduler.stop)

    def setUp(self):
        if self.why:
            self.skipTest(self.why)

    def test_job(self):
        for host in self.modes():
            report = self.selftest(host, variables=self.scheduler.variables())
            self.passes(report)
            self.assertIn("Slurm (slurm", report.step("scheduler")["detail"])
            self.assertIn("state CA", report.step("cancel")["detail"])
            self.assertRegex(report.step("read")["detail"], f"the job ran as {host.user} on ")

    def test_refused(self):
        for host in self.modes():
            report = self.selftest(host, "--submit-options=-p nowhere",
                                   variables=self.scheduler.variables())
            self.fails(report, "submit", "sbatch ended with status 1", "invalid partition")


if __name__ == "__main__":
    harness.main()
