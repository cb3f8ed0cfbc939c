"""Reading a database without a master: what the app yields in its loop, drawn from outside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import TypeVar

T = TypeVar("T")


def drawn(source: AsyncIterator[T]) -> Generator[T, None, None]:
    """The same values, one at a time; what the source holds open is closed with the iterator."""

    async def following() -> T:
        return await anext(source)

    async def close() -> None:
        ended = getattr(source, "aclose", None)
        if ended is not None:
            await ended()

    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    value = runner.run(following())
                except StopAsyncIteration:
                    return
                yield value
        finally:
            runner.run(close())
