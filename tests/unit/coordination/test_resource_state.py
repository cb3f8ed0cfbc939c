"""What state follows from what etcd says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.coordination.catalog import Entry, Status, Wish, state_of, units_of
from crawler.coordination.entry import Part
from crawler.model import Assignment, Desired, Resource, State

RESOURCE = Resource("7", "shop", Assignment("w1", "10.0.0.1:1"), 1, revision=20)
WISH = Wish(Desired.RUNNING, 2, "7")
STATUS = Status(State.RUNNING, "", 2, "7", 20, "w1", 1.0)
ENTRY = Entry(
    "shop",
    resource=RESOURCE,
    definition="{}",
    definition_revision=10,
    wish=WISH,
    status=STATUS,
    resource_revision=20,
)
IDLE = replace(RESOURCE, assignment=None)


def test_the_owner_says_that_it_runs() -> None:
    assert state_of(ENTRY, {"w1"}) == (State.RUNNING, "")


@pytest.mark.parametrize(
    ("changes", "live", "expected"),
    [
        ({"resource": IDLE}, [], (State.PENDING, "no live worker")),
        ({"resource": IDLE}, ["w1"], (State.PENDING, "waiting for a worker")),
        ({}, ["w2"], (State.PENDING, "w1 is gone")),
        ({"status": None}, ["w1"], (State.ASSIGNED, "waiting for w1 to begin")),
        ({"status": None, "definition": None}, ["w1"], (State.ASSIGNED, "no definition")),
        ({"resource": None}, ["w1"], (State.PENDING, "its record cannot be read")),
        (
            {"wish": replace(WISH, state=Desired.PAUSED)},
            ["w1"],
            (State.PAUSED, "paused on request"),
        ),
        (
            {"wish": replace(WISH, state=Desired.STOPPED)},
            ["w1"],
            (State.STOPPED, "stopped on request"),
        ),
        ({"wish": replace(WISH, state=Desired.DELETED)}, ["w1"], (State.STOPPED, "being deleted")),
        # A report of another run, of an older assignment or of another life of the name.
        ({"wish": replace(WISH, run=3)}, ["w1"], (State.ASSIGNED, "waiting for w1 to begin")),
        (
            {"status": replace(STATUS, revision=19)},
            ["w1"],
            (State.ASSIGNED, "waiting for w1 to begin"),
        ),
        (
            {"status": replace(STATUS, resource_id="6", state=State.FINISHED)},
            ["w1"],
            (State.ASSIGNED, "waiting for w1 to begin"),
        ),
        ({"wish": None}, ["w1"], (State.RUNNING, "")),  # a record of a Go master
    ],
)
def test_states_and_reasons(
    changes: dict[str, object], live: list[str], expected: tuple[State, str]
) -> None:
    assert state_of(replace(ENTRY, **changes), live) == expected  # type: ignore[arg-type]


def test_a_finished_run_stays_finished_without_its_worker() -> None:
    finished = replace(STATUS, state=State.FINISHED, reason="nothing pending", revision=15)
    for resource in (RESOURCE, IDLE):
        entry = replace(ENTRY, status=finished, resource=resource)
        assert state_of(entry, ()) == (State.FINISHED, "nothing pending")
    begun = replace(ENTRY, status=finished, wish=replace(WISH, run=3))
    assert state_of(begun, {"w1"})[0] is State.ASSIGNED


def test_an_error_holds_until_the_definition_changes() -> None:
    failed = replace(STATUS, state=State.ERROR, reason="no such host")
    entry = replace(ENTRY, status=failed)
    assert state_of(entry, ()) == (State.ERROR, "no such host")
    assert state_of(replace(entry, resource=IDLE), ()) == (State.ERROR, "no such host")
    mended = replace(entry, definition_revision=25)
    assert state_of(replace(mended, resource=IDLE), {"w1"})[0] is State.PENDING
    moved = replace(entry, resource=replace(RESOURCE, revision=30))
    assert state_of(moved, {"w1"}) == (State.ASSIGNED, "waiting for w1 to begin")


def divided(*statuses: Status | None) -> Entry:
    """A resource of as many parts, all given to w1."""
    parts = {
        number: Part(replace(RESOURCE, part=number), 20, status)
        for number, status in enumerate(statuses[1:], 1)
    }
    return replace(ENTRY, status=statuses[0], partitions=len(statuses), parts=parts)


def test_the_part_that_needs_to_be_looked_at_gives_the_reason() -> None:
    assert state_of(divided(STATUS, STATUS), {"w1"}) == (State.RUNNING, "")
    waiting = state_of(divided(STATUS, None, STATUS), {"w1"})
    assert waiting == (State.RUNNING, "2 of 3 parts run; part 1: waiting for w1 to begin")
    failed = replace(STATUS, state=State.ERROR, reason="no such host")
    assert state_of(divided(STATUS, failed), {"w1"}) == (
        State.ERROR,
        "1 of 2 parts run; part 1: no such host",
    )


def test_one_part_that_saw_the_end_of_the_run_ends_all() -> None:
    finished = replace(STATUS, state=State.FINISHED, reason="finished", revision=3)
    entry = divided(STATUS, finished, None)
    assert state_of(entry, ()) == (State.FINISHED, "finished")
    assert {unit.status for unit in units_of(entry)} == {finished}
    next_run = replace(entry, wish=replace(WISH, run=3))
    assert state_of(next_run, {"w1"})[0] is State.ASSIGNED


def test_a_part_without_a_key_of_this_resource_is_unassigned() -> None:
    stale = Part(replace(RESOURCE, id="6", part=1), 12)
    entry = replace(ENTRY, partitions=3, parts={1: stale})
    whole, one, two = units_of(entry)
    assert whole.resource == RESOURCE
    assert one.resource == replace(RESOURCE, assignment=None, revision=0, part=1)
    assert (one.resource_revision, two.resource_revision) == (12, 0)
    assert [unit.unit for unit in units_of(two)] == ["shop/2"]


@pytest.mark.parametrize(
    ("wish", "schedule", "state"),
    [
        (Desired.RUNNING, True, State.FINISHED),
        (Desired.PAUSED, True, State.PAUSED),
        (Desired.STOPPED, True, State.STOPPED),
        (Desired.PAUSED, False, State.FINISHED),
        (Desired.STOPPED, False, State.FINISHED),
    ],
)
def test_between_two_runs_a_schedule_may_be_held(
    wish: Desired, schedule: bool, state: State
) -> None:
    ended = replace(
        ENTRY,
        definition='{"schedule":{"every":"1h"}}' if schedule else "{}",
        status=replace(STATUS, state=State.FINISHED),
        wish=replace(WISH, state=wish),
    )
    assert state_of(ended, {"w1"})[0] is state
