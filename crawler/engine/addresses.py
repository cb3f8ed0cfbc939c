"""Hosts at one network address share how many requests it may have at a time.

Known are those of this process only, and a host's address from its first answer on.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, Protocol, TypeVar


class Located(Protocol):
    """A lane. ``address`` "": not known yet."""

    @property
    def address(self) -> str: ...


L = TypeVar("L", bound=Located)


class Addresses(Generic[L]):
    """Counts requests by address, and keeps lanes that are held up by nothing else."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._active: Counter[str] = Counter()
        self._parked: dict[str, dict[L, None]] = {}  # by address, in the order of coming
        self._freed: set[str] = set()  # with room, and with parked lanes

    def full(self, address: str) -> bool:
        """Whether it has as many requests as it may."""
        return bool(address) and self._active[address] >= self._most

    def count(self, address: str, by: int) -> None:
        """So many more requests are under way there."""
        if not address or not by:
            return
        active = self._active[address] = self._active[address] + by
        if not active:
            del self._active[address]
        if active < self._most and address in self._parked:
            self._freed.add(address)
        else:
            self._freed.discard(address)

    def park(self, lane: L) -> None:
        """Keep it until its address has room."""
        self._parked.setdefault(lane.address, {})[lane] = None

    def unpark(self) -> L | None:
        """A lane whose address has room, the one that came first there."""
        if not self._freed:
            return None
        address = next(iter(self._freed))
        waiting = self._parked[address]
        lane = next(iter(waiting))
        del waiting[lane]
        if not waiting:
            del self._parked[address]
            self._freed.discard(address)
        return lane
