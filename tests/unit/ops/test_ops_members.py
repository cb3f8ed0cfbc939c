"""Thresholds: members of etcd, and the cluster that they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.coordination.checkup import Member, MemberStatus
from crawler.ops import members
from crawler.ops.findings import Severity, failure, fine, warning, worst

WELL = MemberStatus("http://a", 1, 7, "3.5.30", 1, 4, 100, 1000, 900, 0, ())
GIB = 1024**3


@pytest.mark.parametrize(
    ("version", "severity"),
    [
        ("3.3.25", Severity.FAILURE),
        ("3.4.21", Severity.WARNING),
        ("3.4.22", Severity.OK),
        ("3.5.0", Severity.FAILURE),
        ("3.5.2", Severity.FAILURE),
        ("3.5.3", Severity.WARNING),
        ("3.5.5", Severity.WARNING),
        ("3.5.6", Severity.OK),
        ("3.6.0", Severity.OK),
        ("nonsense", Severity.WARNING),
    ],
)
def test_versions(version: str, severity: Severity) -> None:
    assert worst(members.judge_member(replace(WELL, version=version))) is severity


@pytest.mark.parametrize(
    ("version", "said"), [("3.4.43", True), ("3.5.29", True), ("3.5.30", False), ("3.6.10", True)]
)
def test_logins_that_protect_nothing_are_told(version: str, said: bool) -> None:
    (found,) = members.judge_member(replace(WELL, version=version))
    assert ("no protection" in found.text) is said


@pytest.mark.parametrize(
    ("complaint", "severity", "word"),
    [
        ("memberID:1 alarm:NOSPACE ", Severity.FAILURE, "NOSPACE"),
        ("memberID:1 alarm:CORRUPT ", Severity.FAILURE, "CORRUPT"),
        ("etcdserver: something new", Severity.WARNING, "something new"),
    ],
)
def test_complaints(complaint: str, severity: Severity, word: str) -> None:
    found = members.judge_member(replace(WELL, complaints=(complaint,)))
    (bad,) = (each for each in found if each.severity is not Severity.OK)
    assert bad.severity is severity
    assert word in bad.text
    assert bad.advice


def test_a_member_without_a_leader_is_told_once() -> None:
    found = members.judge_member(replace(WELL, leader=0, complaints=("etcdserver: no leader",)))
    assert [each.text for each in found if each.severity is Severity.FAILURE] == [
        "it sees no leader"
    ]


@pytest.mark.parametrize(
    ("other", "severity"),
    [
        (replace(WELL, member=2), Severity.OK),
        (replace(WELL, term=5), Severity.WARNING),
        (replace(WELL, leader=2), Severity.WARNING),
        (replace(WELL, cluster=8), Severity.FAILURE),
    ],
)
def test_agreement(other: MemberStatus, severity: Severity) -> None:
    (found,) = members.judge_agreement([WELL, other])
    assert found.severity is severity


@pytest.mark.parametrize(("answers", "severity"), [(True, "warning"), (False, "failure")])
def test_an_endpoint_that_is_silent(answers: bool, severity: str) -> None:
    (found,) = members.judge_unreached(["http://b"], ["no connection"], any_answers=answers)
    assert found.severity == severity
    assert found.subject == "etcd http://b"


@pytest.mark.parametrize(
    ("size", "answered", "doubts"),
    [(3, 3, 0), (3, 2, 1), (1, 1, 1), (2, 2, 1), (4, 3, 2), (5, 5, 0)],
)
def test_members(size: int, answered: int, doubts: int) -> None:
    known = [Member(number, f"m{number}", (f"http://{number}",)) for number in range(size)]
    found = members.judge_members(known, range(answered))
    assert sum(each.severity is Severity.WARNING for each in found) == doubts


@pytest.mark.parametrize(
    ("share", "severity"),
    [(0.79, "ok"), (0.8, "warning"), (0.94, "warning"), (0.95, "failure"), (1.2, "failure")],
)
@pytest.mark.parametrize("quota", [None, GIB])
def test_space(share: float, severity: str, quota: int | None) -> None:
    size = round((quota or members.DEFAULT_QUOTA_BYTES) * share) + 1
    found = members.judge_space(replace(WELL, db_bytes=size, used_bytes=size), quota)
    assert found.severity == severity
    assert ("(assumed)" in found.text) is (quota is None)


def test_space_that_defragmenting_frees_is_told() -> None:
    found = members.judge_space(replace(WELL, db_bytes=GIB, used_bytes=GIB // 4), GIB)
    assert "defrag" in found.advice


@pytest.mark.parametrize(
    ("oldest", "kept", "severity"),
    [
        (1, 99_999, "ok"),
        (1, 100_000, "warning"),
        (5_000, 100_000, "ok"),
        (5_000, 999_999, "ok"),
        (5_000, 1_000_000, "warning"),
    ],
)
def test_history(oldest: int, kept: int, severity: str) -> None:
    assert members.judge_history(oldest, oldest + kept - 1).severity == severity


@pytest.mark.parametrize(
    ("took_s", "severity"),
    [(0.19, "ok"), (0.2, "warning"), (1.99, "warning"), (2.0, "failure")],
)
def test_writes_are_weighed_against_the_time_to_live(took_s: float, severity: str) -> None:
    assert members.judge_write(took_s, 10.0).severity == severity


def test_the_gravest_finding_counts() -> None:
    good, doubt, bad = fine("a", "b"), warning("a", "b", "c"), failure("a", "b", "c")
    assert worst([]) is Severity.OK
    assert worst([good]) is Severity.OK
    assert worst([good, doubt]) is Severity.WARNING
    assert worst([bad, doubt, good]) is Severity.FAILURE
