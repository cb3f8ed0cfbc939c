"""What holds of every plan, whatever the situation."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.master.assignment import Kind, allowance, plan, stands
from crawler.master.members import Members
from crawler.master.situation import Job, Seat, Situation
from tests.unit.master.boards import apply, counts, node, seats, spread, workers

seat = st.builds(
    lambda number, active, steady, drained, native, revision: Seat(
        node(number, revision=revision, native=native), active, steady, drained
    ),
    st.integers(1, 6),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from([False, False, True]),
    st.sampled_from([True, True, False]),
    st.integers(1, 200),
)
job = st.builds(
    lambda at, revision, hosts, defined, started, rest: Job(
        "",
        node(at).id if at else "",
        node(at).address if at else "",
        revision,
        tuple(hosts),
        defined,
        started,
        rest,
    ),
    st.integers(0, 7),
    st.integers(1, 200),
    st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "", "", "paused", "finished"]),
)
situation = st.builds(
    lambda board, jobs, settling, hold, moves: Situation(
        tuple(replace(each, name=f"r{number}") for number, each in enumerate(jobs)),
        seats(*board),
        frozenset(node(number).id for number in settling) - set(seats(*board)),
        hold,
        moves,
    ),
    st.lists(seat, max_size=6),
    st.lists(job, max_size=40),
    st.sets(st.integers(1, 7), max_size=2),
    st.sampled_from(["", "", "half are gone"]),
    st.integers(0, 5),
)


def may_have(each: Job, at: Seat, now: Situation) -> bool:
    if at.drained or (each.defined and not at.node.native):
        return False
    others = (o for o in now.seats.values() if o.open and (o.node.native or not each.defined))
    return at.steady or not any(others)


@given(situation)
def test_a_runnable_resource_is_placed_iff_somebody_may_have_it(now: Situation) -> None:
    after = apply(now, plan(now))
    for before, each in zip(now.jobs, after.jobs, strict=True):
        if each.rest or (before.node_id and (now.hold or before.node_id in now.settling)):
            continue
        if any(may_have(before, at, now) for at in now.seats.values()):
            assert each.node_id in now.seats
        elif before.node_id not in now.seats:
            assert each.node_id == before.node_id


@given(situation)
def test_every_decision_is_allowed_and_says_why(now: Situation) -> None:
    decisions = plan(now)
    jobs = {each.name: each for each in now.jobs}
    assert len({decision.name for decision in decisions}) == len(decisions)
    assert sum(decision.balance for decision in decisions) <= now.moves_left
    for decision in decisions:
        before = jobs[decision.name]
        assert decision.reason
        if decision.kind in (Kind.PLACE, Kind.MOVE):
            assert decision.node is not None
            assert decision.node.id != before.node_id
            assert may_have(before, now.seats[decision.node.id], now)
            assert not before.rest
        if decision.kind is Kind.RESTAMP:
            assert decision.node is not None
            assert decision.node.id == before.node_id
        assert (decision.node is None) == (decision.kind is Kind.UNASSIGN)


@given(situation)
def test_a_settled_situation_has_no_plan(now: Situation) -> None:
    once = apply(now, plan(now))
    calm = replace(once, moves_left=0)
    assert plan(calm) == []


@settings(max_examples=25)
@given(situation)
def test_what_stands_is_what_no_plan_is_forced_to_touch(now: Situation) -> None:
    free = replace(now, moves_left=0, hold="", settling=frozenset())
    decided = {decision.name for decision in plan(free)}
    standing = {job.name for job in now.jobs if stands(job, now.seats)}
    assert not decided & standing
    if any(seat.open and seat.node.native for seat in now.seats.values()):
        assert decided | standing == {job.name for job in now.jobs}


@given(situation)
def test_relief_comes_to_an_end(now: Situation) -> None:
    now = replace(now, moves_left=5)
    for _ in range(len(now.jobs) * 2 + 2):
        decisions = plan(now)
        if not decisions:
            return
        now = apply(now, decisions)
    raise AssertionError("it never settles")


@given(st.integers(1, 12), st.lists(st.sampled_from(["", "x", "y", "z"]), max_size=80))
def test_placing_is_even(count: int, hosts: list[str]) -> None:
    jobs = tuple(Job(f"r{n}", hosts=(h,) if h else ()) for n, h in enumerate(hosts))
    now = Situation(jobs, workers(count))
    assert spread(apply(now, plan(now))) <= (2 if any(hosts) else 1)


@given(st.integers(2, 6), st.integers(0, 60), st.integers(0, 60))
def test_relief_is_even_and_minimal(count: int, first: int, second: int) -> None:
    board = workers(count)
    at = [board[node(1).id].node, board[node(2).id].node]
    jobs = tuple(
        Job(f"r{n}", home.id, home.address, 100, started=True)
        for n, home in enumerate([at[0]] * first + [at[1]] * second)
    )
    now = Situation(jobs, board, moves_left=1000)
    decisions = plan(now)
    after = apply(now, decisions)
    assert spread(after) <= 1
    held = counts(now)
    surplus = sum(max(0, held[node_id] - n) for node_id, n in counts(after).items())
    assert len(decisions) == surplus


class Simulated:
    """A leader over workers of which the first comes and goes."""

    def __init__(self, resources: int, count: int) -> None:
        self.all = workers(count)
        self.now = Situation(tuple(Job(f"r{n}") for n in range(resources)), dict(self.all))
        self.now = apply(self.now, plan(self.now))
        self.members = Members(10.0)
        self.members.begin(list(self.all), list(self.all), 0.0)
        self.balanced: list[float] = []
        self.flapping = node(1).id
        self.moves = 0

    def step(self, at: float, up: bool, revision: int) -> None:
        live = {
            node_id: replace(each, node=replace(each.node, revision=revision))
            if node_id == self.flapping
            else each
            for node_id, each in self.all.items()
            if up or node_id != self.flapping
        }
        self.members.observe(list(live), at)
        hold = self.members.hold(at)
        self.now = replace(
            self.now,
            seats={
                node_id: replace(each, steady=self.members.steady(node_id, at))
                for node_id, each in live.items()
            },
            settling=self.members.settling(at),
            hold=hold.reason if hold else "",
            moves_left=allowance(len(self.now.jobs), self.balanced, at),
        )
        decisions = plan(self.now)
        self.balanced += [at for decision in decisions if decision.balance]
        self.moves += sum(decision.kind is not Kind.RESTAMP for decision in decisions)
        self.now = apply(self.now, decisions)


@settings(max_examples=12)
@given(st.sampled_from([1.0, 4.0, 7.0, 11.0, 15.0, 25.0]), st.sampled_from([1.0, 4.0, 12.0]))
def test_a_flapping_worker_moves_its_resources_twice_at_most(up_s: float, down_s: float) -> None:
    resources, count = 200, 5
    cluster = Simulated(resources, count)
    on_it = resources // count
    at, revision = 0.0, 1
    while at < 300.0:
        at += 0.5
        phase = at % (up_s + down_s)
        if phase < 0.5:
            revision = 1000 + int(at)
        cluster.step(at, phase < up_s, revision)
    assert cluster.moves <= 2 * on_it


def test_ten_thousand_resources_on_a_hundred_workers_take_well_under_a_second() -> None:
    board = workers(100)
    jobs = tuple(Job(f"r{n}", hosts=(f"h{n % 3000}",)) for n in range(10_000))
    fresh = Situation(jobs, board)
    settled = apply(fresh, plan(fresh))
    lost = dict(list(board.items())[:50])
    more = {**board, **seats(Seat(node(101)))}
    for each in (
        fresh,
        replace(settled, moves_left=500),
        replace(settled, seats=lost),
        replace(settled, seats=more, moves_left=500),
    ):
        started = time.process_time()
        plan(each)
        assert time.process_time() - started < 1.0
