"""Turns on hosts in memory, as `crawler.store.contract` wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crawler.clock import Clock
from crawler.model import HostGrant

HOLD_S = 10.0
_ASK_AGAIN_S = 0.5
_TOO_FAR_S = 3600.0  # a time further in the future comes from a clock that stepped


@dataclass(slots=True)
class Host:
    """Who has the turn until when, who waits, and when the next request may start."""

    holder: str = ""
    until: float = 0.0
    not_before: float = 0.0
    waiting: dict[str, float] = field(default_factory=dict)  # holder: last asked, oldest first


class HostBook:
    """The turns of all crawls on one store."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.hosts: dict[str, Host] = {}

    def budgets(self, holder: str) -> MemoryTurns:
        """Turns for one holder."""
        return MemoryTurns(self, holder)

    def host(self, name: str) -> Host:
        """A host's entry, made sane: nothing lies far in the future, nobody waits for ever."""
        host = self.hosts.setdefault(name, Host())
        now = self.clock.wall()
        if host.until > now + _TOO_FAR_S:
            host.holder, host.until = "", 0.0
        if host.not_before > now + _TOO_FAR_S:
            host.not_before = 0.0
        host.waiting = {who: at for who, at in host.waiting.items() if at > now - HOLD_S}
        return host


class MemoryTurns:
    """One holder's view. ``dead``: its process was killed, and says nothing any more."""

    def __init__(self, book: HostBook, holder: str) -> None:
        self._book = book
        self._holder = holder
        self.dead = False

    async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
        return {name: self._reserve(name, earliest) for name, earliest in hosts.items()}

    def _reserve(self, name: str, earliest: float) -> HostGrant:
        host, now = self._book.host(name), self._book.clock.wall()
        free = not host.holder or host.until <= now
        first = next(iter(host.waiting), self._holder) == self._holder
        if host.holder != self._holder and not (free and first):
            host.waiting[self._holder] = now
            return HostGrant(held=False, until=now + _ASK_AGAIN_S)
        host.waiting.pop(self._holder, None)
        host.holder, host.until = self._holder, now + HOLD_S
        host.not_before = max(host.not_before, earliest)
        return HostGrant(True, host.until, host.not_before, bool(host.waiting))

    async def release(self, hosts: Mapping[str, float]) -> None:
        if self.dead:
            return
        for name, earliest in hosts.items():
            host = self._book.host(name)
            if host.holder == self._holder:
                host.holder, host.until = "", 0.0
                host.not_before = max(host.not_before, earliest)
