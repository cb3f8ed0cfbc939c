"""How much is left to crawl, as a figure: what the number of workers can be scaled by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crawler.clock import Clock
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.model import Progress

log = structlog.get_logger(__name__)

_EVERY_S = 15.0  # as often as figures are collected, usually; it costs a sum over all crawls


class Backlog(Collector):
    """Told by the master that leads, and by it alone; ``leads`` says whether this one does. Where
    the store cannot be read there is no figure: a scaler then leaves things as they are."""

    def __init__(
        self,
        totals: Callable[[], Awaitable[Progress]],
        leads: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._totals = totals
        self._leads = leads
        self._clock = clock
        self._pending: int | None = None

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        try:
            while True:
                self._pending = await self._look() if self._leads() else None
                await self._clock.sleep(_EVERY_S)
        finally:
            self._pending = None

    async def _look(self) -> int | None:
        try:
            return (await self._totals()).pending
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("pending pages unknown", error=str(error))
            return None

    def describe(self) -> Iterator[Metric]:
        """Without a look at the store."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        if self._pending is not None:
            yield GaugeMetricFamily(
                "crawler_pending_pages", "Pages of all crawls that are to be fetched.",
                self._pending,
            )  # fmt: skip
