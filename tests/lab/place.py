"""Where a test's process runs: which address it has there, and how its command gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Place(Protocol):
    """A machine, as far as whoever starts a process cares."""

    @property
    def address(self) -> str:
        """The IPv4 address that processes here listen on."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs ``arguments`` here; it becomes that program by exec."""


class _Loopback:
    """The machine that the tests run on."""

    address = "127.0.0.1"

    def command(self, arguments: Sequence[str]) -> list[str]:
        return list(arguments)


LOOPBACK: Place = _Loopback()
