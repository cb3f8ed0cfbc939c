"""Registration on a real etcd: one live node per id; ids and instance numbers never twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from crawler.clock import MAX_INSTANCES, SNOWFLAKE_EPOCH_MS, SystemClock
from crawler.coordination.election import DEFAULT_PREFIX, Election
from crawler.coordination.etcd import Etcd, EtcdSettings, delete, put
from crawler.coordination.instances import RESERVE_MS, Ids, claim_instance
from crawler.coordination.keys import IDS_KEY, instance_key
from crawler.coordination.registry import (
    deregister,
    native_metadata,
    node_id,
    node_record,
    parse_node,
    register,
    registry_key,
)
from crawler.coordination.session import open_session
from crawler.errors import Exhausted, IdTaken, OutcomeUnknown, TermLost
from crawler.model import WORKER_SERVICE, Node
from tests.etcd_server import EtcdServer

NODE = Node(
    node_id(WORKER_SERVICE, "2"), WORKER_SERVICE, "127.0.0.1:9089", native_metadata("0.1.0")
)


async def test_a_node_is_registered_under_its_lease(client: Etcd) -> None:
    async with open_session(client, 60, SystemClock()) as session:
        node = await register(client, session, NODE)
        kv = await client.get(registry_key(NODE))
        assert kv is not None
        assert kv.value == node_record(NODE)
        assert parse_node(kv) == node
        assert (node.revision, node.lease) == (kv.create_revision, session.lease)
        # Repeated after a lost answer, it finds itself.
        assert await register(client, session, NODE) == node
    assert await client.get(registry_key(NODE)) is None


async def test_an_etcd_too_slow_to_write_does_not_mean_that_the_id_is_taken(
    etcd: EtcdServer,
) -> None:
    hasty = Etcd(EtcdSettings(etcd.endpoints, call_timeout_s=0.3), SystemClock())
    async with open_session(hasty, 60, SystemClock()) as session:
        etcd.pause()
        try:
            with pytest.raises(OutcomeUnknown):
                await register(hasty, session, NODE)
        finally:
            etcd.resume()
        await register(hasty, session, NODE)
    await hasty.close()


async def test_another_process_with_the_same_id_is_refused(client: Etcd) -> None:
    clock = SystemClock()
    async with open_session(client, 60, clock) as first, open_session(client, 60, clock) as second:
        await register(client, first, NODE)
        elsewhere = replace(NODE, address="127.0.0.1:9090")
        with pytest.raises(IdTaken, match=r"worker-2 is live at 127\.0\.0\.1:9089"):
            await register(client, second, elsewhere)
        other_host = replace(NODE, metadata={**NODE.metadata, "host": "another"})
        with pytest.raises(IdTaken):
            await register(client, second, other_host)
        foreign = replace(NODE, metadata={})
        with pytest.raises(IdTaken):
            await register(client, second, foreign)
        kv = await client.get(registry_key(NODE))
        assert kv is not None
        assert kv.lease == first.lease


async def test_a_restart_takes_its_old_place_at_once(client: Etcd) -> None:
    clock = SystemClock()
    async with open_session(client, 60, clock) as first, open_session(client, 60, clock) as second:
        old = await register(client, first, NODE)
        await client.txn([], [put("/crawler/load/x", b"", first.lease)])
        new = await register(client, second, NODE)
        assert new.revision > old.revision
        # Whatever hung on the old incarnation is gone with it.
        assert await client.get("/crawler/load/x") is None
        await deregister(client, old)
        assert await client.get(registry_key(NODE)) is not None
        await deregister(client, new)
        assert await client.get(registry_key(NODE)) is None


async def test_a_record_without_a_lease_is_replaced_or_respected(client: Etcd) -> None:
    key = registry_key(NODE)
    async with open_session(client, 60, SystemClock()) as session:
        await client.txn([], [put(key, node_record(NODE))])
        stale = await client.get(key)
        assert stale is not None
        node = await register(client, session, NODE)
        assert node.revision > stale.create_revision
        await deregister(client, node)
        await client.txn([], [put(key, b"garbage")])
        with pytest.raises(IdTaken, match="cannot be read"):
            await register(client, session, NODE)


async def test_instance_numbers_are_held_by_their_sessions(client: Etcd) -> None:
    clock = SystemClock()
    async with open_session(client, 60, clock) as session:
        numbers = await asyncio.gather(*(claim_instance(client, session) for _ in range(5)))
        assert all(0 <= number < MAX_INSTANCES for number in numbers)
        async with open_session(client, 60, clock) as other:
            assert await claim_instance(client, other) not in numbers
    # Free again, all of them.
    assert (await client.range("/crawler/instances/")).kvs == ()


async def test_instance_numbers_run_out(client: Etcd) -> None:
    async with open_session(client, 60, SystemClock()) as session:
        for start in range(0, MAX_INSTANCES, 128):
            batch = range(start, min(start + 128, MAX_INSTANCES))
            await client.txn([], [put(instance_key(n), b"") for n in batch])
        with pytest.raises(Exhausted):
            await claim_instance(client, session)
        await client.txn([], [delete(instance_key(77))])
        assert await claim_instance(client, session) == 77


class SteppedClock(SystemClock):
    step_s = 0.0

    def wall(self) -> float:
        return super().wall() + self.step_s


async def test_ids_rise_over_terms_and_stepping_clocks(client: Etcd) -> None:
    issued: list[int] = []
    for instance, step_s in enumerate((0.0, -3600.0, 7200.0, -7200.0)):
        clock = SteppedClock()
        async with open_session(client, 60, clock) as session:
            term = await Election(client, session, DEFAULT_PREFIX, "master1-h:1").campaign()
            ids = Ids(client, term, instance, clock)
            issued += [int(await ids.next()) for _ in range(3)]
            clock.step_s = step_s
            issued += [int(await ids.next()) for _ in range(3)]
            kv = await client.get(IDS_KEY)
            assert kv is not None
            assert (issued[-1] >> 22) + SNOWFLAKE_EPOCH_MS <= int(kv.value)
    assert issued == sorted(set(issued))


async def test_ids_cost_a_write_a_minute_not_one_each(client: Etcd) -> None:
    async with open_session(client, 60, SystemClock()) as session:
        term = await Election(client, session, DEFAULT_PREFIX, "master1-h:1").campaign()
        ids = Ids(client, term, 1, SystemClock())
        numbers = await asyncio.gather(*(ids.next() for _ in range(5_000)))
        assert len(set(numbers)) == 5_000
        kv = await client.get(IDS_KEY)
        assert kv is not None
        assert kv.create_revision == kv.mod_revision
        assert int(kv.value) <= SystemClock().wall() * 1000 + RESERVE_MS


async def test_a_leader_that_lost_office_issues_no_more(client: Etcd) -> None:
    clock = SteppedClock()
    async with open_session(client, 60, clock) as session:
        election = Election(client, session, DEFAULT_PREFIX, "master1-h:1")
        term = await election.campaign()
        ids = Ids(client, term, 1, clock)
        await ids.next()
        await election.resign(term)
        clock.step_s = 100.0
        with pytest.raises(TermLost):
            await ids.next()


@pytest.mark.parametrize("mark", [b"garbage", b"-5", b"9" * 30, b"9" * 10_000])
async def test_an_unreadable_mark_does_not_stop_the_ids(client: Etcd, mark: bytes) -> None:
    await client.txn([], [put(IDS_KEY, mark)])
    async with open_session(client, 60, SystemClock()) as session:
        term = await Election(client, session, DEFAULT_PREFIX, "master1-h:1").campaign()
        assert int(await Ids(client, term, 1, SystemClock()).next()) > 0
