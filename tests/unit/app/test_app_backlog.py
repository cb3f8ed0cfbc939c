"""Pending pages as a figure: of the leader alone, and none rather than a wrong one."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from crawler.app.backlog import Backlog
from crawler.errors import StoreUnavailable
from crawler.model import Progress
from tests.fakes.clock import SleepClock


async def test_the_leader_alone_tells_what_is_left() -> None:
    registry, found, leads = CollectorRegistry(), 0, True

    async def totals() -> Progress:
        if found < 0:
            raise StoreUnavailable("away")
        return Progress(known=found + 1, done=1)

    backlog = Backlog(totals, lambda: leads, SleepClock())
    registry.register(backlog)
    looking = asyncio.create_task(backlog.run())

    async def told() -> float | None:
        for _ in range(5):
            await asyncio.sleep(0)
        return registry.get_sample_value("crawler_pending_pages")

    found = 7
    assert await told() == 7
    found = -1
    assert await told() is None
    found, leads = 3, False
    assert await told() is None
    leads = True
    assert await told() == 3
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert await told() is None
