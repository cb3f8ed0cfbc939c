"""Whether this worker can reach the store: without it nothing that it crawls can be kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from crawler.clock import Clock
from crawler.errors import CrawlerError

log = structlog.get_logger(__name__)

_EVERY_S = 1.0
_PATIENCE_S = 1.0
_REASON_CHARS = 200  # it travels in every report of the load


class Wellness:
    """Asks the store again and again. ``probe`` returns once the store has answered, and raises
    `CrawlerError` where it refuses.

    A question is never given up, only counted as unanswered: to cancel one can take longer than
    to wait for its end."""

    def __init__(self, probe: Callable[[], Awaitable[object]], clock: Clock) -> None:
        self._probe = probe
        self._clock = clock
        self._refusal = ""
        self._asked_at: float | None = None  # when the open question was asked

    @property
    def trouble(self) -> str:
        """What keeps this worker from its work; "": nothing."""
        asked_at = self._asked_at
        if self._refusal or asked_at is None:
            return self._refusal
        late = self._clock.elapsed() - asked_at > _PATIENCE_S
        return "the store gives no answer" if late else ""

    async def run(self) -> NoReturn:
        """Ask until cancelled."""
        while True:
            self._asked_at = self._clock.elapsed()
            try:
                await self._probe()
            except CrawlerError as error:
                if not self._refusal:
                    log.warning("cannot work", reason=str(error))
                    self._refusal = f"the store is away: {error}"[:_REASON_CHARS]
            else:
                if self._refusal:
                    log.info("can work again")
                self._refusal = ""
            self._asked_at = None
            await self._clock.sleep(_EVERY_S)
