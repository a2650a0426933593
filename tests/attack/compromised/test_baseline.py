#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The floods of the other tests, against a receiver that takes whatever comes: all of it arrives,
and is held."""

import os
import socket
import threading
import unittest

from puppets import bare, command_frame
import harness


class Floods(unittest.TestCase):
    def receive(self, order, count):
        """(packets, descriptors) that the receiver holds in the end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        packets, held = set(), []

        def take():
            while True:
                data, fds, _, _ = socket.recv_fds(ours, 65536, 8)
                if not data:
                    return
                packets.add(data)
                held.extend(fds)

        taker = threading.Thread(target=take)
        taker.start()
        with ours, theirs:
            outcomes = bare(f"flood {theirs.fileno()} {count} {order}",
                            user="root" if harness.AS_ROOT else None, pass_fds=[theirs.fileno()])
            theirs.shutdown(socket.SHUT_WR)
            taker.join(harness.TIMEOUT)
        for one in held:
            os.close(one)
        self.assertEqual(outcomes, ["ok 0"])
        return len(packets), len(held)

    def test_commands(self):
        whole = command_frame("flood-########", "\0" * 30000)
        self.assertEqual(self.receive("+30000:" + whole[:-60000], 6000), (6000, 0))

    def test_descriptors(self):
        self.assertEqual(self.receive(command_frame("flood-########") + " sealed:1000000", 500),
                         (500, 500))


if __name__ == "__main__":
    harness.main()
