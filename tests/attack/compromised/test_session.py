#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A session that a hostile server has taken over after the handshake: what it can reach, what it
can get from the parent and what it can do to core. Each attack works where nothing stops it."""

import contextlib
import signal
import tempfile
import unittest

from puppets import (PEER, SANITIZED, SIGSYS, PuppetCase, array, command_frame, frame, numbered,
                     program_of)
import harness
from harness import TIMEOUT, TOKEN, modes
from support import write_file
from tower import error

KEPT = 64  # session.c: a second descriptor of the channel to the parent
ASK = f"ask {KEPT} {frame('token_request')}"
BEAT = frame("heartbeat_reply")
HUGE = 1 << 40
MOST_PROCESSES = 10  # net/launcher/children.h
QUEUE = 64 << 20  # LIMIT_QUEUE_BYTES
CLOSED = ("EPIPE", "ECONNRESET")  # the latter: asked while the parent was about to close


class SystemCalls(PuppetCase):
    role = "session"
    # From an order to the call that ends it; None: refused.
    openat = None if SANITIZED else "openat"  # answered there, for the report's sake
    ends = {"open /etc/passwd": openat, "create {directory}/x": openat, "memory {pid}": openat,
            "open {directory}/token": openat, "socket": "socket",
            "connect 127.0.0.1 {port}": "socket", "connect 127.0.0.2 {port} old": "connect",
            "exec /bin/sh": "execve", "fork": "clone", "code": "mmap", "kill {pid} 0": "kill",
            "ptrace {pid}": "ptrace", "vm {pid}": "process_vm_readv", "getfd {pid}": "pidfd_open"}

    @modes()
    def test_each(self):
        with tempfile.TemporaryDirectory() as directory:
            harness.give(directory, harness.own_user(), 0o700)
            harness.give(write_file(directory, "token", TOKEN), harness.own_user(), 0o600)
            self.baseline((order for order in self.ends if not order.endswith("old")),
                          directory=directory, port=self.tower.port)
        agent = self.puppet_agent()
        places = {"pid": agent.process("tw-agent-core").pid, "directory": agent.directory,
                  "port": self.tower.port}
        for order, call in self.ends.items():
            with self.subTest(order):
                self.denied(agent, order.format(**places), call)
        self.goes_on()

    def denied(self, agent, order, call):
        mark, before = agent.log_mark(), self.tower.agent
        self.order(order)
        if call is None:
            self.assertIn(self.outcome(agent, order.split()[0], mark), ("EACCES", "EPERM"))
            return
        agent.wait_log(rf"tw-agent\[(net-)?session\]: {SIGSYS} {call} ", after=mark)
        agent.wait_log(r"net-session \(agent, serial \d+\) was ended by its sandbox", after=mark)
        self.assertNotIn(f"puppet session: {order.split()[0]}", agent.log)
        self.back_online(agent, before)


class TokenAgain(PuppetCase):
    role = "session"

    @modes()
    def test_twice(self):
        """After its one release the channel is closed at the parent's end."""
        agent = self.puppet_agent()
        self.assertIn(self.obeyed(agent, ASK), CLOSED)
        self.goes_on()

    @modes()
    def test_in_a_probe(self):
        self.by_an_error_page("service-info", ("ok 0",))

    @modes()
    def test_in_a_login(self):
        self.by_an_error_page("user", CLOSED)

    def by_an_error_page(self, step, outcomes):
        self.tower.on(step, error(500, f"!session {ASK}"), times=1)
        agent = self.start_agent(program=program_of(self.role))
        self.assertIn(self.outcome(agent, "ask", 0), outcomes)
        broken = r"session 1 broke the rules of its channel \(token_request\)"
        if step == "service-info":
            agent.wait_log(r"tw-agent\[parent\].*" + broken)
        self.tower.wait_online(TIMEOUT)
        self.goes_on()
        self.assertEqual(agent.log.count("broke the rules"), step == "service-info")


