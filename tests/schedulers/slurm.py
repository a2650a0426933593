# SPDX-License-Identifier: Apache-2.0
"""A Slurm of one node on the loopback address, as root or as one plain user."""

import os
import secrets
import shutil
import socket

from daemons import Daemons, daemon_user, own_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
# The default of slurm.conf's PropagateResourceLimits is meant: ALL. So it is not set.
_CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={dir}/munge/socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MessageTimeout=15
MinJobAge=3600
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={dir}/completed
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=8
PartitionName=core Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not():
    """Why there can be no Slurm here; None when there can."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    return f"not installed: {' '.join(missing)} (scripts/deps --test)" if missing else None


class Slurm(Daemons):
    """Running from its making on."""

    submitted = r"Submitted batch job (\d+)"
    poll = r"squeue --noheader -o %i\ %t -t all -p core"

    def __init__(self):
        super().__init__("slurm")
        self.host = socket.gethostname().split(".")[0]  # daemons look for it in the configuration
        (ctld_port, _), (d_port, _) = self._ports = own_ports(2)
        self.conf = self.write("slurm.conf", _CONF.format(
            dir=self.directory, host=self.host, user=daemon_user(), ctld_port=ctld_port,
            d_port=d_port))
        self.write("cgroup.conf", "CgroupPlugin=cgroup/v1\n")  # asked for even when unused
        for name in ("state", "spool"):
            self.make_directory(name)
        self.make_directory("munge", 0o711)
        try:
            self.start_munged()
            self.start_controller()
            self._launch("slurmd", ["slurmd", "-D", "-N", self.host, "-f", self.conf])
            self._wait_idle()
        except BaseException:
            self.stop()
            raise

    def start_munged(self):
        key = self.path("munge", "key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(secrets.token_bytes(128))
        self.launch("munged", ["munged", "-F", "-S", self.path("munge", "socket"),
                               f"--key-file={key}", f"--pid-file={self.path('munge', 'pid')}",
                               f"--seed-file={self.path('munge', 'seed')}", "--num-threads=2"])
        self.wait_ready(["munge", "-n", "-S", self.path("munge", "socket")], bool)

    def start_controller(self):
        self._launch("slurmctld", ["slurmctld", "-D", "-f", self.conf])

    def ensure_controller(self):
        """Starts it again if it was killed, and waits until it answers."""
        if "slurmctld" not in self._running:
            self.start_controller()
        self.wait_ready(["squeue"], bool, self.variables())

    def _launch(self, name, command):
        self.launch(name, command, self.variables())

    def _wait_idle(self):
        self.wait_ready(["sinfo", "-h", "-o", "%T"], lambda text: text.split() == ["idle"],
                        self.variables(), "slurm")

    def variables(self):
        """What clients need in their environment."""
        return {"SLURM_CONF": self.conf}

    def completed(self):
        """How often each job name was completed, from the log of completions."""
        counts = {}
        with open(self.path("completed"), encoding="utf-8") as file:
            for line in file:
                fields = dict(item.partition("=")[::2] for item in line.split())
                counts[fields["Name"]] = counts.get(fields["Name"], 0) + 1
        return counts
