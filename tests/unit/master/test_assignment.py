"""Each rule of placing, by example."""

from __future__ import annotations

import pytest

from crawler.master.assignment import Kind, allowance, plan
from crawler.master.scales import Scales
from crawler.master.situation import Job, Seat, Situation
from tests.unit.master.boards import apply, counts, node, on, seats, spread, workers

ONE, TWO, THREE = node(1), node(2), node(3)


def test_fewer_pages_in_flight_win_over_fewer_resources() -> None:
    board = seats(Seat(ONE, active=10), Seat(TWO, active=1))
    jobs = (on("a", ONE), on("b", TWO), on("c", TWO), Job("new"))
    (decision,) = plan(Situation(jobs, board))
    assert (decision.node, decision.kind) == (TWO, Kind.PLACE)
    assert decision.reason == f"{TWO.id} is the least loaded: 1 pages in flight, 2 resources"


def test_equal_pages_in_flight_leave_the_resources_to_decide() -> None:
    jobs = (on("a", ONE), Job("new"))
    (decision,) = plan(Situation(jobs, workers(2)))
    assert decision.node == TWO


def test_what_was_just_placed_counts() -> None:
    situation = Situation(tuple(Job(f"r{n}") for n in range(9)), workers(3))
    assert set(counts(apply(situation, plan(situation))).values()) == {3}


def test_one_host_stays_together_while_that_is_even() -> None:
    jobs = tuple(Job(f"r{n}", hosts=(host,)) for n, host in enumerate("xxyyzz"))
    situation = apply(s := Situation(jobs, workers(3)), plan(s))
    assert len({(job.hosts, job.node_id) for job in situation.jobs}) == 3
    assert spread(situation) == 0


def test_one_host_is_spread_once_it_would_unbalance() -> None:
    situation = Situation(tuple(Job(f"r{n}", hosts=("x",)) for n in range(30)), workers(3))
    assert spread(apply(situation, plan(situation))) <= 2


def test_an_orphan_moves_at_once_and_says_why() -> None:
    (decision,) = plan(Situation((on("a", ONE),), seats(Seat(TWO))))
    assert (decision.node, decision.kind) == (TWO, Kind.MOVE)
    assert decision.reason.startswith(f"{ONE.id} is gone; {TWO.id} is the least loaded")


@pytest.mark.parametrize("wait", [{"hold": "2 of 3 vanished"}, {"settling": frozenset({ONE.id})}])
def test_an_orphan_waits_for_the_breaker_but_a_new_resource_does_not(
    wait: dict[str, object],
) -> None:
    jobs = (on("a", ONE), on("b", ONE, rest="finished"), Job("new"))
    (decision,) = plan(Situation(jobs, seats(Seat(TWO)), **wait))  # type: ignore[arg-type]
    assert decision.name == "new"


def test_an_orphan_stays_written_where_nobody_may_have_it() -> None:
    assert plan(Situation((on("a", ONE), Job("new")), {})) == []


def test_where_nobody_is_steady_nothing_waits() -> None:
    board = seats(Seat(ONE, steady=False), Seat(TWO, drained=True, steady=False))
    new, orphan = plan(Situation((Job("new"), on("orphan", node(3))), board))
    assert new.node == orphan.node == ONE
    assert new.reason == f"{ONE.id} came back a moment ago, but is all there is"


def test_a_worker_registered_anew_is_stamped_again_without_a_move() -> None:
    again = node(1, revision=200)
    (decision,) = plan(Situation((on("a", ONE),), seats(Seat(again, steady=False), Seat(TWO))))
    assert (decision.node, decision.kind) == (again, Kind.RESTAMP)
    assert decision.reason == f"{ONE.id} registered anew and keeps it"


def test_a_drained_worker_is_emptied() -> None:
    jobs = (on("a", ONE), on("b", ONE, rest="finished"))
    by_name = {d.name: d for d in plan(Situation(jobs, seats(Seat(ONE, drained=True), Seat(TWO))))}
    assert (by_name["a"].node, by_name["a"].kind) == (TWO, Kind.MOVE)
    assert (by_name["b"].node, by_name["b"].kind) == (None, Kind.UNASSIGN)
    alone = Situation(jobs, seats(Seat(ONE, drained=True)))
    assert [d.node for d in plan(alone)] == [None, None]
    assert plan(apply(alone, plan(alone))) == []


def test_who_cannot_work_gets_nothing_new_and_is_waited_for() -> None:
    board = seats(Seat(ONE, trouble="no store"), Seat(TWO, active=99))
    (decision,) = plan(Situation((on("had", ONE), Job("new")), board))
    assert (decision.name, decision.node) == ("new", TWO)


def test_who_could_not_work_for_too_long_is_emptied() -> None:
    board = seats(Seat(ONE, trouble="no store", given_up=True), Seat(TWO))
    jobs = (on("a", ONE), on("b", ONE, rest="finished"))
    (decision,) = plan(Situation(jobs, board))
    assert (decision.name, decision.node, decision.kind) == ("a", TWO, Kind.MOVE)
    assert decision.reason.startswith(f"{ONE.id} cannot work: no store; {TWO.id} is the least")


