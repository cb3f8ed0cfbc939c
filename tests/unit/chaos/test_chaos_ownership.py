"""What the checks of leaders and owners find: S1, S2, S3 and S9."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.acceptance.chaos.history import Commit, Kind, Outcome
from tests.acceptance.chaos.ownership import (
    check_deletes,
    check_namings,
    check_terms,
    check_tokens,
)
from tests.unit.chaos.histories import ADDRESS, ONE, TWO, Etcd, call, changed, commit, kept


@pytest.fixture
def etcd() -> Etcd:
    """Of one worker that is registered."""
    made = Etcd()
    made.join(ONE)
    return made


def test_a_leader_after_the_other_is_in_order() -> None:
    finding = check_terms(kept().writes or ())
    assert finding.violations == ()
    assert finding.looked_at == "2 revisions with decisions, 2 terms"


def test_a_paused_leader_that_writes_after_its_successor_is_found(etcd: Etcd) -> None:
    first, second = etcd.stand("m1"), etcd.stand("m2")
    etcd.resign("m1")
    etcd.assign(second, ONE)
    late = etcd.assign(first, "")
    assert check_terms(etcd.writes).violations == (
        f"revision {late}: term {first} wrote after term {second}",
        f"revision {late}: no election key of term {first} was there",
    )


def test_a_leader_that_writes_once_its_key_is_gone_is_found(etcd: Etcd) -> None:
    term = etcd.stand("m1")
    etcd.assign(term, ONE)
    etcd.resign("m1")
    etcd.assign(term, "")
    (violation,) = check_terms(etcd.writes).violations
    assert "no election key" in violation


def test_a_key_that_is_created_anew_is_another_term(etcd: Etcd) -> None:
    term = etcd.stand("m1")
    etcd.resign("m1")
    assert etcd.stand("m1") != term
    etcd.assign(term, ONE)
    assert "no election key" in check_terms(etcd.writes).violations[0]


def test_a_candidate_that_writes_out_of_its_turn_is_found(etcd: Etcd) -> None:
    first, second = etcd.stand("m1"), etcd.stand("m2")
    written = etcd.assign(second, ONE)
    assert check_terms(etcd.writes).violations == (
        f"revision {written}: term {second} wrote while term {first} stood before it",
    )


def test_an_assignment_by_nobody_is_found(etcd: Etcd) -> None:
    etcd.txn(("/resources/a", {"ID": "7", "AssignedNode": ""}))
    etcd.txn(("/crawler/parts/a/1", {"ID": "7", "AssignedNode": ""}))
    violations = check_terms(etcd.writes).violations
    assert [violation.rpartition(" was ")[2] for violation in violations] == [
        "written by no leader",
        "written by no leader",
    ]


def test_assignments_to_whoever_is_registered_are_in_order() -> None:
    finding = check_namings(kept().writes or ())
    assert (finding.violations, finding.looked_at) == ((), "2 assignments")


def test_an_assignment_to_a_worker_that_has_left_is_found(etcd: Etcd) -> None:
    etcd.leave(ONE)
    etcd.assign(0, ONE)
    (violation,) = check_namings(etcd.writes).violations
    assert ONE in violation
    etcd.join(ONE)
    assert check_namings(etcd.writes).violations == (violation,)


def test_an_assignment_to_where_the_worker_was_before_is_found(etcd: Etcd) -> None:
    etcd.leave(ONE)
    etcd.join(ONE, "10.0.0.2:9090")
    etcd.assign(0, ONE)
    (violation,) = check_namings(etcd.writes).violations
    assert ADDRESS in violation


def test_a_raised_token_names_nobody_anew(etcd: Etcd) -> None:
    etcd.assign(0, ONE)
    etcd.leave(ONE)
    etcd.assign(0, ONE)
    assert check_namings(etcd.writes).violations == ()
    etcd.assign(0, ONE, resource_id="8")
    assert len(check_namings(etcd.writes).violations) == 1


def test_commits_under_tokens_that_rise_are_in_order() -> None:
    history = kept()
    finding = check_tokens(history.commits, history.writes)
    assert (finding.violations, finding.looked_at) == ((), "3 commits under 2 tokens")


@pytest.mark.parametrize(
    ("commits", "says"),
    [
        (changed(2, seq=0), "token (1, 8) after (1, 12)"),
        (changed(1, node=TWO), "committed, the fence named"),
        (changed(1, open=False), "its fence was closed"),
        (changed(2, node=ONE, fence_node=ONE), "was never assigned"),
        (changed(2, revision=11), "was never assigned"),
        (changed(2, part=1), "was never assigned"),
    ],
)
def test_a_commit_that_a_fence_should_have_refused_is_found(
    commits: tuple[Commit, ...], says: str
) -> None:
    violations = check_tokens(commits, kept().writes).violations
    assert any(says in violation for violation in violations), violations


def test_the_assignment_is_looked_up_where_etcd_can_tell_it() -> None:
    strange = commit(1, "https://a/", TWO, 5)
    assert check_tokens([strange], ()).violations
    assert not check_tokens([strange], None).violations
    newer = replace(kept().commits[0], seq=2, epoch=2)
    assert not check_tokens([strange, newer], kept().writes).violations
    assert check_tokens([newer, replace(strange, seq=3)], kept().writes).violations


def test_a_long_name_is_compared_as_the_database_cuts_it() -> None:
    etcd, long = Etcd(), f"go.micro.server.worker-{'x' * 60}"
    etcd.join(long)
    token = etcd.assign(0, long)
    one = replace(commit(1, "https://a/", long, token), node=long[:63])
    assert not check_tokens([one], etcd.writes).violations


def test_a_commit_after_an_acknowledged_delete_is_found() -> None:
    deleted = call(Kind.DELETE, 1.0, 2.0, resource_id="7")
    before, after = (
        commit(1, "https://a/", ONE, 3, at=1.9),
        commit(2, "https://a/1", ONE, 3, at=2.1),
    )
    assert not check_deletes([before], [deleted], ()).violations
    (violation,) = check_deletes([before, after], [deleted], ()).violations
    assert "https://a/1" in violation
    unknown = replace(deleted, outcome=Outcome.INFO)
    assert not check_deletes([after], [unknown], ()).violations


def test_a_commit_after_its_keys_were_erased_is_found(etcd: Etcd) -> None:
    etcd.assign(0, ONE)
    gone = etcd.erase("a")
    etcd.assign(0, ONE, resource_id="8")
    before, after = (commit(1, "https://a/", ONE, 3, at=gone + off) for off in (-0.1, 0.1))
    assert not check_deletes([before], (), etcd.writes).violations
    assert len(check_deletes([before, after], (), etcd.writes).violations) == 1
    later = replace(after, resource_id="8")
    assert not check_deletes([later], (), etcd.writes).violations
