"""The verdict on whole runs: valid, invalid, or nothing can be said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.acceptance.chaos.history import History, Hit, Kind, Met, Outcome
from tests.acceptance.chaos.liveness import Bounds
from tests.acceptance.chaos.verdict import Judgement, Needs, busy_share, verdict
from tests.unit.chaos.histories import (
    BOUNDS,
    ITEMS,
    NEEDS,
    ONE,
    PAGES,
    SPEC,
    TRUTH,
    TWO,
    Etcd,
    call,
    changed,
    commit,
    kept,
)

STRICT = Bounds(leaderless_s=0.5, orphaned_s=0.5, moves=0, overlaps=0)


def test_a_run_that_kept_everything_is_valid() -> None:
    found = verdict(kept(), TRUTH, BOUNDS, NEEDS)
    assert found.judgement is Judgement.VALID, found.table()
    assert [each.promise.split()[0] for each in found.findings] == [
        *("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S9", "S10"),
        *("L1", "L2", "L4", "L5", "L6"),
    ]
    assert found.doubts == ()


def without_term() -> History:
    writes = kept().writes or ()
    return replace(kept(), writes=tuple(each for each in writes if "/decisions/" not in each.key))


def unregistered() -> History:
    writes = kept().writes or ()
    return replace(kept(), writes=tuple(each for each in writes if not each.key.endswith(TWO)))


def replaced_alive() -> History:
    """A registration is written over by somebody else's."""
    writes = kept().writes or ()
    mine = next(each for each in writes if each.key.endswith(ONE))
    other = replace(mine, revision=mine.revision + 100, value=b'{"nodes":[{"address":"b:1"}]}')
    return replace(kept(), writes=(*writes, other))


BROKEN: dict[str, tuple[History, Bounds]] = {
    "S1": (without_term(), BOUNDS),
    "S2": (unregistered(), BOUNDS),
    "S3": (replace(kept(), commits=changed(1, node=TWO)), BOUNDS),
    "S4": (replace(kept(), items=ITEMS[1:]), BOUNDS),
    "S5": (replace(kept(), pages=PAGES[1:]), BOUNDS),
    "S6": (replace(kept(), items=(*ITEMS, ITEMS[0])), BOUNDS),
    "S7": (replace(kept(), calls=(call(Kind.GET, 9, 10, spec=SPEC),)), BOUNDS),
    "S9": (
        replace(kept(), calls=(*kept().calls, call(Kind.DELETE, 9, 9.6, resource_id="7"))),
        BOUNDS,
    ),
    "L1": (kept(), replace(BOUNDS, leaderless_s=0.5)),
    "L2": (kept(), replace(BOUNDS, orphaned_s=0.5)),
    "L4": (
        replace(kept(), hits=(Hit("u", 1, 2, ONE), Hit("u", 1, 2, TWO))),
        replace(BOUNDS, overlaps=0),
    ),
    "L5": (kept(), replace(BOUNDS, moves=0)),
    "L6": (replace(kept(), converged_s=None), BOUNDS),
    "S10": (replaced_alive(), BOUNDS),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_each_broken_promise_makes_a_run_invalid(promise: str) -> None:
    history, bounds = BROKEN[promise]
    found = verdict(history, TRUTH, bounds, NEEDS)
    assert found.judgement is Judgement.INVALID
    broken = [each for each in found.findings if each.violations]
    assert promise in [each.promise.split()[0] for each in broken], found.table()
    assert f"    {broken[0].violations[0]}" in found.table().splitlines()


@pytest.mark.parametrize(
    ("needs", "doubt"),
    [
        (replace(NEEDS, terms=3), "terms: 2, where 3 are needed"),
        (replace(NEEDS, refusals=2), "fenced refusals: 1, where 2 are needed"),
        (replace(NEEDS, unknown=1), "unknown answers: 0, where 1 are needed"),
        (replace(NEEDS, ambiguous=1), "ambiguous commits: 0, where 1 are needed"),
        (replace(NEEDS, compactions=1), "compactions met: 0, where 1 are needed"),
        (replace(NEEDS, busy=0.9), "pages were committed in 50% of the seconds"),
    ],
)
def test_a_run_that_met_too_little_is_inconclusive(needs: Needs, doubt: str) -> None:
    found = verdict(kept(), TRUTH, BOUNDS, needs)
    assert found.judgement is Judgement.INCONCLUSIVE
    assert len(found.doubts) == 1
    assert found.doubts[0].startswith(doubt)
    assert f"doubt: {found.doubts[0]}" in found.table()


def test_a_violation_counts_also_where_the_run_met_too_little() -> None:
    assert verdict(kept(), TRUTH, STRICT, Needs()).judgement is Judgement.INVALID


def test_without_etcds_history_a_run_is_inconclusive_or_invalid() -> None:
    needs = replace(NEEDS, terms=0)
    compacted = replace(kept(), writes=None)
    found = verdict(compacted, TRUTH, STRICT, needs)
    assert found.judgement is Judgement.INCONCLUSIVE
    assert "compacted" in found.doubts[0]
    twice = replace(compacted, items=(*ITEMS, ITEMS[0]))
    assert verdict(twice, TRUTH, BOUNDS, needs).judgement is Judgement.INVALID


def test_a_name_that_was_not_judged_makes_a_run_inconclusive() -> None:
    looks = tuple(call(Kind.GET, 9 + n, 9.5 + n, resource_id="7") for n in range(11))
    found = verdict(replace(kept(), calls=(*kept().calls, *looks)), TRUTH, BOUNDS, NEEDS)
    assert found.judgement is Judgement.INCONCLUSIVE
    assert found.doubts == ("a: too many calls to be judged",)


def test_a_random_run_must_meet_everything() -> None:
    etcd = Etcd()
    for number in range(3):
        term = etcd.stand(f"m{number}")
        etcd.lead(f"m{number}")
        etcd.assign(term, "")
        if number < 2:
            etcd.resign(f"m{number}")
    history = History(
        began=1.0,
        ended=20.0,
        first_fault=15.0,
        writes=tuple(etcd.writes),
        commits=tuple(
            replace(commit(n, str(n), ONE, 9, at=4.0 + n), resource_id="8") for n in range(11)
        ),
        calls=tuple(call(Kind.ADD, 1, 2, Outcome.INFO) for _ in range(3)),
        met=Met(refusals=5, ambiguous=1, compactions=1),
    )
    assert verdict(history, {}, BOUNDS).doubts == ()


def test_the_busy_share_counts_seconds_before_the_first_fault() -> None:
    commits = tuple(commit(n, str(n), ONE, 1, at=at) for n, at in enumerate((10, 10.5, 13, 19)))
    history = History(began=0.0, ended=20.0, first_fault=14.0, commits=commits)
    assert busy_share(history) == 0.5
    assert busy_share(replace(history, first_fault=None)) == 0.3
    assert busy_share(replace(history, first_fault=10.5)) == 0.0
    assert busy_share(replace(history, commits=())) == 0.0
