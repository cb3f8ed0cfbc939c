"""What is deleted leaves nothing behind but its tombstone, and what a leader tells is kept."""

from __future__ import annotations

import asyncio

import pytest

from crawler.errors import Fenced
from crawler.model import Event, Item, PageState, Progress, Visit
from crawler.store.contract import MAX_DETAIL, MAX_KIND, Mirrored, Store
from tests.contract.backends import Opener
from tests.contract.rows import CLUSTER, NOON, RESOURCE, all_pages, done, job, request, stamp

OTHER = "1621665639791857665"
PAGES = [request(f"{n}") for n in range(5)]


async def tell(store: Store, resource: str, kind: str, detail: str = "", node: str = "") -> None:
    await store.note([(resource, Event(0, NOON, kind, detail, node))])


async def crawl(store: Store, resource: str) -> None:
    """Two runs of two parts with everything there is of a resource: 5 pages in each run, one of
    them pending, 8 items; 5 events; 4 counters; 2 fences."""
    await store.open_epoch(CLUSTER, 102)
    for run in (1, 2):
        frontier = await store.claim(stamp(100 + run, resource=resource), job(run=run))
        await frontier.seed(PAGES)
        items = (Item("r", {"n": 1}), Item("r", {}, ("n",)))
        await frontier.commit([done(page, items=items) for page in PAGES[:4]])
        await store.claim(stamp(100 + run, part=1, resource=resource), job(run=run))
    await tell(store, resource, "assigned", "to worker-1")


ROWS = 2 * (5 + 8 + 2 + 1) + 5 + 2


async def purge_all(store: Store, limit: int) -> list[int]:
    """How many rows went with each call that found some."""
    gone = []
    while count := await store.purge(limit):
        gone.append(count)
    return gone


@pytest.mark.parametrize("limit", [1, 3, 7, ROWS - 1, ROWS, 5000])
async def test_purging_takes_everything_and_no_more(store: Store, limit: int) -> None:
    await crawl(store, RESOURCE)
    await crawl(store, OTHER)
    kept = await whole(store, OTHER)
    await store.bury(RESOURCE)
    gone = await purge_all(store, limit)
    assert sum(gone) == ROWS
    assert set(gone[:-1]) <= {limit}
    assert await whole(store, RESOURCE) == ({}, [], [], [])
    assert await whole(store, OTHER) == kept
    [entry] = await store.mirrored()
    assert entry.id == OTHER


async def whole(store: Store, resource: str) -> tuple[object, ...]:
    """All that can be read of a resource."""
    return (
        await store.progress([resource]),
        await all_pages(store, resource),
        await store.items(resource),
        await store.events(resource),
    )


async def test_nothing_is_purged_of_what_is_not_buried(store: Store) -> None:
    assert await store.purge(5000) == 0
    await crawl(store, RESOURCE)
    before = await whole(store, RESOURCE)
    assert await store.purge(5000) == 0
    await store.bury("never seen")
    assert await store.purge(5000) == 0
    assert await whole(store, RESOURCE) == before


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_purge_of_nothing_does_nothing(store: Store, limit: int) -> None:
    await crawl(store, RESOURCE)
    await store.bury(RESOURCE)
    assert await store.purge(limit) == 0
    assert len(await all_pages(store)) == 5


async def test_many_buried_are_purged_together(store: Store) -> None:
    names = [f"r{n}" for n in range(4)]
    for name in names:
        await crawl(store, name)
        await store.bury(name)
    assert await purge_all(store, 100) == [100, 4 * ROWS - 100]


async def test_tombstones_stand_after_a_purge(store: Store, open_another: Opener) -> None:
    await crawl(store, RESOURCE)
    held = await store.claim(stamp(200), job(run=2))
    await store.bury(RESOURCE)
    await purge_all(await open_another(), 5000)
    with pytest.raises(Fenced):
        await held.commit([done(PAGES[4], request("late"))])
    with pytest.raises(Fenced):
        await store.claim(stamp(300), job())
    await store.raise_fence(stamp(301))
    await store.mirror([Mirrored(RESOURCE, "shop", 7, "{}", "running", 1)])
    await tell(store, RESOURCE, "late", "")
    assert await store.mirrored() == []
    assert await store.purge(5000) == 0, "nothing was added to what is buried"


async def test_others_may_crawl_while_a_purge_goes_on(store: Store, open_another: Opener) -> None:
    await crawl(store, RESOURCE)
    await store.bury(RESOURCE)
    frontier = await store.claim(stamp(100, resource=OTHER), job())
    await frontier.seed(PAGES)
    undertaker = await open_another()
    async with asyncio.TaskGroup() as group:
        purge = group.create_task(purge_all(undertaker, 2))
        for page in PAGES:
            group.create_task(frontier.commit([done(page, request(f"l{page.url}"))]))
    assert sum(purge.result()) == ROWS
    assert await frontier.progress() == Progress(known=10, done=5, seeded=True)


async def test_a_new_run_has_nothing_of_a_purged_one(store: Store) -> None:
    await crawl(store, RESOURCE)
    await store.bury(RESOURCE)
    await purge_all(store, 5000)
    frontier = await store.claim(stamp(100, resource=OTHER), job())
    assert await frontier.progress() == Progress()
    await frontier.seed(PAGES[:1])
    await frontier.commit([Visit(PAGES[0], PageState.DONE)])
    assert len(await all_pages(store, OTHER)) == 1


async def test_the_leader_tells_without_a_claim(store: Store) -> None:
    await tell(store, RESOURCE, "assigned", "to worker-2", "worker-2")
    await tell(store, RESOURCE, "paused", "")
    first, second = await store.events(RESOURCE)
    assert (first.kind, first.detail, first.node) == ("assigned", "to worker-2", "worker-2")
    assert (first.at, second.kind, second.node) == (NOON, "paused", "")
    assert second.seq > first.seq
    assert await store.mirrored() == []


async def test_what_is_told_of_the_buried_is_ignored(store: Store) -> None:
    await tell(store, RESOURCE, "assigned", "")
    await store.bury(RESOURCE)
    await tell(store, RESOURCE, "moved", "")
    assert [event.kind for event in await store.events(RESOURCE)] == ["assigned"]


@pytest.mark.parametrize("letter", ["x", "é", "\0", "\ud800"])
async def test_told_text_is_bounded_and_cleaned(store: Store, letter: str) -> None:
    long = letter * 100_000
    await tell(store, RESOURCE, long, long, letter)
    await store.open_epoch(CLUSTER, 1)
    frontier = await store.claim(stamp(10), job())
    await frontier.note(long, long)
    told, _, noted = await store.events(RESOURCE)
    assert (told.kind, told.detail) == (noted.kind, noted.detail)
    assert (len(told.kind), len(told.detail), len(told.node)) == (MAX_KIND, MAX_DETAIL, 1)
