"""Supervised work: an unasked end is a fault, cancellation passes, clean-up is bounded."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from crawler.errors import SessionLost
from crawler.tasks import LoopEnded, bounded, on_signals, start_loop, until


async def test_a_loop_that_returns_is_a_fault() -> None:
    async def ends() -> None:
        return

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.TaskGroup() as group:
            start_loop(group, "short", ends())
    assert failed.group_contains(LoopEnded, match="short")


async def test_until_raises_what_its_work_raises() -> None:
    async def fails() -> None:
        raise SessionLost("gone")

    with pytest.raises(SessionLost):
        await until(asyncio.Event(), fails(), "work")


async def test_until_cancels_its_work_when_stopped() -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await until(stop, waits(), "work")
    assert ended.is_set()


async def test_until_passes_cancellation_on() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(until(asyncio.Event(), waits(), "work"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_clean_up_is_cut_when_it_takes_too_long() -> None:
    assert not await bounded(asyncio.Event().wait(), 0.01, "slow")


async def test_clean_up_that_fails_does_not_stop_the_rest() -> None:
    async def fails() -> None:
        raise SessionLost("gone")

    assert not await bounded(fails(), 1.0, "failing")


async def test_a_signal_asks_for_a_stop() -> None:
    stop = asyncio.Event()
    async with on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 1.0)
