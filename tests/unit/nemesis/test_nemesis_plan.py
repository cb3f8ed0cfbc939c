"""What is thrown when, and what it allows."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.chaos.history import Kind, Met, Outcome
from tests.acceptance.nemesis.callers import outcome_of
from tests.acceptance.nemesis.faults import FAULTS, Group
from tests.acceptance.nemesis.met import met_in
from tests.acceptance.nemesis.plan import NEEDED, SIDES, faults_of, length_of, plan
from tests.acceptance.nemesis.thrown import Thrown, bounds_for, table


def test_a_seed_is_a_plan() -> None:
    assert plan(1, 60, 3) == plan(1, 60, 3)
    assert plan(1, 60, 3) != plan(2, 60, 3)


def test_every_run_throws_what_it_needs_and_a_long_one_everything() -> None:
    for seed in range(20):
        first, *rest = plan(seed, 10, 3)
        assert sorted(faults_of((first,))) == sorted(NEEDED)
        assert len(rest) == 1
    assert set(faults_of(plan(1, 3600, 3))) == set(FAULTS)


def test_what_is_needed_comes_in_two_lanes_in_an_order_of_the_seed() -> None:
    orders = set()
    for seed in range(20):
        first = plan(seed, 10, 3)[0]
        for lane, side in zip(first, SIDES, strict=True):
            assert {FAULTS[strike.fault].group for strike in lane} == side
        orders.add(tuple(faults_of((first,))))
        assert length_of((first,)) < 0.75 * sum(length_of(((lane,),)) for lane in first)
    assert len(orders) == 20


def test_no_group_is_in_two_lanes_at_once() -> None:
    first, *rest = plan(1, 600, 3)
    assert {len(phase) for phase in rest} == {1, len(Group)}
    for phase in (first, *rest):
        groups = [{FAULTS[strike.fault].group for strike in lane} for lane in phase]
        assert sum(map(len, groups)) == len(set().union(*groups))


def test_a_plan_is_about_as_long_as_asked() -> None:
    for length_s in (200, 600):
        assert length_s <= length_of(plan(1, length_s, 3)) < length_s + 40


def test_bounds_are_those_of_the_faults() -> None:
    quiet = bounds_for((), 4, 2, 10)
    assert (quiet.leaderless_s, quiet.orphaned_s, quiet.converged_s) == (5.0, 6.0, 18)
    assert (quiet.moves, quiet.overlaps) == (0, 0)
    assert len(quiet.no_leader) + len(quiet.no_owner) == 0
    thrown = (
        Thrown("worker-kill", "w1", 10, 12),
        Thrown("member-kill", "e1", 20, 22),
        Thrown("leader-kill", "m1", 30, 32),
        Thrown("sql-kill", "sql", 40, 42),
    )
    bounds = bounds_for(thrown, 4, 2, 10)
    assert (bounds.moves, bounds.overlaps) == (2 * 10 * 2, 14 * 2 * 3)
    assert list(bounds.no_leader) == [(20.0, 33.0)]
    assert set(bounds.no_owner) == {(20, 33.0), (30, 38.5), (40, 47.0)}


def test_the_table_tells_in_order_what_was_struck() -> None:
    thrown = (Thrown("clock", "w2", 30, 32), Thrown("leader-kill", "m1", 20, 22))
    lines = table(thrown, 10).splitlines()[1:]
    assert lines[0].split() == ["10.0", "s", "2.0", "s", "leader-kill", "m1"]
    assert lines[1].split() == ["20.0", "s", "2.0", "s", "clock", "w2"]


def test_groups_are_all_of_them() -> None:
    assert {fault.group for fault in FAULTS.values()} == set(Group)


def test_logs_tell_what_was_met(tmp_path: Path) -> None:
    lost = "the answer of the database to a commit was lost"
    lines = [
        {"msg": "ended", "outcome": "fenced"},
        {"msg": "ended", "outcome": "finished"},
        {"msg": "complete pages are not ours to commit"},
        {"msg": "commit failed; repeating it", "error": lost},
        {"msg": "commit failed; repeating it", "error": "the database is away"},
        {"msg": "watched history is gone"},
    ]
    log = tmp_path / "worker-1.log"
    log.write_text("\n".join(["Traceback", "[1]", *map(json.dumps, lines)]))
    assert met_in([log]) == Met(refusals=2, ambiguous=1, compactions=1)


def test_what_a_status_says() -> None:
    assert outcome_of(Kind.ADD, 202) is Outcome.OK
    assert outcome_of(Kind.DELETE, 404) is outcome_of(Kind.GET, 404) is Outcome.OK
    assert outcome_of(Kind.ADD, 404) is outcome_of(Kind.PUT, 503) is Outcome.FAIL
    assert outcome_of(Kind.PUT, 504) is outcome_of(Kind.ADD, -1) is Outcome.INFO
