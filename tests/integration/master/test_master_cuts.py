"""Every change of several steps, cut at every step: repeating the call ends in the right state, and
so does the next leader's take-over."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from crawler import failpoint
from crawler.coordination.keys import CLUSTER_KEY
from crawler.errors import NotFound, OutcomeUnknown
from crawler.master.leader import Leader
from crawler.master.wishes import Action
from crawler.model import Desired
from crawler.rpc.pb.crawler_pb2 import ResourceSpec
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import (
    LIMIT_S,
    Running,
    a_master,
    a_worker,
    definition,
    entry_of,
    home_of,
)

HALTS = ["master.pause.after_txn", "master.pause.after_fence"]
DELETES = ["master.delete.after_mark", "master.delete.after_bury", "master.delete.after_keys"]
ADDS = ["master.add.before_txn", "master.add.after_txn"]
TAKE_OVERS = [
    "master.takeover.after_begin",
    "master.takeover.after_refill",
    "master.takeover.after_cluster",
    "master.takeover.after_epoch",
]


async def succeed(old: Running, new: Running) -> Leader:
    """Let the new master follow the old one, which does nothing more."""
    failpoint.arm("")
    await old.stop()
    return await new.leads()


async def check_added(master: Running, resource_id: str) -> None:
    entry = await entry_of(master.etcd, "a")
    assert entry.resource is not None
    assert entry.resource.id == resource_id
    assert entry.wish is not None
    assert entry.wish.resource_id == resource_id
    assert entry.definition == definition()
    assert home_of(entry)


async def check_halted(master: Running, fence: MemoryFence, desired: Desired) -> None:
    entry = await entry_of(master.etcd, "a")
    resource, wish = entry.resource, entry.wish
    assert resource is not None
    assert wish is not None
    assert (wish.state, resource.assignment) == (desired, None)
    async with asyncio.timeout(LIMIT_S):
        await fence.until(lambda: fence.fenced(resource.id, resource.revision))
        await fence.until(lambda: fence.memos[resource.id].desired == desired)


async def check_gone(master: Running, fence: MemoryFence, resource_id: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        await fence.until(lambda: resource_id in fence.buried)
    await master.sees(lambda c: "a" not in c.entries)
    keys = [kv.key for kv in (await master.etcd.span(("/crawler/", "/resources/"))).kvs]
    assert not [key for key in keys if key.endswith("/a")]
    assert not [memo for memo in fence.memos.values() if memo.name == "a"]


@pytest.mark.parametrize("place", ADDS)
async def test_an_add_cut_and_repeated(etcd: EtcdServer, fence: MemoryFence, place: str) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        failpoint.arm(f"{place}=fail@1")
        with pytest.raises(OutcomeUnknown):
            await leader.resources.add("a", definition())
        placed = await leader.resources.add("a", definition())
        await check_added(master, placed.resource_id)


@pytest.mark.parametrize("place", ADDS)
async def test_an_add_cut_and_repeated_to_the_next_leader(
    etcd: EtcdServer, fence: MemoryFence, place: str
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        leader = await one.leads()
        failpoint.arm(f"{place}=fail")
        with pytest.raises(OutcomeUnknown):
            await leader.resources.add("a", definition())
        leader = await succeed(one, two)
        placed = await leader.resources.add("a", definition())
        assert placed.created == (place == "master.add.before_txn")
        await check_added(two, placed.resource_id)


@pytest.mark.parametrize("place", HALTS)
@pytest.mark.parametrize(
    ("action", "desired"), [(Action.PAUSE, Desired.PAUSED), (Action.STOP, Desired.STOPPED)]
)
async def test_a_halt_cut_and_repeated(
    etcd: EtcdServer, fence: MemoryFence, place: str, action: Action, desired: Desired
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", definition())
        failpoint.arm(f"{place}=fail@1")
        with pytest.raises(OutcomeUnknown):
            await leader.wishes.desire("a", action)
        await leader.wishes.desire("a", action)
        await check_halted(master, fence, desired)


@pytest.mark.parametrize("place", HALTS)
async def test_a_pause_cut_is_finished_by_the_next_leader(
    etcd: EtcdServer, fence: MemoryFence, place: str
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        leader = await one.leads()
        await leader.resources.add("a", definition())
        failpoint.arm(f"{place}=fail")
        with pytest.raises(OutcomeUnknown):
            await leader.wishes.desire("a", Action.PAUSE)
        await succeed(one, two)
        await check_halted(two, fence, Desired.PAUSED)


@pytest.mark.parametrize("place", DELETES)
async def test_a_delete_cut_and_repeated(etcd: EtcdServer, fence: MemoryFence, place: str) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition())
        failpoint.arm(f"{place}=fail@1")
        with pytest.raises(OutcomeUnknown):
            await leader.resources.delete("a")
        with suppress(NotFound):  # callers count that as done; upkeep may have been first
            await leader.resources.delete("a")
        await check_gone(master, fence, placed.resource_id)


@pytest.mark.parametrize("place", DELETES)
async def test_a_delete_cut_is_finished_by_the_next_leader(
    etcd: EtcdServer, fence: MemoryFence, place: str
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        leader = await one.leads()
        placed = await leader.resources.add("a", definition())
        failpoint.arm(f"{place}=fail")
        with pytest.raises(OutcomeUnknown):
            await leader.resources.delete("a")
        leader = await succeed(one, two)
        await check_gone(two, fence, placed.resource_id)
        again = await leader.resources.add("a", definition())
        assert again.created
        assert again.resource_id != placed.resource_id


@pytest.mark.parametrize("place", TAKE_OVERS)
async def test_a_take_over_cut_is_done_again(
    etcd: EtcdServer, fence: MemoryFence, place: str
) -> None:
    failpoint.arm(f"{place}=fail@1")
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition())
        await check_added(master, placed.resource_id)
        kv = await master.etcd.get(CLUSTER_KEY)
        assert kv is not None
        assert len(fence.epochs) == 1


@pytest.mark.parametrize("place", TAKE_OVERS)
async def test_a_refill_cut_is_finished_by_the_next_leader(
    etcd: EtcdServer, fence: MemoryFence, place: str
) -> None:
    async with a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = [await leader.resources.add(name, definition()) for name in "ab"]
        await leader.wishes.desire("b", Action.PAUSE)
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: len(fence.memos) == 2)
    etcd.stop()
    etcd.wipe()
    etcd.start()
    failpoint.arm(f"{place}=fail")
    async with a_worker(etcd), a_master(etcd, fence) as one, a_master(etcd, fence, 2) as two:
        await one.sees(lambda c: c.leader is not None)
        failpoint.arm("")
        leader = await succeed(one, two)
        for name, each in zip("ab", placed, strict=True):
            assert (await leader.resources.add(name)).resource_id == each.resource_id
        await two.sees(lambda c: home_of(c.entries.get("a")))
        assert not home_of(two.catalog.entries["b"])
        resource = two.catalog.entries["b"].resource
        assert resource is not None
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: fence.fenced(resource.id, resource.revision))


async def test_a_pass_of_placing_cut_is_done_again(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_master(etcd, fence) as master:
        leader = await master.leads()
        await asyncio.gather(*(leader.resources.add(f"r{n}") for n in range(50)))
        failpoint.arm("leader.before_assign_txn=fail@2")
        async with a_worker(etcd):
            await master.sees(lambda c: all(map(home_of, c.entries.values())))


async def test_an_answer_cut_is_given_by_repeating(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        await master.leads()
        failpoint.arm("master.before_reply=fail@1")
        spec = ResourceSpec(name="a", definition_json=definition())
        with pytest.raises(OutcomeUnknown):
            await master.calls.add_resource(spec)
        assert (await master.calls.add_resource(spec)).id == worker.node.id
