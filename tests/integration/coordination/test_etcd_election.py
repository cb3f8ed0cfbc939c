"""Elections on a real etcd, beside etcd's own implementation of the recipe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Protocol

import pytest

from crawler import failpoint
from crawler.clock import SystemClock
from crawler.coordination.election import DEFAULT_PREFIX, Election, Term, election_value, leader_of
from crawler.coordination.etcd import Etcd, EtcdSettings, WatchEvent, delete, put
from crawler.coordination.session import Session, open_session
from crawler.errors import TermLost
from tests.etcd_server import EtcdServer


class Candidates(Protocol):
    async def __call__(self, name: str) -> tuple[Election, Session]: ...


@pytest.fixture
async def candidate(client: Etcd) -> AsyncIterator[Candidates]:
    """Makes candidates with a session each, long enough not to need keeping alive."""
    async with AsyncExitStack() as stack:

        async def make(name: str) -> tuple[Election, Session]:
            session = await stack.enter_async_context(open_session(client, 60, SystemClock()))
            value = election_value(name, f"10.0.0.{name}:9091")
            return Election(client, session, DEFAULT_PREFIX, value), session

        yield make


async def led_by(client: Etcd) -> str:
    leader = leader_of((await client.range(f"{DEFAULT_PREFIX}/")).kvs)
    return leader.id if leader else ""


def campaign(election: Election) -> asyncio.Task[Term]:
    return asyncio.create_task(election.campaign())


async def until_stands(client: Etcd, count: int) -> None:
    """Wait until so many candidates have a key."""
    prefix = f"{DEFAULT_PREFIX}/"
    async with (
        asyncio.timeout(10),
        aclosing(client.watch(prefix, "/resources/election0", 1)) as batches,
    ):
        standing: set[str] = set()
        while len(standing) < count:
            for event in await anext(batches):
                (standing.discard if event.deleted else standing.add)(event.kv.key)


async def test_one_leads_and_hands_over_when_it_resigns(
    client: Etcd, candidate: Candidates
) -> None:
    one, first = await candidate("1")
    two, _ = await candidate("2")
    term = await one.campaign()
    assert term.key == f"/resources/election/{first.lease:x}"
    kv = await client.get(term.key)
    assert kv is not None
    assert (kv.value, kv.lease) == (b"master1-10.0.0.1:9091", first.lease)
    assert await one.campaign() == term  # a repeated campaign finds the key that is there
    waiting = campaign(two)
    await until_stands(client, 2)
    assert await led_by(client) == "1"
    await one.resign(term)
    await one.resign(term)
    later = await asyncio.wait_for(waiting, 2)
    assert later.revision > term.revision
    assert await led_by(client) == "2"


async def test_a_leader_that_lost_office_writes_nothing(
    client: Etcd, candidate: Candidates
) -> None:
    one, first = await candidate("1")
    two, _ = await candidate("2")
    old = await one.campaign()
    waiting = campaign(two)
    await until_stands(client, 2)
    await client.revoke(first.lease)
    new = await asyncio.wait_for(waiting, 2)
    assert not (await client.txn([old.holds()], [put("/late", b"")])).succeeded
    assert (await client.txn([new.holds()], [put("/new", b"")])).succeeded
    assert await client.get("/late") is None


async def test_each_waits_for_the_one_before_it(client: Etcd, candidate: Candidates) -> None:
    elections = [await candidate(name) for name in "123"]
    term = await elections[0][0].campaign()
    second = campaign(elections[1][0])
    await until_stands(client, 2)
    third = campaign(elections[2][0])
    await until_stands(client, 3)
    await client.revoke(elections[1][1].lease)
    await asyncio.sleep(0.2)
    assert not third.done()
    await elections[0][0].resign(term)
    await asyncio.wait_for(third, 2)
    with pytest.raises(TermLost):
        await asyncio.wait_for(second, 2)


async def test_a_candidate_whose_lease_died_is_not_elected(
    client: Etcd, candidate: Candidates
) -> None:
    one, first = await candidate("1")
    two, second = await candidate("2")
    await one.campaign()
    waiting = campaign(two)
    await until_stands(client, 2)
    await client.revoke(second.lease)
    await client.revoke(first.lease)
    with pytest.raises(TermLost):
        await asyncio.wait_for(waiting, 2)
    assert await led_by(client) == ""


async def test_a_lease_that_dies_at_the_moment_of_winning_wins_nothing(
    client: Etcd, candidate: Candidates
) -> None:
    one, session = await candidate("1")
    failpoint.arm("election.before_confirm=sleep(0.5)")
    try:
        winning = campaign(one)
        await until_stands(client, 1)
        await client.revoke(session.lease)
        with pytest.raises(TermLost):
            await asyncio.wait_for(winning, 5)
    finally:
        failpoint.arm("")


async def test_a_leader_hears_that_its_key_is_gone(
    client: Etcd, candidate: Candidates, etcd: EtcdServer
) -> None:
    one, session = await candidate("1")
    term = await one.campaign()
    watching = asyncio.create_task(one.watch_own(term))
    # Neither a restart nor a compaction ends a term.
    await asyncio.to_thread(etcd.kill)
    await asyncio.to_thread(etcd.start)
    last = [(await client.txn([], [put("/x", b"")])).revision for _ in range(3)][-1]
    etcd.ctl("compaction", str(last))
    await asyncio.sleep(0.3)
    assert not watching.done()
    await client.revoke(session.lease)
    with pytest.raises(TermLost):
        await asyncio.wait_for(watching, 5)
    with pytest.raises(TermLost):
        await one.watch_own(term)


async def test_two_masters_with_one_id_are_still_two(client: Etcd, candidate: Candidates) -> None:
    one, _ = await candidate("1")
    twin, _ = await candidate("1")
    term = await one.campaign()
    waiting = campaign(twin)
    await until_stands(client, 2)
    assert not waiting.done()
    await one.resign(term)
    other = await asyncio.wait_for(waiting, 2)
    assert not (await client.txn([term.holds()], [put("/x", b"")])).succeeded
    assert (await client.txn([other.holds()], [put("/x", b"")])).succeeded


async def test_a_candidate_waits_through_an_outage(
    client: Etcd, candidate: Candidates, etcd: EtcdServer
) -> None:
    one, session = await candidate("1")
    two, _ = await candidate("2")
    await one.campaign()
    waiting = campaign(two)
    await until_stands(client, 2)
    await asyncio.to_thread(etcd.kill)
    await asyncio.sleep(4.0)
    assert not waiting.done()
    await asyncio.to_thread(etcd.start)
    await client.revoke(session.lease)
    await asyncio.wait_for(waiting, 5)


class Deaf(Etcd):
    """Whose watches hear nothing and stay open."""

    async def watch(
        self, start_key: str, end_key: str, start_revision: int
    ) -> AsyncGenerator[tuple[WatchEvent, ...], None]:
        await asyncio.Event().wait()
        yield ()


async def test_a_watch_that_misses_the_end_of_a_term_delays_the_next_one_only(
    client: Etcd, candidate: Candidates, etcd: EtcdServer
) -> None:
    ttl_s = 2
    one, first = await candidate("1")
    old = await one.campaign()
    deaf = Deaf(EtcdSettings(etcd.endpoints), SystemClock())
    try:
        async with (
            open_session(deaf, ttl_s, SystemClock()) as session,
            asyncio.TaskGroup() as group,
        ):
            keepalive = group.create_task(session.run())
            two = Election(deaf, session, DEFAULT_PREFIX, election_value("2", "10.0.0.2:9091"))
            waiting = campaign(two)
            await until_stands(client, 2)
            await client.revoke(first.lease)
            term = await asyncio.wait_for(waiting, 4 * ttl_s)
            assert term.revision > old.revision
            watching = asyncio.create_task(two.watch_own(term))
            await client.txn([], [delete(term.key)])
            with pytest.raises(TermLost):
                await asyncio.wait_for(watching, 4 * ttl_s)
            keepalive.cancel()
    finally:
        await deaf.close()


async def test_the_recipe_is_etcds_own(
    client: Etcd, candidate: Candidates, etcd: EtcdServer
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("etcdctl", f"--endpoints={etcd.endpoints[0]}", "elect", DEFAULT_PREFIX, "master9-h:1"),
        env={**os.environ, "ETCDCTL_API": "3"},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_stands(client, 1)
        one, _ = await candidate("1")
        waiting = campaign(one)
        await until_stands(client, 2)
        assert await led_by(client) == "9"
        assert not waiting.done()
        process.terminate()
        await process.wait()
        await asyncio.wait_for(waiting, 10)
        assert await led_by(client) == "1"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
