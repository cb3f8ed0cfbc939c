"""Which proxy of a pool takes a request, and which are left alone because they fail. Pure."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass

_FAILURES = 3  # in a row, and a proxy is banned; one is enough for a proxy that was banned before
_FIRST_BAN_S = 30.0  # doubled with each ban that no success comes between
_LONGEST_BAN_S = 3600.0


@dataclass(frozen=True, slots=True)
class Health:
    """Of one proxy: failures in a row, bans in a row, and when the last of them ends."""

    failures: int = 0
    bans: int = 0
    banned_until: float = 0.0


def after_failure(health: Health, now: float) -> Health:
    """One more failure, which may be one too many."""
    failures = health.failures + 1
    if failures < _FAILURES and not health.bans:
        return Health(failures, 0, health.banned_until)
    ban_s = min(_FIRST_BAN_S * 2.0 ** min(health.bans, 20), _LONGEST_BAN_S)
    return Health(0, health.bans + 1, max(health.banned_until, now + ban_s))


class Pool:
    """The proxies of a pool by number. ``sticky``: a host keeps its proxy for as long as that is
    not banned; otherwise they take turns. Times are those of one monotonic clock."""

    def __init__(self, size: int, *, sticky: bool) -> None:
        self._health = [Health()] * size
        self._turns = None if sticky else itertools.count()

    def pick(self, host: str, now: float) -> int | None:
        """A proxy for a request to ``host``; None: all are banned."""
        size = len(self._health)
        first = zlib.crc32(host.encode()) if self._turns is None else next(self._turns)
        for step in range(size):
            which = (first + step) % size
            if self._health[which].banned_until <= now:
                return which
        return None

    def free_at(self) -> float:
        """When a proxy can be picked, or could."""
        return min(health.banned_until for health in self._health)

    def succeeded(self, which: int) -> None:
        """It has brought an answer."""
        if self._health[which] != Health():
            self._health[which] = Health()

    def failed(self, which: int, now: float) -> bool:
        """It has not; whether that banned it."""
        before = self._health[which]
        after = self._health[which] = after_failure(before, now)
        return after.bans > before.bans
