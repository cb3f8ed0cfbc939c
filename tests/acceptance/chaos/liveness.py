"""How long nobody led, or nobody lived who had a resource, and how much was moved: L1, L2, L4 and
L5 of a recorded history.

Times are those of etcd's changes. How long etcd keeps the lease of somebody who is gone is the
TTL's doing and stands in no history: bounds count from the revocation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.acceptance.chaos.history import EtcdWrite, Finding, Hit
from tests.acceptance.chaos.replay import (
    WORKERS,
    Life,
    Naming,
    by_unit,
    intervals_without,
    lives,
    namings,
    reigns,
    rests,
)

MOVES_WINDOW_S = 300.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the faults of a run allow.

    ``leaderless_s``: from the end of a leader's election key to its successor's first write.
    ``orphaned_s``: from the end of a worker's registration to the next write of what it had, while
    any worker is registered. ``moves``: from one worker to another, of all units together, within
    five minutes. ``overlaps``: fetches of one URL by two workers at once. ``converged_s``: from the
    last fault's end until every node works.

    Time in ``no_leader`` does not count for the first, as while etcd has no quorum; time in
    ``no_owner`` does not for the second, as while nobody can lead.
    """

    leaderless_s: float
    orphaned_s: float
    moves: int
    overlaps: int
    converged_s: float = 0.0
    no_leader: tuple[Span, ...] = ()
    no_owner: tuple[Span, ...] = ()


def check_leaders(
    writes: Sequence[EtcdWrite], bounds: Bounds, began: float, ended: float
) -> Finding:
    """L1. After the first leader there is always one, but for so long at a time."""
    found = reigns(writes)
    start = found[0].created_at if found else began
    gaps = list(intervals_without(found, start, ended))
    violations = tuple(
        f"nobody led for {until - since:.1f} s, from {since - began:.1f} s on"
        for since, until in gaps
        if beyond((since, until), bounds.no_leader) > bounds.leaderless_s
    )
    longest = max((beyond(gap, bounds.no_leader) for gap in gaps), default=0.0)
    looked_at = f"{len(found)} reigns, at most {longest:.1f} s between them"
    return Finding("L1 a leader", looked_at, violations)


def check_orphans(
    writes: Sequence[EtcdWrite], bounds: Bounds, began: float, ended: float
) -> Finding:
    """L2. What a dead incarnation had is given on, unless it needs no worker any more."""
    workers = lives(writes, WORKERS)
    nobody = list(intervals_without(workers, began, ended))
    resting = rests(writes, ended)
    orphaned = [
        (unit, *_after_nobody(span, nobody))
        for unit, found in by_unit(namings(writes)).items()
        for span in _orphaned(found, workers, ended)
    ]
    counted = {
        (unit, since): beyond((since, until), (*bounds.no_owner, *resting.get(unit, ())))
        for unit, since, until in orphaned
    }
    violations = tuple(
        f"{unit} was on a dead worker for {alone_s:.1f} s, from {since - began:.1f} s on"
        for (unit, since), alone_s in counted.items()
        if alone_s > bounds.orphaned_s
    )
    longest = max(counted.values(), default=0.0)
    looked_at = f"{len(orphaned)} times on a dead worker, at most for {longest:.1f} s"
    return Finding("L2 an owner", looked_at, violations)


def check_overlaps(hits: Sequence[Hit], bounds: Bounds) -> Finding:
    """L4. An old and a new owner meet at no more than what the old one had in flight."""
    by_url: dict[str, list[Hit]] = {}
    for hit in sorted(hits, key=lambda each: each.start):
        by_url.setdefault(hit.url, []).append(hit)
    overlaps = [
        url
        for url, found in by_url.items()
        for number, one in enumerate(found)
        for other in found[number + 1 :]
        if other.start < one.end and other.worker != one.worker
    ]
    repeats = sum(len(found) - 1 for found in by_url.values())
    looked_at = f"{len(hits)} fetches, {repeats} of them repeats, {len(overlaps)} overlaps"
    too_many = len(overlaps) > bounds.overlaps
    violations = (f"{len(overlaps)} overlaps, as at {overlaps[0]}",) if too_many else ()
    return Finding("L4 overlaps", looked_at, violations)


def check_moves(writes: Sequence[EtcdWrite], bounds: Bounds) -> Finding:
    """L5. No thrash."""
    moves = sorted(move for found in by_unit(namings(writes)).values() for move in _moves(found))
    most, since = 0, 0
    for count, at in enumerate(moves, 1):
        while moves[since] < at - MOVES_WINDOW_S:
            since += 1
        most = max(most, count - since)
    violations = (f"{most} moves within five minutes",) if most > bounds.moves else ()
    return Finding("L5 no thrash", f"{len(moves)} moves", violations)


def check_convergence(converged_s: float | None, bounds: Bounds) -> Finding:
    """L6. After the last fault everything works again by itself. None: it never did."""
    if converged_s is None:
        return Finding("L6 convergence", "the end", ("not every node worked again",))
    late = converged_s > bounds.converged_s
    violations = (f"whole only {converged_s:.1f} s after the last fault",) if late else ()
    return Finding("L6 convergence", f"whole after {converged_s:.1f} s", violations)


def beyond(span: Span, excused: Sequence[Span]) -> float:
    """How much of the span lies outside of all the excused ones, in seconds."""
    since, until = span
    outside_s = 0.0
    for start, end in sorted(excused):
        if start >= until:
            break
        outside_s += max(0.0, start - since)
        since = max(since, end)
    return outside_s + max(0.0, until - since)


def _orphaned(
    found: Sequence[Naming], workers: Sequence[Life], ended: float
) -> Iterator[tuple[float, float]]:
    """When the unit was on an incarnation that was gone."""
    following = [naming.at for naming in found[1:]] + [ended]
    for naming, until in zip(found, following, strict=True):
        key = WORKERS + naming.node_id
        had = [life for life in workers if life.key == key and life.created <= naming.revision]
        if not naming.node_id or not had or had[-1].gone_at is None:
            continue
        since = max(had[-1].gone_at, naming.at)
        if since < until:
            yield since, until


def _after_nobody(
    span: tuple[float, float], nobody: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """The rest of the span after the last time in it at which no worker was there."""
    since, until = span
    for start, end in nobody:
        if start < until and end > since:
            since = min(end, until)
    return since, until


def _moves(found: Sequence[Naming]) -> Iterator[float]:
    """When the unit came to another worker than the one that had it last."""
    given = [naming for naming in found if naming.node_id]
    for last, naming in pairwise(given):
        if last.resource_id == naming.resource_id and last.node_id != naming.node_id:
            yield naming.at
