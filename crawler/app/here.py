"""Crawling in this very process, without a cluster: one definition, one directory."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
    redirect_stdout,
)
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from crawler.app.kept import kept_items, kept_pages, open_kept
from crawler.app.spiders import FILES, Loaded
from crawler.clock import SystemClock
from crawler.config import sqlite_url
from crawler.definition import Definition, for_url
from crawler.definition.secrets import read_secrets
from crawler.delivery.courier import Courier
from crawler.delivery.post import Post, open_post
from crawler.engine import single
from crawler.engine.crawl import Crawl
from crawler.engine.extract import Extraction, Extractor
from crawler.engine.extract.starter import starter
from crawler.engine.fetch import Page
from crawler.engine.live import Live
from crawler.engine.reading import Spider
from crawler.engine.settings import EngineSettings, read_pools
from crawler.engine.urls import fingerprint, host_of
from crawler.errors import FetchFailed, InvalidInput, NotFound
from crawler.model import (
    Desired,
    ItemRecord,
    PageRecord,
    PageState,
    Progress,
    Request,
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
    latest one (see `look_here`) or the one after it. ``hosts`` are loopback hosts that the user
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
        settings = replace(_settings(allow_private, hosts, entrusted), files=data_dir / FILES)
        crawl = Crawl(
            definition,
            frontier,
            store.budgets(LOCAL),
            settings=settings,
            parsing=lambda _: None,
            report=on_live,
            clock=clock,
            spider=spider,
        )
        post = open_post(allow_private, data_dir / SINKS, hosts, secrets=settings.secrets)
        delivering = _delivering(store, post) if sinks else nullcontext()
        async with delivering:
            await crawl.run()
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
) -> Sequence[SinkRecord]:
    """Send what the sinks of the crawl in ``data_dir`` have yet to get, as far as they take it; how
    far they are then. ``entrusted``: see `crawl_here`."""
    secrets = read_secrets(entrusted.get("secrets", {}))
    async with open_kept(local_url(data_dir)) as store:
        async with open_post(allow_private, data_dir / SINKS, hosts, secrets=secrets) as post:
            await Courier(store.outbox(LOCAL), post, SystemClock()).drain()
        return await store.sinks(LOCAL)


def export_here(data_dir: Path) -> AsyncIterator[ItemRecord]:
    """The items of the crawl in ``data_dir``, in the order in which they were stored."""
    return kept_items(local_url(data_dir), LOCAL)


def failed_here(data_dir: Path) -> AsyncIterator[PageRecord]:
    """The pages that failed, in the order in which they were found."""
    return kept_pages(local_url(data_dir), LOCAL, state=PageState.FAILED)


async def propose(url: str, hosts: Sequence[str] = (), *, allow_private: Sequence[str] = ()) -> str:
    """A first definition in TOML for the site of this page, with comments."""
    page = await _fetch(for_url(url), url, _settings(allow_private, hosts, {}))
    if page.content_type and "html" not in page.content_type.lower():
        raise InvalidInput(f"{url}: {page.content_type} is no HTML; name a page with links")
    return starter(page.url, page.body, charset=page.charset)


async def try_page(
    definition: Definition,
    url: str,
    *,
    rule: str | None = None,
    hosts: Sequence[str] = (),
    allow_private: Sequence[str] = (),
    entrusted: Mapping[str, Any] = MappingProxyType({}),
    loaded: Loaded | None = None,
) -> Extraction:
    """Fetch one page and read it by the definition's rules, each field with its trace; or by a
    spider, whose callback ``rule`` then names, and nothing is kept."""
    page = await _fetch(definition, url, _settings(allow_private, hosts, entrusted))
    if loaded is not None:
        return _try_spider(loaded, page, rule)
    return Extractor(definition).extract(
        page.body,
        page.url,
        content_type=page.content_type,
        charset=page.charset,
        rule=rule,
        trace=True,
    )


def _try_spider(loaded: Loaded, page: Page, callback: str | None) -> Extraction:
    asked = Request(fingerprint("GET", page.url), page.url, host_of(page.url), rule=callback)
    with TemporaryDirectory() as home, redirect_stdout(sys.stderr):
        return loaded.open(Path(home)).read(asked, page)


def _settings(
    allow_private: Sequence[str], hosts: Sequence[str], entrusted: Mapping[str, Any]
) -> EngineSettings:
    return EngineSettings(
        allow_private=tuple(allow_private),
        typed_hosts=tuple(hosts),
        secrets=read_secrets(entrusted.get("secrets", {})),
        proxy_pools=read_pools(entrusted.get("proxy_pools", {})),
    )


async def _fetch(definition: Definition, url: str, settings: EngineSettings) -> Page:
    """One page. Raises `FetchFailed`, naming the URL and its status in words."""
    try:
        page = await single.fetch_page(definition, url, settings, SystemClock())
    except FetchFailed as error:
        way = f" ({PRIVATE})" if error.reason.endswith(REFUSED) else ""
        raise FetchFailed(f"{url}: {error}{way}", retry=False, status=error.status) from error
    if page.status >= 400:
        raise FetchFailed(f"{url}: HTTP {page.status}", retry=False, status=page.status)
    return page
