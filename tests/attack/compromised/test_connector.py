#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A connector that a proxy or a name server has taken over: whatever it hands over, the token goes
to nobody but the verified host; and it reaches nothing else."""

import contextlib
import os
import socket
import tempfile
import threading
import unittest

from puppets import PARENT, PuppetCase, frame, program_of
import harness
from harness import TIMEOUT, TOKEN, modes, shared_pki
from support import write_file
from tower import Tower

CONNECTED = frame("connected")
ALERT = 2 + 1 + 16  # RFC 8446, section 5.2: an alert, its type and the tag
APPLICATION_DATA = 23


class Front:
    """Listens where the agent connects to: says a line to the connector, then passes bytes on to a
    Tower. What comes in is kept."""

    def __init__(self, target, address="127.0.0.1", port=0, line=None):
        self.line, self.received = line, []
        self._target = target
        self._listener = socket.create_server((address, port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        kept = bytearray()
        self.received.append(kept)
        with contextlib.suppress(OSError), client, \
                socket.create_connection(("127.0.0.1", self._target)) as server:
            if self.line:
                client.sendall(self.line)
            back = threading.Thread(target=self._copy, args=[server, client], daemon=True)
            back.start()
            self._copy(client, server, kept)
            back.join()

    @staticmethod
    def _copy(source, sink, kept=None):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def records(stream):
    """(type, length) of each TLS record."""
    at, found = 0, []
    while at + 5 <= len(stream):
        size = int.from_bytes(stream[at + 3:at + 5], "big")
        found.append((stream[at], size))
        at += 5 + size
    return found


class ConnectorCase(PuppetCase):
    role = "connector"

    def setUp(self):
        super().setUp()
        self.front = Front(self.tower.port)
        self.addCleanup(self.front.close)

    def led(self, *orders, **options):
        """An agent whose connectors get these orders."""
        self.front.line = f"!connector {'; '.join(orders)}\n".encode()
        return self.start_agent(program=program_of(self.role),
                                url=f"https://localhost:{self.front.port}/api", **options)

    def set_free(self):
        """From now on connectors do as they should, and all is well."""
        self.front.line = b"pass\n"
        self.tower.wait_online(TIMEOUT)
        self.goes_on()


class Elsewhere(ConnectorCase):
    """To a server of another name at the same port, which the sandbox has to allow."""

    def other(self, identity, tls):
        tower = Tower(shared_pki(), token=TOKEN, identity=identity, tls=tls).start()
        self.addCleanup(tower.stop)
        front = Front(tower.port, "127.0.0.2", self.front.port)
        self.addCleanup(front.close)
        return tower, front

    def refused(self, identity, tls):
        tower, front = self.other(identity, tls)
        agent = self.led(f"connect 127.0.0.2 {front.port}")
        agent.wait_log("nothing was sent to it")
        self.assertEqual(self.outcome(agent, "connect", 0), "ok 0")
        tower.events.wait_until(lambda: tower.events.count("tcp-closed") >= 3, TIMEOUT, "three")
        self.assertGreaterEqual(tower.events.count("tls-failed"), 1)
        self.assertEqual(tower.requests() + self.tower.requests(), [])
        heard = [kept for kept in front.received if kept]
        self.assertGreaterEqual(len(heard), 1)
        for kept in heard:
            sizes = records(kept)
            self.assertEqual(sizes[0][0], 22, "a ClientHello")
            self.assertEqual([one for one in sizes if one[0] == APPLICATION_DATA
                              and one[1] != ALERT], [])
            self.assertNotIn(TOKEN.encode(), kept)
        self.set_free()

    @modes()
    def test_another_authority(self):
        self.refused(shared_pki().other_ca(), "1.3")

    def test_another_authority_tls_1_2(self):
        self.refused(shared_pki().other_ca(), "1.2")

    def test_another_host(self):
        self.refused(shared_pki().other_host(), "any")

    def test_baseline(self):
        """With the host's own key it is the host: then the token comes."""
        tower, front = self.other(shared_pki().server(), "any")
        agent = self.led(f"connect 127.0.0.2 {front.port}")
        tower.wait_online(TIMEOUT)
        self.assertEqual({request.token for request in tower.requests()} - {None}, {TOKEN})
        self.assertEqual(self.tower.requests(), [])
        self.assertEqual(self.outcome(agent, "connect", 0), "ok 0")


