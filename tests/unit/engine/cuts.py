"""The death of a crawl, at a step of the test's choice."""

from __future__ import annotations

from collections.abc import Callable


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Cut:
    """Calls ``act`` at the step numbered ``at``."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at = at
        self.act = act
        self.count = 0

    async def step(self, _: str) -> None:
        self.count += 1
        if self.count == self.at:
            self.act()