def test_where_nobody_can_work_all_stays_where_it_is() -> None:
    gone = Seat(ONE, trouble="no store", given_up=True)
    board = seats(gone, Seat(TWO, trouble="no store"), Seat(THREE, drained=True))
    (decision,) = plan(Situation((on("a", ONE), on("b", TWO), Job("new")), board))
    assert (decision.name, decision.node) == ("new", ONE)
    assert decision.reason == f"{ONE.id} cannot work at the moment, but is all there is"
    assert plan(Situation((on("a", ONE),), seats(gone))) == []


def test_a_foreign_worker_gets_no_definition_and_loses_those_it_has() -> None:
    board = seats(Seat(node(1, native=False)), Seat(TWO, active=99))
    jobs = (Job("with"), Job("without", defined=False), on("had", ONE))
    homes = {d.name: d.node for d in plan(Situation(jobs, board))}
    assert homes["with"] == homes["had"] == TWO
    assert homes["without"] == board[ONE.id].node


def test_a_foreign_worker_alone_leaves_definitions_unassigned() -> None:
    board = seats(Seat(node(1, native=False)))
    (decision,) = plan(Situation((Job("new"), on("had", ONE)), board))
    assert (decision.name, decision.node) == ("had", None)
    assert "no live worker that takes definitions" in decision.reason


def test_what_rests_is_left_alone_unless_its_worker_is_gone() -> None:
    jobs = (on("a", ONE, rest="finished"), on("b", TWO, rest="error"), Job("c", rest="paused"))
    (decision,) = plan(Situation(jobs, seats(Seat(node(1, revision=999)))))
    assert (decision.name, decision.node) == ("b", None)
    assert decision.reason == f"error; {TWO.id} is gone"


def test_a_new_worker_is_relieved_with_the_fewest_moves() -> None:
    jobs = tuple(on(f"r{n}", (ONE, TWO)[n % 2]) for n in range(60))
    situation = Situation(jobs, workers(3), moves_left=3)
    first = plan(situation)
    assert len(first) == 3
    assert all((d.node, d.kind, d.balance) == (THREE, Kind.MOVE, True) for d in first)
    moves = 0
    while decisions := plan(situation):
        moves += len(decisions)
        situation = apply(situation, decisions)
    assert moves == 20
    assert spread(situation) == 0


def test_no_relief_without_leave_nor_under_the_breaker_nor_of_what_rests() -> None:
    jobs = tuple(on(f"r{n}", ONE) for n in range(60))
    assert plan(Situation(jobs, workers(2))) == []
    assert plan(Situation(jobs, workers(2), hold="why", moves_left=3)) == []
    resting = tuple(on(f"r{n}", ONE, rest="finished") for n in range(60))
    assert plan(Situation(resting, workers(2), moves_left=3)) == []


def test_no_relief_for_who_has_fewer_resources_but_more_to_do() -> None:
    jobs = tuple(on(f"r{n}", ONE) for n in range(60))
    assert (
        plan(Situation(jobs, seats(Seat(ONE, active=5), Seat(TWO, active=50)), moves_left=3)) == []
    )


def test_relief_leaves_companions_together_where_it_can() -> None:
    pair = (on("x1", ONE, hosts=("x",)), on("x2", ONE, hosts=("x",)))
    assert plan(Situation(pair, workers(2), moves_left=1)) == []
    jobs = (*pair, on("y", ONE, hosts=("y",)))
    (decision,) = plan(Situation(jobs, workers(2), moves_left=1))
    assert decision.name == "y"


def test_five_percent_a_minute() -> None:
    assert allowance(1000, [], 100.0) == 50
    assert allowance(1000, [50.0] * 30 + [30.0] * 20, 100.0) == 20
    assert allowance(10, [], 100.0) == 1
    assert allowance(10, [0.0], 100.0) == 0  # one of ten makes 5 % in two minutes
    assert allowance(10, [0.0], 121.0) == 1
    assert allowance(0, [], 0.0) == 0


def test_a_worker_found_gone_is_avoided() -> None:
    scales = Scales(workers(2))
    assert scales.choose(Job("a"), {ONE.id}).seat == Seat(TWO)
    choice = scales.choose(Job("a"), {ONE.id, TWO.id})
    assert (choice.seat, choice.reason) == (None, "no live worker")
    assert scales.choose(Job("a")).seat == Seat(ONE)


def test_taking_out_what_was_counted_in_restores_the_scales() -> None:
    scales = Scales(workers(2))
    job = Job("a", hosts=("x",))
    scales.add(job, ONE.id)
    assert scales.choose(Job("b")).seat == Seat(TWO)
    scales.remove(job, ONE.id)
    assert scales.choose(Job("b", hosts=("x",))).seat == Seat(ONE)
    assert scales.shared(job, ONE.id) == 0
