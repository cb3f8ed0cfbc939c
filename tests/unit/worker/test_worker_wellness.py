"""What a worker says of itself while the store refuses, is silent, and answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from crawler.errors import StoreUnavailable
from crawler.worker.wellness import Wellness
from tests.unit.engine.virtual import VirtualClock, run


async def answers() -> None:
    return None


async def refuses() -> None:
    raise StoreUnavailable("connection refused")


async def is_silent() -> None:
    await asyncio.sleep(10)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (refuses, "the store is away: connection refused"),
        (is_silent, "the store gives no answer"),
    ],
)
def test_trouble_is_told_as_long_as_it_lasts(bad: Callable[[], Awaitable[None]], told: str) -> None:
    mood = answers

    async def scenario() -> None:
        nonlocal mood
        wellness = Wellness(lambda: mood(), VirtualClock())
        job = asyncio.create_task(wellness.run())
        await asyncio.sleep(1.5)
        assert wellness.trouble == ""
        mood = bad  # type: ignore[assignment]
        for _ in range(3):
            await asyncio.sleep(2.5)
            assert wellness.trouble == told
        mood = answers
        await asyncio.sleep(6)
        assert wellness.trouble == ""
        job.cancel()

    run(scenario())
