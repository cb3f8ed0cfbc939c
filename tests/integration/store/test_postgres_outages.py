"""The server goes away while several processes commit: nothing acknowledged is lost, nothing twice,
and commits go on as soon as it is back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from crawler.clock import SystemClock
from crawler.errors import StoreUnavailable
from crawler.store import open_store
from crawler.store.postgres import server
from crawler.store.postgres.pool import SIZE
from tests.acceptance.cluster import eventually
from tests.contract.rows import CLUSTER, done, job, request, seeded, stamp
from tests.integration.store.postgres_stage import Stage, staged
from tests.integration.store.toil import resource_of
from tests.integration.store.troupe import Player
from tests.lab.proxy import open_proxy
from tests.postgres_server import PostgresServer

WORKERS = 3
BACK_WITHIN_S = 5.0

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One that may be restarted; every test leaves it running."""
    with PostgresServer() as server:
        yield server


async def workers(stage: Stage) -> list[Player]:
    """Several processes, each with a resource of its own."""
    await (await stage.troupe.start()).tell("epoch", CLUSTER, 1)
    players = [await stage.troupe.start() for _ in range(WORKERS)]
    for number, player in enumerate(players):
        await player.tell("claim", 10, 0, resource_of(number))
        await player.tell("seed", 1)
    return players


def restart(server: PostgresServer, number: signal.Signals, away_s: float) -> float:
    """Stop it with a signal and start it again; when it took connections."""
    server.stop(number)
    time.sleep(away_s)
    server.start()
    return time.time()


async def wait_stored(stage: Stage, back: float) -> None:
    """Wait until all have committed since it was back; no longer than they may take."""
    before = stored(stage)
    while time.time() - back < BACK_WITHIN_S:
        now = stored(stage)
        if all(now[each] > before[each] for each in before):
            return
        await asyncio.sleep(0.05)


def stored(stage: Stage) -> dict[str, int]:
    """How many pages of each resource are done."""
    rows = stage.ask(
        "SELECT resource_id, sum(done) FROM counters JOIN runs ON runs.id = run_id"
        " GROUP BY resource_id"
    )
    return {resource: int(done) for resource, done in rows}


def lost(stage: Stage, told: list[dict[str, Any]]) -> set[str]:
    """Pages whose commit was acknowledged and that are not there."""
    rows = stage.ask(
        "SELECT resource_id || ' ' || url FROM pages JOIN runs ON runs.id = run_id"
        " WHERE state = 'done'"
    )
    stored = {row[0] for row in rows}
    acknowledged = {
        f"{resource_of(number)} {url}"
        for number, each in enumerate(told)
        for _, urls in each["acknowledged"]
        for url in urls
    }
    assert acknowledged, "nobody committed anything"
    return acknowledged - stored


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("number", "away_s"),
    [(signal.SIGINT, 0.0), (signal.SIGQUIT, 0.0), (signal.SIGKILL, 0.0), (signal.SIGINT, 6.0)],
    ids=["fast", "immediate", "kill", "long"],
)
async def test_a_restart_loses_nothing(
    own_server: PostgresServer, number: signal.Signals, away_s: float
) -> None:
    async with staged(own_server) as stage:
        players = await workers(stage)
        for player in players:
            await player.begin("labour", away_s + 2.0 + BACK_WITHIN_S, 2)
        await asyncio.sleep(1.0)
        back = await asyncio.to_thread(restart, own_server, number, away_s)
        await wait_stored(stage, back)
        for player in players:
            player.send(signal.SIGUSR1)
        told = [await player.answer() for player in players]
        assert lost(stage, told) == set()
        for each in told:
            assert {kind for kind, _ in each["errors"]} <= {"StoreUnavailable", "OutcomeUnknown"}
            first = min(at for at, _ in each["acknowledged"] if at > back)
            assert first - back < BACK_WITHIN_S
        stage.examine()


async def test_a_call_made_during_an_outage_says_why(own_server: PostgresServer) -> None:
    url = own_server.fresh_url().replace("postgres@", "postgres:hunter2@")
    store = await open_store(url, SystemClock(), locked_for_s=0.5)
    await store.open_epoch(CLUSTER, 1)
    own_server.stop()
    try:
        with pytest.raises(StoreUnavailable, match="refused") as running:
            await store.open_epoch(CLUSTER, 2)
        with pytest.raises(StoreUnavailable, match="refused") as opening:
            await open_store(url, SystemClock(), locked_for_s=0.5)
    finally:
        own_server.start()
    assert await store.open_epoch(CLUSTER, 2) == 1
    assert "hunter2" not in f"{running.value} {opening.value} {await store.check()}"
    await store.close()


async def test_the_first_call_after_an_outage_gets_through(own_server: PostgresServer) -> None:
    """All connections of the pool broke, and none of them costs a call."""
    store = await open_store(own_server.fresh_url(), SystemClock(), locked_for_s=0.0)
    frontier = await seeded(store, request("0"))
    await asyncio.gather(*(frontier.progress() for _ in range(SIZE)))
    own_server.stop()
    own_server.start()
    with pytest.raises(StoreUnavailable):
        await frontier.progress()
    for _ in range(SIZE):
        assert (await frontier.commit([done(request("0"))])).done == 1
    await store.close()


async def test_an_ended_session_is_replaced_by_the_same_call(own_server: PostgresServer) -> None:
    store = await open_store(own_server.fresh_url(), SystemClock(), locked_for_s=5.0)
    frontier = await seeded(store, request("0"))
    own_server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crawler'"
    )
    assert (await frontier.commit([done(request("0"))])).done == 1
    await store.claim(stamp(11), job())
    await store.close()


async def test_opening_ends_where_the_server_falls_silent(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECT_S", 3)
    async with open_proxy("127.0.0.1", own_server.port) as proxy:
        proxy.tap, proxy.latency_s = bytearray(), 0.03
        url = own_server.fresh_url().replace(f":{own_server.port}/", f":{proxy.port}/")
        opening = asyncio.create_task(open_store(url, SystemClock()))

        async def asked() -> bool:  # what is asked of a schema first
            return b"to_regclass" in (proxy.tap or b"")

        async def taken_back() -> bool:
            return proxy.connections > 1

        await eventually(asked, "question", 30)
        proxy.swallow()
        await eventually(taken_back, "end of patience", 30)
        proxy.heal()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await opening
