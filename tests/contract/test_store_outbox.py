"""The outbox: what sinks have yet to get, in the order of the commits, none of it passed over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crawler import failpoint
from crawler.errors import Fenced
from crawler.model import Item
from crawler.store.contract import Frontier, Mirrored, Store
from crawler.store.leases import HOLD_S, LONGEST_WAIT_S
from crawler.store.outbox import Delivery, Outbox
from tests.contract.backends import Opener
from tests.contract.rows import (
    CLUSTER,
    RESOURCE,
    SetClock,
    claimed,
    done,
    job,
    mark,
    request,
    stamp,
)

SINK = "hook"
MUCH = 1 << 20


async def crawling(store: Store, *names: str, **fields: Any) -> Frontier:
    """A run with these pages pending, its items sent to one sink."""
    frontier = await claimed(store, sinks=(SINK,), **fields)
    await frontier.seed([request(name) for name in names])
    return frontier


async def found(frontier: Frontier, *names: str, items: int = 1) -> None:
    """Each of these pages is visited and yields items, which say where they are from."""
    for name in names:
        yielded = tuple(Item("r", {"from": name, "n": n}) for n in range(items))
        await frontier.commit([done(request(name), items=yielded)])


async def taken(outbox: Outbox) -> Delivery:
    """The one delivery that there is to take."""
    [delivery] = await outbox.take(9, frozenset())
    return delivery


async def sent(outbox: Outbox, limit: int = 100) -> list[str]:
    """Deliver everything that is due; the fields of what was, in order."""
    texts: list[str] = []
    for delivery in await outbox.take(9, frozenset()):
        now = delivery
        while batch := await outbox.read(now, limit, MUCH):
            texts += [each.fields for each in batch]
            now = await outbox.advance(now, batch[-1].seq, len(batch))
        assert await outbox.settle(now)
    return texts


async def lag(store: Store) -> list[tuple[str, int, int]]:
    return [(each.sink, each.delivered, each.lag) for each in await store.sinks(RESOURCE)]


async def test_items_come_out_in_the_order_of_their_commits(store: Store) -> None:
    frontier = await crawling(store, "a", "b", "c")
    await found(frontier, "c", "a", "b", items=2)
    assert await lag(store) == [(SINK, 0, 6)]
    texts = await sent(store.outbox("w1"), limit=2)
    assert texts == [f'{{"from":"{name}","n":{n}}}' for name in "cab" for n in range(2)]
    assert await lag(store) == [(SINK, 6, 0)]


async def test_an_item_says_where_it_is_from(store: Store) -> None:
    frontier = await crawling(store, "a")
    await frontier.commit([done(request("a"), items=(Item("product", {}, ("price",)),))])
    outbox = store.outbox("w1")
    [item] = await outbox.read(await taken(outbox), 9, MUCH)
    assert (item.fingerprint, item.ordinal) == (mark("shop.example/a"), 0)
    assert (item.url, item.rule, item.fields) == ("https://shop.example/a", "product", "{}")
    assert item.missing is not None
    assert "price" in item.missing


async def test_a_sink_without_items_is_soon_at_rest_and_wakes_with_the_next(store: Store) -> None:
    frontier = await crawling(store, "a", "b")
    outbox = store.outbox("w1")
    assert await sent(outbox) == []
    assert await outbox.take(9, frozenset()) == ()
    await frontier.commit([done(request("b"))])  # no items
    assert await outbox.take(9, frozenset()) == ()
    await found(frontier, "a")
    assert len(await sent(outbox)) == 1


async def test_a_commit_that_is_repeated_adds_nothing(store: Store) -> None:
    frontier = await crawling(store, "a")
    outbox = store.outbox("w1")
    await found(frontier, "a")
    assert len(await sent(outbox)) == 1
    await found(frontier, "a")
    assert await sent(outbox) == []


async def test_what_is_left_is_sent_after_the_run_is_over(store: Store) -> None:
    frontier = await crawling(store, "a")
    await found(frontier, "a")
    assert (await frontier.finish("finished")).finished
    assert len(await sent(store.outbox("w1"))) == 1


async def test_a_lease_is_one_holder_s_until_it_ends(store: Store, clock: SetClock) -> None:
    await found(await crawling(store, "a"), "a")
    first, second = store.outbox("w1"), store.outbox("w2")
    old = await taken(first)
    assert await second.take(9, frozenset()) == ()
    clock.now += HOLD_S + 1
    new = await taken(second)
    for late in (
        first.read(old, 9, MUCH),
        first.advance(old, 10**9, 1),
        first.settle(old),
        first.postpone(old, 1.0, "late"),
    ):
        with pytest.raises(Fenced):
            await late
    assert len(await second.read(new, 9, MUCH)) == 1


async def test_every_batch_renews_the_lease(store: Store, clock: SetClock) -> None:
    await found(await crawling(store, "a", "b"), "a", "b")
    outbox = store.outbox("w1")
    now = await taken(outbox)
    for _ in range(2):
        clock.now += HOLD_S - 1
        [item] = await outbox.read(now, 1, MUCH)
        assert await store.outbox("w2").take(9, frozenset()) == ()
        now = await outbox.advance(now, item.seq, 1)


async def test_a_holder_that_was_built_anew_takes_its_own_at_once(store: Store) -> None:
    await found(await crawling(store, "a"), "a")
    before = await taken(store.outbox("w1"))
    again = store.outbox("w1")
    assert await again.take(9, {before.key}) == ()
    assert (await taken(again)).lease > before.lease
    with pytest.raises(Fenced):
        await again.settle(before)


async def test_a_released_lease_is_free(store: Store) -> None:
    await found(await crawling(store, "a"), "a")
    outbox = store.outbox("w1")
    await taken(outbox)
    await outbox.release()
    assert (await taken(store.outbox("w2"))).sink == SINK


async def test_an_answer_that_was_lost_makes_it_sent_again_and_counted_once(store: Store) -> None:
    await found(await crawling(store, "a", "b"), "a", "b")
    outbox = store.outbox("w1")
    now = await taken(outbox)
    batch = await outbox.read(now, 9, MUCH)
    await outbox.advance(now, batch[-1].seq, len(batch))
    await outbox.advance(now, batch[-1].seq, len(batch))
    assert await lag(store) == [(SINK, 2, 0)]
    retaken = await taken(store.outbox("w1"))
    assert await outbox.read(retaken, 9, MUCH) == []


async def test_a_failure_waits_and_says_why(store: Store, clock: SetClock) -> None:
    await found(await crawling(store, "a"), "a")
    outbox = store.outbox("w1")
    await outbox.postpone(await taken(outbox), 30.0, "connection refused")
    [told] = await store.sinks(RESOURCE)
    assert (told.trouble, told.failures, told.lag) == ("connection refused", 1, 1)
    assert await outbox.take(9, frozenset()) == ()
    [early] = await outbox.take(9, frozenset(), early=True)
    assert await outbox.take(9, {early.key}, early=True) == ()
    clock.now += 31
    now = await taken(outbox)
    assert now.failures == 1
    [item] = await outbox.read(now, 9, MUCH)
    await outbox.advance(now, item.seq, 1)
    [told] = await store.sinks(RESOURCE)
    assert (told.trouble, told.failures, told.lag) == ("", 0, 0)


async def test_nothing_waits_for_longer_than_an_hour_whatever_the_clock_does(
    store: Store, clock: SetClock
) -> None:
    await found(await crawling(store, "a"), "a")
    outbox = store.outbox("w1")
    await outbox.postpone(await taken(outbox), 10**9, "refused")
    clock.now += LONGEST_WAIT_S + 1
    await outbox.postpone(await taken(outbox), 60.0, "refused")
    clock.now -= 3 * LONGEST_WAIT_S
    assert (await taken(outbox)).sink == SINK


async def test_whoever_gives_way_is_behind_the_others(store: Store, clock: SetClock) -> None:
    frontier = await claimed(store, sinks=("one", "two"))
    await frontier.seed([request("a")])
    await found(frontier, "a")
    outbox = store.outbox("w1")
    [first] = await outbox.take(1, frozenset())
    await outbox.postpone(first, 0.0, "")
    [second] = await outbox.take(1, frozenset())
    assert {first.sink, second.sink} == {"one", "two"}
    assert all(not each.trouble and not each.failures for each in await store.sinks(RESOURCE))


async def test_a_batch_ends_with_its_bytes_and_has_one_item_at_the_least(store: Store) -> None:
    frontier = await crawling(store, "a")
    yielded = tuple(Item("r", {"text": "x" * 1000}) for _ in range(5))
    await frontier.commit([done(request("a"), items=yielded)])
    outbox = store.outbox("w1")
    now = await taken(outbox)
    assert len(await outbox.read(now, 99, 1)) == 1
    assert len(await outbox.read(now, 99, 2500)) == 3
    assert len(await outbox.read(now, 2, MUCH)) == 2


async def test_a_sink_gets_the_runs_one_after_the_other(store: Store) -> None:
    await found(await crawling(store, "a"), "a")
    await found(await crawling(store, "b", revision=20, run=2), "b")
    outbox = store.outbox("w1")
    now = await taken(outbox)
    assert now.run == 1
    await outbox.postpone(now, 60.0, "down")
    assert await outbox.take(9, frozenset()) == ()
    assert [(each.run, each.lag) for each in await store.sinks(RESOURCE)] == [(2, 1), (1, 1)]
    await crawling(store, revision=30, run=2)  # tried at once
    assert [*await sent(outbox), *await sent(outbox)] == [
        '{"from":"a","n":0}',
        '{"from":"b","n":0}',
    ]
    assert [(each.run, each.lag) for each in await store.sinks(RESOURCE)] == [(2, 0)]


async def test_a_claim_makes_a_refused_sink_due_at_once(store: Store) -> None:
    await found(await crawling(store, "a"), "a")
    outbox = store.outbox("w1")
    await outbox.postpone(await taken(outbox), 3000.0, "HTTP 403")
    await claimed(store, 20, sinks=(SINK,))
    assert (await taken(outbox)).failures == 0


async def test_a_sink_that_is_named_no_more_is_forgotten(store: Store) -> None:
    await found(await crawling(store, "a"), "a")
    held = await taken(store.outbox("w1"))
    await claimed(store, 20, sinks=("other",))
    with pytest.raises(Fenced):
        await store.outbox("w1").read(held, 9, MUCH)
    assert await lag(store) == [("other", 0, 1)]


async def test_a_part_s_items_wake_the_sinks_that_part_0_named(store: Store) -> None:
    await store.open_epoch(CLUSTER, 10)
    parts = [
        await store.claim(stamp(10 + part, part=part), job(parts=2, sinks=(SINK,)))
        for part in range(2)
    ]
    starts = [request("x", f"h{number}.example") for number in range(8)]
    await parts[0].seed(starts)
    outbox = store.outbox("w1")
    await sent(outbox)
    for frontier in parts:
        window = await frontier.window(9, 9, frozenset())
        assert window.requests
        await frontier.commit([done(each, items=(Item("r", {}),)) for each in window.requests])
        assert len(await sent(outbox)) == len(window.requests)


async def test_what_the_definition_says_of_sinks_comes_along(store: Store) -> None:
    await crawling(store, "a")
    text = '{"sinks":[{"kind":"file","name":"hook"}],"start_urls":["https://shop.example/"]}'
    await store.mirror([Mirrored(RESOURCE, "shop", 1, text, "running", 1)])
    delivery = await taken(store.outbox("w1"))
    assert (delivery.resource_id, delivery.name, delivery.run) == (RESOURCE, "shop", 1)
    assert delivery.sinks is not None
    assert "file" in delivery.sinks


async def test_lags_are_told_over_all_runs_of_what_is_behind(store: Store) -> None:
    outbox = store.outbox("w1")
    await found(await crawling(store, "a"), "a", items=3)
    await found(await crawling(store, "b", revision=20, run=2), "b", items=4)
    assert await outbox.lags(9) == {("shop", SINK): 7}
    while await sent(outbox):
        pass
    assert await outbox.lags(9) == {}


async def test_a_buried_resource_sends_nothing_and_leaves_nothing(store: Store) -> None:
    await found(await crawling(store, "a"), "a")
    outbox = store.outbox("w1")
    held = await taken(outbox)
    await store.bury(RESOURCE)
    with pytest.raises(Fenced):
        await outbox.read(held, 9, MUCH)
    assert await store.outbox("w1").take(9, frozenset()) in ([], ())
    while await store.purge(100):
        pass
    assert await store.sinks(RESOURCE) == []


async def test_a_sink_does_not_settle_over_a_commit_that_is_under_way(
    store: Store, open_another: Opener
) -> None:
    frontier = await crawling(store, "a")
    outbox = (await open_another()).outbox("w1")
    held = await taken(outbox)
    failpoint.arm("store.before_commit=sleep(1)")
    try:
        committing = asyncio.create_task(found(frontier, "a"))
        await asyncio.sleep(0.5)  # most of the time, all is written by then and not committed
        settled = await outbox.settle(held)
        await committing
    finally:
        failpoint.arm("")
    now = await taken(outbox) if settled else held
    assert len(await outbox.read(now, 9, MUCH)) == 1


async def test_no_item_is_passed_over_while_parts_commit_and_the_sink_settles(
    store: Store, open_another: Opener
) -> None:
    """Both parts of a run write as fast as they can; whoever sends settles whenever it can."""
    other = await open_another()
    await store.open_epoch(CLUSTER, 10)
    parts = [
        await each.claim(stamp(10 + part, part=part), job(parts=2, sinks=(SINK,)))
        for part, each in enumerate((store, other))
    ]
    hosts = [f"h{number}.example" for number in range(16)]
    starts = [request(f"p{n}", host) for n in range(4) for host in hosts]
    await parts[0].seed(starts)

    async def write(frontier: Frontier) -> None:
        window = await frontier.window(99, 99, frozenset())
        for each in window.requests:
            await frontier.commit([done(each, items=(Item("r", {"url": each.url}),))])

    outbox, texts = store.outbox("w1"), []

    async def send(until: asyncio.Future[Any]) -> None:
        while not until.done():
            texts.extend(await sent_freely(outbox))

    writing = asyncio.gather(*(write(frontier) for frontier in parts))
    await send(writing)
    texts += await sent_freely(outbox)
    assert sorted(texts) == sorted(f'{{"url":"{each.url}"}}' for each in starts)
    assert await lag(store) == [(SINK, len(starts), 0)]


async def sent_freely(outbox: Outbox) -> list[str]:
    """Like `sent`, while others write: what settles late is taken again."""
    texts: list[str] = []
    for delivery in await outbox.take(9, frozenset()):
        now = delivery
        while not await outbox.settle(now):
            batch = await outbox.read(now, 3, MUCH)
            texts += [each.fields for each in batch]
            now = await outbox.advance(now, batch[-1].seq, len(batch))
    return texts
