"""What need not be kept is let go of: at the beginning of a term, and when runs end."""

from __future__ import annotations

import asyncio

from crawler.definition.keeping import DEFAULT, ROWS
from crawler.master.wishes import Action
from crawler.model import Keep, State
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import LIMIT_S, a_master, a_worker, definition


async def test_a_leader_looks_at_all_there_is_and_then_at_runs_that_end(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker:
        async with a_master(etcd, fence) as one:
            leader = await one.leads()
            first = await leader.resources.add("a", definition(keep_runs=3, keep_events=50))
            second = await leader.resources.add("b")
            fence.old[second.resource_id] = 2 * ROWS + 1
        async with a_master(etcd, fence, 2) as two:
            leader = await two.leads()
            async with asyncio.timeout(LIMIT_S):
                await fence.until(lambda: fence.trims.count((second.resource_id, DEFAULT)) >= 3)
            keep = Keep(runs=3, events=50)
            assert (first.resource_id, keep) in fence.trims
            assert fence.old[second.resource_id] == 0
            seen = len(fence.trims)
            await worker.report("a", State.FINISHED)
            await leader.wishes.desire("a", Action.START)
            await worker.report("a", State.FINISHED, 2)
            async with asyncio.timeout(LIMIT_S):
                await fence.until(lambda: (first.resource_id, keep) in fence.trims[seen:])
            assert {each for each, _ in fence.trims[seen:]} == {first.resource_id}


async def test_a_database_that_is_away_is_waited_for(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition(keep_runs=1))
        await worker.report("a", State.FINISHED)
        await leader.wishes.desire("a", Action.START)
        fence.down = True
        await worker.report("a", State.FINISHED, 2)
        await asyncio.sleep(1)
        fence.down, seen = False, len(fence.trims)
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: (placed.resource_id, Keep(runs=1)) in fence.trims[seen:])
