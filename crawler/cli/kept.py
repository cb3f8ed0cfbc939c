"""Reading a database without a master: what the app yields in its loop, drawn from outside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 500  # to step into the loop takes longer than most values do


def drawn(source: AsyncIterator[T]) -> Generator[T, None, None]:
    """The same values; what the source holds open is closed with the iterator."""

    async def following() -> list[T]:
        values = []
        async for value in source:
            values.append(value)
            if len(values) == _AT_ONCE:
                break
        return values

    async def close() -> None:
        ended = getattr(source, "aclose", None)
        if ended is not None:
            await ended()

    with asyncio.Runner() as runner:
        try:
            while values := runner.run(following()):
                yield from values
        finally:
            runner.run(close())
