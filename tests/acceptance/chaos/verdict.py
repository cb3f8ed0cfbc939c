"""The verdict on a recorded history: every check that what was recorded allows, and whether the run
met enough to say anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.acceptance.chaos.history import Finding, History, Outcome
from tests.acceptance.chaos.liveness import (
    Bounds,
    check_convergence,
    check_leaders,
    check_moves,
    check_orphans,
    check_overlaps,
)
from tests.acceptance.chaos.outcome import (
    Truth,
    check_atomicity,
    check_completeness,
    check_uniqueness,
)
from tests.acceptance.chaos.ownership import (
    check_deletes,
    check_identities,
    check_namings,
    check_terms,
    check_tokens,
)
from tests.acceptance.chaos.register import check_answers
from tests.acceptance.chaos.replay import reigns

WINDOW_S = 1.0


class Judgement(StrEnum):
    """What a run shows."""

    VALID = "valid"
    INVALID = "invalid"  # a promise was broken, whatever else is unknown
    INCONCLUSIVE = "inconclusive"  # nothing broken was found, where not enough could be


@dataclass(frozen=True, slots=True)
class Needs:
    """What a run must have met to count. A directed run asks for what it is directed at.

    ``terms`` are leaders that took over, ``busy`` is the share of seconds before the first fault in
    which pages were committed.
    """

    terms: int = 3
    refusals: int = 5
    unknown: int = 3
    ambiguous: int = 1
    compactions: int = 1
    busy: float = 0.8


@dataclass(frozen=True, slots=True)
class Verdict:
    """``doubts``: why the run does not count, if nothing was broken."""

    judgement: Judgement
    findings: tuple[Finding, ...]
    doubts: tuple[str, ...]

    def table(self) -> str:
        """For people: a line per promise, its violations below it, and the doubts."""
        lines = [self.judgement.value.upper()]
        for finding in self.findings:
            kept = f"BROKEN {len(finding.violations)}x" if finding.violations else "kept"
            lines.append(f"{finding.promise:<28} {kept:<12} {finding.looked_at}")
            lines += [f"    {violation}" for violation in finding.violations]
        return "\n".join([*lines, *(f"doubt: {doubt}" for doubt in self.doubts)])


def verdict(history: History, truth: Truth, bounds: Bounds, needs: Needs | None = None) -> Verdict:
    """Judge a run. ``needs`` None: all that a random run must have met."""
    findings, unjudged = _findings(history, truth, bounds)
    doubts = (*unjudged, *_unmet(history, needs or Needs()))
    if any(finding.violations for finding in findings):
        judgement = Judgement.INVALID
    else:
        judgement = Judgement.INCONCLUSIVE if doubts else Judgement.VALID
    return Verdict(judgement, findings, doubts)


def _findings(
    history: History, truth: Truth, bounds: Bounds
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The findings, and what could not be judged."""
    writes, pages, items, commits = (
        history.writes,
        history.pages,
        history.items,
        history.commits,
    )
    found = (
        check_tokens(commits, writes),
        check_atomicity(pages, items, truth),
        check_completeness(pages, items, truth),
        check_uniqueness(pages, items, commits, truth),
        check_deletes(commits, history.calls, writes),
        check_overlaps(history.hits, bounds),
        check_convergence(history.converged_s, bounds),
    )
    if writes is None:
        return found, ("etcd's history was compacted: S1, S2, S7, S8, L1, L2 and L5 not judged",)
    answers, left_out = check_answers(history.calls, writes)
    by_etcd = (
        check_terms(writes),
        check_namings(writes),
        check_identities(writes),
        answers,
        check_leaders(writes, bounds, history.began, history.ended),
        check_orphans(writes, bounds, history.began, history.ended),
        check_moves(writes, bounds),
    )
    every = sorted((*found, *by_etcd), key=lambda each: _rank(each.promise))
    return tuple(every), tuple(f"{name}: too many calls to be judged" for name in left_out)


def _rank(promise: str) -> tuple[bool, int]:
    """Safety first, and by number."""
    letter, number = promise[0], promise[1:].partition(" ")[0]
    return letter != "S", int(number)


def _unmet(history: History, needs: Needs) -> Iterator[str]:
    unknown = sum(call.outcome is Outcome.INFO for call in history.calls)
    met = history.met
    for what, count, least in (
        ("terms", len(reigns(history.writes or ())), needs.terms),
        ("fenced refusals", met.refusals, needs.refusals),
        ("unknown answers", unknown, needs.unknown),
        ("ambiguous commits", met.ambiguous, needs.ambiguous),
        ("compactions met", met.compactions, needs.compactions),
    ):
        if count < least:
            yield f"{what}: {count}, where {least} are needed"
    busy = busy_share(history)
    if busy < needs.busy:
        yield f"pages were committed in {busy:.0%} of the seconds before the first fault"


def busy_share(history: History) -> float:
    """The share of whole seconds with commits, from the first commit to the first fault; 0 where
    there is no such second."""
    first = min((commit.at for commit in history.commits), default=history.ended)
    until = history.ended if history.first_fault is None else history.first_fault
    windows = int((until - first) / WINDOW_S)
    if windows < 1:
        return 0.0
    busy = {int((commit.at - first) / WINDOW_S) for commit in history.commits}
    return len(busy & set(range(windows))) / windows
