# SPDX-License-Identifier: Apache-2.0
"""Ends: the launcher's, its children's, and what is said about them."""

import os
import signal
import unittest

import wire
from plays_parent import MODES, Case, each_mode, listener, wait_for


class Lifetime(Case):
    @each_mode
    def test_end_of_file_ends_it(self, mode):
        launcher = self.launcher(mode)
        launcher.parent.close()
        self.assertEqual(launcher.wait(), 0)
        self.assertEqual(launcher.lines(), "")

    def test_end_of_file_in_the_middle_of_an_order(self):
        launcher = self.launcher()
        session = launcher.order()  # complete; then half an order
        session.born()
        launcher.send(wire.encode("start_session", serial=9, purpose=0), session.token.fileno())
        launcher.parent.close()
        self.assertEqual(launcher.wait(), 0)

    def test_signals_of_a_terminal_do_not_end_it(self):
        with listener() as server:
            launcher = self.launcher(port=server.getsockname()[1])
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
                os.kill(launcher.pid, number)
            self.connects(launcher, server)

    def ended(self, launcher, session, text):
        wait_for(lambda: not launcher.children(), "an empty house")
        wait_for(lambda: text in launcher.lines(), text + " in " + launcher.lines())

    def test_abnormal_ends_are_named(self):
        mode = MODES[0]
        with listener() as server:
            launcher = self.launcher(mode, port=server.getsockname()[1])
            cases = ((signal.SIGSYS, "was ended by its sandbox (SIGSYS)"),
                     (signal.SIGKILL, "was ended by signal 9 (Killed)"),
                     (signal.SIGABRT, "was ended by signal 6 (Aborted)"))
            for number, text in cases:
                session, outcome = launcher.connect("login")
                outcome[1].close()
                os.kill(session.pid, number)
                self.ended(launcher, session,
                           f"net-session (login, serial {launcher.serial}) {text}")
            session, outcome = launcher.connect("agent")
            outcome[1].close()
            session.order_exit(3)
            self.ended(launcher, session,
                       f"net-session (agent, serial {launcher.serial}) ended with code 3")

    def test_good_ends_are_not(self):
        with listener() as server:
            launcher = self.launcher(port=server.getsockname()[1], log_level=2)
            session, outcome = launcher.connect()
            outcome[1].close()
            session.order_exit(0)
            wait_for(lambda: not launcher.children(), "an empty house")
            self.assertEqual(launcher.lines(), "")

    def test_connector_that_dies(self):
        with listener() as proxy:
            launcher = self.launcher(proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}")
            session = launcher.order("probe")
            session.born()
            peer, _ = proxy.accept()
            with peer:
                os.kill(launcher.child("tw-agent-net-connect"), signal.SIGSYS)
                self.assertEqual(session.outcome(), ("closed",))
            wait_for(lambda: "net-connect (probe, serial 1) was ended by its sandbox" in
                     launcher.lines(), "its obituary")


if __name__ == "__main__":
    unittest.main()
