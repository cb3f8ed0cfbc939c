"""Failed pages that are tried again: which, once, under whose word, and that their run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from crawler.errors import Conflict, Fenced, StoreUnavailable
from crawler.model import Failures, Item, PageState, Retried, Visit
from crawler.store.contract import Frontier, Store
from tests.contract.backends import EVERYWHERE, Opener
from tests.contract.rows import (
    NOON,
    RESOURCE,
    all_pages,
    claimed,
    counted,
    done,
    job,
    mark,
    request,
    seeded,
    stamp,
    urls,
)

PAGES = [request(f"{n}") for n in range(6)]
STATUSES = [500, 503, 404, 0]
ALL = Failures()


async def failing(store: Store, revision: int = 10) -> Frontier:
    """Of six pages four failed, each in its own way, one is done and one pending."""
    frontier = await seeded(store, *PAGES, revision=revision)
    visits = [
        Visit(page, PageState.FAILED, f"HTTP {status}" if status else "timeout", status)
        for page, status in zip(PAGES, STATUSES, strict=False)
    ]
    await frontier.commit([*visits, done(PAGES[4])])
    return frontier


async def over(store: Store) -> Frontier:
    """The same, with nothing pending, and finished."""
    frontier = await failing(store)
    await frontier.commit([done(PAGES[5])])
    assert (await frontier.finish("finished")).finished
    return frontier


async def found(store: Store, wanted: Failures = ALL, run: int = 1) -> Sequence[int]:
    return await store.failed(RESOURCE, run, wanted)


@EVERYWHERE
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ALL, [0, 1, 2, 3]),
        (Failures(500, 599), [0, 1]),
        (Failures(503, 503), [1]),
        (Failures(0, 0), [3]),
        (Failures(reason="HTTP"), [0, 1, 2]),
        (Failures(400, 499, "40"), [2]),
        (Failures(400, 499, "time"), []),
        (Failures(reason="%"), []),
        (Failures(reason="\0"), []),
    ],
)
async def test_what_is_meant_is_pending_again_and_nothing_else(
    store: Store, wanted: Failures, expected: list[int]
) -> None:
    frontier = await failing(store)
    pages = await found(store, wanted)
    assert await store.retry(stamp(10), 1, pages) == Retried(len(expected), open=True)
    assert await urls(frontier) == [PAGES[n].url for n in (*expected, 5)]
    progress = await frontier.progress()
    assert (progress.failed, progress.pending) == (4 - len(expected), 1 + len(expected))
    states = await counted(store)
    assert states[PageState.FAILED] == progress.failed
    assert states[PageState.PENDING] == progress.pending
    assert await found(store, wanted) == []


@EVERYWHERE
async def test_a_page_is_as_it_was_found(store: Store) -> None:
    frontier = await seeded(store, PAGES[0])
    before = await all_pages(store)
    await frontier.commit([Visit(PAGES[0], PageState.PENDING, "HTTP 503", 503, size_bytes=9)])
    (again,) = (await frontier.window(9, 9, frozenset())).requests
    await frontier.commit(
        [Visit(again, PageState.FAILED, "HTTP 503", 503, "https://x/", "a/b", 9, 1.5, rule="r")]
    )
    await store.retry(stamp(10), 1, await found(store))
    assert await all_pages(store) == before
    (request_,) = (await frontier.window(9, 9, frozenset())).requests
    assert (request_.attempts, request_.strikes) == (0, 0)


@EVERYWHERE
async def test_strikes_are_forgiven(store: Store) -> None:
    frontier = await seeded(store, PAGES[0])
    for _ in range(3):
        await frontier.strike(mark("shop.example/0"), "it killed its process")
    assert (await frontier.progress()).failed == 1
    await store.retry(stamp(10), 1, await found(store, Failures(reason="killed")))
    progress = await frontier.strike(mark("shop.example/0"), "it killed its process")
    assert (progress.failed, progress.pending) == (0, 1)


@EVERYWHERE
async def test_a_run_that_was_over_goes_on_and_ends_again(store: Store) -> None:
    await over(store)
    pages = await found(store)
    assert await store.retry(stamp(10), 1, pages) == Retried(4, open=True, reopened=True)
    assert await store.retry(stamp(10), 1, pages) == Retried(0, open=True)
    frontier = await claimed(store, 11)
    progress = await frontier.progress()
    assert (progress.finished, progress.failed, progress.pending) == ("", 0, 4)
    assert not (await frontier.finish("too early")).finished
    await frontier.commit([done(page) for page in PAGES[:4]])
    assert (await frontier.finish("finished")).finished == "finished"
    assert await found(store) == []
    assert await store.retry(stamp(11), 1, pages) == Retried(0, open=False)


@EVERYWHERE
async def test_nothing_found_opens_nothing(store: Store) -> None:
    await over(store)
    assert await store.retry(stamp(10), 1, []) == Retried(0, open=False)
    assert (await store.progress([RESOURCE]))[RESOURCE][1].finished == "finished"


@EVERYWHERE
async def test_pages_come_in_order_and_so_many_at_a_time(store: Store) -> None:
    await over(store)
    pages = await found(store)
    assert list(pages) == sorted(pages)
    first = await store.failed(RESOURCE, 1, ALL, limit=3)
    assert [*first, *await store.failed(RESOURCE, 1, ALL, after=first[-1])] == list(pages)


@EVERYWHERE
async def test_an_earlier_or_unknown_run_is_left_alone(store: Store) -> None:
    await over(store)
    pages = await found(store)
    assert await store.retry(stamp(10), 2, pages) == Retried(0, open=False)
    assert await found(store, run=2) == []
    await store.claim(stamp(11), job(run=2))
    with pytest.raises(Conflict, match="run 1 is not the latest any more"):
        await store.retry(stamp(11), 1, pages)
    assert await found(store) == pages


@EVERYWHERE
async def test_who_was_replaced_changes_nothing(store: Store) -> None:
    await over(store)
    pages = await found(store)
    await store.claim(stamp(11), job())
    with pytest.raises(Fenced):
        await store.retry(stamp(10), 1, pages)
    assert await found(store) == pages


async def test_what_is_paused_may_be_prepared(store: Store) -> None:
    frontier = await failing(store)
    await store.raise_fence(stamp(12))
    with pytest.raises(Fenced):
        await store.retry(stamp(11), 1, await found(store))
    assert (await store.retry(stamp(12), 1, await found(store))).pages == 4
    with pytest.raises(Fenced):
        await frontier.commit([done(PAGES[0])])
    assert (await (await claimed(store, 13)).progress()).pending == 5


async def test_the_end_of_the_run_says_so_no_more(store: Store) -> None:
    await over(store)
    assert (await store.runs(RESOURCE))[1].finished_at == NOON
    await store.retry(stamp(10), 1, await found(store))
    assert (await store.runs(RESOURCE))[1].finished_at == 0.0


async def test_each_part_counts_its_own(store: Store) -> None:
    await store.open_epoch("c0ffee", 10)
    parts = [await store.claim(stamp(10, part=part), job(parts=2)) for part in (0, 1)]
    pages = [request("p", f"h{n}.example") for n in range(20)]
    await parts[0].seed(pages)
    for frontier in parts:
        due = (await frontier.window(50, 50, frozenset())).requests
        assert due
        await frontier.commit([Visit(each, PageState.FAILED, "HTTP 500", 500) for each in due])
    assert (await parts[1].finish("finished")).finished
    assert (await store.retry(stamp(10), 1, await found(store))).pages == 20
    shown = [await urls(frontier) for frontier in parts]
    assert sorted([*shown[0], *shown[1]]) == sorted(page.url for page in pages)
    assert (await parts[0].progress()).pending == 20


async def test_what_is_joined_goes_out_once(store: Store) -> None:
    """A page that failed while an item went on over it gave the item out as far as it went."""
    frontier = await seeded(store, *PAGES[:2])
    items = (Item("r", {"n": 1}, ("_next",)),)
    failed = [
        Visit(PAGES[0], PageState.FAILED, "HTTP 500", 500, items=items),
        Visit(PAGES[1], PageState.FAILED, "HTTP 500", 500),
    ]
    await frontier.commit(failed)
    (seq,) = await found(store)
    assert (await store.retry(stamp(10), 1, [seq])).pages == 1
    assert await urls(frontier) == [PAGES[1].url]


async def test_nothing_of_what_is_deleted_or_never_was(store: Store) -> None:
    await over(store)
    pages = await found(store)
    with pytest.raises(StoreUnavailable, match="yet to open this cluster"):
        await store.retry(stamp(10, cluster="unknown"), 1, pages)
    await store.bury(RESOURCE)
    assert await store.retry(stamp(10), 1, pages) == Retried(0, open=False)
    assert await store.retry(stamp(10, resource="other"), 1, pages) == Retried(0, open=False)


async def test_pages_of_others_are_not_touched(store: Store) -> None:
    await over(store)
    other = await store.claim(stamp(10, resource="other"), job())
    await other.seed(PAGES)
    assert await store.retry(stamp(10, resource="other"), 1, await found(store)) == Retried(
        0, open=True
    )
    assert len(await found(store)) == 4


async def test_an_end_and_a_retry_at_once_leave_a_run_that_is_open(
    store: Store, open_another: Opener
) -> None:
    """Whichever comes first: pages that are pending are never in a run that is over."""
    leader = await open_another()
    for round_ in range(10):
        revision = 20 + 2 * round_
        frontier = await claimed(store, revision)
        await frontier.seed(PAGES)
        due = (await frontier.window(50, 50, frozenset())).requests
        await frontier.commit([Visit(each, PageState.FAILED, "HTTP 500", 500) for each in due])
        pages = await found(store)
        ended, retried = await asyncio.gather(
            frontier.finish("finished"), leader.retry(stamp(revision), 1, pages)
        )
        assert retried.open
        assert bool(ended.finished) == retried.reopened
        assert not (await frontier.progress()).finished
        assert (await frontier.progress()).pending == len(PAGES)
