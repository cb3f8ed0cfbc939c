"""Following the plan from any situation to any other leaves nothing to do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from crawler.coordination.catalog import Entry
from crawler.model import Assignment, Desired, State
from crawler.worker.order import Key
from crawler.worker.reconcile import Plan, plan
from tests.unit.worker.test_worker_reconcile import HERE, MINE, NO_PAST, entry

NAMES = ("a", "b", "c")
ENTRIES = st.fixed_dictionaries(
    {
        name: st.builds(
            entry,
            st.just(name),
            assignment=st.sampled_from([MINE, None, Assignment("other", "x:1")]),
            revision=st.sampled_from([90, 110, 120]),
            wish=st.sampled_from(Desired),
            run=st.sampled_from([1, 2]),
            definition=st.sampled_from(["{}", None]),
            definition_revision=st.sampled_from([90, 115]),
            status=st.sampled_from([None, *State]),
        )
        for name in NAMES
    }
)


@given(
    entries=ENTRIES,
    earlier=ENTRIES,
    overdue=st.booleans(),
    cluster=st.sampled_from(["c1", "c0"]),
)
def test_following_the_plan_twice_leaves_nothing_to_do(
    entries: dict[str, Entry], earlier: dict[str, Entry], overdue: bool, cluster: str
) -> None:
    running: dict[str, Key] = {}
    here = replace(HERE, overdue=overdue)
    for moment, situation in ((earlier, replace(here, cluster=cluster)), *[(entries, here)] * 2):
        todo = plan(moment, situation, running, NO_PAST)
        assert not set(todo.stops) & {order.name for order, _ in todo.starts}
        running = {name: key for name, key in running.items() if name not in todo.stops}
        running |= {order.name: order.key for order, _ in todo.starts}
    assert plan(entries, here, running, NO_PAST) == Plan({}, ())
    for name in running:
        resource, wish = entries[name].resource, entries[name].wish
        assert resource is not None
        assert wish is not None
        assert (resource.assignment, wish.state) == (MINE, Desired.RUNNING)
