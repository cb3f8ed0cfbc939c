"""Runs: how they began and ended, and that a due time has one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.errors import Conflict, Fenced
from crawler.store.contract import Job, Mirrored, Store
from tests.contract.rows import NOON, RESOURCE, SetClock, claimed, done, job, request, seeded, stamp

PAGE = request("page")
DUE = int(NOON) - 5


def due_job(run: int, due: int = DUE, parts: int = 1) -> Job:
    return replace(job(run=run, parts=parts), due=due)


async def test_a_run_says_when_it_was_due_and_began_and_ended(
    store: Store, clock: SetClock
) -> None:
    await store.open_epoch("c0ffee", 10)
    frontier = await store.claim(stamp(10), due_job(1))
    (run,) = (await store.runs(RESOURCE)).values()
    assert (run.run, run.due_at, run.started_at, run.finished_at) == (1, DUE, NOON, 0.0)
    clock.now += 60
    await frontier.seed([PAGE])
    await frontier.commit([done(PAGE)])
    await frontier.finish("finished")
    clock.now += 60
    await store.claim(stamp(11), due_job(1))  # a claim more changes nothing of that
    await frontier_ended_again(store)
    (run,) = (await store.runs(RESOURCE)).values()
    assert (run.due_at, run.started_at, run.finished_at) == (DUE, NOON, NOON + 60)
    assert run.progress.finished == "finished"
    assert run.progress.done == 1


async def frontier_ended_again(store: Store) -> None:
    frontier = await store.claim(stamp(12), due_job(1))
    await frontier.finish("another reason")


async def test_a_due_time_begins_one_run_whatever_its_number(store: Store) -> None:
    await store.open_epoch("c0ffee", 10)
    frontier = await store.claim(stamp(10), due_job(6))
    await frontier.seed([PAGE])
    with pytest.raises(Conflict, match="run 6 was begun at 2023-11-14T22:13:15Z already"):
        await store.claim(stamp(11), due_job(5))
    assert list(await store.runs(RESOURCE)) == [6]
    await frontier.commit([done(PAGE)])  # nothing was written: the claim still stands
    again = await store.claim(stamp(12), due_job(6))
    assert (await again.progress()).done == 1


async def test_a_run_that_was_begun_otherwise_is_no_run_of_a_due_time(store: Store) -> None:
    await claimed(store, run=3)
    with pytest.raises(Conflict, match="run 3 was begun by hand already"):
        await store.claim(stamp(11), due_job(3))
    with pytest.raises(Conflict, match="run 3 was begun by hand already"):
        await store.claim(stamp(12), due_job(3, DUE + 60))
    await store.claim(stamp(13), due_job(4))
    await store.claim(stamp(14), job(run=4))  # whoever knows of no due time goes on with it
    assert [run.due_at for run in (await store.runs(RESOURCE)).values()] == [0, DUE]


async def test_runs_by_hand_and_other_resources_may_share_what_a_due_time_may_not(
    store: Store,
) -> None:
    await claimed(store, run=1)
    await store.claim(stamp(11), job(run=2))
    await store.claim(stamp(12, resource="other"), due_job(1))
    await store.claim(stamp(13), due_job(3))
    assert len(await store.runs(RESOURCE)) == 3


async def test_all_parts_of_a_run_share_its_due_time(store: Store) -> None:
    await store.open_epoch("c0ffee", 10)
    for part in (0, 1):
        await store.claim(stamp(10, part=part), due_job(2, parts=2))
    assert list(await store.runs(RESOURCE)) == [2]


async def test_a_run_that_is_replaced_says_by_which(store: Store, clock: SetClock) -> None:
    old = await seeded(store, PAGE)
    clock.now += 60
    new = await store.claim(stamp(11), due_job(2))
    first, second = (await store.runs(RESOURCE)).values()
    assert (first.progress.finished, first.finished_at) == ("replaced by run 2", NOON + 60)
    assert first.progress.pending == 1
    assert (second.progress.finished, second.started_at) == ("", NOON + 60)
    with pytest.raises(Fenced):
        await old.commit([done(PAGE)])
    await new.seed([PAGE])
    await new.commit([done(PAGE)])
    await new.finish("finished")
    await store.claim(stamp(12), job(run=3))
    ends = [run.progress.finished for run in (await store.runs(RESOURCE)).values()]
    assert ends == ["replaced by run 2", "finished", ""]


async def test_the_run_of_a_due_time_is_found_and_the_highest(store: Store) -> None:
    await claimed(store, run=1)
    await store.claim(stamp(11), due_job(2))
    await store.claim(stamp(12), due_job(5, DUE + 60))
    for due, expected in ((DUE, (2, 5)), (DUE + 60, (5, 5)), (DUE + 1, (0, 5)), (0, (0, 5))):
        assert await store.due_runs({RESOURCE: due}) == {RESOURCE: expected}
    many = {f"r{number}": DUE for number in range(2_000)}
    assert (await store.due_runs(many))["r1999"] == (0, 0)
    assert await store.due_runs({}) == {}


async def test_due_times_are_remembered_with_the_resource(store: Store) -> None:
    shop = Mirrored(RESOURCE, "shop", 7, "{}", "running", 4, DUE, DUE + 1)
    await store.mirror([shop])
    assert list(await store.mirrored()) == [shop]
    later = replace(shop, run=5, due=0, since=DUE + 9)
    await store.mirror([later])
    assert list(await store.mirrored()) == [later]
