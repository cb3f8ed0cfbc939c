"""Reads what crawls keep in a database: for people without a master to ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from crawler.clock import SystemClock
from crawler.errors import NotFound
from crawler.model import ItemRecord, PageRecord, PageState
from crawler.store import open_store
from crawler.store.contract import Store
from crawler.store.look import look_at

_BATCH = 500


@asynccontextmanager
async def open_kept(url: str) -> AsyncIterator[Store]:
    """A database that is there already; `NotFound` otherwise, so that a look makes none."""
    await _check_there(url)
    store = await open_store(url, SystemClock())
    try:
        yield store
    finally:
        await store.close()


async def _check_there(url: str) -> None:
    if url.startswith("sqlite:"):
        path = Path(unquote(urlsplit(url).path))
        if not await asyncio.to_thread(path.is_file):
            raise NotFound(f"{path}: no crawl is kept there")
    elif (await look_at(url))["id"] is None:
        raise NotFound("that database keeps no crawl: it has no tables of ours")


async def kept_items(url: str, name: str, run: int | None = None) -> AsyncIterator[ItemRecord]:
    """The items of one run of a resource (None: the latest), in the order in which they were
    stored."""
    async with open_kept(url) as store:
        resource_id, after = await _id_of(store, name), 0
        while batch := await store.items(resource_id, run=run, after=after, limit=_BATCH):
            for item in batch:
                yield item
            after = batch[-1].seq


async def kept_pages(
    url: str,
    name: str,
    run: int | None = None,
    state: PageState | None = None,
    status: int | None = None,
) -> AsyncIterator[PageRecord]:
    """The pages of one run of a resource (None: the latest), in the order in which they were
    found."""
    async with open_kept(url) as store:
        resource_id, cursor = await _id_of(store, name), ""
        while True:
            pages, cursor = await store.pages(
                resource_id, run=run, state=state, status=status, after=cursor, limit=_BATCH
            )
            for page in pages:
                yield page
            if not cursor:
                return


async def _id_of(store: Store, name: str) -> str:
    known = {each.name: each.id for each in await store.mirrored()}
    if name not in known:
        there = ", ".join(sorted(known)[:10]) or "nothing"
        raise NotFound(f"{name}: no such crawl in that store; there is: {there}")
    return known[name]
