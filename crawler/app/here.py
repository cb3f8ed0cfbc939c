"""Crawling in this very process, without a cluster: one definition, one directory."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from crawler.address import Guard
from crawler.clock import SystemClock
from crawler.definition import Definition, for_url
from crawler.engine.crawl import Crawl
from crawler.engine.extract import Extraction, Extractor
from crawler.engine.fetch import HttpFetch, Page
from crawler.engine.live import Live
from crawler.engine.settings import EngineSettings
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed
from crawler.model import ItemRecord, Progress, Stamp
from crawler.store import open_store
from crawler.store.contract import Job

_LOCAL = "local"  # resource ID, name and node of a crawl without a cluster
_LOCAL_FILE = "crawl.db"
_EXPORT_BATCH = 500
_MAX_REDIRECTS = 10


async def crawl_here(
    definition: Definition,
    data_dir: Path,
    *,
    allow_private: Sequence[str] = (),
    hosts: Sequence[str] = (),
    on_live: Callable[[Live], None] = lambda _: None,
) -> Progress:
    """Crawl in this process, kept in ``data_dir``; the same call goes on where one was stopped.

    Every call is a new epoch, so that it supersedes whatever crawled there before. ``hosts`` are
    loopback hosts that the user typed.
    """
    clock = SystemClock()
    store = await open_store(_local_url(data_dir), clock)
    try:
        cluster = uuid.uuid4().hex
        await store.open_epoch(cluster, 1)
        job = Job(_LOCAL, 1, definition.canonical(), 1, _LOCAL)
        frontier = await store.claim(Stamp(cluster, _LOCAL, 0, 1), job)
        settings = EngineSettings(allow_private=tuple(allow_private), typed_hosts=tuple(hosts))
        crawl = Crawl(
            definition,
            frontier,
            store.budgets(_LOCAL),
            settings=settings,
            parsing=lambda _: None,
            report=on_live,
            clock=clock,
        )
        await crawl.run()
        return await frontier.progress()
    finally:
        await store.close()


async def export_here(data_dir: Path) -> AsyncIterator[ItemRecord]:
    """The items of the crawl in ``data_dir``, in the order in which they were stored."""
    store = await open_store(_local_url(data_dir), SystemClock())
    try:
        after = 0
        while batch := await store.items(_LOCAL, after=after, limit=_EXPORT_BATCH):
            for item in batch:
                yield item
            after = batch[-1].seq
    finally:
        await store.close()


def _local_url(data_dir: Path) -> str:
    return f"sqlite:///{data_dir / _LOCAL_FILE}"


async def fetch_page(url: str, *, hosts: Sequence[str] = ()) -> bytes:
    """The body of one page, for the user who typed its URL."""
    return (await _fetch(for_url(url), url, hosts)).body


async def try_page(
    definition: Definition, url: str, *, rule: str | None = None, hosts: Sequence[str] = ()
) -> Extraction:
    """Fetch one page and read it by the definition's rules, each field with its trace."""
    page = await _fetch(definition, url, hosts)
    return Extractor(definition).extract(
        page.body,
        page.url,
        content_type=page.content_type,
        charset=page.charset,
        rule=rule,
        trace=True,
    )


async def _fetch(definition: Definition, url: str, hosts: Sequence[str]) -> Page:
    """One page, redirects followed. Raises `FetchFailed`, with the status in words."""
    scope, guard = Scope(definition), Guard((), hosts)
    address = canonical(url)
    async with HttpFetch(definition, scope, guard, SystemClock()) as fetch:
        for _ in range(_MAX_REDIRECTS):
            page = await fetch.get(address)
            if page.location is None:
                break
            address = page.location
        else:
            raise FetchFailed(f"{url}: more than {_MAX_REDIRECTS} redirects", retry=False)
    if page.status >= 400:
        raise FetchFailed(f"{url}: HTTP {page.status}", retry=False, status=page.status)
    return page
