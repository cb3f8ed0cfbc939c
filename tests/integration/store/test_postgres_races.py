"""Processes that write to one run at the same moment: claims against commits, parts against
parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from crawler import failpoint
from crawler.clock import SystemClock
from crawler.model import HostGrant, PageState, Visit
from crawler.store import open_store
from crawler.store.contract import Store
from crawler.store.parts import part_of
from crawler.store.postgres.server import Connection
from crawler.store.postgres.store import open_postgres
from crawler.store.turns import HOLD_S
from tests.contract.rows import (
    CLUSTER,
    RESOURCE,
    SetClock,
    counted,
    done,
    job,
    request,
    seeded,
    stamp,
)
from tests.integration.store.postgres_stage import Stage, staged
from tests.integration.store.toil import HOSTS, crossing
from tests.postgres_server import PostgresServer

CLAIMS = 60
PARTS = 2
TOTAL = 1500
ROUNDS = 20

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One that keeps the order of commits."""
    with PostgresServer(settings={"track_commit_timestamp": "on"}) as server:
        yield server


@pytest.fixture
async def stage(own_server: PostgresServer) -> AsyncIterator[Stage]:
    async with staged(own_server) as one:
        await (await one.troupe.start()).tell("epoch", CLUSTER, 1)
        yield one


@pytest.fixture
def url(own_server: PostgresServer) -> str:
    return own_server.fresh_url()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two that do not know of each other, on one database, and that repeat nothing: where they
    waited in a circle, one would say so."""
    pair = (
        await open_store(url, SystemClock(), locked_for_s=0.0),
        await open_store(url, SystemClock(), locked_for_s=0.0),
    )
    await pair[0].open_epoch(CLUSTER, 1)
    yield pair
    failpoint.arm("")
    for each in pair:
        await each.close()


async def test_no_commit_comes_after_a_newer_claim(stage: Stage) -> None:
    """An item tells under which claim it was stored, an event when the next claim was committed:
    by the server's own record of commits, no item is younger than the claim after its own."""
    rivals = [await stage.troupe.start() for _ in range(3)]
    for number, rival in enumerate(rivals):
        await rival.begin("contend", f"w{number}", CLAIMS, 12)
    fenced = [await rival.answer() for rival in rivals]
    assert sum(fenced) > CLAIMS, "they hardly met"
    late = stage.ask("""
        WITH claims AS (
            SELECT node, pg_xact_commit_timestamp(xmin) AS at,
                lead(pg_xact_commit_timestamp(xmin)) OVER (ORDER BY seq) AS next_at
            FROM events WHERE kind = 'claimed'
        )
        SELECT rule FROM items LEFT JOIN claims ON node = rule
        WHERE at IS NULL OR pg_xact_commit_timestamp(items.xmin) <= at
            OR pg_xact_commit_timestamp(items.xmin) >= next_at
    """)
    assert late == []
    stored = stage.count("SELECT count(*) FROM items")
    assert stored == stage.count("SELECT count(DISTINCT fingerprint) FROM items") > CLAIMS
    assert stored == stage.count("SELECT count(*) FROM pages WHERE state = 'done'")
    assert stored == stage.count("SELECT sum(items) FROM counters")


async def test_parts_that_link_into_each_other_end_together(stage: Stage) -> None:
    players = [await stage.troupe.start(locked_for_s=5.0) for _ in range(PARTS)]
    for part, player in enumerate(players):
        await player.tell("claim", 10 + part, part, RESOURCE, PARTS)
    reader = await open_store(stage.url, SystemClock())
    await players[part_of(crossing(0).host, PARTS)].tell("sow")
    for part, player in enumerate(players):
        await player.begin("cross", part, TOTAL)
    crawling = asyncio.gather(*(player.answer() for player in players))
    polled = await polled_items(reader, crawling)
    told = await crawling
    assert [row[1:] for row in told] == [[TOTAL, TOTAL, 0]] * PARTS
    assert all(row[0] > 0 for row in told)
    assert sum(row[0] for row in told) == TOTAL
    counted_by = stage.ask("SELECT done, known > 0 FROM counters ORDER BY part")
    assert counted_by == [[f"{row[0]}", "t"] for row in told], "each in its own row"
    assert stage.examine() == {"done": TOTAL}
    stored = [int(row[0]) for row in stage.ask("SELECT seq FROM items ORDER BY seq")]
    assert polled == stored
    assert stage.count("SELECT count(*) FROM events WHERE kind = 'finished'") == 1
    assert {part_of(f"h{n}.example", PARTS) for n in range(HOSTS)} == set(range(PARTS))
    await reader.close()


async def polled_items(reader: Store, crawling: asyncio.Future[list[object]]) -> list[int]:
    """What a reader behind a cursor is told while others write, to the end."""
    polled: list[int] = []
    last = False
    while not last:
        last = crawling.done()
        while found := await reader.items(RESOURCE, after=polled[-1] if polled else 0, limit=50):
            polled += [item.seq for item in found]
        await asyncio.sleep(0)
    return polled


