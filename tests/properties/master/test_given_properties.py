"""Whatever was assigned before, a worker is told of exactly what it has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.coordination.keys import given_key
from crawler.master.desk import assign
from crawler.model import Node
from tests.unit.master.test_given import NODES, divided


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([*NODES, None])), max_size=20))
def test_a_worker_is_told_of_what_it_has(steps: list[tuple[int, Node | None]]) -> None:
    keys = divided(3)
    for part, node in steps:
        keys.do(assign(keys.resource(part), node, "", 1.0, 1))
        homes = ((n, keys.resource(n).assignment) for n in range(3))
        assert keys.told() == {given_key(home.node_id, "shop", n) for n, home in homes if home}
