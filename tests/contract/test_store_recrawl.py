"""What a run takes over from the one that it builds on: pages, their items, and when to ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crawler.errors import Fenced, NotFound
from crawler.model import Failures, Imprint, Item, Keep, PageState, Request, Visit
from crawler.store.contract import Frontier, Job, Store
from crawler.store.heritage import SWEPT_AT_ONCE
from crawler.store.parts import part_of
from tests.contract.backends import EVERYWHERE, Opener
from tests.contract.rows import (
    CLUSTER,
    NOON,
    RESOURCE,
    SetClock,
    all_pages,
    done,
    job,
    request,
    stamp,
    urls,
)

START = request("start")
IMPRINT = Imprint(b"0123456789abcdef", '"1"', "Mon, 01 Jan 2024 00:00:00 GMT")
ITEM = Item("r", {"name": "ä", "price": "1.50"})
HALF = Item("r", {"name": "b"}, missing=("price",))


def of(run: int, recipe: str = "as before", *, sweeps: bool = True, **fields: Any) -> Job:
    return replace(job(run=run, **fields), recipe=recipe, sweeps=sweeps)


async def begun(store: Store, run: int, *starts: Request, **fields: Any) -> Frontier:
    """A run that is seeded, under a claim of revision 10 + run."""
    await store.open_epoch(CLUSTER, 10 + run)
    frontier = await store.claim(stamp(10 + run), of(run, **fields))
    await frontier.seed(starts or [START])
    return frontier


def read(page: Request, *links: Request, **fields: Any) -> Visit:
    """A visit of a page that a later run can compare."""
    return done(page, *links, final_url=page.url, imprint=IMPRINT, **fields)


def same(page: Request, **fields: Any) -> Visit:
    """The visit of a page that had not changed."""
    imprint = page.before.imprint if page.before else IMPRINT
    return Visit(
        page, PageState.DONE, "unchanged", 304, page.url, imprint=imprint, unchanged=True, **fields
    )


async def window(frontier: Frontier) -> dict[str, Request]:
    """What is to be fetched, by the last part of its URL."""
    found = await frontier.window(100, 100, frozenset())
    return {each.url.rpartition("/")[2]: each for each in found.requests}


async def sweep(frontier: Frontier) -> int:
    """Sweep to the end; in how many transactions."""
    count = 1
    while await frontier.sweep():
        count += 1
    return count


async def first_run(store: Store) -> None:
    """start leads to a and b, b to c; a has two items, one of them incomplete."""
    frontier = await begun(store, 1)
    a, b, c = request("a", depth=1, priority=3), request("b", rule="list"), request("c", depth=2)
    await frontier.commit([read(START, a, b, items=(HALF,))])
    await frontier.commit([read(a, items=(ITEM, HALF)), read(b, c)])
    await frontier.commit([read(c)])
    assert (await frontier.finish("finished")).finished


@EVERYWHERE
async def test_an_unchanged_page_brings_its_items_and_what_was_found_on_it(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2)
    (start,) = (await window(frontier)).values()
    assert start.before is not None
    assert (start.before.imprint, start.before.depth, start.before.links) == (IMPRINT, 0, 2)
    progress = await frontier.commit([same(start)])
    assert (progress.known, progress.done, progress.unchanged) == (3, 1, 1)
    assert (progress.items, progress.incomplete_items) == (1, 1)
    found = await window(frontier)
    assert list(found) == ["a", "b"]
    a, b = found.values()
    assert (a.depth, a.priority, a.parent, b.rule) == (1, 3, START.fingerprint, "list")
    await frontier.commit([same(a), same(b)])
    progress = await frontier.commit([same((await window(frontier))["c"])])
    assert not await frontier.sweep()
    assert (await frontier.finish("finished")).finished
    assert (progress.known, progress.done, progress.unchanged) == (4, 4, 4)
    kept = [
        (each.url, each.ordinal, each.fields, each.missing) for each in await store.items(RESOURCE)
    ]
    assert kept == [
        (START.url, 0, HALF.fields, ("price",)),
        (a.url, 0, ITEM.fields, ()),
        (a.url, 1, HALF.fields, ("price",)),
    ]


@EVERYWHERE
async def test_a_repeated_commit_takes_over_once(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2)
    visit = same((await window(frontier))["start"])
    first = await frontier.commit([visit, visit])
    assert await frontier.commit([visit]) == first
    assert (first.known, first.items, first.unchanged) == (3, 1, 1)


@EVERYWHERE
async def test_many_links_are_taken_over_share_by_share(store: Store) -> None:
    frontier = await begun(store, 1)
    links = [request(f"{n}", depth=1) for n in range(7)]
    trap = (request("trap"), "trap: none")
    await frontier.commit([read(START, *links, items=(ITEM,), excluded=(trap,))])
    await frontier.commit([read(each) for each in links])
    assert (await frontier.finish("finished")).finished
    frontier = await begun(store, 2)
    start = (await window(frontier))["start"]
    assert start.before is not None
    assert start.before.links == 8
    ahead = [Visit(start, PageState.PENDING, unchanged=True, share=(first, 3)) for first in (0, 3)]
    first = await frontier.commit(ahead[:1])
    assert (first.known, first.done, first.items, first.unchanged) == (4, 0, 0, 0)
    assert await frontier.commit(ahead[:1]) == first  # its answer was lost
    second = await frontier.commit(ahead[1:])
    assert (second.known, second.pending) == (7, 7)
    assert set(await window(frontier)) == {"start", "0", "1", "2", "3", "4", "5"}
    last = await frontier.commit([same(start, share=(6, None))])
    assert (last.known, last.done, last.excluded) == (9, 1, 1)
    assert (last.items, last.unchanged) == (1, 1)
    assert set(await window(frontier)) == {str(n) for n in range(7)}


@EVERYWHERE
async def test_a_page_that_is_reached_otherwise_is_not_compared(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2)
    a, b = request("a", carry={"shelf": "new"}), request("b", rule="other")
    await frontier.commit([read(START, a, b, request("c", depth=1))])
    found = await window(frontier)
    assert [each for each, page in found.items() if page.before] == ["c"]
    assert found["c"].before is not None
    assert found["c"].before.depth == 2


@EVERYWHERE
async def test_values_that_are_carried_alike_are_the_same_way(store: Store) -> None:
    frontier = await begun(store, 1)
    link = request("a", carry={"shelf": "ä", "n": [1, None]})
    await frontier.commit([read(START, link)])
    await frontier.commit([read(link)])
    await frontier.finish("finished")
    again = await begun(store, 2)
    await again.commit([read(START, link)])
    assert (await window(again))["a"].before is not None


@EVERYWHERE
async def test_pages_without_an_imprint_are_not_compared(store: Store) -> None:
    frontier = await begun(store, 1)
    await frontier.commit([done(START, request("lost"))])
    lost = Visit(request("lost"), PageState.FAILED, "http 404", 404, imprint=IMPRINT)
    await frontier.commit([lost])
    await frontier.finish("finished")
    again = await begun(store, 2, START, request("lost"))
    assert not any(each.before for each in (await window(again)).values())


@EVERYWHERE
async def test_what_nobody_finds_any_more_is_swept_up(store: Store) -> None:
    frontier = await begun(store, 1)
    names = ("stays", "gone", "away", "bound", "robots", "deep", "moved")
    stays, gone, away, bound, robots, deep, moved = (request(each) for each in names)
    links = (stays, gone, away, replace(bound, bound=True), robots, moved)
    await frontier.commit([read(START, *links, excluded=((deep, "depth_limit"),))])
    visits = [
        read(stays, items=(ITEM,)),
        Visit(gone, PageState.FAILED, "http 404", 404),
        Visit(away, PageState.FAILED, "timeout"),
        done(bound),
        Visit(robots, PageState.EXCLUDED, "robots.txt"),
        done(moved, reason="redirect", final_url=stays.url),
    ]
    await frontier.commit(visits)
    assert (await frontier.finish("finished")).finished
    second = await begun(store, 2)
    await second.commit([read(START)])
    assert not (await second.finish("finished")).finished, "not all is swept up"
    assert not await second.sweep()
    found = await window(second)
    assert set(found) == {"stays", "away", "moved"}
    assert found["stays"].before is not None
    assert [each.found_on for each in await all_pages(store)] == [""] * 4
    await second.commit([same(found["stays"]), done(found["moved"])])
    await second.commit([Visit(found["away"], PageState.FAILED, "timeout")])
    progress = await second.finish("finished")
    assert progress.finished
    assert (progress.known, progress.done, progress.failed, progress.items) == (4, 3, 1, 1)
    # Once more: what could not be had, and nobody links to, is forgotten.
    third = await begun(store, 3)
    await third.commit([same((await window(third))["start"])])
    await third.sweep()
    assert set(await window(third)) == {"stays", "moved"}


@EVERYWHERE
async def test_what_nobody_finds_any_more_may_be_left_out(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2, sweeps=False)
    await frontier.commit([read(START, request("b", rule="list"))])
    assert not await frontier.sweep()
    await frontier.commit([same((await window(frontier))["b"])])
    await frontier.commit([same((await window(frontier))["c"])])
    progress = await frontier.finish("finished")
    assert progress.finished
    assert (progress.known, progress.unchanged) == (3, 2)


@EVERYWHERE
async def test_a_gone_page_is_asked_again_where_an_unchanged_one_leads_to_it(store: Store) -> None:
    frontier = await begun(store, 1)
    gone = request("gone")
    await frontier.commit([read(START, gone, excluded=((request("deep"), "depth_limit"),))])
    await frontier.commit([Visit(gone, PageState.FAILED, "http 404", 404)])
    await frontier.finish("finished")
    again = await begun(store, 2)
    progress = await again.commit([same((await window(again))["start"])])
    assert (progress.known, progress.excluded) == (3, 1)
    assert list(await window(again)) == ["gone"]
    # A link that is not excluded now takes up the one that was.
    progress = await again.commit([read(gone, request("deep"))])
    assert (progress.known, progress.excluded) == (3, 0)


@EVERYWHERE
async def test_bound_pages_are_never_taken_over(store: Store) -> None:
    frontier = await begun(store, 1)
    await frontier.commit([read(START, replace(request("part"), bound=True))])
    await frontier.commit([done(request("part"))])
    await frontier.finish("finished")
    again = await begun(store, 2)
    assert (await again.commit([same((await window(again))["start"])])).known == 1


@EVERYWHERE
async def test_a_page_is_not_due_within_its_interval(store: Store, clock: SetClock) -> None:
    frontier = await begun(store, 1)
    slow = replace(IMPRINT, interval_s=3600.0)
    await frontier.commit([replace(read(START, request("a")), imprint=slow)])
    await frontier.commit([read(request("a"))])
    await frontier.finish("finished")
    clock.now += 600
    again = await begun(store, 2)
    start = (await window(again))["start"]
    assert start.before is not None
    assert start.before.due_at == NOON + 3600
    await again.commit([same(start, due_at=start.before.due_at)])
    await again.commit([same((await window(again))["a"])])
    await again.sweep()
    assert (await again.finish("finished")).finished
    assert [each.attempts for each in await all_pages(store)] == [0, 1]
    clock.now += 2900  # its interval counts from when it was asked
    third = (await window(await begun(store, 3)))["start"]
    assert third.before is not None
    assert third.before.due_at == NOON + 3600
    clock.now += 100
    fourth = (await window(await begun(store, 4)))["start"]
    assert fourth.before is not None, "a run that was cut short is passed over"
    assert fourth.before.due_at == 0.0


@EVERYWHERE
async def test_a_clock_that_stepped_back_makes_no_page_wait(store: Store, clock: SetClock) -> None:
    frontier = await begun(store, 1)
    slow = replace(IMPRINT, interval_s=3600.0)
    await frontier.commit([replace(read(START), imprint=slow)])
    await frontier.finish("finished")
    clock.now -= 7200
    start = (await window(await begun(store, 2)))["start"]
    assert start.before is not None
    assert start.before.due_at == 0.0


@EVERYWHERE
@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("", ""), ("a", ""), ("", "a")])
async def test_runs_of_other_recipes_do_not_build_on_each_other(
    store: Store, first: str, second: str
) -> None:
    frontier = await begun(store, 1, recipe=first)
    await frontier.commit([read(START)])
    await frontier.finish("finished")
    again = await begun(store, 2, recipe=second)
    assert (await window(again))["start"].before is None
    assert not await again.sweep()
    await again.commit([read(START)])
    assert (await again.finish("finished")).finished


@EVERYWHERE
async def test_a_run_that_was_cut_short_is_passed_over(store: Store) -> None:
    await first_run(store)
    await begun(store, 2)
    third = await begun(store, 3)
    progress = await third.commit([same((await window(third))["start"])])
    assert (progress.known, progress.items) == (3, 1)


@EVERYWHERE
async def test_a_run_that_got_nothing_is_passed_over(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2)
    await frontier.commit([Visit(START, PageState.FAILED, "timeout")])
    await frontier.sweep()
    left = (await window(frontier)).values()
    await frontier.commit([Visit(each, PageState.FAILED, "timeout") for each in left])
    assert (await frontier.finish("every page failed")).finished
    third = await begun(store, 3)
    assert (await third.commit([same((await window(third))["start"])])).known == 3


@EVERYWHERE
async def test_a_run_that_ended_at_a_limit_is_built_on(store: Store) -> None:
    frontier = await begun(store, 1)
    await frontier.commit([read(START, request("a"))])
    await frontier.finish("max_pages", limit=True)
    again = await begun(store, 2)
    await again.commit([same((await window(again))["start"])])
    assert await urls(again) == [request("a").url]


async def test_only_the_latest_run_is_built_on(store: Store) -> None:
    await first_run(store)
    other = await begun(store, 2, recipe="another")
    await other.commit([read(START)])
    await other.finish("finished")
    assert (await window(await begun(store, 3)))["start"].before is None


async def test_a_run_that_goes_on_otherwise_builds_on_nothing(store: Store) -> None:
    await first_run(store)
    await begun(store, 2)
    mixed = await store.claim(stamp(20), of(2, "another"))
    start = (await window(mixed))["start"]
    assert start.before is None
    await mixed.commit([read(start, request("a", rule="new"))])
    await mixed.commit([read(request("a"))])
    assert not await mixed.sweep()
    assert (await mixed.finish("finished")).finished
    for run, recipe in ((3, "another"), (4, "as before")):
        frontier = await store.claim(stamp(20 + run), of(run, recipe))
        await frontier.seed([START])
        assert (await window(frontier))["start"].before is None, "nobody builds on the mixed run"


async def test_a_run_that_is_over_stays_what_it_was(store: Store) -> None:
    await first_run(store)
    await store.claim(stamp(15), of(1, "another"))
    frontier = await store.claim(stamp(16), of(2))
    await frontier.seed([START])
    assert (await window(frontier))["start"].before is not None


async def many(store: Store, count: int) -> None:
    """A run that knows so many pages, all of them found on the first."""
    frontier = await begun(store, 1)
    links = [request(f"{number}") for number in range(count)]
    await frontier.commit([read(START, *links)])
    await frontier.commit([read(each, items=(ITEM,)) for each in links])
    assert (await frontier.finish("finished")).finished


async def test_sweeping_goes_on_where_another_died(store: Store, open_another: Opener) -> None:
    count = 2 * SWEPT_AT_ONCE + 7
    await many(store, count)
    frontier = await begun(store, 2)
    await frontier.commit([read(START)])
    assert await frontier.sweep()
    known = (await frontier.progress()).known
    assert SWEPT_AT_ONCE <= known <= SWEPT_AT_ONCE + 1
    another = await open_another()
    successor = await another.claim(stamp(20), of(2))
    with pytest.raises(Fenced):
        await frontier.sweep()
    await successor.seed([START])
    assert not (await successor.finish("finished")).finished
    assert await sweep(successor) == 2
    assert (await successor.progress()).known == count + 1
    assert not await successor.sweep()
    assert (await successor.progress()).pending == count


async def test_a_fenced_claim_takes_nothing_over(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2)
    visit = same((await window(frontier))["start"])
    newer = await store.claim(stamp(30), of(2))
    with pytest.raises(Fenced):
        await frontier.commit([visit])
    assert (await newer.progress()).known == 1
    assert not await store.items(RESOURCE)


async def test_sinks_get_what_is_new(store: Store) -> None:
    await store.open_epoch(CLUSTER, 10)
    outbox = store.outbox("courier")
    sent: list[list[Any]] = []
    price = Item("r", {"price": "2.00"})
    for run in (1, 2):
        frontier = await store.claim(stamp(10 + run), of(run, sinks=("s",)))
        await frontier.seed([START, request("a")])
        found = await window(frontier)
        if run == 1:
            visits = [read(each, items=(ITEM,)) for each in found.values()]
        else:
            visits = [same(found["start"]), read(found["a"], items=(price,))]
        await frontier.commit(visits)
        await frontier.sweep()
        assert (await frontier.finish("finished")).finished
        (delivery,) = await outbox.take(1, set())
        (record,) = [each for each in await store.sinks(RESOURCE) if each.run == run]
        items = await outbox.read(delivery, 10, 10_000)
        assert record.lag == len(items)
        sent.append([(each.url, each.fields) for each in items])
        delivery = await outbox.advance(delivery, items[-1].seq, len(items))
        assert await outbox.settle(delivery)
    assert [len(each) for each in sent] == [2, 1]
    assert sent[1] == [(request("a").url, '{"price":"2.00"}')]
    assert len(await store.items(RESOURCE)) == 2
    assert [each.lag for each in await store.sinks(RESOURCE)] == [0]


async def test_each_part_sweeps_its_own_hosts(store: Store, open_another: Opener) -> None:
    parts, hosts = 3, [f"h{number}.example" for number in range(9)]
    pages = [request("p", host) for host in hosts]
    await store.open_epoch(CLUSTER, 10)
    for run in (1, 2):
        owners = [
            await store.claim(stamp(10 * run + part, part=part), of(run, parts=parts))
            for part in range(parts if run == 1 else 1)
        ]
        await owners[0].seed([request("start", hosts[0])])
        first = await owners[0].window(9, 9, frozenset())
        if run == 2:
            break
        visits = [read(each, *pages) for each in first.requests]
        home = part_of(hosts[0], parts)
        await owners[home].seed([])
        start = (await owners[home].window(9, 9, frozenset())).requests
        await owners[home].commit(visits or [read(each, *pages) for each in start])
        for owner in owners:
            found = (await owner.window(99, 99, frozenset())).requests
            await owner.commit([read(each) for each in found])
        assert (await owners[0].finish("finished")).finished
    second = await open_another()
    home = part_of(hosts[0], parts)
    owner = await second.claim(stamp(30 + home, part=home), of(2, parts=parts))
    await owner.commit([read((await owner.window(9, 9, frozenset())).requests[0])])
    await sweep(owner)
    found = (await owner.window(99, 99, frozenset())).requests
    assert {each.host for each in found} == {each for each in hosts if part_of(each, parts) == home}
    await owner.commit([read(each) for each in found])
    progress = await owner.finish("finished")
    assert (progress.pending, progress.finished) == (0, ""), "other parts have yet to come"
    for part in range(parts):
        late = await second.claim(stamp(40 + part, part=part), of(2, parts=parts))
        await sweep(late)
        found = (await late.window(99, 99, frozenset())).requests
        await late.commit([read(each) for each in found])
        progress = await late.finish("finished")
        assert bool(progress.finished) == (part == parts - 1)
    assert progress.done == len(pages) + 1


async def trim(store: Store) -> None:
    """Let go of all but the latest run."""
    while await store.trim(RESOURCE, Keep(runs=1, pages=1), 2):
        pass


async def test_what_a_run_builds_on_is_kept_until_that_is_over(store: Store) -> None:
    await first_run(store)
    frontier = await begun(store, 2)
    await trim(store)
    assert len(await store.items(RESOURCE, run=1)) == 3
    (start,) = (await window(frontier)).values()
    a, b = (await committed(frontier, start)).values()
    await committed(frontier, a, b)
    progress = await frontier.commit([same((await window(frontier))["c"])])
    assert (progress.items, progress.unchanged) == (3, 4)
    assert not await frontier.sweep()
    assert (await frontier.finish("finished")).finished
    await trim(store)
    with pytest.raises(NotFound, match="run 1 is not kept any more"):
        await store.items(RESOURCE, run=1)
    assert len(await store.items(RESOURCE, run=2)) == 3


async def test_a_run_that_got_nothing_does_not_cost_what_the_next_builds_on(store: Store) -> None:
    await first_run(store)
    for run in (2, 3):
        away = await begun(store, run, sweeps=False)
        await away.commit([Visit(START, PageState.FAILED, "HTTP 500", 500)])
        assert (await away.finish("every page failed")).finished
        await trim(store)
    with pytest.raises(NotFound, match="run 2 is not kept any more"):
        await store.items(RESOURCE, run=2)
    frontier = await begun(store, 4)
    (start,) = (await window(frontier)).values()
    a, b = (await committed(frontier, start)).values()
    await committed(frontier, a, b)
    await frontier.commit([same((await window(frontier))["c"])])
    assert not await frontier.sweep()
    assert (await frontier.finish("finished")).finished
    await trim(store)
    with pytest.raises(NotFound, match="run 1 is not kept any more"):
        await store.items(RESOURCE, run=1)
    assert len(await store.items(RESOURCE, run=4)) == 3


async def test_a_run_that_goes_on_after_its_end_builds_on_nothing(store: Store) -> None:
    """What it was built on was not kept for it."""
    await first_run(store)
    frontier = await begun(store, 2)
    (start,) = (await window(frontier)).values()
    a, b = (await committed(frontier, start)).values()
    await committed(frontier, a)
    await frontier.commit([Visit(b, PageState.FAILED, "HTTP 500", 500)])
    while await frontier.sweep():
        pass
    left = (await window(frontier)).values()
    await frontier.commit([same(each) for each in left])
    assert (await frontier.finish("finished")).finished
    await trim(store)
    pages = await store.failed(RESOURCE, 2, Failures())
    assert (await store.retry(stamp(12), 2, pages)).reopened
    again = await store.claim(stamp(13), of(2))
    assert [each.before for each in (await window(again)).values()] == [None]


async def committed(frontier: Frontier, *pages: Request) -> dict[str, Request]:
    """These pages are unchanged; what is to be fetched then."""
    await frontier.commit([same(each) for each in pages])
    return await window(frontier)
