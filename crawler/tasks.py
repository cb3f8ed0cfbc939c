"""Supervised work: named groups, periodic loops, signals, and the drain-then-cancel stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NoReturn, Self

import structlog

from crawler.clock import Clock
from crawler.errors import CrawlerError

log = structlog.get_logger(__name__)


if sys.version_info >= (3, 13):
    TaskGroup = asyncio.TaskGroup
else:

    class TaskGroup(asyncio.TaskGroup):
        """asyncio's, which before Python 3.13 forgets that its owner was cancelled where one of its
        tasks has failed and the others are still ending (python/cpython#116720): who handles that
        error then goes on for ever, and whoever cancelled him waits for ever. Here his next await
        is cancelled."""

        _parent_cancel_requested: bool  # asyncio's own: by the group, because a task has failed

        async def __aenter__(self) -> Self:
            self._cancelled = _this_task().cancelling()
            return await super().__aenter__()

        async def __aexit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            task, taken_back = _this_task(), self._parent_cancel_requested
            try:
                await super().__aexit__(kind, error, trace)
            except BaseExceptionGroup:
                if self._parent_cancel_requested and not taken_back:
                    task.uncancel()  # which asyncio does only where that came before the exit
                if task.cancelling() > self._cancelled:
                    task.uncancel()
                    task.cancel()
                raise


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


class LoopEnded(CrawlerError):
    """A task that should run until cancelled returned: a fault, even without an exception."""


async def forever(work: Awaitable[object], name: str) -> NoReturn:
    """Await ``work``; its unasked end raises `LoopEnded`."""
    await work
    raise LoopEnded(f"task {name} ended unasked")


def start_loop(
    group: asyncio.TaskGroup, name: str, work: Coroutine[Any, Any, object]
) -> asyncio.Task[NoReturn]:
    """Start ``work`` in the group as a loop that only cancellation may end."""
    task = group.create_task(forever(work, name), name=name)
    task.add_done_callback(lambda _: work.close())  # cancelled before it began, it is not awaited
    return task


async def every(
    seconds: float, step: Callable[[], Awaitable[object]], clock: Clock, *, first: float = 0.0
) -> NoReturn:
    """Call ``step`` now (or after ``first`` seconds), then ``seconds`` after each end of it."""
    await clock.sleep(first)
    while True:
        await step()
        await clock.sleep(seconds)


@asynccontextmanager
async def on_signals(stop: asyncio.Event) -> AsyncIterator[None]:
    """Set ``stop`` on SIGTERM or SIGINT; a second signal gets its default effect."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def note(number: signal.Signals) -> None:
        log.info("stopping", signal=number.name)
        stop.set()
        for each in numbers:
            loop.remove_signal_handler(each)

    for number in numbers:
        loop.add_signal_handler(number, note, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def until(
    stop: asyncio.Event,
    work: Coroutine[Any, Any, object],
    name: str,
    *,
    before_cancel: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Run ``work`` until ``stop`` is set, then cancel it and wait for its end.

    ``before_cancel`` (a drain) is awaited first, while the work still runs. An error of ``work``,
    or its unasked end, is raised.
    """
    task = asyncio.create_task(work, name=name)
    waiting = asyncio.create_task(stop.wait(), name=f"{name}: stop")
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await forever(task, name)
        if before_cancel is not None and not task.done():
            await before_cancel()
    finally:
        for each in (waiting, task):
            each.cancel()
        await asyncio.gather(waiting, task, return_exceptions=True)
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves, out of groups of groups, in the order in which they came."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


async def bounded(work: Awaitable[object], seconds: float, name: str) -> bool:
    """Await clean-up ``work`` for at most ``seconds``; who is cancelled meanwhile ends it first.

    Returns whether it ended in time; an error in it is logged, because clean-up must go on. Where
    a second piece follows, it stands in a ``finally``: a cancellation is raised in the end.
    """
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(asyncio.wait({task}, timeout=seconds))
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
    cleaned = _cleaned(task, seconds, name)
    if cancelled is not None:
        raise cancelled
    return cleaned


def _cleaned(task: asyncio.Future[object], seconds: float, name: str) -> bool:
    if not task.done():
        task.cancel()
        log.warning("clean-up cut short", what=name, seconds=seconds)
        return False
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("clean-up failed", what=name, error=str(error))
        return False
    return True
