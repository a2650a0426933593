#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ordinary programs that wait for the agent to start and look into each of its processes from the
first instruction on. The token is never seen, unless it came by environment or command line; then
it may be seen in the first moment, which the agent says, and not later."""

import collections
import contextlib
import os
import pwd
import shutil
import subprocess
import unittest

import common
import harness
from common import BUILD, STRANGER, TIMEOUT, Poller, UsersCase
from harness import AS_ROOT, PROGRAM, give, identity_of, modes, own_user

STARTS = 20
SHORT_STARTS = 200
WAYS = ("environ", "cmdline", "mem", "fd")
# Holds the token in each of the four places, until its input ends.
_HOLDER = ("import os, sys; token = open(sys.argv[1]).read(); kept = os.open(sys.argv[1], 0); "
           "print('up', flush=True); sys.stdin.read()")
PROGRAMS = ("tw-agent", "tw-agent-core", "tw-agent-exec", "tw-agent-net", "tw-agent-net-se")
OPENLY = "the access token was readable by others at start"


def all_of(names, way, kind="found"):
    return {name: seen[kind][way] for name, seen in names.items() if seen[kind][way]}


class Starts(UsersCase):
    def poll(self, *ways):
        """One poller of the commands' user and, as root, one of another user."""
        users = [own_user()] + ([STRANGER] if AS_ROOT else [])
        pollers = {user: Poller(self, self.token, user, *(ways or WAYS)) for user in users}
        for poller in pollers.values():
            poller.look()
        return pollers

    def baseline(self, *ways):
        """An ordinary process of the user gives the token away in all four places; so short a life
        as the agent's first moment is enough."""
        pollers = self.poll(*ways)
        path = os.path.join(self.directory, "secret")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.token)
        give(path, own_user(), 0o600)
        child = subprocess.Popen([common.PYTHON, "-c", _HOLDER, path, self.token], cwd="/",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env={"T": self.token}, **identity_of(own_user()))
        with child:
            self.assertEqual(child.stdout.readline(), b"up\n")
            for poller in pollers.values():
                poller.look()
            child.stdin.close()
        names = {user: poller.stop() for user, poller in pollers.items()}
        mine = names[own_user()]
        for way in ways or WAYS:
            self.assertTrue(all_of(mine, way, "opened" if way == "trace" else "found"), (way, mine))
        if STRANGER in names:
            self.assertEqual({way for way in WAYS if all_of(names[STRANGER], way)},
                             {"cmdline"}.intersection(ways or WAYS), names[STRANGER])

    def credential(self):
        """A directory as systemd makes it: readable by the service's user alone."""
        folder = os.path.join(self.directory, "credentials")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.token)
        owner = "root" if self.mode == "system" else own_user()
        give(path, owner, 0o400)
        give(folder, owner, 0o500)
        return {"token_by": None, "env": {"CREDENTIALS_DIRECTORY": folder}}

    def starts(self, count, pollers, **options):
        """Starts an agent as often; what each user saw, and the log of the last one."""
        for _ in range(count):
            conversation = self.tower.agent
            agent = self.start_agent(token=self.token, **options)
            try:
                self.tower.wait_online(TIMEOUT, newer_than=conversation)
            except TimeoutError as reason:
                self.fail(f"{reason}\n{agent.processes()}\nThe agent's log:\n{agent.log}")
            processes = agent.processes()
            log = agent.log
            self.wiped(processes)
            for poller in pollers.values():
                poller.look()  # on a busy host it may not have come to all of them
            agent.terminate()
            self.assertEqual(agent.wait(), 0)
        names = {user: poller.stop() for user, poller in pollers.items()}
        for user, seen in names.items():
            for name in PROGRAMS:
                self.assertGreaterEqual(seen[name]["met"], count, (user, name, seen))
            agents = {name: one for name, one in seen.items() if name.startswith("tw-agent")}
            print(f"{self.mode}, {count} starts, {user}: met {sum(one['met'] for one in agents.values())} "
                  f"processes; opened of tw-agent: {seen['tw-agent']['opened']}; "
                  f"token: {({way: all_of(seen, way) for way in WAYS if all_of(seen, way)})}", flush=True)
        return names, log

    def wiped(self, processes):
        """Once it is online, root finds no argument and no variable with the token."""
        for process in processes:
            for name in ("cmdline", "environ"):
                # A connector or a login may have ended meanwhile.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                        open(f"/proc/{process.pid}/{name}", "rb") as file:
                    self.assertNotIn(self.token.encode(), file.read(), f"{name} of {process}")

    def never(self, **options):
        self.baseline()
        names, log = self.starts(STARTS, self.poll(), **options)
        for user, seen in names.items():
            self.assertEqual({way: all_of(seen, way) for way in WAYS}, {way: {} for way in WAYS},
                             user)
        self.assertNotIn(OPENLY, log)

    @modes()
    def test_file(self):
        self.never()

    @modes()
    def test_credential(self):
        self.never(**self.credential())

    @modes()
    def test_descriptor(self):
        self.never(token_by="fd")

    @modes()
    def test_environment(self):
        """Readable by whoever starts it, so the agent warns; no other program got it all the same."""
        names, log = self.starts(STARTS, self.poll(), token_by="env")
        for user, seen in names.items():
            self.assertEqual({way: all_of(seen, way) for way in WAYS}, {way: {} for way in WAYS},
                             user)
        self.assertIn(OPENLY, log)

    @modes()
    def test_argument(self):
        """The list of processes is for everyone: caught at start, which is said, but not later."""
        names, log = self.starts(STARTS, self.poll(), token_by="arg")
        for user, seen in names.items():
            self.assertEqual([all_of(seen, way) for way in WAYS if way != "cmdline"], [{}, {}, {}],
                             user)
        self.assertIn(OPENLY, log)

    def short_starts(self, program, *, until=lambda seen: True):
        """Starts that are over at once, with the token in the environment and in a pipe: until enough
        of them were met, which a busy host may need more of."""
        seen = collections.Counter()
        for _ in range(20):
            poller = Poller(self, self.token, own_user(), "environ", "fd", "trace")
            poller.look()
            for _ in range(SHORT_STARTS):
                self.short_start(program)
            one = poller.stop().get("tw-agent", {"met": 0, "opened": {}, "found": {}})
            seen.update(met=one["met"])
            for kind in ("opened", "found"):
                seen.update({(kind, way): n for way, n in one[kind].items()})
            if seen["met"] >= SHORT_STARTS / 2 and until(seen):
                print(f"{program}: {dict(seen)}", flush=True)
                return seen
        self.fail(f"after many starts: {dict(seen)}")

    def short_start(self, program):
        reading, writing = os.pipe()
        if AS_ROOT:  # as the shell of that user would make it
            os.fchown(reading, pwd.getpwnam(own_user()).pw_uid, -1)
        os.write(writing, self.token.encode())
        subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL, cwd="/",
                       env={"TOWER_ACCESS_TOKEN": self.token}, pass_fds=[reading],
                       **identity_of(own_user()))
        os.close(reading)
        os.close(writing)

    @unittest.skipUnless(AS_ROOT, "who runs a program of his own can read it")
    @modes("user")
    def test_first_instructions(self):
        """Until it has made itself non-dumpable, a program that its user can read is open to that
        user's programs; one that he cannot read, as ours are installed, never is."""
        readable = shutil.copy(PROGRAM, os.path.join(self.directory, "tw-agent"))
        os.chmod(readable, 0o755)
        self.short_starts(readable, until=lambda seen: all(
            seen["opened", way] for way in ("environ", "fd", "trace"))
            and seen["found", "environ"] + seen["found", "fd"])
        seen = self.short_starts(PROGRAM)
        self.assertEqual({key for key, n in seen.items() if key[0] == "opened" and n}, set())


if __name__ == "__main__":
    harness.main()
