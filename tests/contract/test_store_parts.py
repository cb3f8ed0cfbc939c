"""A resource in parts: each host belongs to one, each part has an owner of its own, and the run is
one."""

from __future__ import annotations

import asyncio

import pytest

from crawler.errors import Fenced
from crawler.model import Item, PageState, Request
from crawler.store.contract import Frontier, Store
from crawler.store.parts import part_of
from tests.contract.backends import Opener
from tests.contract.rows import CLUSTER, RESOURCE, counted, done, job, request, stamp, urls

PARTS = 3
HOSTS = [f"h{number}.example" for number in range(12)]
STARTS = [request("start", host) for host in HOSTS]


async def owned(store: Store, revision: int = 10) -> list[Frontier]:
    """A frontier per part, under one revision each."""
    await store.open_epoch(CLUSTER, revision)
    return [
        await store.claim(stamp(revision + part, part=part), job(parts=PARTS))
        for part in range(PARTS)
    ]


async def sown(store: Store) -> list[Frontier]:
    """The same, with a page on every host."""
    frontiers = await owned(store)
    await frontiers[0].seed(STARTS)
    return frontiers


def of_part(part: int, pages: list[Request]) -> list[Request]:
    return [each for each in pages if part_of(each.host, PARTS) == part]


async def test_windows_show_the_pages_of_their_own_hosts(store: Store) -> None:
    frontiers = await sown(store)
    for part, frontier in enumerate(frontiers):
        found = (await frontier.window(99, 99, frozenset())).requests
        assert {each.host for each in found} == {each.host for each in of_part(part, STARTS)}
        assert found, "the hosts of this test do not reach every part"


async def test_links_land_in_the_part_of_their_host(store: Store) -> None:
    frontiers = await sown(store)
    links = [request(f"{number}", host) for number in range(3) for host in HOSTS]
    [first, *_] = of_part(0, STARTS)
    progress = await frontiers[0].commit([done(first, *links)])
    assert (progress.known, progress.pending) == (len(STARTS) + len(links), 47)
    for part, frontier in enumerate(frontiers):
        wanted = [each for each in (*STARTS, *links) if each != first]
        assert set(await urls(frontier)) == {each.url for each in of_part(part, wanted)}


async def test_a_part_completes_no_page_of_another(store: Store) -> None:
    frontiers = await sown(store)
    [other, *_] = of_part(1, STARTS)
    before = await frontiers[0].progress()
    assert await frontiers[0].commit([done(other, request("x"), items=(Item("r", {}),))]) == before
    assert await frontiers[0].strike(other.fingerprint, "killed") == before
    assert other.url in await urls(frontiers[1])


async def test_totals_are_sums_and_equal_for_all(store: Store) -> None:
    frontiers = await sown(store)
    for part, frontier in enumerate(frontiers):
        visits = [
            done(each, request("a", each.host), items=(Item("r", {}),), size_bytes=10)
            for each in of_part(part, STARTS)
        ]
        await frontier.commit(visits)
    totals = [await frontier.progress() for frontier in frontiers]
    assert len(set(totals)) == 1
    assert (totals[0].known, totals[0].done, totals[0].items) == (24, 12, 12)
    assert totals[0].fetched_bytes == 120
    assert (await store.progress([RESOURCE]))[RESOURCE] == (1, totals[0])
    assert await counted(store) == {PageState.DONE: 12, PageState.PENDING: 12}


async def test_parts_that_find_the_same_link_count_it_once(
    store: Store, open_another: Opener
) -> None:
    frontiers = await sown(store)
    again = await open_another()
    frontiers[1] = await again.claim(stamp(20, part=1), job(parts=PARTS))
    links = [request(f"{number}", host) for number in range(20) for host in HOSTS]
    await asyncio.gather(
        frontiers[0].commit([done(of_part(0, STARTS)[0], *links)]),
        frontiers[1].commit([done(of_part(1, STARTS)[0], *reversed(links))]),
        frontiers[2].commit([done(of_part(2, STARTS)[0], *links[::2], *links[1::2])]),
    )
    progress = await frontiers[0].progress()
    assert (progress.known, progress.done) == (len(STARTS) + len(links), 3)
    assert sum((await counted(store)).values()) == progress.known


