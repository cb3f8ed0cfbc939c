"""Exports one after the other, while items are added: nothing is left out, nothing comes twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.delivery.exports import plan_export


@given(
    st.lists(st.lists(st.tuples(st.integers(-1, 1), st.integers(1, 5)), max_size=6), max_size=12)
)
def test_exports_one_after_the_other_hold_everything_once(
    steps: list[list[tuple[int, int]]],
) -> None:
    """Between them, items are added to the newest run, or to the one before it, or begin the
    next."""
    extents, seq, cursor = {1: 0}, 0, "1:0"
    added: list[tuple[int, int]] = []
    exported: list[tuple[int, int]] = []
    for step in steps:
        for which, count in step:
            run = max(1, max(extents) + which)
            added += [(run, seq + n + 1) for n in range(count)]
            seq += count
            extents[run] = seq
        export = plan_export(extents, cursor, None)
        cursor = export.cursor
        for each in export.stretches:
            exported += [
                (run, at) for run, at in added if run == each.run and each.after < at <= each.until
            ]
    assert sorted(exported) == sorted(added)
