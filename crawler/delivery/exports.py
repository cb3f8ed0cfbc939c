"""Decides what an export holds: one snapshot, and from where the next one goes on.

A cursor is ``run:seq``, or two of them with a comma: ``2:907,3:1340``. It holds the last two runs,
because a part of a divided crawl may still commit to a run when another has begun the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crawler.errors import InvalidInput, NotFound

_CURSOR = re.compile(r"([0-9]{1,9}):([0-9]{1,18})(?:,([0-9]{1,9}):([0-9]{1,18}))?")
MAX_CURSOR = 64


@dataclass(frozen=True, slots=True)
class Stretch:
    """The items of one run with a seq above ``after`` and up to ``until``."""

    run: int
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Export:
    """``cursor`` stands behind everything that the stretches hold; "" before the first run."""

    stretches: tuple[Stretch, ...]
    cursor: str


def plan_export(extents: Mapping[int, int], since: str, run: int | None) -> Export:
    """What came since the cursor, of all runs; without a cursor, the latest run. ``run``: that one
    alone. ``extents``: the highest seq per run now. Raises `InvalidInput`, `NotFound`."""
    seen = read_cursor(since)
    if run is not None and run not in extents:
        known = ", ".join(map(str, extents)) or "none yet"
        raise NotFound(f"there is no run {run}; there is: {known}")
    if seen and extents and max(seen) < min(extents):
        raise InvalidInput(
            f"since: run {max(seen)} is not kept any more; give {min(extents)}:0 to go on with the "
            "oldest that is, or nothing for the latest",
            field="since",
        )
    _check_reach(seen, extents)
    if run is not None:
        wanted = [run]
    elif seen:
        wanted = [each for each in extents if each in seen or each > max(seen)]
    else:
        wanted = list(extents)[-1:]
    stretches = [Stretch(each, seen.get(each, 0), extents[each]) for each in wanted]
    reached = seen | {each.run: max(each.after, each.until) for each in stretches}
    return Export(
        tuple(each for each in stretches if each.after < each.until),
        ",".join(f"{each}:{seq}" for each, seq in sorted(reached.items())[-2:]),
    )


def _check_reach(seen: Mapping[int, int], extents: Mapping[int, int]) -> None:
    """Refuse a cursor that no export of these runs has given, and behind which nothing would come
    for a long time: their seqs only rise."""
    if not extents:
        return
    newest = max(extents)
    for run, seq in seen.items():
        if run > newest or seq > extents.get(run, seq):
            raise InvalidInput(
                f"since: {run}:{seq} lies beyond what there is ({newest}:{extents[newest]}), so it "
                "is of another crawl of this name, or from before a restore; give "
                f"{min(extents)}:0 for all runs, or nothing for the latest",
                field="since",
            )


def read_cursor(text: str) -> dict[int, int]:
    """Seq by run; none for ""."""
    if not text:
        return {}
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"since: {text[:MAX_CURSOR]!r} is no cursor; give what an export said, like 3:1340",
            field="since",
        )
    first_run, first, run, seq = found.groups()
    return {int(first_run): int(first)} | ({int(run): int(seq)} if run else {})
