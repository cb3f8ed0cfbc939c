"""Reads what crawls keep in a database: for people without a master to ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from crawler.clock import SystemClock
from crawler.delivery.exports import Stretch, plan_export
from crawler.engine.urls import page_key
from crawler.errors import NotFound
from crawler.model import ItemRecord, PageRecord, PageState, Stats
from crawler.store import open_store
from crawler.store.contract import Mirrored, Store
from crawler.store.look import look_at
from crawler.story import Story, never_heard

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


@dataclass(frozen=True, slots=True)
class Kept:
    """What an export holds, of which resource. ``definition``: its JSON, if it is there."""

    resource_id: str
    stretches: tuple[Stretch, ...]
    cursor: str
    definition: Mapping[str, Any] | None


async def kept_export(url: str, name: str, since: str, run: int | None) -> Kept:
    """What came since the cursor of an export before, as of now; see `plan_export`."""
    async with open_kept(url) as store:
        resource = await _resource(store, name)
        plan = plan_export(await store.extents(resource.id), since, run)
        definition = json.loads(resource.definition) if resource.definition else None
        return Kept(resource.id, plan.stretches, plan.cursor, definition)


async def exported(url: str, kept: Kept) -> AsyncIterator[ItemRecord]:
    """Its items, in order."""
    async with open_kept(url) as store:
        for each in kept.stretches:
            after = each.after
            while batch := await store.items(
                kept.resource_id, run=each.run, after=after, until=each.until, limit=_BATCH
            ):
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
        if run is None and (latest := (await store.progress([resource_id])).get(resource_id)):
            run, _ = latest  # also where the next one begins meanwhile
        while True:
            pages, cursor = await store.pages(
                resource_id, run=run, state=state, status=status, after=cursor, limit=_BATCH
            )
            for page in pages:
                yield page
            if not cursor:
                return


async def kept_story(
    url: str, name: str, page: str, *, key: str = "", run: int | None = None
) -> Story:
    """What one run of a resource (None: the latest) knows of the URL ``page``, or of the page with
    that ``key``."""
    fingerprint = bytes.fromhex(key) if key else page_key("GET", page)
    async with open_kept(url) as store:
        story = await store.story(await _id_of(store, name), fingerprint, run=run)
    if story is None:
        raise never_heard(run)
    return story


async def kept_stats(url: str, name: str, run: int | None = None) -> Stats:
    """What one run of a resource (None: the latest) has come to, in figures."""
    async with open_kept(url) as store:
        return await store.stats(await _id_of(store, name), run)


async def _id_of(store: Store, name: str) -> str:
    return (await _resource(store, name)).id


async def _resource(store: Store, name: str) -> Mirrored:
    known = {each.name: each for each in await store.mirrored()}
    if name not in known:
        there = ", ".join(sorted(known)[:10]) or "nothing"
        raise NotFound(f"{name}: no such crawl in that store; there is: {there}")
    return known[name]
