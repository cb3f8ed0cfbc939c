"""Supervised work: an unasked end is a fault, cancellation passes, clean-up is bounded."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

import pytest

from crawler.errors import SessionLost
from crawler.tasks import LoopEnded, TaskGroup, bounded, on_signals, start_loop, until


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


async def test_who_is_cancelled_while_he_cleans_up_ends_that_first() -> None:
    """However often, as by a group that ends and a supervisor that stops at the same time."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def clean() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        cleaned.set()

    cleaning = asyncio.create_task(bounded(clean(), 5.0, "slow"))
    await begun.wait()
    for _ in range(2):
        cleaning.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await cleaning
    assert cleaned.is_set()


async def test_who_is_cancelled_does_not_clean_up_for_ever() -> None:
    begun, cut = asyncio.Event(), asyncio.Event()

    async def clean() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cut.set()

    cleaning = asyncio.create_task(bounded(clean(), 0.05, "endless"))
    await begun.wait()
    cleaning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cleaning
    await asyncio.sleep(0)
    assert cut.is_set()


async def test_a_time_limit_waits_for_the_clean_up_within() -> None:
    cleaned = asyncio.Event()

    async def clean() -> None:
        await asyncio.sleep(0.05)
        cleaned.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bounded(clean(), 5.0, "slow")
    assert cleaned.is_set()


async def test_a_signal_asks_for_a_stop() -> None:
    stop = asyncio.Event()
    async with on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 1.0)


async def test_who_is_cancelled_while_another_error_ends_his_group_does_not_go_on() -> None:
    """A leader loses its term, and a moment later its session: it must not stand for election
    again under the old one, and it resigns all the same."""
    ending, went_on, resigned = asyncio.Event(), False, asyncio.Event()

    async def resign() -> None:
        await asyncio.sleep(0.01)
        resigned.set()

    async def lose() -> None:
        raise ValueError

    async def end_slowly() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ending.set()
            await asyncio.sleep(0.05)

    async def lead() -> None:
        nonlocal went_on
        while True:
            try:
                with suppress(ExceptionGroup):
                    async with TaskGroup() as group:
                        group.create_task(end_slowly())
                        await asyncio.sleep(0)
                        group.create_task(lose())
            finally:
                await bounded(resign(), 5.0, "resign")
            went_on = True
            await asyncio.sleep(60)

    leading = asyncio.create_task(lead())
    async with asyncio.timeout(5):
        await ending.wait()
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
    assert not went_on
    assert resigned.is_set()


@pytest.mark.parametrize("body_s", [0.0, 60.0], ids=["at its end", "in its body"])
async def test_a_group_that_fails_alone_cancels_nobody(body_s: float) -> None:
    async def lose() -> None:
        raise ValueError

    with suppress(ExceptionGroup):
        async with TaskGroup() as group:
            group.create_task(lose())
            await asyncio.sleep(body_s)
        pytest.fail("the group has not failed")
    await asyncio.sleep(0)
    this = asyncio.current_task()
    assert this is not None
    assert not this.cancelling()


async def test_who_is_cancelled_cleans_up_in_groups() -> None:
    """A cancellation that was taken note of is not repeated by every group that fails later."""
    cleaned = False

    async def lose() -> None:
        raise ValueError

    async def work() -> None:
        nonlocal cleaned
        try:
            await asyncio.sleep(60)
        finally:
            with suppress(ExceptionGroup):
                async with TaskGroup() as group:
                    group.create_task(lose())
            await asyncio.sleep(0)
            cleaned = True

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert cleaned
