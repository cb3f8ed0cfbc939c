"""Epochs, claims, fences, tombstones: whoever is not the newest owner writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from crawler.errors import Conflict, Fenced, StoreUnavailable
from crawler.model import PageState, Visit
from crawler.store.contract import Frontier, Mirrored, Store
from tests.contract.backends import Opener
from tests.contract.rows import CLUSTER, RESOURCE, claimed, done, job, request, seeded, stamp, urls

PAGE = request("")

CALLS: dict[str, Callable[[Frontier], Awaitable[object]]] = {
    "seed": lambda f: f.seed([request("late")]),
    "window": lambda f: f.window(1, 1, frozenset()),
    "commit": lambda f: f.commit([done(PAGE, request("late"))]),
    "sweep": lambda f: f.sweep(),
    "strike": lambda f: f.strike(PAGE.fingerprint, "killed its process"),
    "finish": lambda f: f.finish("enough", limit=True),
    "progress": lambda f: f.progress(),
    "note": lambda f: f.note("late", ""),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("how", ["newer", "same stamp", "fence", "tombstone", "epoch"])
async def test_fenced_frontiers_do_nothing(
    store: Store, call: Callable[[Frontier], Awaitable[object]], how: str
) -> None:
    old = await seeded(store, PAGE)
    before = (await store.progress([RESOURCE]))[RESOURCE]
    if how == "newer":
        await store.claim(stamp(11), job())
    elif how == "same stamp":
        await store.claim(stamp(10), job())
    elif how == "fence":
        await store.raise_fence(stamp(10))
    elif how == "tombstone":
        await store.bury(RESOURCE)
    else:
        await store.open_epoch("fresh", 1)
        await store.claim(stamp(2, cluster="fresh"), job())
    with pytest.raises(Fenced):
        await call(old)
    assert (await store.progress([RESOURCE]))[RESOURCE] == before
    assert "late" not in {event.kind for event in await store.events(RESOURCE)}


async def test_lower_revisions_are_refused(store: Store) -> None:
    held = await claimed(store, 10)
    with pytest.raises(Fenced):
        await store.claim(stamp(9), job())
    await held.seed([PAGE])


async def test_a_newer_claim_goes_on_where_the_last_commit_was(store: Store) -> None:
    old = await seeded(store, PAGE)
    await old.commit([done(PAGE, request("a"), request("b"))])
    new = await store.claim(stamp(12), job(node="worker-2"))
    assert await urls(new) == [request("a").url, request("b").url]
    assert (await new.progress()).known == 3
    assert (await new.seed([request("other")])).known == 3


async def test_a_fence_lets_only_higher_claims_pass(store: Store) -> None:
    await claimed(store, 10)
    await store.raise_fence(stamp(20))
    for revision in (10, 19, 20):
        with pytest.raises(Fenced):
            await store.claim(stamp(revision), job())
    await store.claim(stamp(21), job())


async def test_an_old_fence_does_not_touch_a_newer_claim(store: Store) -> None:
    held = await claimed(store, 10)
    await store.raise_fence(stamp(9))
    await held.seed([PAGE])


async def test_a_fence_may_come_before_any_claim(store: Store) -> None:
    await store.open_epoch(CLUSTER, 1)
    await store.raise_fence(stamp(5))
    with pytest.raises(Fenced):
        await store.claim(stamp(5), job())
    await store.claim(stamp(6), job())


async def test_parts_are_fenced_apart_and_counted_together(store: Store) -> None:
    first = await seeded(store, PAGE)
    second = await store.claim(stamp(30, part=1), job())
    await store.raise_fence(stamp(31, part=1))
    with pytest.raises(Fenced):
        await second.progress()
    second = await store.claim(stamp(32, part=1), job())
    progress = await first.commit([done(PAGE)])
    assert await second.progress() == progress
    assert await urls(second) == []


async def test_a_part_waits_for_the_others(store: Store) -> None:
    first = await seeded(store, PAGE)
    second = await store.claim(stamp(20, part=1), job())
    assert (await second.finish("done")).finished == ""
    await first.commit([done(PAGE)])
    assert (await second.finish("done")).finished == "done"
    assert (await first.progress()).finished == "done"


async def test_tombstones_are_final(store: Store) -> None:
    await claimed(store, 10)
    await store.bury(RESOURCE)
    await store.bury(RESOURCE)
    with pytest.raises(Fenced):
        await store.claim(stamp(1000), job())
    await store.raise_fence(stamp(1001))
    with pytest.raises(Fenced):
        await store.claim(stamp(1002), job())


async def test_tombstones_may_come_first(store: Store) -> None:
    await store.open_epoch(CLUSTER, 1)
    await store.bury(RESOURCE)
    with pytest.raises(Fenced):
        await store.claim(stamp(10), job())
    assert await store.mirrored() == []


async def test_runs_are_apart(store: Store) -> None:
    first = await seeded(store, PAGE)
    await first.commit([done(PAGE)])
    second = await store.claim(stamp(11), job(run=2))
    assert (await second.progress()).known == 0
    assert (await second.seed([PAGE])).pending == 1
    assert (await store.progress([RESOURCE, "unknown"])) == {
        RESOURCE: (2, await second.progress()),
    }


async def test_unopened_clusters_wait(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.claim(stamp(1), job())
    with pytest.raises(StoreUnavailable):
        await store.raise_fence(stamp(1))


async def test_epochs_rise_and_never_come_back(store: Store) -> None:
    assert await store.open_epoch("a", 5) == 1
    assert await store.open_epoch("a", 7) == 1
    with pytest.raises(Conflict):
        await store.open_epoch("a", 6)
    assert await store.open_epoch("b", 2) == 2
    with pytest.raises(Conflict):
        await store.open_epoch("a", 100)
    assert await store.open_epoch("b", 2) == 2


async def test_claims_and_fences_are_revisions_seen(store: Store) -> None:
    await claimed(store, 40)
    with pytest.raises(Conflict):
        await store.open_epoch(CLUSTER, 39)
    await store.raise_fence(stamp(50))
    with pytest.raises(Conflict):
        await store.open_epoch(CLUSTER, 49)
    await store.open_epoch(CLUSTER, 50)


async def test_low_revisions_of_a_new_epoch_stand_above_high_ones_of_the_old(store: Store) -> None:
    await claimed(store, 5000)
    await store.open_epoch("fresh", 2)
    new = await store.claim(stamp(3, cluster="fresh"), job())
    with pytest.raises(Fenced):
        await store.claim(stamp(6000), job())
    assert (await new.progress()).known == 0


async def test_old_clusters_claim_nothing_any_more(store: Store) -> None:
    held = await claimed(store, 10)
    await store.open_epoch("fresh", 2)
    with pytest.raises(Fenced):
        await store.claim(stamp(11, resource="another"), job())
    assert (await held.seed([PAGE])).pending == 1, "a running crawl goes on until it is replaced"


async def test_the_mirror_keeps_what_it_is_told(store: Store) -> None:
    shop = Mirrored("1", "shop", 7, "{}", "running", 1)
    news = Mirrored("2", "news", 8, None, "paused", 3)
    await store.mirror([shop, news])
    assert list(await store.mirrored()) == [shop, news]
    again = Mirrored("2", "news", 8, '{"x":1}', "running", 4)
    await store.mirror([again])
    await store.bury("1")
    await store.mirror([shop])
    assert list(await store.mirrored()) == [again]


async def test_a_claim_is_remembered_where_the_mirror_knows_nothing(store: Store) -> None:
    await claimed(store)
    [entry] = await store.mirrored()
    assert (entry.id, entry.name, entry.definition) == (RESOURCE, "shop", job().definition)
    told = Mirrored(RESOURCE, "shop", 7, '{"new":1}', "paused", 1)
    await store.mirror([told])
    await store.claim(stamp(11), job())
    assert list(await store.mirrored()) == [told], "the leader's word stands above a claimant's"


async def test_a_store_keeps_its_id(store: Store, open_another: Opener) -> None:
    other = await open_another()
    assert store.id == other.id
    assert len(store.id) == 36


async def test_claims_of_other_stores_fence_too(store: Store, open_another: Opener) -> None:
    old = await seeded(store, PAGE)
    await (await open_another()).claim(stamp(11), job())
    with pytest.raises(Fenced):
        await old.commit([Visit(PAGE, PageState.DONE)])
