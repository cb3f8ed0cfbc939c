"""Ports on loopback: free ones, remembered so that a restart finds the same addresses."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from crawler.errors import Misconfigured

# Below Linux's range for outgoing connections (ip_local_port_range, from 32768): a port that is
# free while its server restarts is then not handed to a client, nor connected to by itself.
_LOW, _HIGH = 20_000, 32_000


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except (OSError, OverflowError):  # taken, not ours to take, or no port at all
            return False
    return True


class PortBook:
    """Which server has which port, kept in one JSON file."""

    def __init__(self, path: Path, chance: random.Random | None = None) -> None:
        self._path = path
        self._chance = chance or random.Random()
        self._ports = self._read()
        self._taken: set[int] = set()

    def take(self, name: str, preferred: int | None = None) -> int:
        """The port of ``name``: the remembered one if free, else ``preferred``, else any.

        No port is given out twice by one book.
        """
        for port in (self._ports.get(name), preferred):
            if port and port not in self._taken and is_free(port):
                return self._note(name, port)
        for _ in range(1000):
            port = self._chance.randrange(_LOW, _HIGH)
            if port not in self._taken and is_free(port):
                return self._note(name, port)
        raise Misconfigured(f"no free port between {_LOW} and {_HIGH} on loopback")

    def take_exactly(self, name: str, port: int, hint: str) -> int:
        """That port and no other; raises `Misconfigured` with ``hint`` when it is in use."""
        if port in self._taken or not is_free(port):
            raise Misconfigured(f"port {port} is in use by another program; {hint}")
        return self._note(name, port)

    def _note(self, name: str, port: int) -> int:
        self._taken.add(port)
        self._ports[name] = port
        draft = self._path.with_suffix(".new")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(self._ports, indent=1, sort_keys=True) + "\n")
        draft.replace(self._path)
        return port

    def _read(self) -> dict[str, int]:
        try:
            kept = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(kept, dict):
            return {}
        return {str(name): port for name, port in kept.items() if isinstance(port, int)}
