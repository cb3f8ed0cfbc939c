"""Terms: who may write, what a new leader finds, and what etcd is given back."""

from __future__ import annotations

import asyncio

import pytest

from crawler.coordination.catalog import Catalog, read_view, units_of
from crawler.coordination.keys import CLUSTER_KEY
from crawler.coordination.records import Cluster, decode_decision, encode_cluster
from crawler.errors import Misconfigured, SessionLost, TermLost
from crawler.master.wishes import Action
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import (
    CLOCK,
    LIMIT_S,
    Running,
    a_master,
    a_worker,
    definition,
    entry_of,
    home_of,
)


async def test_a_deposed_leader_changes_nothing(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        old = await one.leads()
        await old.resources.add("a", definition())
        await one.etcd.revoke(one.session.lease)
        new = await two.leads()
        before = (await two.etcd.span(("/resources/", "/crawler/"))).kvs
        for attempt in (
            old.resources.add("b"),
            old.resources.put("a", definition("other.example")),
            old.resources.delete("a"),
            old.wishes.desire("a", Action.PAUSE),
            old.resources.drain("worker-1"),
        ):
            with pytest.raises(TermLost):
                await attempt
        assert (await two.etcd.span(("/resources/", "/crawler/"))).kvs == before
        await new.resources.add("b")


async def test_decisions_name_the_term_they_were_made_in(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    """By whichever way a resource is created, placed, moved or taken back."""
    async with a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        names = {"a": definition(), "b": definition("b.example", partitions=2)}
        for number, master in enumerate((one, two)):
            leader = await master.leads()
            key = await master.etcd.get(f"/resources/election/{master.session.lease:x}")
            assert key is not None
            for name, text in names.items():
                await leader.resources.put(name, text)
            async with a_worker(etcd, number) as worker:
                await _all_at(master, worker.node.id, "a", "b")
                await leader.wishes.desire("b", Action.STOP)
                await leader.wishes.desire("b", Action.START)
                await _all_at(master, worker.node.id, "a", "b")
            found = await master.etcd.range("/crawler/decisions/")
            terms = [each.term for kv in found.kvs if (each := decode_decision(kv)) is not None]
            assert terms == 3 * [key.create_revision]
            await one.etcd.revoke(one.session.lease)


async def _all_at(master: Running, node: str, *names: str) -> None:
    """Wait until every part of these resources is given to the node."""

    def there(catalog: Catalog) -> bool:
        units = (unit for name in names for unit in units_of(catalog.entries[name]))
        return all(home_of(unit) == node for unit in units)

    await master.sees(there)


async def test_a_leader_whose_lease_may_have_run_out_sends_nothing(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_master(etcd, fence, ttl_s=2) as master:
        leader = await master.leads()
        master.freeze()
        await asyncio.sleep(master.session.remaining() + 0.01)
        assert master.master.leading() is None
        with pytest.raises(TermLost):
            await leader.resources.add("a")
        assert await master.etcd.get("/resources/a") is None


async def test_a_session_that_is_lost_ends_the_run(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_master(etcd, fence) as master:
        await master.leads()
        await master.etcd.revoke(master.session.lease)
        with pytest.raises(SessionLost):
            await asyncio.wait_for(master.task, LIMIT_S)


async def test_a_clean_stop_hands_over_within_a_second(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        await one.leads()
        started = CLOCK.elapsed()
        stopping = asyncio.create_task(one.stop())
        await two.leads()
        assert CLOCK.elapsed() - started < 1.0
        await stopping


async def test_the_first_leader_names_the_cluster_and_the_next_keeps_the_name(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_master(etcd, fence) as one:
        await one.leads()
        first = (await read_view(one.etcd)).cluster
        assert first is not None
        assert first.store == fence.id
    async with a_master(etcd, fence) as two:
        await two.leads()
        assert (await read_view(two.etcd)).cluster == first
    assert list(fence.epochs) == [first.uuid]


async def test_another_store_is_refused(etcd: EtcdServer, fence: MemoryFence) -> None:
    etcd.ctl("put", CLUSTER_KEY, encode_cluster(Cluster("u", "another")).decode())
    async with a_master(etcd, fence) as master:
        with pytest.raises(Misconfigured, match=r"another.*--store"):
            await asyncio.wait_for(master.task, LIMIT_S)


async def test_ids_rise_over_terms(etcd: EtcdServer, fence: MemoryFence) -> None:
    issued: list[int] = []
    for number in range(3):
        async with a_master(etcd, fence, number) as master:
            leader = await master.leads()
            for name in "ab":
                placed = await leader.resources.add(f"{name}{number}")
                issued.append(int(placed.resource_id))
    assert issued == sorted(set(issued))


async def test_a_wiped_etcd_is_filled_again(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = {
            name: await leader.resources.add(name, definition(f"{name}.example"))
            for name in ("a", "b", "c")
        }
        await leader.wishes.desire("b", Action.STOP)
        await leader.wishes.desire("b", Action.START)
        await leader.wishes.desire("b", Action.PAUSE)
        await leader.resources.delete("c")
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: len(fence.memos) == 2)
        before = {name: await entry_of(master.etcd, name) for name in "ab"}
    etcd.stop()
    etcd.wipe()
    etcd.start()
    async with a_worker(etcd, 2) as worker, a_master(etcd, fence) as master:
        await master.leads()
        await master.sees(lambda c: home_of(c.entries.get("a")) == worker.node.id)
        for name in "ab":
            entry = await entry_of(master.etcd, name)
            assert entry.resource is not None
            assert entry.resource.id == placed[name].resource_id
            assert entry.wish == before[name].wish
            assert entry.definition == before[name].definition
        assert "c" not in master.catalog.entries
        assert len(fence.epochs) == 2


async def test_an_etcd_restored_from_an_old_snapshot_is_brought_up_to_date(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_master(etcd, fence) as master:
        leader = await master.leads()
        kept = await leader.resources.add("kept", definition())
        gone = await leader.resources.add("gone", definition())
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: len(fence.memos) == 2)
        snapshot = (await master.etcd.span(("/crawler/", "/resources/"))).kvs
        await leader.resources.put("kept", definition("newer.example"))
        await leader.resources.delete("gone")
        late = await leader.resources.add("late", definition())
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: late.resource_id in fence.memos)
            await fence.until(
                lambda: fence.memos[kept.resource_id].definition == definition("newer.example")
            )
    etcd.stop()
    etcd.wipe()
    etcd.start()
    for kv in snapshot:
        if not kv.lease:
            etcd.ctl("put", kv.key, kv.value.decode())
    fence.highest = dict.fromkeys(fence.highest, 10**6)
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        await master.leads()
        await master.sees(lambda c: home_of(c.entries.get("late")) == worker.node.id)
        view = await read_view(master.etcd)
        assert sorted(view.entries) == ["kept", "late"]
        assert view.entries["kept"].definition == definition("newer.example")
        assert gone.resource_id in fence.buried
        assert len(fence.epochs) == 2


async def test_taking_over_waits_for_the_database(etcd: EtcdServer, fence: MemoryFence) -> None:
    fence.down = True
    async with a_master(etcd, fence) as master:
        await master.sees(lambda c: c.leader is not None)
        assert master.master.leading() is None
        fence.down = False
        await master.leads()
