"""Ports of loopback for servers that tests start."""

from __future__ import annotations

import random
import socket

# Below the ephemeral range (32768 on Linux): no outgoing connection takes the port of a server
# that is to come back on it.
_RANGE = range(15_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listened on a moment ago, and that this process was not given before."""
    while True:
        port = random.choice(_RANGE)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
