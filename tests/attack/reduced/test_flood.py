#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where Landlock has no scopes, a plain user's commands can signal the agent's connections, whose
processes come and go. That costs connections; it must not end the agent, nor lose a result."""

import re
import time
import unittest

from kernels import REDUCED, AttackCase
import harness
from harness import AS_ROOT, TIMEOUT, TO_MEET, modes

# Signals every child that a process of the agent has, as soon as it is there: for some seconds, and until
# it has met enough of them.
FLOOD = """exec python3 -I - <<'END'
import os, time
end, done, refused = time.monotonic() + {seconds}, 0, 0
while time.monotonic() < end or done + refused < {enough}:
    with open("/proc/{parent}/task/{parent}/children") as file:
        children = set(file.read().split()) - {{str(os.getpid())}}
    for pid in children:
        try:
            with open(f"/proc/{{pid}}/stat") as file:
                state = file.read().rpartition(") ")[2].split()[0]
            if state not in "ZT":
                os.kill(int(pid), {signal})
                done += 1
        except (FileNotFoundError, ProcessLookupError):
            pass
        except PermissionError:
            refused += 1
print(done, refused)
END
"""


@unittest.skipUnless(AS_ROOT, "only root can emulate kernels")
class Flood(AttackCase):
    def flood(self, kernel, signal, seconds=4, enough=1):
        """(signals sent, signals refused), told over whatever connection there is afterwards."""
        agent = self.online_agent(under=[REDUCED, *kernel], args=("--heartbeat", "1s"))
        before = self.targets(agent)
        id = self.tower.agent.send_command(FLOOD.format(
            signal=signal, seconds=seconds, enough=enough, parent=before[-1]))
        result = self.tower.wait_result(id, timeout=2 * TIMEOUT)
        self.assertEqual(self.targets(agent), before)
        self.tower.wait_online(TIMEOUT)
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        return [int(word) for word in re.findall(rb"\d+", result.output)]

    @modes("user")
    def test_killed(self):
        done, _ = self.flood(["--landlock", "5"], 9, enough=2)
        self.assertGreater(done, 1)
        print(f"\n{done} connections' processes killed in 4 s")

    @modes("user")
    def test_stopped(self):
        done, _ = self.flood(["--landlock", "5"], 19)
        self.assertGreater(done, 0)
        print(f"\n{done} connections' processes stopped in 4 s")

    @modes("system", "user")
    def test_commands_stopped(self):
        """Exec does not wait for a command that another one stops in its first moments."""
        agent = self.online_agent(under=[REDUCED, "--landlock", "5"],
                                  args=("--command-timeout", "3s"))
        before = self.targets(agent)
        statuses, end = [], time.monotonic() + TO_MEET
        while 124 not in statuses:  # until it met one
            self.assertLess(time.monotonic(), end, "no command was stopped")
            flood = self.tower.agent.send_command(
                FLOOD.format(signal=19, seconds=2.5, enough=0, parent=before[2]))
            ids = []
            while not self.tower.results(flood):
                ids += [self.tower.agent.send_command("echo ran") for _ in range(8)]
                self.tower.wait_result(ids[-1], TIMEOUT)
            statuses += [self.tower.wait_result(id, TIMEOUT).exit_status for id in ids]
        self.assertLessEqual(set(statuses), {0, 124})
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertEqual(self.targets(agent), before)

    @modes("user")
    def test_scopes_refuse(self):
        done, refused = self.flood(["--landlock", "6"], 9, seconds=0.5)
        self.assertEqual(done, 0)
        self.assertGreater(refused, 0)

    @modes("system")
    def test_other_users_refuse(self):
        done, refused = self.flood(["--landlock", "5"], 9, seconds=0.5)
        self.assertEqual(done, 0)
        self.assertGreater(refused, 0)


if __name__ == "__main__":
    harness.main()
