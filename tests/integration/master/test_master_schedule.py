"""Runs that begin when they are due: once, whoever leads, however often leaders are cut off."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from crawler import failpoint
from crawler.clock import SystemClock
from crawler.coordination.records import Wish
from crawler.master.fence import Memo
from crawler.master.wishes import Action
from crawler.model import State
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import (
    LIMIT_S,
    Running,
    Worker,
    a_master,
    a_worker,
    definition,
    entry_of,
    home_of,
)

HOUR = 3600
STEPS = ["master.schedule.before_txn", "master.schedule.after_txn"]


def every(interval: str, overlap: str = "skip", **more: Any) -> str:
    return definition(schedule={"every": interval, "overlap": overlap}, **more)


async def wish_of(master: Running, name: str = "a") -> Wish:
    wish = (await entry_of(master.etcd, name)).wish
    assert wish is not None
    return wish


async def run_is(master: Running, run: int) -> Wish:
    """Wait until that run is wanted, or a later one."""
    await master.sees(lambda c: (w := c.entries["a"].wish) is not None and w.run >= run)
    return await wish_of(master)


async def finished(master: Running, worker: Worker, run: int = 1) -> None:
    """The worker says that the run is over."""
    await worker.report("a", State.FINISHED, run)
    await master.sees(lambda c: (s := c.entries["a"].status) is not None and s.run == run)


async def created(master: Running) -> int:
    resource = (await entry_of(master.etcd, "a")).resource
    assert resource is not None
    return resource.created_ns // 10**9


def told(fence: MemoryFence, kind: str) -> Counter[str]:
    return Counter(event.detail for _, event in fence.events if event.kind == kind)


async def test_what_is_over_begins_again_at_each_due_time(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("1s"))
        assert (await wish_of(master)).due == 0
        due = []
        for run in (1, 2, 3):
            await finished(master, worker, run)
            wish = await run_is(master, run + 1)
            assert wish.run == run + 1
            assert wish.due == wish.since <= time.time()
            due.append(wish.due)
        assert due == sorted(set(due))
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: len(told(fence, "start")) == 3)


@pytest.mark.parametrize(("place", "overlap"), [*zip(STEPS, ("skip", "replace"), strict=True)])
async def test_a_leader_cut_off_at_a_due_time_is_followed_by_one_that_begins_the_run_once(
    etcd: EtcdServer, fence: MemoryFence, place: str, overlap: str
) -> None:
    interval = 4
    async with (
        a_worker(etcd) as worker,
        a_master(etcd, fence) as one,
        a_master(etcd, fence, 2) as two,
    ):
        leader = await one.leads()
        await leader.resources.add("a", every(f"{interval}s", overlap))
        if overlap == "skip":
            await finished(one, worker)
        failpoint.arm(f"{place}=fail")
        due = await created(one) + interval
        await asyncio.sleep(due - time.time() + 0.3)
        assert ((await wish_of(one)).run == 2) == (place == "master.schedule.after_txn")
        failpoint.arm("")
        await one.stop()
        await two.leads()
        wish = await run_is(two, 2)
        assert (wish.run, wish.due) == (2, due)
        await asyncio.sleep(max(0.0, due + interval - 1 - time.time()))
        assert await wish_of(two) == wish


async def test_skipped_due_times_are_told_once_and_change_nothing(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("1s"))
        before = await entry_of(master.etcd, "a")
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: len(told(fence, "skipped")) >= 3)
        assert set(told(fence, "skipped").values()) == {1}
        after = await entry_of(master.etcd, "a")
        assert (after.wish_revision, after.resource_revision) == (
            before.wish_revision,
            before.resource_revision,
        )


async def test_one_run_waits_in_the_queue_and_begins_when_the_other_is_over(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("1s", "queue"))
        start = await created(master)
        await asyncio.sleep(start + 3.3 - time.time())
        assert (await wish_of(master)).run == 1
        over_at = time.time()
        await finished(master, worker)
        wish = await run_is(master, 2)
        assert wish.run == 2
        assert over_at - 1 <= wish.due <= time.time()
        assert told(fence, "skipped") == {}


async def test_a_run_is_replaced_with_all_its_parts_given_anew(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("3s", "replace", partitions=2))
        await master.sees(lambda c: all(p.resource for p in c.entries["a"].parts.values()))
        await worker.report("a", State.RUNNING)
        before = await entry_of(master.etcd, "a")
        wish = await run_is(master, 2)
        assert wish.due == await created(master) + 3
        after = await entry_of(master.etcd, "a")
        assert after.resource_revision == after.wish_revision > before.resource_revision
        assert after.parts[1].resource_revision >= after.wish_revision
        assert home_of(after)


async def test_what_is_paused_or_stopped_is_left_alone_and_by_hand_is_enough(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("1s", "replace"))
        for action, undo in ((Action.PAUSE, Action.RESUME), (Action.STOP, Action.START)):
            await leader.wishes.desire("a", action)
            rests = await wish_of(master)
            await asyncio.sleep(2.2)
            assert await wish_of(master) == rests
            now = int(time.time())
            turn = await leader.wishes.desire("a", undo)
            assert turn.wish.since >= now
            wish = await run_is(master, turn.wish.run + 1)
            assert wish.due > turn.wish.since


async def test_between_two_runs_a_schedule_is_paused_and_goes_on(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("2s"))
        await finished(master, worker)
        await leader.wishes.desire("a", Action.PAUSE)
        await asyncio.sleep(2.5)
        assert (await wish_of(master)).run == 1
        turn = await leader.wishes.desire("a", Action.RESUME)
        assert turn.change
        wish = await run_is(master, 2)
        assert wish.due > turn.wish.since


async def test_a_new_schedule_counts_from_its_change_on(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("1h"))
        await finished(master, worker)
        await asyncio.sleep(1.1)
        changed_at = int(time.time())
        await leader.resources.put("a", every("1s"))
        wish = await run_is(master, 2)
        assert wish.due > changed_at
        await leader.resources.put("a", definition())
        await finished(master, worker, 2)
        await asyncio.sleep(1.5)
        assert (await wish_of(master)).run == 2


@pytest.mark.parametrize(
    ("runs", "run"),
    [({1: 0}, 2), ({1: 0, 6: 3 * HOUR}, 6), ({1: 0, 6: 2 * HOUR}, 7), ({1: 3 * HOUR}, 1)],
    ids=["none", "adopted", "another", "had"],
)
async def test_after_etcd_was_wiped_the_database_knows_which_due_times_had_their_run(
    etcd: EtcdServer, fence: MemoryFence, runs: dict[int, int], run: int
) -> None:
    start = int(time.time()) - 3 * HOUR - 60
    fence.memos["7"] = Memo("7", "a", start * 10**9, every("1h", "queue"), "running", 1)
    fence.runs["7"] = {number: due and start + due for number, due in runs.items()}
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        await master.leads()
        await master.sees(lambda c: home_of(c.entries.get("a")))
        await finished(master, worker)
        if run == 1:
            await asyncio.sleep(1.0)
        wish = await run_is(master, run)
        assert (wish.run, wish.due) == (run, start + 3 * HOUR if run > 1 else 0)


async def test_while_the_database_is_away_nothing_begins_and_then_all_does(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("2s"))
        await finished(master, worker)
        fence.down = True
        await asyncio.sleep(await created(master) + 2.5 - time.time())
        assert (await wish_of(master)).run == 1
        fence.down = False
        assert (await run_is(master, 2)).run == 2


class Ahead(SystemClock):
    """A clock that goes ahead until it is put right."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def wall(self) -> float:
        return super().wall() + self.ahead_s


async def test_a_clock_that_is_put_back_does_not_stop_the_schedule(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    clock = Ahead(10 * 24 * HOUR)
    async with a_worker(etcd) as worker, a_master(etcd, fence, clock=clock) as master:
        leader = await master.leads()
        await leader.resources.add("a", every("2s"))
        await finished(master, worker)
        wish = await run_is(master, 2)
        assert wish.due > time.time() + 9 * 24 * HOUR
        await finished(master, worker, 2)
        clock.ahead_s = 0.0
        wish = await run_is(master, 3)  # the old clock may have begun this one too
        await finished(master, worker, wish.run)
        again = await run_is(master, wish.run + 1)
        assert again.due <= time.time()
