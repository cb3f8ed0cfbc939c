"""The least that fetching costs: aiohttp and uvloop, no parsing, no store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import uvloop
from yarl import URL

_CONCURRENCY = 32


async def fetch(urls: list[str]) -> None:
    """Fetch every URL once."""
    left = iter(urls)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        await asyncio.gather(*(_work(session, left) for _ in range(_CONCURRENCY)))


async def _work(session: aiohttp.ClientSession, left: Iterator[str]) -> None:
    for url in left:
        async with session.get(URL(url, encoded=True), allow_redirects=False) as answer:
            await answer.read()


if __name__ == "__main__":
    uvloop.run(fetch(Path(sys.argv[1]).read_text().split()))
