# SPDX-License-Identifier: Apache-2.0
"""A Grid Engine of one node, in a network of its own since it listens on every address."""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess

from daemons import Daemons, daemon_user

LIBRARY = "/usr/lib/gridengine"
SHARED = "/usr/share/gridengine"
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWUTS = 0x10000000, 0x40000000, 0x04000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_BOOTSTRAP = """admin_user {user}
default_domain none
ignore_fqdn false
spooling_method classic
spooling_lib libspoolc
spooling_params {dir}/default/common;{dir}/spool/qmaster
binary_path {dir}/bin
qmaster_spool_dir {dir}/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
_CONFIGURATION = {
    "execd_spool_dir": "{dir}/spool", "gid_range": "{gids}", "load_report_time": "00:00:01",
    "min_uid": "0", "min_gid": "0", "mailer": "/bin/true", "reporting_params": "accounting=true "
    "reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00",
    "login_shells": "sh,bash", "loglevel": "log_warning", "administrator_mail": "none"}
_SCHEDULER = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1",
              "load_adjustment_decay_time": "0:0:0", "job_load_adjustments": "NONE"}
_QUEUE = {"qname": "core", "hostlist": "localhost", "slots": "8", "shell": "/bin/sh",
          "shell_start_mode": "unix_behavior", "load_thresholds": "NONE", "notify": "00:00:02",
          "pe_list": "NONE", "ckpt_list": "NONE"}


def why_not():
    """Why there can be no Grid Engine here; None when there can."""
    missing = [name for name in ("sge_qmaster", "sge_execd", "qsub", "spoolinit")
               if not os.access(os.path.join(LIBRARY, name), os.X_OK)]
    if missing:
        return f"not installed: {' '.join(missing)} of Grid Engine (scripts/deps --test)"
    return _network_problem()


_entered = []


def _network_problem():
    """Enters, once and before there are threads, a network with nothing but the loopback address,
    under a host name that is on it. A plain user needs a user namespace for that."""
    if not _entered:
        try:
            _entered.append(_enter_network())
        except OSError as reason:
            _entered.append(f"no network of its own: {reason}")
    return _entered[0]


def _enter_network():
    flags = _CLONE_NEWNET | _CLONE_NEWUTS | (_CLONE_NEWUSER if os.geteuid() else 0)
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                           ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    socket.sethostname("localhost")
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        flags, = struct.unpack("16xh22x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
    return None


def _changed(text, changes):
    """A file of lines "name value" with other values; wrapped values are not among them."""
    lines = []
    for line in text.replace("\\\n", " ").splitlines():
        name = line.split()[0] if line.split() else ""
        lines.append(f"{name} {changes[name]}" if name in changes else line)
    return "\n".join(lines) + "\n"


class GridEngine(Daemons):
    """Running from its making on."""

    submitted = r'Your job (\d+) \("[^"]*"\) has been submitted'
    poll = "qstat -u '*' | awk 'NR > 2 { print $1, $5 }'"

    def __init__(self):
        super().__init__("gridengine")
        try:
            self._make_files()
            self.start_qmaster()
            self._configure()
            self.launch("execd", [os.path.join(LIBRARY, "sge_execd")], self._daemon_variables())
            self.wait_ready(["qstat", "-f"], lambda text: " lx-amd64 " in text and " au" not in text,
                            self.variables(), "Grid Engine")
        except BaseException:
            self.stop()
            raise

    def variables(self):
        """What clients need in their environment."""
        return {"SGE_ROOT": self.directory, "SGE_CELL": "default", "SGE_QMASTER_PORT": "6444",
                "SGE_EXECD_PORT": "6445", "SGE_ARCH": "lx-amd64"}

    def _daemon_variables(self):
        return {**self.variables(), "SGE_ND": "1", "LD_LIBRARY_PATH": LIBRARY}

    def _make_files(self):
        # Jobs are told, and ended, by a group of this range: two Grid Engines of one machine would
        # end each other's.
        first = 1_000_000 + 100 * os.getpid()
        values = {"dir": self.directory, "user": daemon_user(), "gids": f"{first}-{first + 99}"}
        self.write("default/common/bootstrap", _BOOTSTRAP.format(**values))
        self.write("default/common/act_qmaster", "localhost\n")
        with open(os.path.join(SHARED, "default-configuration"), encoding="utf-8") as file:
            changes = {name: value.format(**values) for name, value in _CONFIGURATION.items()}
            self.write("configuration", _changed(file.read(), changes))
        self.make_directory("spool/qmaster/job_scripts")
        for name in ("bin", "lib", "utilbin"):
            self.make_directory(name)
            os.symlink(LIBRARY, self.path(name, "lx-amd64"))
        os.symlink(os.path.join(SHARED, "util"), self.path("util"))
        resources = os.path.join(SHARED, "util", "resources")
        self._tool("spoolinit", "classic", "libspoolc",
                   self.path("default/common") + ";" + self.path("spool/qmaster"), "init")
        for what, argument in (("configuration", self.path("configuration")),
                               ("complexes", os.path.join(resources, "centry")),
                               ("usersets", os.path.join(resources, "usersets")),
                               ("managers", daemon_user()), ("operators", daemon_user())):
            self._tool("spooldefaults.bin", what, argument)

    def _tool(self, name, *arguments):
        done = subprocess.run([os.path.join(LIBRARY, name), *arguments], check=False, text=True,
                              env={**os.environ, **self._daemon_variables()},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise AssertionError(f"{name} {' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def start_qmaster(self):
        self.launch("qmaster", [os.path.join(LIBRARY, "sge_qmaster")], self._daemon_variables())
        self.wait_ready(["qconf", "-sh"], bool, self.variables(), "qmaster")

    def _configure(self):
        self._tool("qconf", "-as", "localhost")
        self._tool("qconf", "-Msconf", self.write("scheduler", _changed(
            self._tool("qconf", "-ssconf"), _SCHEDULER)))
        self._tool("qconf", "-Aq", self.write("queue", _changed(
            self._tool("qconf", "-sq"), _QUEUE)))

    def ensure_qmaster(self):
        """Starts it again if it was killed, and waits until it answers."""
        if "qmaster" not in self._running:
            self.start_qmaster()
