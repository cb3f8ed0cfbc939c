"""The ring of log lines about crawls: what is kept, who hears of it, and who is too slow."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import aclosing

import pytest
import structlog

from crawler.errors import Exhausted
from crawler.telemetry import logs, recent
from crawler.telemetry.recent import MAX_LINE, Recent


async def kept(ring: Recent, name: str = "", since: float = 0.0) -> list[str]:
    return [line.text async for line in ring.watch(name, since)]


async def test_lines_of_a_crawl_and_its_parts() -> None:
    ring = Recent()
    for number, unit in enumerate(["shop", "shop/1", "shops", "other"]):
        ring.add(unit, unit, float(number + 1))
    assert await kept(ring, "shop") == ["shop", "shop/1"]
    assert await kept(ring, "shop", since=1.0) == ["shop/1"]
    assert await kept(ring) == ["shop", "shop/1", "shops", "other"]


async def test_the_newest_push_the_oldest_out() -> None:
    ring = Recent(most=3, most_chars=10)
    for text in ("a", "b", "c", "d"):
        ring.add("shop", text, 1.0)
    assert await kept(ring) == ["b", "c", "d"]
    ring.add("shop", "e" * 9, 1.0)
    assert await kept(ring) == ["d", "e" * 9]
    ring.add("shop", "f" * (MAX_LINE + 1), 1.0)
    assert len(await kept(ring)) == 2


async def test_what_comes_is_told_from_any_thread() -> None:
    ring = Recent()
    ring.add("shop", "before", 1.0)
    async with aclosing(ring.watch("shop", follow=True)) as lines:
        assert (await anext(lines)).text == "before"
        coming = asyncio.create_task(anext(lines))
        await asyncio.to_thread(ring.add, "other", "not this", 2.0)
        await asyncio.to_thread(ring.add, "shop", "after", 3.0)
        assert (await coming).text == "after"


async def test_who_reads_too_slowly_is_told_so() -> None:
    ring = Recent(most=2)
    async with aclosing(ring.watch(follow=True)) as lines:
        ring.add("shop", "a", 1.0)
        assert (await anext(lines)).text == "a"
        for text in ("b", "c", "d"):
            ring.add("shop", text, 1.0)
        with pytest.raises(Exhausted, match="1 lines are gone"):
            await anext(lines)


async def test_followers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "FOLLOWERS", 1)
    ring = Recent()
    ring.add("shop", "a", 1.0)
    async with aclosing(ring.watch(follow=True)) as lines:
        await anext(lines)
        with pytest.raises(Exhausted):
            await anext(ring.watch(follow=True))
        assert await kept(ring) == ["a"]
    async with aclosing(ring.watch(follow=True)) as lines:
        assert (await anext(lines)).text == "a"


@pytest.fixture
def ring() -> Iterator[Recent]:
    """What the log keeps."""
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    ring = Recent()
    logs.configure("info", "console", stream=io.StringIO(), recent=ring)
    yield ring
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


async def test_only_lines_about_crawls_are_kept_and_no_secrets(ring: Recent) -> None:
    log = structlog.get_logger("x")
    log.info("about nothing")
    log.debug("too fine", resource="shop")
    log.info("asked", resource="shop", url="https://me:hunter2@shop.example/", cookie="hunter2")
    (text,) = await kept(ring, "shop")
    assert "hunter2" not in text
    assert json.loads(text)["msg"] == "asked"
