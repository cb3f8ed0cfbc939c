"""Crawling in this very process, without a cluster: one definition, one directory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crawler.app.kept import kept_items, kept_pages, open_kept
from crawler.app.spiders import FILES
from crawler.clock import SystemClock
from crawler.config import sqlite_url
from crawler.definition import Definition
from crawler.definition.keeping import let_go
from crawler.definition.secrets import read_secrets
from crawler.delivery.courier import Courier
from crawler.delivery.post import Post, open_post
from crawler.engine.browser.pool import Browser
from crawler.engine.crawl import Crawl
from crawler.engine.live import Live
from crawler.engine.reading import Spider
from crawler.engine.settings import EngineSettings, read_pools
from crawler.errors import NotFound, OutcomeUnknown, StoreUnavailable
from crawler.model import (
    Desired,
    ItemRecord,
    PageRecord,
    PageState,
    Progress,
    SinkRecord,
    Stamp,
)
from crawler.store import open_store
from crawler.store.contract import Job, Mirrored, Store

LOCAL = "local"  # resource ID, name and node of a crawl without a cluster
REFUSED = "address refused"  # how such a reason ends
PRIVATE = "not a public address; --allow-private NETWORK allows it"
SINKS = "sinks"  # where its file sinks are
_LOCAL_FILE = "crawl.db"
_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Look:
    """What a directory keeps: its latest run. ``finished_at`` is 0.0 where it is not known;
    ``definition`` is the canonical JSON by which it was last crawled."""

    run: int
    progress: Progress
    finished_at: float
    definition: str | None


def local_url(data_dir: Path) -> str:
    """The store URL of the crawl in a directory."""
    return sqlite_url(data_dir / _LOCAL_FILE)


async def look_here(data_dir: Path) -> Look | None:
    """The crawl that is kept in ``data_dir``; None if there is none."""
    try:
        return await _look(local_url(data_dir))
    except NotFound:
        return None


async def _look(url: str) -> Look | None:
    async with open_kept(url) as store:
        latest = (await store.progress([LOCAL])).get(LOCAL)
        if latest is None:
            return None
        run, progress = latest
        kept = next((each for each in await store.mirrored() if each.id == LOCAL), None)
        finished_at = await _finished_at(store) if progress.finished else 0.0
        return Look(run, progress, finished_at, kept.definition if kept else None)


async def _finished_at(store: Store) -> float:
    """When the latest run ended: the last end there was."""
    after, at = 0, 0.0
    while batch := await store.events(LOCAL, after=after, limit=_EVENTS):
        at = max([at, *(event.at for event in batch if event.kind == "finished")])
        after = batch[-1].seq
    return at


async def crawl_here(
    definition: Definition,
    data_dir: Path,
    *,
    run: int = 1,
    allow_private: Sequence[str] = (),
    hosts: Sequence[str] = (),
    entrusted: Mapping[str, Any] = MappingProxyType({}),
    on_live: Callable[[Live], None] = lambda _: None,
    spider: Spider | None = None,
) -> Progress:
    """Crawl in this process, kept in ``data_dir``; the same call goes on where one was stopped.

    Every call is a new epoch, so that it supersedes whatever crawled there before. ``run`` is the
    latest one (see `look_here`) or the one after it; of earlier ones what the definition does not
    want kept is gone afterwards. ``hosts`` are loopback hosts that the user
    typed; ``entrusted`` is what `read_entrusted` finds. With a ``spider``, ``definition`` is the
    whole one, with what that says.
    """
    clock = SystemClock()
    store = await open_store(local_url(data_dir), clock)
    try:
        cluster, text = uuid.uuid4().hex, definition.canonical()
        await store.open_epoch(cluster, 1)
        sinks = tuple(sink.name for sink in definition.sinks)
        job = Job(
            LOCAL,
            run,
            text,
            1,
            LOCAL,
            sinks=sinks,
            recipe=definition.recipe(),
            sweeps=definition.recrawl.unlinked == "keep",
        )
        frontier = await store.claim(Stamp(cluster, LOCAL, 0, 1), job)
        begun_ns = int(clock.wall() * 1e9)
        await store.mirror([Mirrored(LOCAL, LOCAL, begun_ns, text, Desired.RUNNING, run)])
        settings = replace(engine_settings(allow_private, hosts, entrusted), files=data_dir / FILES)
        browser = Browser(settings)
        crawl = Crawl(
            definition,
            frontier,
            store.budgets(LOCAL),
            settings=settings,
            parsing=lambda _: None,
            report=on_live,
            clock=clock,
            spider=spider,
            browser=browser,
        )
        post = open_post(allow_private, data_dir / SINKS, hosts, secrets=settings.secrets)
        delivering = _delivering(store, post) if sinks else nullcontext()
        async with browser, delivering:
            await crawl.run()
        with suppress(StoreUnavailable, OutcomeUnknown):  # the next run takes it up again
            await let_go(store, LOCAL, text, clock, pause_s=0.0)
        return await frontier.progress()
    finally:
        await store.close()


@asynccontextmanager
async def _delivering(
    store: Store, opening: AbstractAsyncContextManager[Post]
) -> AsyncIterator[None]:
    """Feed the sinks while the block runs, then with all that can be delivered at once."""
    async with opening as post:
        courier = Courier(store.outbox(LOCAL), post, SystemClock())
        delivery = asyncio.create_task(courier.run(), name="delivery")
        try:  # no group: an error of the crawl comes out as it is
            yield
        finally:
            delivery.cancel()
            await asyncio.wait({delivery})
        if not delivery.cancelled():
            delivery.result()
        await courier.drain()


async def deliver_here(
    data_dir: Path,
    *,
    allow_private: Sequence[str] = (),
    hosts: Sequence[str] = (),
    entrusted: Mapping[str, Any] = MappingProxyType({}),
    early: bool = False,
) -> Sequence[SinkRecord]:
    """Send what the sinks of the crawl in ``data_dir`` have yet to get, as far as they take it; how
    far they are then. ``early``: those that were put off are asked, too. ``entrusted``: see
    `crawl_here`."""
    secrets = read_secrets(entrusted.get("secrets", {}))
    async with open_kept(local_url(data_dir)) as store:
        async with open_post(allow_private, data_dir / SINKS, hosts, secrets=secrets) as post:
            await Courier(store.outbox(LOCAL), post, SystemClock()).drain(early=early)
        return await store.sinks(LOCAL)


def export_here(data_dir: Path) -> AsyncIterator[ItemRecord]:
    """The items of the crawl in ``data_dir``, in the order in which they were stored."""
    return kept_items(local_url(data_dir), LOCAL)


def failed_here(data_dir: Path) -> AsyncIterator[PageRecord]:
    """The pages that failed, in the order in which they were found."""
    return kept_pages(local_url(data_dir), LOCAL, state=PageState.FAILED)


def engine_settings(
    allow_private: Sequence[str], hosts: Sequence[str], entrusted: Mapping[str, Any]
) -> EngineSettings:
    """What this process lets a crawl do; see `crawl_here`."""
    return EngineSettings(
        allow_private=tuple(allow_private),
        typed_hosts=tuple(hosts),
        secrets=read_secrets(entrusted.get("secrets", {})),
        proxy_pools=read_pools(entrusted.get("proxy_pools", {})),
        browser=entrusted.get("browser"),
    )
