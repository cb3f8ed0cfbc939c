"""Turns on hosts in memory: the store's own rules over a dict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from crawler.clock import Clock
from crawler.model import HostGrant
from crawler.store import turns
from crawler.store.turns import Turn, Waiter

HOLD_S = turns.HOLD_S


class HostBook:
    """The turns of all crawls on one store, and who waits for which, by holder."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.hosts: dict[str, Turn] = defaultdict(Turn)
        self.waiting: dict[str, dict[str, Waiter]] = defaultdict(dict)

    def budgets(self, holder: str) -> MemoryTurns:
        """Turns for one holder."""
        return MemoryTurns(self, holder)


class MemoryTurns:
    """One holder's view. ``dead``: its process was killed, and says nothing any more."""

    def __init__(self, book: HostBook, holder: str) -> None:
        self._book = book
        self._holder = holder
        self.dead = False

    async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
        return {name: self._reserve(name, wait_s) for name, wait_s in hosts.items()}

    def _reserve(self, name: str, wait_s: float) -> HostGrant:
        book, waiting = self._book, self._book.waiting[name]
        decision = turns.decide(
            book.hosts[name], list(waiting.values()), self._holder, wait_s, book.clock.elapsed()
        )
        book.hosts[name] = decision.turn
        for holder in (self._holder, *decision.gone):
            waiting.pop(holder, None)
        if decision.waiting is not None:
            waiting[self._holder] = decision.waiting
        return decision.grant

    async def release(self, hosts: Mapping[str, float]) -> None:
        if self.dead:
            return
        book, now = self._book, self._book.clock.elapsed()
        for name, wait_s in hosts.items():
            book.hosts[name] = turns.give_back(book.hosts[name], self._holder, wait_s, now)
            book.waiting[name].pop(self._holder, None)
