"""Time and chance: what would make a test wait or vary is an argument taken from here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from snowflake import MAX_SEQ, Snowflake

# The epoch of bwmarrin/snowflake, so that ids read the same as those of the Go original.
SNOWFLAKE_EPOCH_MS = 1288834974657
MAX_INSTANCES = 1024


class Clock(Protocol):
    """Where time comes from."""

    def elapsed(self) -> float:
        """Seconds on a clock that never steps and runs on in suspend (CLOCK_BOOTTIME)."""

    def wall(self) -> float:
        """Unix seconds; may step either way."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of `elapsed` time."""


class SystemClock:
    """The machine's own clock."""

    def elapsed(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter (AWS architecture blog, "Exponential backoff and
    jitter"): the nth delay is uniform between 0 and min(cap, base * 2**n), but at least ``floor``.
    """

    base_s: float = 0.1
    cap_s: float = 5.0
    floor_s: float = 0.02

    def delay(self, attempt: int, chance: random.Random) -> float:
        """Seconds to wait before try ``attempt`` + 1, counted from 0."""
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(attempt, 32))
        return max(self.floor_s, chance.uniform(0.0, ceiling))

    def delays(self, chance: random.Random | None = None) -> Iterator[float]:
        """Delays without end."""
        source = chance or random.Random()
        attempt = 0
        while True:
            yield self.delay(attempt, source)
            attempt += 1


class IdSource:
    """Snowflake ids that never repeat although clocks step back.

    Ids rise strictly, and all are above ``floor_ms``, the high-water mark that was reserved by
    whoever issued ids before. `ceiling_ms` tells up to which millisecond ids may have been used.
    """

    def __init__(self, instance: int, *, floor_ms: int = 0, clock: Clock | None = None) -> None:
        self._instance = instance
        self._clock = clock or SystemClock()
        self._last_ms = floor_ms
        self._seq = MAX_SEQ  # forces the first id above the floor

    def peek_ms(self) -> int:
        """The millisecond (since the Unix epoch) that the next id will carry at least."""
        return max(self._last_ms, int(self._clock.wall() * 1000))

    def next(self) -> str:
        """The next id as a decimal string."""
        now_ms = int(self._clock.wall() * 1000)
        if now_ms > self._last_ms:
            self._last_ms, self._seq = now_ms, 0
        elif self._seq < MAX_SEQ:
            self._seq += 1
        else:
            self._last_ms, self._seq = self._last_ms + 1, 0
        flake = Snowflake(
            self._last_ms - SNOWFLAKE_EPOCH_MS, self._instance, SNOWFLAKE_EPOCH_MS, self._seq
        )
        return str(flake.value)