async def test_parts_that_find_the_same_links_wait_in_one_order(
    stores: tuple[Store, Store],
) -> None:
    hosts = [next(h for h in names() if part_of(h, PARTS) == part) for part in range(PARTS)]
    parts = [
        await store.claim(stamp(10 + part, part=part), job(parts=PARTS))
        for part, store in enumerate(stores)
    ]
    pages = [[request(f"start-{n}", host) for n in range(ROUNDS)] for host in hosts]
    await parts[0].seed([*pages[0], *pages[1]])
    for number in range(ROUNDS):
        links = [request(f"{number}/{n}", hosts[n % PARTS]) for n in range(400)]
        await asyncio.gather(
            parts[0].commit([done(pages[0][number], *links)]),
            parts[1].commit([done(pages[1][number], *reversed(links))]),
        )
    assert (await parts[0].progress()).known == ROUNDS * (PARTS + 400)


async def test_what_one_part_refuses_while_another_follows_it_is_followed(
    stores: tuple[Store, Store],
) -> None:
    """The second looks before the first has committed the link as too deep, and inserts after."""
    hosts = [next(h for h in names() if part_of(h, PARTS) == part) for part in range(PARTS)]
    starts = [request("start", host) for host in hosts]
    link = request("deep", hosts[0])
    first = await stores[0].claim(stamp(10), job(parts=PARTS))
    second = await stores[1].claim(stamp(11, part=1), job(parts=PARTS))
    await first.seed(starts)
    failpoint.arm("store.before_commit=sleep(0.5)@1")
    refusing = asyncio.create_task(first.commit([done(starts[0], excluded=((link, "depth"),))]))
    await asyncio.sleep(0.2)
    progress = await second.commit([done(starts[1], link)])
    await refusing
    assert (progress.known, progress.done, progress.excluded) == (3, 2, 0)
    assert await counted(stores[0]) == {PageState.DONE: 2, PageState.PENDING: 1}
    assert [each.url for each in (await first.window(9, 9, frozenset())).requests] == [link.url]


def names() -> Iterator[str]:
    number = 0
    while True:
        yield f"h{number}.example"
        number += 1


async def test_turns_on_a_host_that_was_new_wait_in_one_order(
    url: str, stores: tuple[Store, Store]
) -> None:
    """While the first waits for a host that it knew, others ask for one that nobody knew when it
    began, and that it wants too."""
    await reserve(stores[0], "z", "known.example")
    await stores[0].budgets("z").release({"known.example": 0.0})
    blocker = await locking(url, "known.example")
    calls = []
    both = ("a.new", "known.example")
    for number, wanted in enumerate((both, ("a.new",), both)):
        calls.append(asyncio.create_task(reserve(stores[number % 2], f"{number}", *wanted)))
        await asyncio.sleep(0.3)
    await blocker.close()
    held = [grants["a.new"].held for grants in await asyncio.gather(*calls)]
    assert held.count(True) == 1


async def locking(url: str, host: str) -> Connection:
    """A session that holds the row of a host until it is closed."""
    blocker = await Connection.connect(url, autocommit=True)
    await blocker.execute("BEGIN")
    await blocker.execute("SELECT 1 FROM turns WHERE host = %s FOR UPDATE", (host,))
    return blocker


async def test_turns_are_decided_by_the_time_after_the_wait_for_them(
    url: str,
) -> None:
    """Whoever waited long for the lock of one host must not take the turn that another had begun
    on a second one meanwhile for one of a clock gone wrong."""
    clock = SetClock()

    async def now(_: Connection) -> float:
        return clock.elapsed()

    store = await open_postgres(url, clock, locked_for_s=5.0, now=now)
    hosts = {"slow.example": 0.0, "taken.example": 0.0}
    await store.budgets("a").reserve(hosts)
    await store.budgets("a").release(hosts)
    blocker = await locking(url, "slow.example")
    waiting: asyncio.Task[dict[str, HostGrant]] = asyncio.create_task(
        reserve(store, "b", "slow.example", "taken.example")
    )
    await asyncio.sleep(0.3)
    clock.now += 8.0
    assert (await reserve(store, "c", "taken.example"))["taken.example"].held
    await blocker.close()
    grants = await waiting
    assert not grants["taken.example"].held
    assert grants["slow.example"].left_s == HOLD_S
    await store.close()


@pytest.mark.parametrize(
    "waits_s", [(0.0, 2.0), (0.0, 0.0, 0.5)], ids=["for the locks", "for the statement"]
)
async def test_a_wait_that_begins_while_others_end_is_kept(
    url: str, waits_s: tuple[float, ...]
) -> None:
    """``waits_s``: what passes after each time that the database is asked for its own."""
    clock, left = SetClock(), list[float]()

    async def now(_: Connection) -> float:
        at = clock.now
        if left and (wait_s := left.pop(0)):
            clock.now += wait_s
            await frontier.commit([Visit(late, PageState.PENDING, retry_after_s=60.0)])
        return at

    store = await open_postgres(url, clock, locked_for_s=5.0, now=now)
    early, late = request("early"), request("late")
    frontier = await seeded(store, early, late)
    await frontier.commit([Visit(early, PageState.PENDING, retry_after_s=5.0)])
    clock.now += 10
    left += waits_s
    window = await frontier.window(9, 9, frozenset([late.fingerprint]))
    assert left == []
    assert [each.url for each in window.requests] == [early.url]
    assert (await frontier.window(9, 9, frozenset())).next_in_s == 60.0
    await store.close()


async def reserve(store: Store, holder: str, *hosts: str) -> dict[str, HostGrant]:
    return dict(await store.budgets(holder).reserve(dict.fromkeys(hosts, 0.0)))
