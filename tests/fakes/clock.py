"""A clock for what waits and tries again: no bound on it depends on the machine's speed."""

from __future__ import annotations

import asyncio


class SleepClock:
    """Its time passes in sleeps alone, and these take none of the machine's."""

    def __init__(self) -> None:
        self._now = 0.0

    def elapsed(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return soon, ``seconds`` later on this clock; others run meanwhile."""
        self._now += seconds
        await asyncio.sleep(0)
