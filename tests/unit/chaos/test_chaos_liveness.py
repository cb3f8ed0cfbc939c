"""What the checks of delays find: L1, L2, L4 and L5."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.acceptance.chaos.history import EtcdWrite, Hit
from tests.acceptance.chaos.liveness import (
    beyond,
    check_convergence,
    check_leaders,
    check_moves,
    check_orphans,
    check_overlaps,
)
from tests.unit.chaos.histories import BOUNDS, ONE, TWO, Etcd, kept


@pytest.fixture
def etcd() -> Etcd:
    return Etcd()


def late(writes: list[EtcdWrite], since: int, by_s: float) -> list[EtcdWrite]:
    """Everything from that revision on so much later."""
    return [
        replace(write, at=write.at + by_s) if write.revision >= since else write for write in writes
    ]


def test_a_run_within_its_bounds_is_in_order() -> None:
    history = kept()
    writes = history.writes or ()
    for check in (check_leaders, check_orphans):
        assert check(writes, BOUNDS, history.began, history.ended).violations == ()
    assert check_moves(writes, BOUNDS).violations == ()
    assert check_overlaps(history.hits, BOUNDS).violations == ()


def test_a_time_without_a_leader_is_measured_to_the_next_ones_first_write(etcd: Etcd) -> None:
    etcd.stand("m1")
    etcd.stand("m2")
    etcd.lead("m1")
    gone = etcd.resign("m1")
    took = etcd.lead("m2")
    for by_s, found in ((1.0, 0), (1.1, 1)):
        writes = late(etcd.writes, took, by_s)
        assert len(check_leaders(writes, BOUNDS, 0, took + by_s).violations) == found
    writes = late(etcd.writes, took, 1.1)
    (violation,) = check_leaders(writes, BOUNDS, 1.0, 50.0).violations
    assert violation == f"nobody led for 2.1 s, from {gone - 1}.0 s on"


def test_no_leader_until_the_end_is_found(etcd: Etcd) -> None:
    assert check_leaders(etcd.writes, BOUNDS, 0, 10).violations
    etcd.stand("m1")
    etcd.lead("m1")
    assert not check_leaders(etcd.writes, BOUNDS, 0, 100).violations
    etcd.resign("m1")
    assert check_leaders(etcd.writes, BOUNDS, 0, 100).violations


def test_a_resource_that_stays_with_the_dead_is_found(etcd: Etcd) -> None:
    etcd.join(ONE)
    etcd.join(TWO)
    etcd.assign(1, ONE)
    etcd.leave(ONE)
    moved = etcd.assign(1, TWO)
    for by_s, found in ((2.0, 0), (2.1, 1)):
        writes = late(etcd.writes, moved, by_s)
        assert len(check_orphans(writes, BOUNDS, 0, 20).violations) == found
    unmoved = [write for write in etcd.writes if write.revision < moved]
    (violation,) = check_orphans(unmoved, BOUNDS, 0, 20).violations
    assert violation.startswith("/resources/a was on a dead worker for 15.0 s")


def test_a_new_incarnation_does_not_own_what_the_old_one_had(etcd: Etcd) -> None:
    etcd.join(ONE)
    etcd.assign(1, ONE)
    etcd.leave(ONE)
    etcd.join(ONE)
    assert check_orphans(etcd.writes, BOUNDS, 0, 20).violations
    etcd.assign(1, ONE)
    assert not check_orphans(etcd.writes, BOUNDS, 0, 20).violations


def test_nothing_can_be_given_on_while_there_is_no_worker(etcd: Etcd) -> None:
    etcd.join(ONE)
    etcd.assign(1, ONE)
    etcd.leave(ONE)
    assert not check_orphans(etcd.writes, BOUNDS, 0, 100).violations
    came = etcd.join(TWO)
    writes = late(etcd.writes, came, 50.0)
    assert not check_orphans(writes, BOUNDS, 0, came + 53).violations
    assert check_orphans(writes, BOUNDS, 0, came + 53.1).violations


def test_moves_are_counted_within_five_minutes(etcd: Etcd) -> None:
    for node in (ONE, TWO, "", TWO, ONE):
        etcd.assign(1, node)
    finding = check_moves(etcd.writes, BOUNDS)
    assert (finding.looked_at, finding.violations) == ("2 moves", ())
    back = etcd.assign(1, TWO)
    assert check_moves(etcd.writes, BOUNDS).violations == ("3 moves within five minutes",)
    assert not check_moves(late(etcd.writes, back, 300.0), BOUNDS).violations


def test_another_resource_of_the_same_name_is_no_move(etcd: Etcd) -> None:
    for number, node in enumerate((ONE, TWO, ONE, TWO)):
        etcd.assign(1, node, resource_id=str(number))
    assert check_moves(etcd.writes, BOUNDS).looked_at == "0 moves"


def test_fetches_of_two_workers_at_once_are_counted() -> None:
    def at(start: float, worker: str, url: str = "https://a/") -> Hit:
        return Hit(url, start, start + 1.0, worker)

    one_after_the_other = [at(1, ONE), at(2, TWO), at(1.5, TWO, "https://b/"), at(1, ONE, "c")]
    assert check_overlaps(one_after_the_other, BOUNDS).looked_at == (
        "4 fetches, 1 of them repeats, 0 overlaps"
    )
    assert not check_overlaps([at(1, ONE), at(1.5, ONE)], replace(BOUNDS, overlaps=0)).violations
    meeting = [at(1, ONE), at(1.5, TWO)]
    assert not check_overlaps(meeting, BOUNDS).violations
    assert check_overlaps(meeting, replace(BOUNDS, overlaps=0)).violations


def test_time_that_is_excused_does_not_count(etcd: Etcd) -> None:
    etcd.stand("m1")
    etcd.lead("m1")
    gone = etcd.resign("m1")
    etcd.stand("m2")
    took = etcd.lead("m2")
    writes = late(etcd.writes, took, 10.0)
    for excused, found in (((gone, gone + 10.0),), 0), (((gone, gone + 5.0),), 1):
        bounds = replace(BOUNDS, no_leader=excused)
        assert len(check_leaders(writes, bounds, 0, took + 10.0).violations) == found


@pytest.mark.parametrize(
    ("excused", "left_s"),
    [
        ((), 10.0),
        (((0.0, 99.0),), 0.0),
        (((0.0, 12.0), (11.0, 14.0)), 6.0),
        (((12.0, 13.0), (18.0, 30.0)), 7.0),
        (((0.0, 9.0), (20.0, 30.0)), 10.0),
    ],
)
def test_what_is_left_of_a_span(excused: tuple[tuple[float, float], ...], left_s: float) -> None:
    assert beyond((10.0, 20.0), excused) == left_s


def test_a_unit_that_has_ended_needs_no_worker(etcd: Etcd) -> None:
    term = etcd.stand("m1")
    etcd.lead("m1")
    etcd.join(ONE)
    etcd.join(TWO)
    etcd.assign(term, ONE)
    etcd.txn(("/crawler/status/a", {"state": "finished"}))
    etcd.leave(ONE)
    assert check_orphans(etcd.writes, BOUNDS, 0, 100).violations == ()
    etcd.txn(("/crawler/status/a", {"state": "running"}))
    assert len(check_orphans(etcd.writes, BOUNDS, 0, 100).violations) == 1


def test_convergence_has_its_bound() -> None:
    bounds = replace(BOUNDS, converged_s=5.0)
    assert check_convergence(5.0, bounds).violations == ()
    assert check_convergence(5.1, bounds).violations
    assert check_convergence(None, bounds).violations
