"""One call on PostgreSQL: cancelled, refused at its end, one too many, after the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from crawler import failpoint
from crawler.clock import SystemClock
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.model import Item, PageState
from crawler.store import open_store
from crawler.store.contract import Frontier, Store
from crawler.store.postgres.pool import SIZE
from tests.contract.rows import CLUSTER, RESOURCE, counted, done, job, request, seeded, stamp
from tests.integration.store.postgres_stage import Stage
from tests.integration.store.troupe import Troupe
from tests.postgres_server import PostgresServer

PAGE = request("")
VISITS = [done(PAGE, request("a"), items=(Item("r", {}),))]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoint.arm("")


@pytest.fixture
def stage(postgres: PostgresServer) -> Stage:
    url = postgres.fresh_url()
    return Stage(postgres, url, Troupe(url))


@pytest.fixture
async def store(stage: Stage) -> AsyncIterator[Store]:
    opened = await open_store(stage.url, SystemClock(), locked_for_s=1.0)
    yield opened
    await opened.close()


@pytest.fixture
async def frontier(store: Store) -> Frontier:
    return await seeded(store, PAGE)


def at_commit(stage: Stage, statement: str) -> None:
    """Let the server do this during COMMIT of whatever stores an item."""
    stage.ask("CREATE SEQUENCE times")
    stage.ask(
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {statement}; RETURN NULL; END $$"
    )
    stage.ask(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION act()"
    )


SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crawler'"


async def reached(stage: Stage, condition: str, *, some: bool = True) -> None:
    """Wait until some session of ours is in this state, or none is any more."""

    def wait() -> None:
        deadline = time.monotonic() + 10.0
        while bool(stage.count(f"{SESSIONS} AND {condition}")) != some:
            assert time.monotonic() < deadline, condition
            time.sleep(0.02)

    await asyncio.to_thread(wait)


async def test_cancelled_before_its_end_it_did_nothing(store: Store, frontier: Frontier) -> None:
    failpoint.arm("store.before_commit=sleep(60)@1")
    call = asyncio.create_task(frontier.commit(VISITS))
    await asyncio.sleep(0.3)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await counted(store) == {PageState.PENDING: 1}
    assert (await frontier.commit(VISITS)).done == 1


async def test_cancelled_while_it_waits_for_a_lock_it_waits_no_longer(
    stage: Stage, store: Store, frontier: Frontier
) -> None:
    failpoint.arm("store.before_bury=sleep(60)")
    other = await open_store(stage.url, SystemClock())
    holding = asyncio.create_task(other.bury(RESOURCE))
    await reached(stage, "state = 'idle in transaction'")
    call = asyncio.create_task(frontier.commit(VISITS))
    await reached(stage, "wait_event_type = 'Lock'")
    began = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - began < 2.0
    assert stage.count("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert (await frontier.commit(VISITS)).done == 1
    await other.close()


async def test_cancelled_during_commit_it_goes_to_the_end(
    stage: Stage, store: Store, frontier: Frontier
) -> None:
    at_commit(stage, "PERFORM pg_sleep(1)")
    call = asyncio.create_task(frontier.commit(VISITS))
    await reached(stage, "query = 'COMMIT' AND state = 'active'")
    for _ in range(3):
        call.cancel()
        await asyncio.sleep(0.05)
    assert not call.done()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await counted(store) == {PageState.DONE: 1, PageState.PENDING: 1}
    assert (await frontier.progress()).done == 1


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("40001", StoreUnavailable, "gave up"),
        ("53100", StoreUnavailable, "no space"),
        ("25006", StoreUnavailable, "cannot be written"),
        ("57P01", OutcomeUnknown, "lost"),
        ("57014", OutcomeUnknown, "lost"),
        ("58030", OutcomeUnknown, "lost"),
    ],
)
async def test_a_refused_commit_is_definite_where_the_server_is(
    stage: Stage, frontier: Frontier, code: str, error: type[Exception], says: str
) -> None:
    at_commit(stage, f"RAISE EXCEPTION 'no' USING ERRCODE = '{code}'")
    with pytest.raises(error, match=says):
        await frontier.commit(VISITS)
    assert (await frontier.progress()).done == 0


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
async def test_what_the_database_gave_up_is_repeated_by_the_call(
    stage: Stage, frontier: Frontier, code: str
) -> None:
    at_commit(
        stage,
        f"IF nextval('times') < 3 THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END IF",
    )
    progress = await frontier.commit(VISITS)
    assert (progress.known, progress.done, progress.items) == (2, 1, 1)


async def test_one_call_too_many_waits_for_its_turn(store: Store, frontier: Frontier) -> None:
    failpoint.arm("store.in_note=sleep(0.2)")
    await asyncio.gather(*(frontier.note("n", f"{number}") for number in range(SIZE * 2)))
    failpoint.arm("store.in_epoch=sleep(2.0)")
    holding = [asyncio.create_task(store.open_epoch(CLUSTER, 10)) for _ in range(SIZE)]
    await asyncio.sleep(0.1)
    with pytest.raises(StoreUnavailable, match="in use"):
        await frontier.progress()
    await asyncio.gather(*holding)
    assert (await frontier.progress()).known == 1


async def test_a_closed_store_refuses_at_once_and_leaves_no_session(
    stage: Stage, store: Store, frontier: Frontier
) -> None:
    failpoint.arm("store.before_commit=sleep(0.5)")
    call = asyncio.create_task(frontier.commit(VISITS))
    await asyncio.sleep(0.2)
    await store.close()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="closed"):
        await frontier.progress()
    assert time.monotonic() - began < 0.2
    assert (await call).done == 1
    await reached(stage, "true", some=False)


async def test_a_leader_that_has_yet_to_come_is_not_waited_for(stage: Stage, store: Store) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="yet to open"):
        await store.claim(stamp(1), job())
    assert time.monotonic() - began < 1.0
