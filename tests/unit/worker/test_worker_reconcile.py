"""Exactly what is assigned to this incarnation and wanted runs; everything else stops."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from crawler.coordination.catalog import Entry, Status, Wish, all_units
from crawler.coordination.entry import Part
from crawler.model import WORKER_SERVICE, Assignment, Desired, Node, Resource, Stamp, State
from crawler.worker.order import JobOrder, Key
from crawler.worker.reconcile import Past, Plan, Situation, plan, start_order

ME = Node("go.micro.server.worker-2", WORKER_SERVICE, "10.0.0.2:9090", revision=100)
MINE = Assignment(ME.id, ME.address)
HERE = Situation(ME, "c1")
NO_PAST = Past({}, {})


def entry(
    name: str = "shop",
    *,
    assignment: Assignment | None = MINE,
    revision: int = 110,
    wish: Desired = Desired.RUNNING,
    run: int = 1,
    definition: str | None = "{}",
    definition_revision: int = 90,
    status: State | None = None,
    status_run: int = 1,
    status_revision: int = 105,
) -> Entry:
    resource = Resource(f"id-{name}", name, assignment, 1, revision)
    return Entry(
        name=name,
        resource=resource,
        definition=definition,
        definition_revision=definition_revision,
        wish=Wish(wish, run, resource.id),
        wish_revision=95,
        status=None
        if status is None
        else Status(status, "", status_run, resource.id, status_revision, ME.id, 1.0),
        decision=None,
    )


def decide(
    entry: Entry | None,
    *,
    here: Situation = HERE,
    running: Key | None = None,
    past: Past = NO_PAST,
) -> Plan:
    return plan(
        {entry.name: entry} if entry else {}, here, {"shop": running} if running else {}, past
    )


def started(plan: Plan) -> list[int]:
    return [order.revision for order, _ in plan.starts]


def key_of(entry: Entry) -> Key:
    assert entry.resource is not None
    order = start_order(entry, entry.resource, ME, "c1")
    assert order is not None
    return order.key


def test_a_run_that_a_due_time_began_says_so_and_a_replaced_one_stops() -> None:
    due = replace(entry(run=4), wish=Wish(Desired.RUNNING, 4, "id-shop", 1_700_000_000))
    ((order, _),) = decide(due).starts
    assert (order.run, order.due) == (4, 1_700_000_000)
    replaced = replace(entry(revision=120), wish=Wish(Desired.RUNNING, 5, "id-shop", 1_700_003_600))
    assert decide(replaced, running=order.key).stops == {"shop": "token rose"}


def test_what_is_ours_and_wanted_starts() -> None:
    ((order, resource),) = decide(entry()).starts
    assert order == JobOrder("shop", "id-shop", 1, "{}", 90, "c1", 110, ME.id)
    assert (order.stamp.revision, order.stamp.part) == (110, 0)
    assert resource.revision == 110


@pytest.mark.parametrize(
    "other",
    [
        entry(assignment=None),
        entry(assignment=Assignment("go.micro.server.worker-3", ME.address)),
        entry(assignment=Assignment(ME.id, "10.0.0.9:9090")),
        entry(revision=100),
        entry(revision=99),
        entry(wish=Desired.PAUSED),
        entry(wish=Desired.STOPPED),
        entry(wish=Desired.DELETED),
        entry(definition=None),
        entry(status=State.FINISHED),
        entry(status=State.ERROR, status_revision=110),
        replace(entry(), wish=None),
        replace(entry(), wish=Wish(Desired.RUNNING, 1, "an earlier resource of that name")),
        replace(entry(), resource=None),
    ],
    ids=lambda each: str(each)[:160],
)
def test_anything_else_does_not_start(other: Entry) -> None:
    assert decide(other) == Plan({}, ())


@pytest.mark.parametrize(
    "again",
    [
        entry(status=State.FINISHED, run=2),
        entry(status=State.FINISHED, status_run=2),
        entry(status=State.ERROR, status_revision=110, definition_revision=111),
        entry(status=State.ERROR, status_revision=105),
        entry(status=State.RUNNING),
        entry(status=State.ASSIGNED),
    ],
)
def test_a_run_that_is_not_over_starts(again: Entry) -> None:
    assert started(decide(again)) == [110]


@pytest.mark.parametrize(
    "here", [replace(HERE, cluster=None), replace(HERE, may_start=False)], ids=["cluster", "lease"]
)
def test_nothing_starts_without_session_or_cluster(here: Situation) -> None:
    assert decide(entry(), here=here) == Plan({}, ())
    assert decide(entry(), here=here, running=key_of(entry())) == Plan({}, ())


def test_what_runs_goes_on() -> None:
    assert decide(entry(), running=key_of(entry())) == Plan({}, ())


def test_a_status_does_not_stop_what_runs() -> None:
    assert decide(entry(status=State.ERROR), running=key_of(entry())) == Plan({}, ())


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (None, "deleted"),
        (replace(entry(), resource=None), "deleted"),
        (entry(assignment=None), "unassigned"),
        (entry(assignment=None, wish=Desired.PAUSED), "paused"),
        (entry(wish=Desired.DELETED), "deleted"),
        (entry(assignment=Assignment("go.micro.server.worker-3", "x:1")), "assigned elsewhere"),
        (entry(definition=None), "no definition"),
        (replace(entry(), wish=None), "not wanted"),
        (entry(revision=111), "token rose"),
        (entry(run=2), "new run"),
        (entry(definition_revision=111), "definition changed"),
    ],
    ids=lambda each: str(each)[:80],
)
def test_what_runs_otherwise_stops_and_is_not_started_before_it_is_gone(
    now: Entry | None, reason: str
) -> None:
    assert decide(now, running=key_of(entry())) == Plan({"shop": reason}, ())


def test_another_cluster_replaces_what_runs() -> None:
    running = replace(key_of(entry()), cluster="c0")
    assert decide(entry(), running=running) == Plan({"shop": "token rose"}, ())


class TestAfterANewRegistration:
    """The running crawl was assigned to an earlier one."""

    old = replace(key_of(entry()), revision=50)

    @pytest.mark.parametrize("revision", [50, 70], ids=["untouched", "assigned while away"])
    def test_it_goes_on_until_its_time_to_be_restamped_is_over(self, revision: int) -> None:
        now = entry(revision=revision)
        assert decide(now, running=self.old) == Plan({}, ())
        late = replace(HERE, overdue=True)
        assert decide(now, running=self.old, here=late) == Plan({"shop": "not re-stamped"}, ())

    def test_restamped_it_is_replaced(self) -> None:
        assert decide(entry(), running=self.old) == Plan({"shop": "token rose"}, ())
        assert started(decide(entry())) == [110]

    def test_assigned_elsewhere_it_stops_at_once(self) -> None:
        now = entry(assignment=Assignment("go.micro.server.worker-3", "x:1"), revision=50)
        assert decide(now, running=self.old).stops == {"shop": "assigned elsewhere"}


def test_a_fenced_token_is_never_used_again() -> None:
    past = Past({"shop": key_of(entry())}, {})
    assert decide(entry(), past=past) == Plan({}, ())
    assert decide(entry(definition_revision=111, run=2), past=past) == Plan({}, ())
    assert started(decide(entry(revision=120), past=past)) == [120]


def test_a_crawl_that_ended_here_is_over_before_its_status_is_seen() -> None:
    past = Past({}, {"shop": key_of(entry())})
    assert decide(entry(), past=past) == Plan({}, ())
    assert started(decide(entry(run=2), past=past)) == [110]


def test_hundreds_start_at_once() -> None:
    entries = MappingProxyType({f"r{n}": entry(f"r{n}", revision=200 + n) for n in range(500)})
    assert len(plan(entries, HERE, {}, NO_PAST).starts) == 500


def test_parts_are_told_apart() -> None:
    whole = replace(entry(), partitions=3)
    assert whole.resource is not None
    one = Part(replace(whole.resource, part=1, revision=120), 120)
    two = Part(replace(whole.resource, part=2, assignment=None), 130)
    units = all_units([replace(whole, parts={1: one, 2: two})])
    orders = [order for order, _ in plan(units, HERE, {}, NO_PAST).starts]
    assert [(each.unit, each.part, each.parts, each.revision) for each in orders] == [
        ("shop", 0, 3, 110),
        ("shop/1", 1, 3, 120),
    ]
    assert orders[1].stamp == Stamp("c1", "id-shop", 1, 120)
    moved = all_units([replace(whole, parts={1: replace(two, resource=two.resource), 2: two})])
    running = {order.unit: order.key for order in orders}
    assert plan(moved, HERE, running, NO_PAST).stops == {"shop/1": "unassigned"}
