"""Ports of loopback for servers that tests start."""

from __future__ import annotations

import os
import random
import socket

# Test processes that run side by side (pytest-xdist) draw from ports of their own.
_SIDE_BY_SIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_WHICH = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Below the ephemeral range (32768 on Linux): no outgoing connection takes the port of a server
# that is to come back on it.
_RANGE = range(15_000 + _WHICH, 32_000, _SIDE_BY_SIDE)
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
