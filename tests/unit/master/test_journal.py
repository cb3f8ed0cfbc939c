"""What the leader did is written in order, and waits while the database is away."""

from __future__ import annotations

import pytest

from crawler.clock import SystemClock
from crawler.errors import StoreUnavailable
from crawler.master.journal import BATCH, KEPT, Journal
from tests.fakes.fence import MemoryFence


def kinds(fence: MemoryFence) -> list[str]:
    return [event.kind for _, event in fence.events]


async def test_events_are_written_in_order_in_batches() -> None:
    fence = MemoryFence()
    journal = Journal(fence, SystemClock())
    told = [f"{number}" for number in range(2 * BATCH + 1)]
    for kind in told:
        journal.tell("1", kind)
    await journal.flush()
    assert kinds(fence) == told
    await journal.flush()
    assert kinds(fence) == told


async def test_events_wait_for_the_database() -> None:
    fence = MemoryFence()
    journal = Journal(fence, SystemClock())
    journal.tell("1", "a")
    fence.down = True
    with pytest.raises(StoreUnavailable):
        await journal.flush()
    journal.tell("1", "b")
    fence.down = False
    await journal.flush()
    assert kinds(fence) == ["a", "b"]


async def test_what_waits_is_bounded() -> None:
    fence = MemoryFence()
    journal = Journal(fence, SystemClock())
    for number in range(KEPT + 5):
        journal.tell("1", f"{number}")
    await journal.flush()
    assert len(fence.events) == KEPT
    assert kinds(fence)[-1] == f"{KEPT + 4}"
