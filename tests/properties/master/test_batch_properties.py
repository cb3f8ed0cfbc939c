"""Any changes fit into transactions that etcd takes, each in one of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.coordination.etcd import modified_at, put
from crawler.master.batches import MAX_BYTES, MAX_OPS, Change, batches, compares_of
from tests.unit.master.test_batches import WORKERS

change = st.builds(
    lambda worker, ops, size_bytes: (worker, ops, size_bytes),
    st.sampled_from(WORKERS),
    st.integers(1, 5),
    st.sampled_from([10, 300, 250_000]),
)


@given(st.lists(change, max_size=150))
def test_every_change_is_in_one_batch_that_fits(drawn: list[tuple[object, int, int]]) -> None:
    changes = [
        Change(
            f"r{n}",
            (modified_at(f"r{n}", 1), worker),  # type: ignore[arg-type]
            tuple(put(f"r{n}/{k}", b"x" * (size_bytes // ops)) for k in range(ops)),
        )
        for n, (worker, ops, size_bytes) in enumerate(drawn)
    ]
    groups = list(batches(changes))
    assert [each.name for group in groups for each in group] == [c.name for c in changes]
    for group in groups:
        compares = compares_of(group)
        assert len(compares) == len(set(compares)) <= MAX_OPS
        assert sum(len(each.ops) for each in group) <= MAX_OPS
        assert len(group) == 1 or sum(each.size_bytes for each in group) <= MAX_BYTES