async def test_what_one_part_found_too_deep_another_may_follow(store: Store) -> None:
    frontiers = await sown(store)
    link = request("deep", HOSTS[0])
    owner = part_of(link.host, PARTS)
    refused = done(of_part(0, STARTS)[0], excluded=((link, "depth"),))
    assert (await frontiers[0].commit([refused])).excluded == 1
    assert link.url not in await urls(frontiers[owner])
    progress = await frontiers[1].commit([done(of_part(1, STARTS)[0], link)])
    assert (progress.known, progress.excluded) == (len(STARTS) + 1, 0)
    assert link.url in await urls(frontiers[owner])


@pytest.mark.parametrize("part", range(PARTS))
async def test_any_part_seeds_and_only_the_first_does(store: Store, part: int) -> None:
    frontiers = await owned(store)
    assert not (await frontiers[part].progress()).seeded
    progress = await frontiers[part].seed(STARTS)
    assert (progress.known, progress.seeded) == (len(STARTS), True)
    for frontier in frontiers:
        assert await frontier.seed([request("late")]) == progress


async def test_parts_that_seed_at_once_seed_once(store: Store, open_another: Opener) -> None:
    frontiers = await owned(store)
    again = await open_another()
    frontiers[1] = await again.claim(stamp(20, part=1), job(parts=PARTS))
    await asyncio.gather(
        *(
            frontier.seed([*STARTS, request(f"of-{number}", HOSTS[0])])
            for number, frontier in enumerate(frontiers)
        )
    )
    assert (await frontiers[0].progress()).known == len(STARTS) + 1
    assert sum((await counted(store)).values()) == len(STARTS) + 1


async def test_the_run_ends_when_no_part_has_anything_left(store: Store) -> None:
    frontiers = await sown(store)
    for part, frontier in enumerate(frontiers):
        assert (await frontier.finish("all")).finished == ""
        await frontier.commit([done(each) for each in of_part(part, STARTS)])
    assert (await frontiers[1].finish("all")).finished == "all"
    assert {(await frontier.progress()).finished for frontier in frontiers} == {"all"}
    kinds = [event.kind for event in await store.events(RESOURCE)]
    assert kinds == ["claimed"] * PARTS + ["finished"]


async def test_fences_and_claims_concern_one_part(store: Store) -> None:
    frontiers = await sown(store)
    await store.raise_fence(stamp(11, part=1))
    with pytest.raises(Fenced):
        await frontiers[1].progress()
    newer = await store.claim(stamp(40, part=2), job(parts=PARTS))
    with pytest.raises(Fenced):
        await frontiers[2].commit([done(of_part(2, STARTS)[0])])
    assert await frontiers[0].progress() == await newer.progress()
    successor = await store.claim(stamp(12, part=1), job(parts=PARTS))
    assert (await successor.commit([done(of_part(1, STARTS)[0])])).done == 1


async def test_a_tombstone_closes_all_parts(store: Store) -> None:
    frontiers = await sown(store)
    await store.bury(RESOURCE)
    for part, frontier in enumerate(frontiers):
        with pytest.raises(Fenced):
            await frontier.commit([done(each) for each in of_part(part, STARTS)])
        with pytest.raises(Fenced):
            await store.claim(stamp(100, part=part), job(parts=PARTS))
    with pytest.raises(Fenced):
        await store.claim(stamp(100, part=PARTS), job(parts=PARTS))


def test_a_host_belongs_to_one_part_for_ever() -> None:
    """Rows say which part a page is of; another answer would orphan them."""
    hosts = ("shop.example", "shop.example:8080", "ä.example", "\ud800")
    assert [part_of(host, 7) for host in hosts] == [4, 4, 3, 3]
    assert {part_of(host, 1) for host in HOSTS} == {0}
    spread = [part_of(f"h{number}.example", 4) for number in range(4000)]
    assert all(900 < spread.count(part) < 1100 for part in range(4))
