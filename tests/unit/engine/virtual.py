"""Time that passes only when everybody waits: hours of politeness in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0
MOST_ROUNDS = 20_000


class _Selector(selectors.SelectSelector):
    """Instead of waiting, moves the clock."""

    now = 0.0
    rounds = 0  # since the clock was moved last

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self.rounds += 1
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits for something that never comes")
            if timeout > 0:
                self.now += timeout
                self.rounds = 0
        if self.rounds > MOST_ROUNDS:
            raise RuntimeError("somebody is busy and never waits")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


class VirtualClock:
    """The `Clock` of whatever loop runs. ``ahead_s``: how far the wall clock has been stepped."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return EPOCH + self.elapsed() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
