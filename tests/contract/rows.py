"""Values that the contract suite is written with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from crawler.clock import SystemClock
from crawler.model import Item, PageRecord, PageState, Request, Stamp, Visit
from crawler.store.contract import Frontier, Job, Store

CLUSTER = "c0ffee"
RESOURCE = "1621665639791857664"
NOON = 1_700_000_000.0


class SetClock(SystemClock):
    """Time is what a test sets it to. ``now`` is the true one, and what a database server shows;
    ``ahead_s`` is how far the wall clock of this machine is from it."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now
        self.ahead_s = 0.0

    def elapsed(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.ahead_s


def mark(name: str) -> bytes:
    """A fingerprint."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def request(name: str, host: str = "shop.example", **fields: Any) -> Request:
    """A request for https://<host>/<name>."""
    return Request(mark(f"{host}/{name}"), f"https://{host}/{name}", host, **fields)


def done(page: Request, *links: Request, items: tuple[Item, ...] = (), **fields: Any) -> Visit:
    """A successful visit."""
    return Visit(page, PageState.DONE, status=200, links=links, items=items, **fields)


def stamp(
    revision: int, *, part: int = 0, resource: str = RESOURCE, cluster: str = CLUSTER
) -> Stamp:
    """An assignment."""
    return Stamp(cluster, resource, part, revision)


def job(
    *,
    run: int = 1,
    definition_revision: int = 3,
    node: str = "worker-1",
    parts: int = 1,
    sinks: tuple[str, ...] = (),
) -> Job:
    """What a claimant says."""
    text = '{"start_urls":["https://shop.example/"]}'
    return Job("shop", run, text, definition_revision, node, parts, sinks=sinks)


async def claimed(store: Store, revision: int = 10, **fields: Any) -> Frontier:
    """A frontier of a fresh claim in an opened epoch."""
    await store.open_epoch(CLUSTER, revision)
    return await store.claim(stamp(revision), job(**fields))


async def seeded(store: Store, *requests: Request, revision: int = 10) -> Frontier:
    """A frontier that has these start URLs."""
    frontier = await claimed(store, revision)
    await frontier.seed(requests)
    return frontier


async def urls(frontier: Frontier, limit: int = 100, per_host: int = 100) -> list[str]:
    """What the window shows now."""
    window = await frontier.window(limit, per_host, frozenset())
    return [each.url for each in window.requests]


async def all_pages(
    store: Store, resource: str = RESOURCE, limit: int = 7, **filters: Any
) -> list[PageRecord]:
    """All page records, cursor by cursor."""
    return [page async for page in _walk(store, resource, limit, filters)]


async def _walk(
    store: Store, resource: str, limit: int, filters: dict[str, Any]
) -> AsyncIterator[PageRecord]:
    after = ""
    while True:
        records, after = await store.pages(resource, after=after, limit=limit, **filters)
        for record in records:
            yield record
        if not after:
            return


async def counted(store: Store) -> Counter[PageState]:
    """How many rows stand in which state, counted one by one."""
    return Counter(page.state for page in await all_pages(store))
