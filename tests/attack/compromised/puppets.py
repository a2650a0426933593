# SPDX-License-Identifier: Apache-2.0
"""Agents in which one program obeys an attacker, the orders that it is given, and the same orders
in a process that nothing defends."""

import os
import re
import signal
import subprocess
import sys

_TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(_TESTS, part) for part in ("integration", "net_start", "net")]

import wire  # noqa: E402
from harness import BUILD, TIMEOUT, TowerCase, identity_of, own_user  # noqa: E402
from hostile import MOST_MEMORY, SANITIZED_MEMORY, Watch  # noqa: E402
from support import build_has  # noqa: E402

BARE = os.path.join(BUILD, "tests", "compromised_bare")
PARENT, PEER = 3, 4  # ipc/birth.h: a child's descriptors
SANITIZED = build_has("TW_SANITIZE")
TICKET = int.from_bytes(b"TTTTTTTT", "big")  # becomes the ticket of exec's command
SIGSYS = "sandbox violation: system call"
AT_ONCE = 6  # agents


def frame(name, **fields):
    """A message in hexadecimal; fields that are left out are 0."""
    _, rows = wire.TABLE[name]
    return wire.encode(name, **{field: 0 for _, field in rows} | fields).hex()


def command_frame(id, text="", fields=()):
    return frame("command", id=id, text=text.encode(), **dict(fields))


def array(*values):
    return wire.array(values).hex()


def numbered(name, *values):
    """A frame of this message with fields that the codec would not let pass."""
    return array(wire.TABLE[name][0], *values)


def turned(secret):
    """As the search of memory wants it."""
    return bytes(byte ^ 0xff for byte in secret).hex()


def program_of(role, name="tw-agent"):
    place = "bin" if name == "tw-agent" else "libexec/tw-agent"
    return os.path.join(BUILD, "tests", "compromised", role, place, name)


def bare(*orders, user=None, **options):
    """Outcomes of the orders in a process of the user without filter or Landlock."""
    done = subprocess.run([BARE, "!bare " + "; ".join(orders)], check=False, capture_output=True,
                          text=True, cwd="/", **identity_of(user or own_user()), **options)
    return re.findall(r"^puppet \w+: \w+: (.*)$", done.stderr, re.MULTILINE)


class PuppetCase(TowerCase):
    """A test with an agent whose program `role` is the attacker's."""

    role = None

    def puppet_agent(self, **options):
        agent = self.online_agent(program=program_of(self.role), **options)
        self.attested(agent)
        return agent

    @staticmethod
    def attested(agent):
        """Waits until the agent's attack on itself is over: its messages are none of the attacker's."""
        agent.wait_log("attestation: [0-9]+ attacks")

    def led_agents(self, orders, prefix, **options):
        """(number, order, agent) of each order, with an agent of its own: a few at a time, as dozens
        that start at once keep each other waiting."""
        orders = list(orders)
        for first in range(0, len(orders), AT_ONCE):
            some = range(first, min(first + AT_ONCE, len(orders)))
            agents = [self.start_agent(program=program_of(self.role), connection_id=f"{prefix}-{number}",
                                       **options) for number in some]
            yield from zip(some, orders[first:], agents)

    def order(self, *orders):
        """Sends orders by the agent's conversation; the command's id."""
        return self.tower.send_command(f"!{self.role} " + "; ".join(orders))

    def order_of(self, connection_id, *orders):
        """The same to the agent of that connection ID, once it is online."""
        conversation = self.tower.wait_online(TIMEOUT, connection_id=connection_id)
        conversation.send_command(f"!{self.role} " + "; ".join(orders))

    def outcome(self, agent, word, mark):
        return agent.wait_log(rf"puppet {self.role}: {word}: (.*)", after=mark)[1]

    def obeyed(self, agent, *orders):
        """Sends orders, and gives the last one's outcome."""
        mark = agent.log_mark()
        self.order(*orders)
        for one in orders:
            outcome = self.outcome(agent, one.split()[0], mark)
        return outcome

    def baseline(self, orders, **places):
        """Each order works in a process without defences, {pid} being one of its user's."""
        pid = self.bystander(own_user())
        for order in orders:
            text = order.format(pid=pid, **places)
            self.assertRegex("".join(bare(text)), "^ok", f"baseline: {text}")

    def bystander(self, user):
        """An ordinary process of that user."""
        child = subprocess.Popen(["sleep", "1000"], cwd="/", **identity_of(user))
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child.pid

    def goes_on(self):
        self.assertEqual(self.tower.run("echo on", timeout=TIMEOUT).output, b"on\n")

    def back_online(self, agent, before):
        """The next connection, without the wait that short sessions get."""
        self.tower.wait_offline(TIMEOUT)
        agent.wait_log("trying again in|online: connected")
        agent.signal(signal.SIGHUP)
        self.tower.wait_online(TIMEOUT, newer_than=before)

    def ends_with_code_7(self, agent, words):
        """The whole agent ends as documented, and its log says why."""
        self.assertEqual(agent.wait(), 7, agent.log)
        self.assertRegex(agent.log, words)
        self.assertNotRegex(agent.log, "SIGBUS|SIGSEGV")

    def bounded(self, watch, core=0):
        """No program took more memory than is its due; core so much more for what waits in it."""
        most = {**MOST_MEMORY, "tw-agent-core": MOST_MEMORY["tw-agent-core"] + core}
        for name, peak in watch.end().items():
            if name.startswith("tw-agent"):
                self.assertLessEqual(peak, SANITIZED_MEMORY if SANITIZED else most[name], name)
        return watch.peaks

    @staticmethod
    def watch(agent):
        return Watch(agent)