class Reach(ConnectorCase):
    @modes()
    def test_each(self):
        """None of these is granted by its sandbox."""
        with tempfile.TemporaryDirectory() as directory:
            harness.give(directory, harness.own_user(), 0o755)
            secret = write_file(directory, "secret", "x")
            other = self.tower.port
            ways = ["exec /bin/sh", "fork", "kill {pid} 0", "ptrace {pid}", "vm {pid}",
                    "memory {pid}", f"open {secret}", f"create {directory}/new",
                    f"connect 127.0.0.1 {other}"]
            self.baseline(ways)
            os.unlink(os.path.join(directory, "new"))
            pid = self.bystander("tw-agent-net" if self.mode == "system" else harness.own_user())
            agent = self.led(*(way.format(pid=pid) for way in ways))
            for way in ways:
                with self.subTest(way):
                    self.assertIn(self.outcome(agent, way.split()[0], 0), ("EPERM", "EACCES"))
            self.assertNotIn("puppet program", agent.log)
        self.set_free()


class HandOver(ConnectorCase):
    def broken(self):
        give = f"swallow; raw {PARENT} {CONNECTED}"
        return {give: "descriptor missing", f"{give} null": "not a socket",
                f"{give} channel channel": "more than one descriptor",
                f"{give}00 channel": "trailing bytes",
                f"swallow; raw {PARENT} {frame('go')}": "another direction",
                f"swallow; raw {PARENT} {frame('token_request')}": "another direction"}

    def test_each(self):
        for order, why in self.broken().items():
            with self.subTest(order, why=why):
                agent = self.led(order)
                agent.wait_log(r"tw-agent\[net-session\].*the connector broke the rules of its "
                               rf"channel \(.*{why}")
                self.set_free()
                agent.terminate()
                self.assertEqual(agent.wait(), 0)
                self.tower.wait_offline(TIMEOUT)

    def test_channel(self):
        """A socket, but none to a server."""
        agent = self.led(f"swallow; raw {PARENT} {CONNECTED} channel")
        agent.wait_log("trying again")
        self.assertEqual(self.tower.requests(), [])
        self.set_free()

    def test_nothing(self):
        """It ends without a word."""
        agent = self.led("swallow")
        agent.wait_log("the connector ended without a connection")
        self.set_free()


class OtherSockets(unittest.TestCase):
    """What a connector's filter does not let it make: the session ends with each, at once."""

    def test_each(self):
        import case
        import play
        pki = case.set_up()
        sockets = {"listening": socket.create_server(("127.0.0.1", 0)),
                   "unconnected": socket.socket(),
                   "datagrams": socket.socket(socket.AF_INET, socket.SOCK_DGRAM)}
        for name, one in sockets.items():
            with self.subTest(name), one:
                session = play.Session("login", ca=pki.ca,
                                       program=program_of("core", "tw-agent-net-session"))
                self.addCleanup(session.close)
                socket.send_fds(session.connector, [bytes.fromhex(CONNECTED)], [one.fileno()])
                session.go()
                self.assertEqual(session.expect("ended")["stage"] in (play.TLS, play.DROPPED,
                                                                      play.INTERNAL), True)
                self.assertEqual(session.parent.recv(100), b"", "no request for the token")
                self.assertEqual(session.wait(), 0)


class Silent(ConnectorCase):
    @modes("system")
    def test_never_answers(self):
        """Core gives the session up after a minute; the next connectors do their work."""
        agent = self.led("stay")
        agent.wait_log("no answer within 60 s", timeout=60 + 2 * TIMEOUT)
        stuck = [one for one in agent.processes() if one.comm == "tw-agent-net-co"]
        self.assertGreaterEqual(len(stuck), 3)  # more once it tries again
        self.set_free()
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(agent.children_left(), [])


if __name__ == "__main__":
    harness.main()
