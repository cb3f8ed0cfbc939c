"""A process or a server that stands still in the middle of a transaction, and wakes up again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.rows import CLUSTER
from tests.integration.store.postgres_stage import Stage, staged
from tests.integration.store.troupe import Player, Refusal
from tests.postgres_server import PostgresServer

TOTAL = 60
IDLE_S = 3.0  # what the server gives a transaction that stands still
CALL_LIMIT_S = 40.0  # fifteen of a transaction, ten for cancelling it, and some for the machine

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def stage(postgres: PostgresServer) -> AsyncIterator[Stage]:
    async with staged(postgres) as one:
        await (await one.troupe.start()).tell("epoch", CLUSTER, 1)
        yield one


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """One that may be stopped."""
    with PostgresServer() as server:
        yield server


async def refused(zombie: Player) -> str:
    """What its call is answered with in the end, when it is repeated where that may help."""
    with pytest.raises(Refusal, match=r"Fenced|StoreUnavailable"):
        await zombie.answer()
    with pytest.raises(Refusal) as caught:
        await zombie.tell("work", 1, 1, TOTAL)
    return str(caught.value.args[0])


@pytest.mark.parametrize("place", ["store.in_commit", "store.before_commit"])
async def test_a_stopped_commit_is_given_up_for_the_successor(stage: Stage, place: str) -> None:
    zombie = await stage.claimed(10, f"{place}=stop@2")
    await zombie.tell("work", 1, 1, TOTAL)
    await zombie.begin("work", 1, 3, TOTAL)
    await zombie.stopped()
    successor = await stage.troupe.start()
    began = time.monotonic()
    await successor.tell("claim", 11, 0)
    assert time.monotonic() - began < IDLE_S + 2.0
    assert stage.examine() == {"done": 1, "pending": 10}
    await successor.tell("work", 2, 3, TOTAL)
    zombie.send(signal.SIGCONT)
    assert await refused(zombie) == "Fenced"
    while await successor.tell("work", 4, 7, TOTAL):
        pass
    assert await successor.tell("progress") == [TOTAL, TOTAL, 0]
    assert stage.examine() == {"done": TOTAL}


async def test_without_a_successor_the_sleeper_goes_on_itself(stage: Stage) -> None:
    sleeper = await stage.claimed(10, "store.before_commit=stop@1")
    await sleeper.begin("work", 1, 1, TOTAL)
    await sleeper.stopped()
    await asyncio.sleep(IDLE_S + 1.0)
    assert stage.count("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in tr%'") == 0
    sleeper.send(signal.SIGCONT)
    with pytest.raises(Refusal, match="StoreUnavailable"):  # it slept through its patience
        await sleeper.answer()
    while await sleeper.tell("work", 8, 7, TOTAL):
        pass
    assert stage.examine() == {"done": TOTAL}


async def test_a_claimant_stopped_in_its_claim_holds_nobody_up_for_long(stage: Stage) -> None:
    victim = await stage.troupe.start("store.before_claim=stop")
    await victim.begin("claim", 10, 0)
    await victim.stopped()
    others = [await stage.troupe.start() for _ in range(2)]
    began = time.monotonic()
    await asyncio.gather(*(each.tell("claim", 20 + n, n) for n, each in enumerate(others)))
    assert time.monotonic() - began < IDLE_S + 2.0
    victim.send(signal.SIGCONT)
    with pytest.raises(Refusal, match=r"Fenced|StoreUnavailable"):
        await victim.answer()


async def test_calls_to_a_server_that_stands_still_end(own_server: PostgresServer) -> None:
    async with staged(own_server) as stage:
        await (await stage.troupe.start()).tell("epoch", CLUSTER, 1)
        worker = await stage.claimed()
        stranger = await stage.troupe.start()
        own_server.freeze()
        try:
            began = time.monotonic()
            await worker.begin("work", 1, 1, TOTAL)
            await stranger.begin("claim", 5, 7)  # it has no connection yet
            for player in (worker, stranger):
                with pytest.raises(Refusal) as caught:
                    await player.answer()
                assert caught.value.args[0] in {"StoreUnavailable", "OutcomeUnknown"}
            assert time.monotonic() - began < CALL_LIMIT_S
        finally:
            own_server.thaw()
        while await worker.tell("work", 8, 7, TOTAL):
            pass
        assert stage.examine() == {"done": TOTAL}


async def test_a_server_that_stands_still_in_the_middle_of_commits(
    own_server: PostgresServer,
) -> None:
    async with staged(own_server) as stage:
        await (await stage.troupe.start()).tell("epoch", CLUSTER, 1)
        worker = await stage.claimed()
        await worker.begin("labour", 4.0, 2)
        await asyncio.sleep(1.0)
        own_server.freeze()
        await asyncio.sleep(1.5)
        own_server.thaw()
        thawed = time.time()
        told = await worker.answer()
        assert any(at > thawed for at, _ in told["acknowledged"]), "nothing went on"
        stage.examine()
