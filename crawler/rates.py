"""How many requests a caller may send: a bucket for each, which fills again by itself.

Both doors of a node, HTTP and gRPC, take from the same buckets. A request is counted where it
comes in: what a master asks itself or the leader for its sake carries a mark and is not counted
again.
"""

from __future__ import annotations

from dataclasses import dataclass

from crawler.clock import Clock
from crawler.errors import Exhausted


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` requests at once, and ``per_s`` a second (at least one) in the long run."""

    per_s: float = 500.0
    burst: int = 2_000


class Rates:
    """The buckets of all callers; there are no more of them than tokens."""

    def __init__(self, clock: Clock, rate: Rate | None = None) -> None:
        self._clock = clock
        self._rate = rate or Rate()
        self._left: dict[str, tuple[float, float]] = {}  # requests, and when there were so many

    def take(self, name: str) -> None:
        """Count a request of this caller; raises `Exhausted` for one too many, which is not
        counted. Callers without a name are not told apart, so that nobody counts them."""
        if not name:
            return
        now = self._clock.elapsed()
        left, since = self._left.get(name, (float(self._rate.burst), now))
        left = min(float(self._rate.burst), left + (now - since) * self._rate.per_s)
        if left < 1:
            self._left[name] = left, now
            raise Exhausted(
                f"{name} sends more than {self._rate.per_s:g} requests per second; send less"
            )
        self._left[name] = left - 1, now