class TokenBaseline(unittest.TestCase):
    """The same orders with a parent that gives the token to whoever asks."""

    @classmethod
    def setUpClass(cls):
        import case
        cls.pki = case.set_up()

    def asks(self, purpose, times):
        import play

        def script(peer):
            peer.head()
            body = f'{{"message":"!session {ASK}"}}'.encode()
            peer.send(b"HTTP/1.1 500 E\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            peer.drained()

        server = play.Server(script, self.pki.server())
        self.addCleanup(server.listener.close)
        session = play.Session(purpose, ca=self.pki.ca, port=server.port,
                               program=program_of("session", "tw-agent-net-session"))
        self.addCleanup(session.close)
        session.connect(server.port)
        session.go()
        session.expect("session_ready")
        for _ in range(times):
            self.assertEqual(play.decode(session.parent.recv(65536))[0], "token_request")
            session.parent.send(TOKEN.encode())
        session.expect("response")
        self.assertIn(f"puppet session: ask: ok {len(TOKEN)}\n", session.lines())

    def test_twice(self):
        self.asks("login", 2)

    def test_in_a_probe(self):
        self.asks("probe", 1)


class Forgeries(PuppetCase):
    """What core takes for a broken rule ends that session alone."""

    role = "session"

    def forgeries(self):
        raw, long = f"raw {PEER}", command_frame("forged")
        return {
            f"{raw} {array(99)}": "unknown type",
            f"{raw} {numbered('heartbeat', 0)}": "another direction",
            f"{raw} {frame('token_request')}": "another direction",
            f"{raw} {frame('session_ready')}": "not permitted in this phase",
            f"{raw} {frame('response', api_version='', message='')}": "not permitted in this phase",
            f"{raw} +65532:{BEAT}": "packet too long",
            f"{raw} {BEAT}00": "trailing bytes",
            f"{raw} {numbered('heartbeat_reply')}": "field count",
            f"{raw} {numbered('heartbeat_reply', 1)}": "unused",
            f"{raw} dcffff": "element count",
            f"{raw} dd10000000": "not an array",
            f"{raw} ff": "not an array",
            f"{raw} - null": "not an array",
            f"{raw} {BEAT} sealed:1": "descriptor not expected",
            f"{raw} {BEAT} null null": "more than one descriptor",
            f"{raw} {long} sealed:1 sealed:1": "more than one descriptor",
            f"{raw} {long} null": "not a sealed memfd",
            f"{raw} {long} channel": "not a sealed memfd",
            f"{raw} {long} unsealed:4096": "not a sealed memfd",
            f"{raw} {long} shrinkable:4096": "not a sealed memfd",
            f"{raw} {long} growable:4096": "not a sealed memfd",
            f"{raw} {long} writable:4096": "not a sealed memfd",
            f"{raw} {long} unsealing:4096": "not a sealed memfd",
            f"{raw} {long} sealed:{HUGE}": "not a sealed memfd",
            f"{raw} {long} sealed:10485761": "not a sealed memfd",
            f"{raw} {command_frame('forged', 'x')} sealed:1": "command",
            f"{raw} {command_frame('')}": "id",
            f"{raw} {command_frame('i' * 1025)}": "id",
            f"{raw} {command_frame('a' + chr(0))}": "id",
            f"{raw} {frame('progress', results=1 << 40)}": "progress",
        }

    def test_each(self):
        agent = self.puppet_agent()
        self.baseline(agent)
        for order, why in self.forgeries().items():
            with self.subTest(order[:70], why=why):
                mark, before = agent.log_mark(), self.tower.agent
                self.order(order)
                agent.wait_log(rf"tw-agent\[core\].*session \d+ \(agent\) broke the rules of its "
                               rf"channel \(.*{why}.*\): ended", after=mark)
                self.back_online(agent, before)
        self.assertEqual(self.tower.results("forged"), [])
        self.goes_on()

    def baseline(self, agent):
        """Well-formed ones by the same way are obeyed, and that is all a session can do."""
        self.assertRegex(self.obeyed(agent, f"raw {PEER} {BEAT}"), "^ok")
        self.order(f"raw {PEER} {command_frame('by-packet', 'echo packet')}")
        self.assertEqual(self.tower.wait_result("by-packet").output, b"packet\n")
        self.order(f"raw {PEER} {command_frame('by-memfd')} sealed:4096")
        self.tower.wait_result("by-memfd")
        self.assertNotIn("broke the rules", agent.log)

    def test_end_of_file(self):
        """An empty packet is taken for the end."""
        agent = self.puppet_agent()
        before = self.tower.agent
        self.order(f"raw {PEER} -")
        agent.wait_log("session ended without a word")
        self.back_online(agent, before)
        self.goes_on()

    def test_other_purposes(self):
        """A session of another purpose gives no commands, even if it says that it is online."""
        online = frame("response", status=101, api_version="", message="")
        evil = command_frame("evil", "echo evil")
        for step, orders in (("user", f"raw {PEER} {evil}"),
                             ("user", f"raw {PEER} {online}; raw {PEER} {evil}"),
                             ("service-info", f"raw {PEER} {online}; raw {PEER} {evil}")):
            with self.subTest(step, orders=orders):
                self.tower.clear()
                self.tower.on(step, error(500, f"!session swallow; {orders}"), times=1)
                agent = self.start_agent(program=program_of(self.role))
                self.assertRegex(self.outcome(agent, "raw", 0), "^ok")
                if online not in orders:
                    agent.wait_log(r"\((probe|login)\) broke the rules of its channel "
                                   r"\(message not permitted in this phase")
                self.tower.wait_online(TIMEOUT)
                self.goes_on()
                self.assertEqual(self.tower.results("evil"), [])
                agent.terminate()
                self.assertEqual(agent.wait(), 0)
                self.tower.wait_offline(TIMEOUT)


class Floods(PuppetCase):
    role = "session"

    def flood(self, *orders):
        """Floods core, and stays behind when core gives the session up; the next one works."""
        agent = self.puppet_agent(args=("--heartbeat", "1s"))
        watch, before, mark = self.watch(agent), self.tower.agent, agent.log_mark()
        self.order(*orders)
        self.outcome(agent, "flood", mark)
        with contextlib.suppress(OSError):  # core may have noticed
            before.drop()
        self.tower.wait_online(TIMEOUT, newer_than=before)
        beats = self.tower.mark()
        self.tower.events.wait_until(
            lambda: sum(beat.conn > before.number for beat in self.tower.events.list(
                "ws-message", after=beats, type="heartbeat")) >= 3, TIMEOUT, "heartbeats")
        self.goes_on()
        print(f"{self.id()}: {self.bounded(watch, QUEUE)}", flush=True)

    def test_messages(self):
        self.flood(f"flood {PEER} 60000 {BEAT}", "raw 4 -")

    def test_progress(self):
        self.flood(f"flood {PEER} 60000 {frame('progress', bytes=1 << 60)}", "raw 4 -")

    def test_commands(self):
        """180 MB of texts, in packets of 30 KB."""
        whole = command_frame("flood-########", "\0" * 30000)
        self.flood(f"flood {PEER} 6000 +30000:{whole[:-60000]}", "raw 4 -")

    def test_descriptors(self):
        self.flood(f"flood {PEER} 2000 {command_frame('flood-########')} sealed:1000000",
                   "raw 4 -")


class Stays(PuppetCase):
    """A session that does not end when it is told to. That it would stay for ever without the
    launcher shows while it has room."""

    role = "session"

    def stays(self, agent):
        """The session that stays when core has given it up, and the next one is online."""
        process = max((one for one in agent.processes() if one.argv[1:] == [b"agent"]),
                      key=lambda one: one.started)
        before, mark = self.tower.agent, agent.log_mark()
        self.order("stay")
        agent.wait_log("the connection is dead", after=mark)
        for _ in range(TIMEOUT):  # without the waits that failed attempts get
            agent.signal(signal.SIGHUP)
            with contextlib.suppress(TimeoutError):
                self.tower.wait_online(1, newer_than=before)
                break
        self.tower.wait_online(1, newer_than=before)
        return process

    def puppet(self):
        self.tower.refuse_duplicates = False
        return self.puppet_agent(args=("--heartbeat", "1s", "--log-level", "debug"))

    @modes()
    def test_does_not_outlive_the_agent(self):
        agent = self.puppet()
        stuck = self.stays(agent)
        self.assertFalse(stuck.wait_gone(2), "baseline: it stays")
        self.order("stay")
        agent.terminate()
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(agent.children_left(), [])

    @modes()
    def test_does_not_outlive_a_killed_agent(self):
        agent = self.puppet()
        self.stays(agent)
        agent.popen.kill()
        self.assertEqual(agent.wait(), -signal.SIGKILL)
        self.assertEqual(agent.children_left(), [])

    def test_do_not_fill_the_launcher(self):
        agent = self.puppet()
        stuck = [self.stays(agent) for _ in range(MOST_PROCESSES)]
        self.assertGreater(sum(process.alive for process in stuck), 3, "baseline: they stay")
        self.assertFalse(stuck[0].alive)
        agent.wait_log("did not end when it was told to: killed")
        self.goes_on()


if __name__ == "__main__":
    harness.main()
