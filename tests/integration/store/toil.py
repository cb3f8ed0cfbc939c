"""What actors do for longer on a store that others use too, and what they tell of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from crawler.errors import Fenced, OutcomeUnknown, StoreUnavailable
from crawler.model import Item, PageState, Request, Visit
from crawler.store.contract import Frontier, Store
from tests.contract.rows import RESOURCE, done, job, request, stamp

LINKS = 10
HOSTS = 12


async def labour(
    frontier: Frontier, seconds: float, size: int, enough: asyncio.Event
) -> dict[str, Any]:
    """Commit windows for so long or until it is ``enough``, whatever the database says: what was
    acknowledged and when, and the errors. Page n links to 10 n + 1 ... 10 n + 10, without end."""
    acknowledged: list[tuple[float, list[str]]] = []
    errors: list[tuple[str, str]] = []
    ends = time.time() + seconds
    while time.time() < ends and not enough.is_set():
        try:
            window = await frontier.window(size, size, frozenset())
            await frontier.commit([_visit(each) for each in window.requests])
        except (StoreUnavailable, OutcomeUnknown) as error:
            errors.append((type(error).__name__, str(error)))
        else:
            acknowledged.append((time.time(), [each.url for each in window.requests]))
    return {"acknowledged": acknowledged, "errors": errors}


def _visit(page: Request) -> Visit:
    number = int(page.url.rpartition("/")[2])
    links = [request(f"{number * LINKS + each}", page.host) for each in range(1, LINKS + 1)]
    items = (Item("r", {"url": page.url}), Item("r", {"url": page.url}, ("price",)))
    return done(page, *links, items=items, size_bytes=100)


async def contend(store: Store, name: str, claims: int, commits: int) -> int:
    """Claim so many times under ever newer revisions, and commit under each until another claims;
    how often it was fenced. An item's rule is the node of the claim that it was stored under."""
    fenced = 0
    for _ in range(claims):
        await asyncio.sleep(random.uniform(0.0, 0.05))  # so that the one before gets to commit
        revision = time.monotonic_ns()
        node = f"{name}-{revision}"
        try:
            frontier = await store.claim(stamp(revision), job(node=node))
            await frontier.seed([request("0")])
            async for page in _pages(frontier, commits):
                links = [request(f"{int(page.url.rpartition('/')[2]) * 2 + n}") for n in (1, 2)]
                await frontier.commit([done(page, *links, items=(Item(node, {}),))])
        except Fenced:
            fenced += 1
    return fenced


async def _pages(frontier: Frontier, count: int) -> AsyncIterator[Request]:
    for _ in range(count):
        for page in (await frontier.window(1, 1, frozenset())).requests:
            yield page


async def cross(frontier: Frontier, total: int) -> list[int]:
    """Crawl a part to the end of the run: pages link to hosts of all parts. What was committed
    here, and what was known, done and pending when the run ended."""
    committed = 0
    while True:
        window = await frontier.window(7, 2, frozenset())
        if not window.requests:
            progress = await frontier.finish("all done")
            if progress.finished:
                return [committed, progress.known, progress.done, progress.pending]
            continue
        progress = await frontier.commit([_crossing(each, total) for each in window.requests])
        assert not progress.finished, "somebody ended the run while this part had pages"
        committed += len(window.requests)


def crossing(number: int, **fields: Any) -> Request:
    """Page ``number`` of a site on many hosts."""
    return request(f"{number}", f"h{number % HOSTS}.example", **fields)


def _crossing(page: Request, total: int) -> Visit:
    """Neighbours find the same links, in opposite order; every other finds half of them too
    deep."""
    number = int(page.url.rpartition("/")[2])
    first = number // 2 * LINKS
    numbers = [each for each in range(first + 1, first + LINKS + 1) if each < total]
    links = [crossing(each) for each in (numbers[::-1] if number % 2 else numbers)]
    cut = len(links) // 2 if number % 2 else len(links)
    return Visit(
        page,
        PageState.DONE,
        status=200,
        links=tuple(links[:cut]),
        excluded=tuple((each, "depth") for each in links[cut:]),
        items=(Item("r", {"n": number}), Item("r", {"n": number}, ("price",))),
        size_bytes=100,
    )


def resource_of(number: int) -> str:
    """One of several resources."""
    return f"{int(RESOURCE) + number}"
