"""What the service manager hears of a node: that it is ready, how it is, and that it gets on.

A sign of life comes from the event loop, so a process that hangs sends none. It is also withheld
where the loop turns but nobody has cared for the session for longer than that can take. To care is
to begin a session, to keep it alive, or to try either: an idle node does so, and so does one whose
etcd or database is away, which a restart would not help. Before the first session, and where there
is none, the loop alone counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import structlog

from crawler.clock import Clock
from crawler.config import Supervision, read_supervision
from crawler.tasks import forever
from crawler.telemetry.notify import Notifier

log = structlog.get_logger(__name__)

_START_S = 300  # so long each sign of life extends the start: a migration may hold up the loop
_TELL_EVERY_S = 5.0  # how it is, for people
_SIGNS = 3  # in the time after which silence counts as death
_CLEANUP_S = 15.0  # the longest that an orderly end of a session takes, and then some


class Watchdog:
    """Of one node. ``notifier`` None: nobody listens. ``ttl_s``: of its sessions."""

    def __init__(self, notifier: Notifier | None, ttl_s: int, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._patience_s = ttl_s + _CLEANUP_S  # between two keepalives lie two thirds of a TTL
        self._beaten_at: float | None = None
        self._ready = False
        self._silent = False
        self._words: Callable[[], str] = lambda: "starting"

    def beat(self) -> None:
        """The session is being cared for."""
        self._beaten_at = self._clock.elapsed()

    def ready(self, words: Callable[[], str]) -> None:
        """The node takes part. From now on ``words`` tell how it is, in one line."""
        self._words = words
        if not self._ready and self._notifier is not None:
            self._notifier.tell("READY=1", f"STATUS={words()}")
        self._ready = True

    def look(self) -> None:
        """Send a sign of life, if there is one."""
        if self._notifier is None:
            return
        if not self._alive():
            if not self._silent:
                log.error("no session is cared for; the watchdog is left to bite")
            self._silent = True
            return
        self._silent = False
        sign = "WATCHDOG=1" if self._ready else f"EXTEND_TIMEOUT_USEC={_START_S * 1_000_000}"
        self._notifier.tell(sign, f"STATUS={self._words()}")

    async def run(self, stop: asyncio.Event, period_s: float) -> NoReturn:
        """Look every ``period_s``. Once ``stop`` is set, only a hung loop is still a fault: the
        manager bounds how long a stop takes."""
        while not stop.is_set():
            self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), period_s)
        assert self._notifier is not None
        self._notifier.tell("STOPPING=1", "STATUS=stopping")
        while True:
            await self._clock.sleep(period_s)
            self._notifier.tell("WATCHDOG=1")

    def _alive(self) -> bool:
        beaten_at = self._beaten_at
        return beaten_at is None or self._clock.elapsed() - beaten_at <= self._patience_s


@asynccontextmanager
async def watched(stop: asyncio.Event, ttl_s: int, clock: Clock) -> AsyncIterator[Watchdog]:
    """Tell the manager, if there is one, until the block ends."""
    supervision = read_supervision()
    if supervision is None:
        yield Watchdog(None, ttl_s, clock)
        return
    dog = Watchdog(Notifier(supervision.socket), ttl_s, clock)
    # Should it ever end by itself, the manager hears nothing more, and starts the node anew.
    running = dog.run(stop, _period_s(supervision))
    telling = asyncio.create_task(forever(running, "watchdog"), name="watchdog")
    try:
        yield dog
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        running.close()  # cancelled before it began, it is not awaited


def _period_s(supervision: Supervision) -> float:
    if supervision.watchdog_s is None:
        return _TELL_EVERY_S
    return min(supervision.watchdog_s / _SIGNS, _TELL_EVERY_S)
