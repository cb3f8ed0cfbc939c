"""What crawls ask of the caches of other workers, and give them; and that none of it is believed of
strangers."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from multidict import CIMultiDict

from crawler.app.kept_pages import KeptPages, news_of, open_kept
from crawler.cache.answers import Stored
from crawler.cache.fields import Fields, Pairs
from crawler.clock import SystemClock
from crawler.coordination.signing import Seal
from crawler.engine.fetch.kept import Answer, joined
from crawler.errors import InvalidInput
from crawler.proxy.marks import prove
from crawler.proxy.parcels import pack, unpack
from crawler.proxy.peers import Peer, owner_of
from tests.integration.engine.servers import speaking
from tests.integration.proxy.stage import NO_SECRET, ask, proxying, say
from tests.ports import free_port

SECRET, SENT = Seal(b"s" * 32), CIMultiDict({"User-Agent": "Us/1"})
MOST = 1 << 20
FRESH = joined([("Cache-Control", "max-age=60"), ("ETag", '"1"'), ("Vary", "Accept")])


def owned_by(node: str, origin: str = "http://site.example") -> str:
    urls = (f"{origin}/{number}" for number in range(99))
    return next(url for url in urls if owner_of(url, "ab") == node)


def page(came_at: float | None = None, body: bytes = b"page") -> Answer:
    now = SystemClock().wall() if came_at is None else came_at
    return Answer(200, FRESH, body, now, now)


@asynccontextmanager
async def crawling(folder: Path, port: int, seal: Seal = SECRET) -> AsyncIterator[KeptPages]:
    """The cache as the crawls of the worker ``b`` use it, beside ``a`` with its proxy there."""
    settings = {"directory": f"{folder}/b", "max_bytes": 64 << 20, "tls_ca": None}
    async with open_kept(settings, "b", SystemClock()) as (pages, hear):
        hear(news_of([Peer("a", f"127.0.0.1:{port}")], seal))
        yield pages


async def test_what_a_crawl_fetched_is_kept_by_its_owner_alone(tmp_path: Path) -> None:
    url, own = owned_by("a"), owned_by("b")
    async with (
        proxying(tmp_path, seal=SECRET) as proxy,
        crawling(tmp_path / "1", proxy.port) as first,
        crawling(tmp_path / "2", proxy.port) as second,
    ):
        await first.keep(url, SENT, page())
        await first.keep(own, SENT, page())
        assert [each.url for each in await proxy.shelf.all(url)] == [url]
        assert await proxy.shelf.all(own) == []
        found = await second.fresh(url, SENT, MOST)
        assert found is not None
        assert (found.status, found.body, found.headers["ETag"]) == (200, b"page", '"1"')
        assert await second.fresh(own, SENT, MOST) is None
        assert await second.fresh(url, CIMultiDict({"Accept": "text/html"}), MOST) is None
        assert await second.fresh(url, SENT, 3) is None
        assert (await ask(proxy.port, url)).body == b"page"
        assert proxy.figures.results["hit"] >= 2


async def test_an_owner_hears_that_a_page_still_stands(tmp_path: Path) -> None:
    url, now = owned_by("a"), SystemClock().wall()
    async with (
        proxying(tmp_path, seal=SECRET) as proxy,
        crawling(tmp_path, proxy.port) as pages,
    ):
        await pages.keep(url, SENT, page(now - 100))
        assert await pages.fresh(url, SENT, MOST) is None
        await pages.keep(url, SENT, Answer(304, FRESH, b"", now, now))
        assert await pages.fresh(url, SENT, MOST) is not None
        assert len(await proxy.shelf.all(url)) == 1


async def test_nobody_keeps_what_must_not_be_kept(tmp_path: Path) -> None:
    url, ahead = owned_by("a"), SystemClock().wall() + 1000
    private = Answer(200, joined([("Cache-Control", "max-age=60, private")]), b"", 1.0, 1.0)
    async with (
        proxying(tmp_path, seal=SECRET) as proxy,
        crawling(tmp_path, proxy.port) as pages,
    ):
        await pages.keep(url, SENT, private)
        assert await proxy.shelf.size() == (0, 0)
        await pages.keep(url, SENT, page(ahead))
        (kept,) = await proxy.shelf.all(url)
        assert kept.came_at < ahead  # no clock of others makes a page last longer


@pytest.mark.parametrize("theirs", [NO_SECRET, Seal(b"t" * 32)])
async def test_a_stranger_is_neither_served_nor_believed(tmp_path: Path, theirs: Seal) -> None:
    url = owned_by("a")
    async with (
        proxying(tmp_path, seal=SECRET) as proxy,
        crawling(tmp_path / "1", proxy.port) as ours,
        crawling(tmp_path / "2", proxy.port, theirs) as stranger,
    ):
        await stranger.keep(url, SENT, page(body=b"poison"))
        assert await proxy.shelf.all(url) == []
        assert await stranger.fresh(url, SENT, MOST) is not None  # of its own disk
        await ours.keep(url, SENT, page())
        assert await crawl_of(tmp_path / "3", proxy.port, theirs, url) is None


async def crawl_of(folder: Path, port: int, seal: Seal, url: str) -> Answer | None:
    async with crawling(folder, port, seal) as pages:
        return await pages.fresh(url, SENT, MOST)


async def test_an_origin_cannot_speak_for_an_owner(tmp_path: Path) -> None:
    """By saying that it wants to know who asks."""
    asked = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with (
        speaking(refuse) as origin,
        proxying(tmp_path, seal=SECRET) as owner,
        proxying(tmp_path, seal=SECRET, node="b") as proxy,
    ):
        proxy.peers.tell([Peer("a", f"127.0.0.1:{owner.port}")])
        url = owned_by("a", origin)
        assert [(await ask(proxy.port, url)).status for _ in range(2)] == [407, 407]
        assert asked == 2
        assert proxy.figures.results["peer"] == 2


async def test_without_a_secret_nothing_is_taken(tmp_path: Path) -> None:
    """Anybody on this machine could give it."""
    url = owned_by("a")
    async with (
        proxying(tmp_path) as proxy,
        crawling(tmp_path, proxy.port, NO_SECRET) as pages,
    ):
        head = f"KEEP / HTTP/1.1\r\nHost: 127.0.0.1\r\nCrawler-Page: {url}\r\n"
        head += f"Crawler-Peer: 0 -\r\nCrawler-Answer: {pack(kept(url))}\r\nContent-Length: 4\r\n"
        assert b" 403 " in await say(proxy.port, f"{head}\r\npage".encode())
        await pages.keep(url, SENT, page())
        assert await proxy.shelf.size() == (0, 0)
        assert await pages.fresh(url, SENT, MOST) is not None


OTHER = Seal(b"t" * 32)


@pytest.mark.parametrize(
    ("seal", "asked", "body", "known"),
    [
        (SECRET, (), b"page", True),
        (NO_SECRET, (), b"page", False),
        (OTHER, (), b"page", False),
        (SECRET, (("Accept", "text/html"),), b"page", False),  # the answer to another request
        (SECRET, (), b"evil", False),
        (SECRET, (), b"pa", False),
        (SECRET, (), b"pages", False),
    ],
)
async def test_an_owner_that_lies_is_not_believed(
    tmp_path: Path, seal: Seal, asked: Pairs, body: bytes, known: bool
) -> None:
    url = owned_by("a")
    stored = replace(kept(url), asked=Fields(asked))

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        given = head.partition("crawler-peer: ")[2].partition("\r\n")[0]
        text = pack(stored)
        marks = f"Crawler-Answer: {text}\r\nCrawler-Peer: {prove(seal, given, url, text)}\r\n"
        writer.write(
            f"HTTP/1.1 200 OK\r\n{marks}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with crawling(tmp_path, port) as pages:
            assert (await pages.fresh(url, SENT, MOST) is not None) is known


async def test_an_owner_that_is_mute_costs_one_wait(tmp_path: Path) -> None:
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()

    url = owned_by("a")
    async with speaking(hang) as origin, crawling(tmp_path, port_of(origin)) as pages:
        await pages.keep(url, SENT, page())
        assert await pages.fresh(url, SENT, MOST) is not None  # kept here meanwhile
        assert asked == 1
    async with crawling(tmp_path / "other", free_port()) as pages:
        assert await pages.fresh(url, SENT, MOST) is None


def kept(url: str, body: bytes = b"page") -> Stored:
    fields, now = Fields(tuple(FRESH.items())), SystemClock().wall()
    return Stored(url, 200, fields, Fields(), now, now, sha256(body).hexdigest(), len(body))


def port_of(origin: str) -> int:
    return int(origin.rpartition(":")[2])


def test_what_is_no_answer_is_told() -> None:
    stored = kept("http://site.example/")
    assert unpack(stored.url, pack(stored)) == stored
    wrong = (
        "",
        "null",
        "[1]",
        "[" * 9999,
        '[200, [], [], NaN, 1, "", 0]',
        '[200, [], [], 1, 1e999, "", 0]',
        '[1e999, [], [], 1, 1, "", 0]',
        '[9999, [], [], 1, 1, "", 0]',
        '[200, [["A", "\\ud800"]], [], 1, 1, "", 0]',
        '[200, [["A"]], [], 1, 1, "", 0]',
    )
    for text in ("x", *(b64encode(each.encode()).decode() for each in wrong)):
        with pytest.raises(InvalidInput):
            unpack(stored.url, text)
