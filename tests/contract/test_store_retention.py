"""What need not be kept goes, some at a time, and nothing that must stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.errors import Conflict, NotFound
from crawler.model import Event, Failures, Item, Keep, PageState, Visit
from crawler.store.contract import Store
from tests.contract.backends import Opener
from tests.contract.rows import CLUSTER, NOON, RESOURCE, all_pages, done, job, request, stamp

OTHER = "1621665639791857665"
PAGES = [request(f"{n}") for n in range(5)]
MUCH = 10_000
DUE = int(NOON)


async def crawl(
    store: Store,
    runs: int,
    resource: str = RESOURCE,
    *,
    sinks: tuple[str, ...] = (),
) -> None:
    """Runs that are over, each due at a time of its own: four pages are done, with two items each,
    one failed."""
    await store.open_epoch(CLUSTER, 200)
    for run in range(1, runs + 1):
        begun = replace(job(run=run, sinks=sinks), due=DUE + run)
        frontier = await store.claim(stamp(100 + run, resource=resource), begun)
        await frontier.seed(PAGES)
        items = (Item("r", {"n": run}), Item("r", {}, ("n",)))
        await frontier.commit(
            [
                *(done(page, items=items) for page in PAGES[:4]),
                Visit(PAGES[4], PageState.FAILED, "HTTP 500", 500),
            ]
        )
        assert (await frontier.finish("finished")).finished


async def trim_all(store: Store, keep: Keep, limit: int = MUCH, resource: str = RESOURCE) -> int:
    """How many calls it took."""
    calls = 1
    while await store.trim(resource, keep, limit):
        calls += 1
        assert calls < 1_000
    return calls


async def kept(store: Store, resource: str = RESOURCE) -> list[int]:
    return list(await store.runs(resource))


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, MUCH])
async def test_old_runs_go_and_the_newest_stay(store: Store, limit: int) -> None:
    await crawl(store, 5)
    await crawl(store, 2, OTHER)
    before = await store.runs(RESOURCE)
    others = await store.runs(OTHER), await all_pages(store, OTHER), await store.items(OTHER)
    calls = await trim_all(store, Keep(runs=2), limit)
    assert (calls > 1) == (limit < 3 * (8 + 5 + 1 + 1))
    assert await store.runs(RESOURCE) == {4: before[4], 5: before[5]}
    assert list(await store.extents(RESOURCE)) == [4, 5]
    for run in (4, 5):
        assert len(await all_pages(store, run=run)) == 5
        assert len(await store.items(RESOURCE, run=run)) == 8
    for run in (1, 2, 3):
        with pytest.raises(NotFound, match=f"run {run} is not kept any more; keep_runs"):
            await store.items(RESOURCE, run=run)
        with pytest.raises(NotFound, match=f"run {run} is not kept any more"):
            await store.pages(RESOURCE, run=run)
    assert not await store.trim(RESOURCE, Keep(runs=2), limit)
    assert others == (
        await store.runs(OTHER), await all_pages(store, OTHER), await store.items(OTHER)
    )  # fmt: skip
    with pytest.raises(NotFound, match="there is no run 9; there is: 4, 5"):
        await store.items(RESOURCE, run=9)


@pytest.mark.parametrize("limit", [1, 2, 5, 9, MUCH])
async def test_pages_go_before_items_which_keep_their_urls(store: Store, limit: int) -> None:
    await crawl(store, 4)
    before = {run: await store.items(RESOURCE, run=run) for run in (1, 2, 3, 4)}
    counters = await store.runs(RESOURCE)
    extents = await store.extents(RESOURCE)
    await trim_all(store, Keep(pages=2), limit)
    for run in (1, 2, 3, 4):
        assert await store.items(RESOURCE, run=run) == before[run]
    assert await store.runs(RESOURCE) == counters
    assert await store.extents(RESOURCE) == extents
    for run in (1, 2):
        with pytest.raises(NotFound, match=f"pages of run {run} are not kept any more, its items"):
            await store.pages(RESOURCE, run=run)
    for run in (3, 4):
        assert len(await all_pages(store, run=run)) == 5
    assert before[1][0].url == PAGES[0].url
    await trim_all(store, Keep(runs=1, pages=1), limit)
    assert await kept(store) == [4]


async def test_items_can_be_read_while_their_pages_go(store: Store) -> None:
    await crawl(store, 2)
    before = await store.items(RESOURCE, run=1)
    while await store.trim(RESOURCE, Keep(pages=1), 1):
        assert await store.items(RESOURCE, run=1) == before
    assert await store.items(RESOURCE, run=1) == before


async def test_the_latest_run_stays_however_little_is_kept(store: Store) -> None:
    await crawl(store, 1)
    await trim_all(store, Keep(1, 1, 1))
    assert await kept(store) == [1]
    assert len(await all_pages(store)) == 5


async def test_a_run_that_goes_on_stays(store: Store) -> None:
    """The latest may have been replaced by hand: what it replaced is over then, and may go."""
    await crawl(store, 1)
    frontier = await store.claim(stamp(110), job(run=2))
    await frontier.seed(PAGES)
    await trim_all(store, Keep(1, 1, 1))
    assert await kept(store) == [2]
    await frontier.commit([done(PAGES[0])])
    assert (await frontier.progress()).pending == 4


async def test_what_a_sink_has_yet_to_get_stays(store: Store) -> None:
    await crawl(store, 3, sinks=("orders",))
    outbox = store.outbox("h")
    await trim_all(store, Keep(1, 1))
    assert await kept(store) == [1, 2, 3]
    (delivery,) = await outbox.take(9, frozenset())
    outgoing = await outbox.read(delivery, 100, 10**6)
    assert (delivery.run, len(outgoing), outgoing[0].url) == (1, 8, PAGES[0].url)
    delivery = await outbox.advance(delivery, outgoing[-1].seq, len(outgoing))
    assert await outbox.settle(delivery)
    await trim_all(store, Keep(1, 1))
    assert await kept(store) == [2, 3]
    assert {each.run for each in await store.sinks(RESOURCE)} == {2, 3}
    (delivery,) = await outbox.take(9, frozenset())
    assert delivery.run == 2


async def test_a_due_time_whose_run_is_gone_begins_no_other(store: Store) -> None:
    await crawl(store, 3)
    await trim_all(store, Keep(1, 1))
    assert await store.due_runs({RESOURCE: DUE + 1}) == {RESOURCE: (1, 3)}
    with pytest.raises(Conflict, match="run 1 was begun at"):
        await store.claim(stamp(120), replace(job(run=4), due=DUE + 1))
    await store.claim(stamp(121), replace(job(run=4), due=DUE + 4))
    assert await kept(store) == [3, 4]


@pytest.mark.parametrize("limit", [1, 4, MUCH])
async def test_old_events_go(store: Store, limit: int) -> None:
    await crawl(store, 1)
    await store.note([(RESOURCE, Event(0, NOON, f"k{n}", "", "")) for n in range(10)])
    before = await store.events(RESOURCE)
    await trim_all(store, Keep(events=3), limit)
    assert await store.events(RESOURCE) == before[-3:]
    await store.note([(RESOURCE, Event(0, NOON, "new", "", ""))])
    assert [event.kind for event in await store.events(RESOURCE)] == ["k7", "k8", "k9", "new"]
    await trim_all(store, Keep(events=3), limit)
    assert [event.kind for event in await store.events(RESOURCE)] == ["k8", "k9", "new"]


async def test_a_deleted_resource_leaves_nothing_but_its_tombstone(store: Store) -> None:
    await crawl(store, 3)
    await store.trim(RESOURCE, Keep(runs=1, pages=1), 3)  # cut off in between
    await store.bury(RESOURCE)
    assert not await store.trim(RESOURCE, Keep(runs=1, pages=1), 3)
    while await store.purge(50):
        pass
    assert await store.runs(RESOURCE) == {}
    assert await store.due_runs({RESOURCE: DUE + 1}) == {RESOURCE: (0, 0)}
    assert not await store.trim("unknown", Keep(1, 1, 1), MUCH)


async def test_another_process_goes_on_with_what_was_cut_off(
    store: Store, open_another: Opener
) -> None:
    await crawl(store, 3)
    assert await store.trim(RESOURCE, Keep(1, 1), 4)
    assert await kept(store) == [1, 3] or await kept(store) == [2, 3]
    successor = await open_another()
    await trim_all(successor, Keep(1, 1))
    assert await kept(successor) == [3]
    for run in (1, 2):
        with pytest.raises(NotFound):
            await successor.items(RESOURCE, run=run)


async def test_the_latest_run_can_be_retried_beside(store: Store) -> None:
    await crawl(store, 3)
    await trim_all(store, Keep(1, 1))
    pages = await store.failed(RESOURCE, 3, Failures())
    assert (await store.retry(stamp(103), 3, pages)).reopened
    assert await store.failed(RESOURCE, 1, Failures()) == []
