"""Failed pages that are tried again: a run that was over goes on in the next assignment, whatever
is cut off in between, and nothing else is moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from crawler import failpoint
from crawler.coordination.entry import Entry
from crawler.errors import Conflict, NotFound, OutcomeUnknown, Unavailable
from crawler.master.leader import Leader
from crawler.master.retries import Answer, Wanted
from crawler.master.wishes import Action
from crawler.model import Desired, Failures, Progress, State
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

STEPS = ["master.retry.after_store", "master.retry.after_txn"]
ALL = Wanted(Failures())
FAILED = Progress(known=9, done=2, failed=7, seeded=True)
OVER = replace(FAILED, finished="finished")


@dataclass
class Stage:
    """A leader with the resource "a", whose run is over with seven failed pages."""

    worker: Worker
    master: Running
    leader: Leader
    fence: MemoryFence
    id: str

    async def end(self, state: State = State.FINISHED, progress: Progress = OVER) -> Entry:
        """The worker says that the run is over; how etcd has it."""
        self.fence.counters[self.id] = 1, progress
        await self.worker.report("a", state)
        await self.master.sees(lambda c: c.entries["a"].status is not None)
        return await entry_of(self.master.etcd, "a")


@asynccontextmanager
async def a_stage(etcd: EtcdServer, fence: MemoryFence, **more: Any) -> AsyncIterator[Stage]:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition(**more))
        fence.counters[placed.resource_id] = 1, FAILED
        yield Stage(worker, master, leader, fence, placed.resource_id)


def token(entry: Entry, part: int = 0) -> int:
    return entry.resource_revision if part == 0 else entry.parts[part].resource_revision


async def goes_on(master: Running, before: Entry) -> Entry:
    """Wait until the run is given to a worker anew, its end forgotten."""
    await master.sees(lambda c: token(c.entries["a"]) > token(before))
    entry = await entry_of(master.etcd, "a")
    assert entry.wish == before.wish
    assert entry.status is None
    assert home_of(entry)
    return entry


async def test_a_run_that_was_over_is_given_anew(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence) as stage:
        before = await stage.end()
        assert await stage.leader.retries.retry("a", ALL) == Answer(1, 7, 0)
        after = await goes_on(stage.master, before)
        assert await stage.leader.retries.retry("a", ALL) == Answer(1, 0, 0)
        assert token(await entry_of(stage.master.etcd, "a")) == token(after)
        async with asyncio.timeout(LIMIT_S):
            await fence.until(
                lambda: (
                    [e.detail for _, e in fence.events if e.kind == "retry"]
                    == ["run 1, 7 failed pages"]
                )
            )


@pytest.mark.parametrize(
    ("failures", "detail"),
    [
        (Failures(500, 599), "7 failed pages with status 5xx"),
        (Failures(0, 0), "7 failed pages without an answer"),
        (Failures(reason="timeout"), "7 failed pages with 'timeout' in their reason"),
        (Failures(0, 0, "dns"), "7 failed pages without an answer and with 'dns' in their reason"),
    ],
)
async def test_what_was_tried_again_is_told_in_words(
    etcd: EtcdServer, fence: MemoryFence, failures: Failures, detail: str
) -> None:
    async with a_stage(etcd, fence) as stage:
        await stage.end()
        await stage.leader.retries.retry("a", Wanted(failures))
        async with asyncio.timeout(LIMIT_S):
            await fence.until(lambda: f"run 1, {detail}" in [e.detail for _, e in fence.events])


async def test_a_run_that_goes_on_is_not_disturbed(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence) as stage:
        await stage.worker.report("a", State.RUNNING)
        before = await entry_of(stage.master.etcd, "a")
        assert (await stage.leader.retries.retry("a", ALL)).pages == 7
        assert await entry_of(stage.master.etcd, "a") == before


async def test_a_run_that_ended_unseen_is_given_anew(etcd: EtcdServer, fence: MemoryFence) -> None:
    """The database has its end, its worker has yet to tell the cluster: it comes too late."""
    async with a_stage(etcd, fence) as stage:
        fence.counters[stage.id] = 1, OVER
        before = await entry_of(stage.master.etcd, "a")
        await stage.leader.retries.retry("a", ALL)
        await goes_on(stage.master, before)


async def test_counting_changes_nothing(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence) as stage:
        before = await stage.end()
        dry = replace(ALL, dry=True)
        assert await stage.leader.retries.retry("a", dry) == Answer(1, 7, 0)
        assert fence.counters[stage.id] == (1, OVER)
        assert await entry_of(stage.master.etcd, "a") == before


async def test_many_pages_come_in_several_calls(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence) as stage:
        many = replace(OVER, known=7_002, failed=7_000)
        before = await stage.end(progress=many)
        dry = replace(ALL, dry=True)
        assert await stage.leader.retries.retry("a", dry) == Answer(1, 5_000, 5_000)
        rest = replace(dry, after=5_000)
        assert await stage.leader.retries.retry("a", rest) == Answer(1, 2_000, 0)
        assert await stage.leader.retries.retry("a", ALL) == Answer(1, 5_000, 5_000)
        await goes_on(stage.master, before)


async def test_a_crawl_in_error_gets_another_try(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence) as stage:
        before = await stage.end(State.ERROR, FAILED)
        await stage.leader.retries.retry("a", ALL)
        await goes_on(stage.master, before)


async def test_every_part_begins_anew(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence, partitions=3) as stage:
        await stage.master.sees(lambda c: len(c.entries["a"].parts) == 2)
        before = await stage.end()
        await stage.leader.retries.retry("a", ALL)
        after = await goes_on(stage.master, before)
        assert all(token(after, part) > token(before, part) for part in (1, 2))
        assert not any(part.status for part in after.parts.values())


@pytest.mark.parametrize("schedule", [None, "every 1d"])
async def test_what_is_paused_stays_so_and_goes_on_when_resumed(
    etcd: EtcdServer, fence: MemoryFence, schedule: str | None
) -> None:
    more: dict[str, Any] = {"schedule": schedule} if schedule else {}
    async with a_stage(etcd, fence, **more) as stage:
        if schedule:  # what is between two runs can be paused, too
            await stage.end()
        await stage.leader.wishes.desire("a", Action.PAUSE)
        assert (await stage.leader.retries.retry("a", ALL)).pages == 7
        entry = await entry_of(stage.master.etcd, "a")
        assert entry.wish is not None
        assert (entry.wish.state, entry.wish.run) == (Desired.PAUSED, 1)
        assert not home_of(entry)
        assert entry.status is None
        await stage.leader.wishes.desire("a", Action.RESUME)
        assert home_of(await entry_of(stage.master.etcd, "a"))


async def test_what_cannot_go_on_is_refused(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_stage(etcd, fence) as stage:
        retry = stage.leader.retries.retry
        with pytest.raises(NotFound):
            await retry("none", ALL)
        for run in (2, 5):
            with pytest.raises(Conflict, match=f"run: {run} is not the latest run of a, 1 is"):
                await retry("a", replace(ALL, run=run))
        assert (await retry("a", replace(ALL, run=1, dry=True))).pages == 7
        await stage.leader.wishes.desire("a", Action.STOP)
        with pytest.raises(Conflict, match="a is stopped, which ended run 1; start begins"):
            await retry("a", ALL)
        await stage.leader.wishes.desire("a", Action.START)
        with pytest.raises(Conflict, match="run: 1 is not the latest"):
            await retry("a", replace(ALL, run=1))
        assert await retry("a", ALL) == Answer(2, 0, 0)  # the run is yet to begin
        assert fence.counters[stage.id] == (1, FAILED)


@pytest.mark.parametrize("place", STEPS)
async def test_a_retry_cut_and_repeated(etcd: EtcdServer, fence: MemoryFence, place: str) -> None:
    async with a_stage(etcd, fence) as stage:
        before = await stage.end()
        failpoint.arm(f"{place}=fail@1")
        with pytest.raises(OutcomeUnknown):
            await stage.leader.retries.retry("a", ALL)
        assert (await stage.leader.retries.retry("a", ALL)).pages == 0
        await goes_on(stage.master, before)


@pytest.mark.parametrize("place", STEPS)
async def test_a_retry_cut_is_finished_by_the_next_leader(
    etcd: EtcdServer, fence: MemoryFence, place: str
) -> None:
    async with a_stage(etcd, fence) as stage, a_master(etcd, fence, 2) as two:
        before = await stage.end()
        failpoint.arm(f"{place}=fail")
        with pytest.raises(OutcomeUnknown):
            await stage.leader.retries.retry("a", ALL)
        failpoint.arm("")
        await stage.master.stop()
        await two.leads()
        after = await goes_on(two, before)
        assert fence.counters[stage.id] == (1, replace(FAILED, failed=0))
        await asyncio.sleep(0.5)
        assert token(await entry_of(two.etcd, "a")) == token(after)


async def test_who_is_overtaken_in_the_database_changes_nothing(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_stage(etcd, fence) as stage:
        before = await stage.end()
        fence.fences[stage.id, 0] = (1, token(before) + 1000)
        with pytest.raises(Unavailable, match="try again"):
            await stage.leader.retries.retry("a", ALL)
        assert fence.counters[stage.id] == (1, OVER)
        assert await entry_of(stage.master.etcd, "a") == before
