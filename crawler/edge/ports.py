"""Whether haproxy could listen where its configuration says, asked before it is reloaded.

A reload that finds a port taken has the running haproxy stop listening for a moment, in the hope
that it was its own, and new connections are refused meanwhile (measured: 0.6 s at each try).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from crawler.errors import OutOfStep

_BIND = re.compile(r"^[ \t]*bind[ \t]+(?P<places>[^\s#]+)", re.MULTILINE)
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENS = "0A"  # state, in those


def refuse_taken(configs: Iterable[Path]) -> None:
    """Raises `OutOfStep` where another program listens at one of the addresses. What cannot be
    told, as a name, a range or a socket of another user's, is left to haproxy."""
    for config in configs:
        for host, port in places(config.read_text("utf-8", "replace")):
            if _taken(host, port):
                raise OutOfStep(
                    f"{host}:{port} of {config} is taken by another program; end that, or have "
                    "haproxy listen elsewhere"
                )


def places(config: str) -> Iterator[tuple[str, int]]:
    """IP addresses and ports of the ``bind`` lines (configuration.txt, 4.2)."""
    for found in _BIND.finditer(config):
        for place in found["places"].split(","):
            host, _, port = place.rpartition(":")
            host = host.removeprefix("ipv4@").removeprefix("ipv6@").strip("[]")
            if host in ("", "*"):
                host = "0.0.0.0"  # noqa: S104 - as haproxy would
            try:
                ipaddress.ip_address(host)
            except ValueError:
                continue
            if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
                yield host, int(port)


def _taken(host: str, port: int) -> bool:
    """Bind as haproxy does: its own sockets let others of the same user in (socket(7),
    SO_REUSEPORT)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE and os.geteuid() in _listeners(port)
    return False


def _listeners(port: int) -> set[int]:
    """Whose sockets listen on that port (proc(5))."""
    found = set()
    for table in _TABLES:
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            words = row.split()
            if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                found.add(int(words[7]))
    return found
