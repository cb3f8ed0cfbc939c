"""Ctrl-C and SIGTERM that leave nothing behind, however many come."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_S = 0.05


class Interrupted(Exception):
    """The work was cancelled for a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def unwind_on_sigterm() -> None:
    """SIGTERM ends a program as Ctrl-C does: what its blocks have started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def noted_signals() -> Iterator[Sequence[int]]:
    """Signals that came. They do nothing by themselves, so that none comes between the start of a
    process and the note of it, or ends what stops the others."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)

    before = [signal.signal(number, note) for number in _NUMBERS]
    try:
        yield came
    finally:
        for number, handler in zip(_NUMBERS, before, strict=True):
            signal.signal(number, handler)


async def until_noted(came: Sequence[int], work: Coroutine[Any, Any, T]) -> T:
    """What the work answers; on a signal it is cancelled, and when it has ended, `Interrupted`."""
    task = asyncio.create_task(work, name="measure")
    while not came and not task.done():
        await asyncio.wait({task}, timeout=_LOOK_S)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    raise Interrupted(came[0])
