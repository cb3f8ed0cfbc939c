"""Bodies that are large, or become large: refused before they are held."""

from __future__ import annotations

import gzip
import io
from typing import Any

import aiohttp
import pytest

from tests.fakes.api import FakeCluster
from tests.hostile.web.test_hostile_requests import RESOURCE, refused


@pytest.mark.threat(23)
async def test_ten_megabytes_are_refused(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    async with http.post(RESOURCE, data=io.BytesIO(b"x" * 10_000_000)) as response:
        await refused(response, 413)


async def test_ten_megabytes_in_chunks_are_refused(http: aiohttp.ClientSession) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 100_000

    try:
        async with http.post(RESOURCE, data=chunks()) as response:
            await refused(response, 413)
    except aiohttp.ClientOSError:
        pass  # the answer came before the body was sent, and the connection was closed


@pytest.mark.threat(12)
async def test_a_compressed_bomb_is_refused(http: aiohttp.ClientSession) -> None:
    headers = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 50_000_000)
    async with http.post(RESOURCE, data=bomb, headers=headers) as response:
        await refused(response, 413)
