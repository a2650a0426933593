# SPDX-License-Identifier: Apache-2.0
"""The packages under test, and an agent that one of them installed on a machine."""

import glob
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import BUILD, RUN_AS, TIMEOUT, TOKEN, TowerCase  # noqa: E402
from machine import machine  # noqa: E402

DIRECTORY = os.environ.get("TW_PACKAGES", os.path.join(BUILD, "packages"))
NAME = "lab"  # of the instance; its connection ID, too
WORK = "/srv/work"


def package(pattern):
    """The one package of that name."""
    found = glob.glob(os.path.join(DIRECTORY, pattern))
    if not found:
        raise unittest.SkipTest(f"no {pattern} was made (scripts/package says why)")
    if len(found) > 1:
        raise AssertionError(f"several {pattern} in {DIRECTORY}: {found}")
    return found[0]


def install(host, deb):
    """Installs or upgrades by dpkg; gives what it said."""
    name = "/tmp/" + os.path.basename(deb)
    with open(deb, "rb") as source, open(host.path(name), "wb") as target:
        target.write(source.read())
    return host.run("dpkg", "--install", name)


def configure(host, tower, token=TOKEN, **more):
    """An instance as an administrator makes it."""
    with open(tower.ca, encoding="ascii") as file:
        host.write("/etc/tw-agent/ca.pem", file.read())
    host.write(f"/etc/tw-agent/{NAME}.token", token + "\n", 0o640, "root:tw-agent")
    host.run("install", "-d", "-o", RUN_AS, "-m", "0700", WORK)
    keys = {"connection_id": NAME, "url": tower.url, "ca_file": "/etc/tw-agent/ca.pem", "run_as": RUN_AS,
            "token_file": f"/etc/tw-agent/{NAME}.token", "work_dir": WORK, **more}
    host.write(f"/etc/tw-agent/{NAME}.conf", "".join(f"{key} = {value}\n" for key, value in keys.items()), 0o640)


class PackageCase(TowerCase):
    """A test with a Tower and machines."""

    def machine(self, init="sleep"):
        return machine(self, init)

    def installed(self, init="sleep", **more):
        """A machine with the deb and an instance that is not started."""
        deb = package("*.deb")
        host = self.machine(init)
        install(host, deb)
        configure(host, self.tower, **more)
        return host

    def wait_online(self):
        self.tower.wait_online(TIMEOUT, NAME)
