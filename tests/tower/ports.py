# SPDX-License-Identifier: Apache-2.0
"""Ports of loopback addresses that stay their test's."""

import socket


def reserve(host="127.0.0.1", port=0):
    """A bound socket, to be closed at the end. While it does not listen, connections to its port are
    refused, and nobody who asks for any port gets it; a server that says SO_REUSEADDR can share it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.socket(family, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        place.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    place.bind((host, port))
    return place
