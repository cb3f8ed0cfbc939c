"""What a commit records, exactly once, and what a window shows."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from crawler.errors import Fenced
from crawler.model import Item, PageState, Progress, Request, Visit
from crawler.store.batch import LONGEST_WAIT_S
from crawler.store.contract import Store
from tests.contract.backends import EVERYWHERE
from tests.contract.rows import (
    NOON,
    RESOURCE,
    SetClock,
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

pytestmark = EVERYWHERE

PAGE = request("")


async def test_seeding_happens_once(store: Store) -> None:
    frontier = await claimed(store)
    assert await frontier.progress() == Progress()
    first = await frontier.seed([PAGE, request("a"), PAGE])
    assert first == Progress(known=2, seeded=True)
    assert await frontier.seed([request("b")]) == first
    assert await urls(frontier) == [PAGE.url, request("a").url]


async def test_seeding_nothing_is_seeding(store: Store) -> None:
    assert (await (await claimed(store)).seed([])).seeded


async def test_a_request_comes_back_as_it_was_found(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    link = Request(
        mark("x"),
        "https://shop.example/x?a=1",
        "shop.example:8443",
        depth=3,
        priority=-2,
        method="POST",
        body=b"\0\xff",
        rule="product",
        carry={"category": "Tools", "n": 1},
    )
    await frontier.commit([done(PAGE, link)])
    [found] = (await frontier.window(1, 1, frozenset())).requests
    assert found == Request(
        **{name: getattr(link, name) for name in link.__slots__} | {"parent": PAGE.fingerprint}
    )


async def test_a_visit_is_recorded_whole(store: Store, clock: SetClock) -> None:
    frontier = await seeded(store, PAGE)
    items = (
        Item("product", {"name": "Saw", "price": "12.30"}),
        Item("product", {"name": None}, missing=("name",)),
    )
    visit = Visit(
        PAGE,
        PageState.DONE,
        reason="",
        status=200,
        final_url="https://shop.example/home",
        content_type="text/html",
        size_bytes=2048,
        elapsed_s=0.25,
        rule="product",
        items=items,
        links=(request("a"), request("b")),
        excluded=((request("deep"), "depth"),),
    )
    progress = await frontier.commit([visit])
    assert progress == Progress(
        known=4,
        done=1,
        excluded=1,
        items=2,
        incomplete_items=1,
        fetched_bytes=2048,
        seeded=True,
    )
    assert progress.pending == 2
    page, first, _, deep = await all_pages(store)
    assert (page.url, page.state, page.status, page.attempts) == (PAGE.url, "done", 200, 1)
    assert (page.rule, page.size_bytes, page.elapsed_s) == ("product", 2048, 0.25)
    assert (page.fetched_at, page.found_on) == (NOON, "")
    assert (first.found_on, first.fetched_at) == (PAGE.url, 0.0)
    assert (deep.state, deep.reason, deep.attempts) == (PageState.EXCLUDED, "depth", 0)
    saw, incomplete = await store.items(RESOURCE)
    assert (saw.url, saw.rule, saw.ordinal, saw.definition_revision) == (PAGE.url, "product", 0, 3)
    assert (saw.fields, saw.missing) == ({"name": "Saw", "price": "12.30"}, ())
    assert (incomplete.ordinal, incomplete.missing) == (1, ("name",))
    assert saw.stored_at == NOON
    assert incomplete.seq > saw.seq


async def test_a_commit_repeated_changes_nothing(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    batch = [done(PAGE, request("a"), items=(Item("r", {}),), size_bytes=10)]
    first = await frontier.commit(batch)
    assert await frontier.commit(batch) == first
    assert await frontier.commit([*batch, done(PAGE, request("never"))]) == first
    new = await store.claim(stamp(11), job())
    assert await new.commit(batch) == first
    assert len(await store.items(RESOURCE)) == 1


async def test_unknown_pages_are_not_recorded(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    progress = await frontier.commit([done(request("stranger"), request("a"))])
    assert progress == Progress(known=1, seeded=True)


async def test_one_page_twice_in_a_batch_counts_once(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    progress = await frontier.commit([done(PAGE, request("a")), done(PAGE, request("b"))])
    assert (progress.known, progress.done) == (2, 1)


async def test_the_last_word_on_each_page_of_a_batch_counts(store: Store) -> None:
    """Also where there are so many that several are written at once."""
    pages = [request(str(number)) for number in range(30)]
    frontier = await seeded(store, *pages)
    visits = []
    for number, page in enumerate(pages):
        visits += [Visit(page, PageState.PENDING, "503", 503, retry_after_s=9.0)]
        if number < 25:
            visits += [Visit(page, PageState.PENDING, "500", 500), done(page)]
    progress = await frontier.commit(visits)
    assert (progress.done, progress.pending) == (25, 5)
    states = {page.url: (page.state, page.status) for page in await all_pages(store)}
    assert [states[page.url] for page in pages[:25]] == [(PageState.DONE, 200)] * 25
    assert [states[page.url] for page in pages[25:]] == [(PageState.PENDING, 503)] * 5


async def test_the_first_link_wins(store: Store) -> None:
    other = request("other")
    frontier = await seeded(store, PAGE, other)
    same = [request("a", depth=1, rule="first"), request("a", depth=9, rule="second")]
    await frontier.commit([done(PAGE, *same), done(other, request("a", rule="third"), PAGE)])
    [found] = (await frontier.window(9, 9, frozenset())).requests
    assert (found.depth, found.rule, found.parent) == (1, "first", PAGE.fingerprint)
    assert (await frontier.progress()).known == 3


async def test_excluded_links_count_once(store: Store) -> None:
    other = request("other")
    frontier = await seeded(store, PAGE, other)
    out = ((request("x"), "depth"), (request("x"), "again"), (PAGE, "depth"))
    progress = await frontier.commit([Visit(PAGE, PageState.DONE, excluded=out)])
    assert (progress.known, progress.excluded, progress.pending) == (3, 1, 1)
    progress = await frontier.commit([Visit(other, PageState.DONE, excluded=out)])
    assert (progress.known, progress.excluded, progress.pending) == (3, 1, 0)


async def test_a_link_too_deep_is_followed_when_a_shorter_way_is_found(store: Store) -> None:
    other, last = request("other"), request("last")
    deep = request("x", depth=9, rule="deep", carry={"way": "long"})
    near = request("x", depth=2, priority=5, rule="near", carry={"way": "short"})
    frontier = await seeded(store, PAGE, other, last)
    await frontier.commit([Visit(PAGE, PageState.DONE, excluded=((deep, "depth"),))])
    batch = [done(other, near, replace(near, rule="second"))]
    progress = await frontier.commit(batch)
    assert (progress.known, progress.excluded, progress.pending) == (4, 0, 2)
    assert await frontier.commit(batch) == progress
    found, _ = (await frontier.window(9, 9, frozenset())).requests
    assert found == replace(near, parent=other.fingerprint)
    [page] = [page for page in await all_pages(store) if page.url == near.url]
    assert (page.reason, page.depth, page.found_on) == ("", 2, other.url)
    progress = await frontier.commit([done(found), done(last, near)])
    assert (progress.known, progress.done, progress.pending) == (4, 4, 0)


async def test_the_order_of_the_ways_does_not_matter(store: Store) -> None:
    pages = [request(f"{n}") for n in range(4)]
    frontier = await seeded(store, *pages)
    out = [(request(f"x{n}", depth=3), "depth") for n in range(4)]
    near = [replace(link, depth=2) for link, _ in out]
    await frontier.commit([Visit(pages[0], PageState.DONE, links=(near[0],), excluded=(out[1],))])
    await frontier.commit([Visit(pages[1], PageState.DONE, links=(near[1],), excluded=(out[0],))])
    progress = await frontier.commit(
        [
            Visit(pages[2], PageState.DONE, links=(near[2],), excluded=(out[3],)),
            Visit(pages[3], PageState.DONE, links=(near[3],), excluded=(out[2],)),
        ]
    )
    assert (progress.known, progress.excluded, progress.pending) == (8, 0, 4)
    found = (await frontier.window(9, 9, frozenset())).requests
    assert {each.url: each.depth for each in found} == {each.url: 2 for each in near}


async def test_what_a_visit_excluded_stays_excluded(store: Store) -> None:
    first, last = request("first"), request("last")
    frontier = await seeded(store, PAGE, first, last)
    await frontier.commit([Visit(PAGE, PageState.EXCLUDED, "robots.txt")])
    deep = request("x", depth=9)
    await frontier.commit([Visit(first, PageState.DONE, excluded=((deep, "depth"),))])
    near = replace(deep, depth=1)
    before = await frontier.commit([done(last, PAGE, near)])
    assert (before.excluded, before.pending) == (1, 1)
    await frontier.commit([Visit(near, PageState.EXCLUDED, "robots.txt")])
    new = await store.claim(stamp(11), job())
    assert (await new.commit([done(last, PAGE, near)])).pending == 0
    pages = await all_pages(store, state=PageState.EXCLUDED)
    assert [(page.url, page.reason) for page in pages] == [
        (PAGE.url, "robots.txt"),
        (near.url, "robots.txt"),
    ]


@pytest.mark.parametrize("state", [PageState.FAILED, PageState.EXCLUDED])
async def test_final_states(store: Store, state: PageState) -> None:
    frontier = await seeded(store, PAGE)
    progress = await frontier.commit([Visit(PAGE, state, reason="robots.txt", status=404)])
    assert (progress.known, progress.pending) == (1, 0)
    assert (progress.failed, progress.excluded) == (
        int(state is PageState.FAILED),
        int(state is PageState.EXCLUDED),
    )
    [page] = await all_pages(store, state=state)
    assert (page.reason, page.status) == ("robots.txt", 404)


async def test_again_after_a_while(store: Store, clock: SetClock) -> None:
    frontier = await seeded(store, PAGE)
    again = Visit(PAGE, PageState.PENDING, reason="503", status=503, retry_after_s=60.0)
    progress = await frontier.commit([again])
    assert (progress.pending, progress.done) == (1, 0)
    window = await frontier.window(9, 9, frozenset())
    assert (window.requests, window.next_in_s) == ((), 60.0)
    clock.now += 59
    window = await frontier.window(9, 9, frozenset())
    assert (window.requests, window.next_in_s) == ((), 1.0)
    clock.now += 1
    [due] = (await frontier.window(9, 9, frozenset())).requests
    assert due.attempts == 1
    await frontier.commit([Visit(due, PageState.PENDING, retry_after_s=0.0)])
    [due] = (await frontier.window(9, 9, frozenset())).requests
    assert due.attempts == 2
    await frontier.commit([done(due)])
    [page] = await all_pages(store)
    assert (page.attempts, page.state) == (3, PageState.DONE)


async def test_an_attempt_told_twice_counts_once(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    again = Visit(PAGE, PageState.PENDING, size_bytes=7)
    assert (await frontier.commit([again])).fetched_bytes == 7
    assert (await frontier.commit([again])).fetched_bytes == 7
    [due] = (await frontier.window(9, 9, frozenset())).requests
    assert due.attempts == 1


@pytest.mark.parametrize("step_s", [60, 3600, 7 * 24 * 3600])
@pytest.mark.parametrize("wait_s", [30.0, math.inf])
async def test_waits_set_by_a_clock_that_stepped_back_end(
    store: Store, clock: SetClock, step_s: float, wait_s: float
) -> None:
    frontier = await seeded(store, PAGE)
    await frontier.commit([Visit(PAGE, PageState.PENDING, retry_after_s=wait_s)])
    clock.now -= step_s
    assert await urls(frontier) == [PAGE.url]


async def test_a_wait_from_before_a_step_back_does_not_hide_behind_others(
    store: Store, clock: SetClock
) -> None:
    other = request("other")
    frontier = await seeded(store, PAGE, other)
    await frontier.commit([Visit(PAGE, PageState.PENDING, retry_after_s=5.0)])
    clock.now -= 3600
    await frontier.commit([Visit(other, PageState.PENDING, retry_after_s=600.0)])
    window = await frontier.window(9, 9, frozenset())
    assert ([each.url for each in window.requests], window.next_in_s) == ([PAGE.url], 600.0)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
async def test_a_page_waits_from_its_commit_on_whatever_the_clock_did_since_the_visit(
    store: Store, clock: SetClock, step_s: float
) -> None:
    frontier = await seeded(store, PAGE)
    clock.ahead_s = -step_s
    again = Visit(PAGE, PageState.PENDING, retry_after_s=60.0)
    clock.ahead_s = step_s
    clock.now += 5
    await frontier.commit([again])
    assert (await frontier.window(9, 9, frozenset())).next_in_s == 60.0
    clock.now += 60
    assert await urls(frontier) == [PAGE.url]


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
async def test_a_step_after_the_commit_makes_no_page_wait(
    store: Store, clock: SetClock, step_s: float
) -> None:
    frontier = await seeded(store, PAGE)
    await frontier.commit([Visit(PAGE, PageState.PENDING, retry_after_s=60.0)])
    clock.ahead_s = step_s
    next_in_s = (await frontier.window(9, 9, frozenset())).next_in_s
    assert next_in_s is None or next_in_s <= 60.0
    clock.now += 60
    assert await urls(frontier) == [PAGE.url]


@pytest.mark.parametrize("wait_s", [math.nan, -math.inf, -5.0])
async def test_senseless_waits_mean_now(store: Store, wait_s: float) -> None:
    frontier = await seeded(store, PAGE)
    again = Visit(PAGE, PageState.PENDING, retry_after_s=wait_s, elapsed_s=math.nan)
    await frontier.commit([again])
    assert await urls(frontier) == [PAGE.url]


async def test_no_page_waits_longer_than_a_day(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    await frontier.commit([Visit(PAGE, PageState.PENDING, retry_after_s=math.inf)])
    assert (await frontier.window(9, 9, frozenset())).next_in_s == LONGEST_WAIT_S


async def test_the_third_strike_fails_the_page(store: Store) -> None:
    frontier = await seeded(store, PAGE, request("a"))
    for strikes in (1, 2):
        await frontier.strike(PAGE.fingerprint, "killed its process")
        window = await frontier.window(9, 9, frozenset())
        assert window.requests[0].strikes == strikes
    progress = await frontier.strike(PAGE.fingerprint, "killed its process")
    assert (progress.failed, progress.pending) == (1, 1)
    assert await frontier.strike(PAGE.fingerprint, "again") == progress
    assert await frontier.strike(mark("unknown"), "x") == progress
    [page] = await all_pages(store, state=PageState.FAILED)
    assert page.reason == "killed its process"
    assert await urls(frontier) == [request("a").url]


async def test_a_page_that_carries_an_item_is_left_to_who_is_handed_it(store: Store) -> None:
    bound = request("2", bound=True, carry={"=": {"title": "T"}})
    frontier = await seeded(store, PAGE)
    await frontier.commit([done(PAGE, bound)])
    for _ in range(4):
        progress = await frontier.strike(bound.fingerprint, "killed its process")
        assert (progress.failed, progress.pending) == (0, 1)
    [handed] = (await frontier.window(9, 9, frozenset())).requests
    assert (handed.strikes, handed.carry) == (4, bound.carry)
    unfinished = Item("r", {"title": "T"}, ("_next",))
    end = Visit(handed, PageState.FAILED, "killed its process", items=(unfinished,))
    progress = await frontier.commit([end])
    assert (progress.failed, progress.pending, progress.incomplete_items) == (1, 0, 1)
    assert await frontier.strike(bound.fingerprint, "again") == progress
    [record] = await store.items(RESOURCE)
    assert (record.fields, record.missing) == ({"title": "T"}, ("_next",))


async def test_a_waiting_page_may_be_struck(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    await frontier.commit([Visit(PAGE, PageState.PENDING, retry_after_s=60.0)])
    await frontier.strike(PAGE.fingerprint, "x")
    assert (await frontier.progress()).pending == 1


async def test_finishing_needs_seeds_and_nothing_pending(store: Store) -> None:
    frontier = await claimed(store)
    assert (await frontier.finish("all done")).finished == ""
    await frontier.seed([PAGE])
    assert (await frontier.finish("all done")).finished == ""
    await frontier.commit([done(PAGE)])
    assert (await frontier.finish("all done")).finished == "all done"
    assert (await frontier.finish("other words", limit=True)).finished == "all done"
    kinds = [event.kind for event in await store.events(RESOURCE)]
    assert kinds == ["claimed", "finished"]


async def test_a_limit_finishes_with_pages_pending(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    progress = await frontier.finish("max_pages", limit=True)
    assert (progress.finished, progress.pending) == ("max_pages", 1)


async def test_windows_go_by_priority_then_by_discovery(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    links = [request(f"p{n}", priority=n % 3) for n in range(6)]
    await frontier.commit([done(PAGE, *links)])
    names = [url.rpartition("/")[2] for url in await urls(frontier)]
    assert names == ["p2", "p5", "p1", "p4", "p0", "p3"]


async def test_windows_treat_hosts_alike(store: Store) -> None:
    big = [request(f"{n}", "big.example", priority=5) for n in range(50)]
    small = [request("x", f"h{n}.example") for n in range(4)]
    frontier = await seeded(store, *big, *small)
    hosts = [each.host for each in (await frontier.window(6, 8, frozenset())).requests]
    assert sorted(hosts) == ["big.example", "big.example", *(f"h{n}.example" for n in range(4))]
    hosts = [each.host for each in (await frontier.window(100, 3, frozenset())).requests]
    assert hosts.count("big.example") == 3
    assert len(hosts) == 7


async def test_windows_go_round_the_hosts(store: Store) -> None:
    frontier = await seeded(store, *(request("x", f"h{n}.example") for n in range(10)))
    shown = [await urls(frontier, limit=4) for _ in range(5)]
    assert all(len(set(each)) == 4 for each in shown)
    assert len({url for each in shown[:3] for url in each}) == 10


async def test_windows_leave_out_what_is_skipped(store: Store) -> None:
    pages = [request(f"{n}") for n in range(10)]
    other = request("x", "other.example")
    frontier = await seeded(store, *pages, other)
    skip = {each.fingerprint for each in pages[:8]}
    found = (await frontier.window(5, 1, skip)).requests
    assert {each.url for each in found} == {pages[8].url, other.url}
    everything = skip | {each.fingerprint for each in (*pages, other)}
    assert (await frontier.window(5, 5, everything)).requests == ()
    assert (await frontier.window(0, 5, frozenset())).requests == ()


async def test_windows_wait_for_the_earliest(store: Store) -> None:
    pages = [request(f"{n}") for n in range(3)]
    frontier = await seeded(store, *pages)
    await frontier.commit(
        [Visit(each, PageState.PENDING, retry_after_s=30.0 - n) for n, each in enumerate(pages)]
    )
    window = await frontier.window(9, 9, frozenset())
    assert (window.requests, window.next_in_s) == ((), 28.0)
    assert (await (await claimed(store, 11, run=2)).window(9, 9, frozenset())).next_in_s is None


async def test_many_due_at_once_are_ordered_again(store: Store, clock: SetClock) -> None:
    pages = [request(f"{n}", priority=n) for n in range(40)]
    frontier = await seeded(store, *pages)
    await frontier.commit(
        [Visit(each, PageState.PENDING, retry_after_s=1.0 + n) for n, each in enumerate(pages)]
    )
    clock.now += 100
    assert await urls(frontier) == [each.url for each in reversed(pages)]


async def test_counters_hold_while_others_write(store: Store) -> None:
    pages = [request(f"{n}") for n in range(30)]
    frontier = await seeded(store, *pages)
    links = [[request(f"l{(n * 7 + k) % 50}") for k in range(10)] for n in range(30)]
    results = await asyncio.gather(
        *(frontier.commit([done(page, *found)]) for page, found in zip(pages, links, strict=True))
    )
    assert all(
        each.known == each.done + each.failed + each.pending + each.excluded for each in results
    )
    final = await frontier.progress()
    assert (final.known, final.done) == (80, 30)
    assert await counted(store) == {PageState.DONE: 30, PageState.PENDING: 50}


async def test_it_tells_where_pages_led(store: Store) -> None:
    moved, stayed, failed, pending = (request(f"{n}") for n in range(4))
    frontier = await seeded(store, moved, stayed, failed, pending)
    await frontier.commit(
        [
            done(moved, final_url="https://other.example/"),
            done(stayed, final_url=stayed.url),
            Visit(failed, PageState.FAILED, final_url="https://x.example/"),
        ]
    )
    marks = [each.fingerprint for each in (pending, failed, stayed, moved)]
    assert await frontier.targets([*marks, mark("unknown")]) == ["https://other.example/"]
    assert await frontier.targets([]) == []


async def test_events_are_told_in_order(store: Store) -> None:
    frontier = await claimed(store, node="worker-7")
    for number in range(5):
        await frontier.note("page", f"{number}")
    events = await store.events(RESOURCE)
    assert [event.detail for event in events[1:]] == ["0", "1", "2", "3", "4"]
    assert (events[0].kind, events[0].node, events[0].at) == ("claimed", "worker-7", NOON)
    rest = await store.events(RESOURCE, after=events[2].seq, limit=2)
    assert [event.detail for event in rest] == ["2", "3"]
    assert await store.events("unknown") == []


async def test_a_fenced_note_is_not_kept(store: Store) -> None:
    frontier = await claimed(store)
    await store.raise_fence(stamp(10))
    with pytest.raises(Fenced):
        await frontier.note("late", "")
    assert [event.kind for event in await store.events(RESOURCE)] == ["claimed"]


async def test_links_of_a_page_may_come_in_parts_before_its_end(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    links = [request(f"{n}") for n in range(5)]
    first = Visit(PAGE, PageState.PENDING, links=tuple(links[:2]))
    assert (await frontier.commit([first])).pending == 3
    assert (await frontier.commit([first])).known == 3
    await frontier.commit([Visit(PAGE, PageState.PENDING, links=tuple(links[1:4]))])
    ended = await frontier.commit([done(PAGE, links[4])])
    assert (ended.known, ended.done, ended.pending) == (6, 1, 5)
    assert await urls(frontier) == [link.url for link in links]
    (page,) = [page for page in await all_pages(store) if page.state is PageState.DONE]
    assert page.attempts == 1
