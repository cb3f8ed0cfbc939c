"""Sinks of a real worker that is killed where it hurts: nothing is lost, and ids show repeats."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from crawler.app.here import LOCAL, crawl_here, deliver_here
from crawler.app.kept import kept_items
from crawler.config import sqlite_url
from crawler.definition import from_data
from crawler.local.demo import load_shop
from crawler.local.site import serve_shop
from tests.integration.app.alone import ENDED, run_alone, write_shop
from tests.integration.engine.servers import serving

COUNT = 40


class Receiver:
    """Takes items by POST; while ``down`` it answers 503."""

    def __init__(self) -> None:
        self.down = False
        self.posts: list[list[dict[str, Any]]] = []
        self.refused = asyncio.Event()
        self.changed = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.down:
            self.refused.set()
            return web.Response(status=503)
        self.posts.append([json.loads(line) for line in body.splitlines()])
        self.changed.set()
        return web.Response()

    @property
    def ids(self) -> list[str]:
        return [item["_id"] for items in self.posts for item in items]

    @property
    def urls(self) -> list[str]:
        """Of the items received, each id once."""
        return list({item["_id"]: item["_url"] for got in self.posts for item in got}.values())

    async def wait_for(self, count: int, timeout_s: float = 90.0) -> None:
        """Until it has so many different items."""
        async with asyncio.timeout(timeout_s):
            while len(set(self.ids)) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def hook(url: str) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "url": url, "batch": 7}


async def stored(database: Path) -> list[str]:
    """The URLs of the items, in the order of their commits."""
    return [item.url async for item in kept_items(sqlite_url(database), "shop")]


async def test_a_sink_that_was_down_gets_all_although_the_run_is_over_and_the_worker_killed(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.down = True
    database = tmp_path / "crawl.db"
    async with (
        serve_shop(0, tmp_path / "access.jsonl", COUNT) as url,
        serving(receiver.receive) as to,
    ):
        shop = write_shop(tmp_path / "shop.json", url, download_delay=0.0, sinks=[hook(to)])
        async with run_alone(database, [shop]) as first:
            await first.wait_line(ENDED)
            await receiver.refused.wait()
            await first.kill()
        wanted = await stored(database)
        assert len(wanted) == COUNT
        assert receiver.posts == []
        receiver.down = False
        async with run_alone(database, [shop]) as second:
            await receiver.wait_for(COUNT)
            assert await second.stop() == 0
    assert receiver.urls == wanted


async def test_a_kill_between_sending_and_noting_it_repeats_a_batch_and_loses_none(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "crawl.db"
    async with (
        serve_shop(0, tmp_path / "access.jsonl", COUNT) as url,
        serving(receiver.receive) as to,
    ):
        shop = write_shop(tmp_path / "shop.json", url, download_delay=0.0, sinks=[hook(to)])
        monkeypatch.setenv("CRAWLER_FAILPOINTS", "delivery.sent=kill@2")
        async with run_alone(database, [shop]) as first:
            await first.process.communicate()
            assert first.process.returncode == -9
        assert len(receiver.posts) == 2
        monkeypatch.delenv("CRAWLER_FAILPOINTS")
        async with run_alone(database, [shop]) as second:
            await receiver.wait_for(COUNT)
            assert await second.stop() == 0
    assert receiver.urls == await stored(database)
    again = [each["_id"] for each in receiver.posts[1]]
    assert len(receiver.ids) == COUNT + len(again)
    assert [each["_id"] for each in receiver.posts[2]][: len(again)] == again


async def test_a_crawl_here_feeds_its_sinks_and_says_how_far_they_are(
    receiver: Receiver, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    disk = {"name": "disk", "kind": "file", "path": "items.jsonl"}
    async with (
        serve_shop(0, tmp_path / "access.jsonl", COUNT) as url,
        serving(receiver.receive) as to,
    ):
        hosts = [url.removeprefix("http://"), to.removeprefix("http://")]
        settings = {"download_delay": 0.0, "sinks": [hook(to), disk]}
        definition = from_data({**load_shop(url), **settings})
        receiver.down = True
        await crawl_here(definition, home, hosts=hosts)
        lines = (home / "sinks" / LOCAL / "items.jsonl").read_text().splitlines()
        assert len(lines) == COUNT
        receiver.down = False
        await crawl_here(definition, home, hosts=hosts)  # over already, but claimed anew
        found = await deliver_here(home, hosts=hosts)
        assert [(each.sink, each.delivered, each.lag) for each in found] == [
            ("disk", COUNT, 0),
            ("hook", COUNT, 0),
        ]
    assert receiver.ids == [json.loads(line)["_id"] for line in lines]
