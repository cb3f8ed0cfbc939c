"""What a leader does by itself: workers that come and go, the breaker, relief, strangers."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from crawler.coordination.catalog import Catalog
from crawler.master.wishes import Action
from crawler.model import State
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import (
    CLOCK,
    LIMIT_S,
    a_master,
    a_worker,
    definition,
    entry_of,
    home_of,
)

LEFT = '{"ID":"1","Name":"left","AssignedNode":"","CreationTime":1}'


def homes(catalog: Catalog) -> Counter[str]:
    return Counter(map(home_of, catalog.entries.values()))


async def test_orphans_go_elsewhere_within_two_seconds_and_say_why(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1) as one, a_worker(etcd, 2) as two, a_master(etcd, fence) as master:
        leader = await master.leads()
        await asyncio.gather(*(leader.resources.add(f"r{n}") for n in range(200)))
        started = CLOCK.elapsed()
        await one.vanish()
        await master.sees(lambda c: homes(c) == {two.node.id: 200})
        assert CLOCK.elapsed() - started < 2.0
        reasons = [e.decision.reason for e in master.catalog.entries.values() if e.decision]
        assert sum(reason.startswith(f"{one.node.id} is gone;") for reason in reasons) == 100


async def test_half_of_the_workers_gone_at_once_are_waited_for(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with (
        a_worker(etcd, 1) as one,
        a_worker(etcd, 2) as two,
        a_worker(etcd, 3) as three,
        a_master(etcd, fence, ttl_s=3) as master,
    ):
        leader = await master.leads()
        for number in range(6):
            await leader.resources.add(f"r{number}")
        await asyncio.gather(one.vanish(), two.vanish())
        started = CLOCK.elapsed()
        await master.sees(lambda c: list(c.workers) == [three.node.id])
        assert (await leader.resources.add("new")).node_id == three.node.id
        await master.sees(lambda c: homes(c) == {three.node.id: 7})
        assert 2.5 < CLOCK.elapsed() - started < 5.0


async def test_workers_that_come_back_meanwhile_keep_what_they_had(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with (
        a_worker(etcd, 1) as one,
        a_worker(etcd, 2) as two,
        a_master(etcd, fence) as master,
    ):
        leader = await master.leads()
        for number in range(4):
            await leader.resources.add(f"r{number}")
        before = {name: home_of(entry) for name, entry in master.catalog.entries.items()}
        await asyncio.gather(one.vanish(), two.vanish())
        await master.sees(lambda c: not c.workers)
        async with a_worker(etcd, 1) as again, a_worker(etcd, 2) as also:
            born = {each.node.id: each.node.revision for each in (again, also)}
            await master.sees(
                lambda c: all(
                    entry.resource and entry.resource.revision > born[home_of(entry)]
                    for entry in c.entries.values()
                )
            )
            assert {n: home_of(e) for n, e in master.catalog.entries.items()} == before
            decision = master.catalog.entries["r0"].decision
            assert decision is not None
            assert "registered anew" in decision.reason


async def test_a_worker_restarted_in_its_place_is_stamped_again(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1) as one, a_worker(etcd, 2), a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = [await leader.resources.add(f"r{number}") for number in range(4)]
        async with a_worker(etcd, 1) as again:
            assert again.node.revision > one.node.revision
            await master.sees(
                lambda c: all(
                    entry.resource and entry.resource.revision > again.node.revision
                    for entry in c.entries.values()
                    if home_of(entry) == again.node.id
                )
            )
            homes_now = [home_of(master.catalog.entries[f"r{number}"]) for number in range(4)]
            assert homes_now == [each.node_id for each in placed]


async def test_what_rests_is_unassigned_when_its_worker_goes(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1) as one, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", definition())
        await one.report("a", State.FINISHED)
        await master.sees(lambda c: c.entries["a"].status)
        async with a_worker(etcd, 2):
            await one.vanish()
            await master.sees(lambda c: not home_of(c.entries["a"]))
            decision = master.catalog.entries["a"].decision
            assert decision is not None
            assert decision.reason == f"finished; {one.node.id} is gone"
            await leader.wishes.desire("a", Action.START)
            assert home_of(await entry_of(master.etcd, "a")) == "go.micro.server.worker-2"


async def test_a_joining_worker_is_relieved_by_a_twentieth_a_minute(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1), a_master(etcd, fence) as master:
        leader = await master.leads()
        await asyncio.gather(*(leader.resources.add(f"r{n}") for n in range(60)))
        async with a_worker(etcd, 2) as two, a_master(etcd, fence, 2) as next_one:
            await master.sees(lambda c: homes(c)[two.node.id] == 3)
            await master.stop()
            await next_one.leads()
            # The next leader knows of it: once it has looked, and so placed what another master
            # left behind, nothing more was moved.
            etcd.ctl("put", "/resources/left", LEFT)
            await next_one.sees(lambda c: home_of(c.entries.get("left")))
            assert homes(next_one.catalog)[two.node.id] == 3 + 1


async def test_a_stranger_gets_names_and_no_definitions(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1, native=False) as stranger, a_master(etcd, fence) as master:
        leader = await master.leads()
        assert (await leader.resources.add("name")).node_id == stranger.node.id
        assert (await leader.resources.add("with", definition())).node_id == ""
        async with a_worker(etcd, 2) as ours:
            await master.sees(lambda c: home_of(c.entries["with"]) == ours.node.id)
            placed = await leader.resources.put("name", definition())
            assert (placed.node_id, placed.changed) == (ours.node.id, True)


@pytest.mark.threat(2)
async def test_garbage_in_etcd_stops_nobody(etcd: EtcdServer, fence: MemoryFence) -> None:
    etcd.ctl("put", "/resources/x", "}{")
    etcd.ctl("put", "/resources/y/z", "1")
    etcd.ctl("put", "/micro/registry/go.micro.server.worker/w", "[]")
    etcd.ctl("put", "/crawler/desired/v", "null")
    etcd.ctl("put", "/crawler/definitions/u", "7")
    etcd.ctl("put", "/crawler/ids", "soon")
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        for name in "xvu":
            assert (await leader.resources.add(name)).node_id == worker.node.id
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: len(fence.memos) == 3)
