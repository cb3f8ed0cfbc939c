"""Thresholds: election, registry, clocks, and which store a cluster belongs to."""

from __future__ import annotations

import pytest

from crawler.coordination.election import Leader
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node
from crawler.ops.clocks import judge_clock
from crawler.ops.findings import Severity, worst
from crawler.ops.roll import Candidate, judge_election, judge_registry, judge_store_id

HERE = "127.0.0.1:9091"
NOW = 1_000_000.0


def candidate(number: int, *, left_s: int | None = 7, address: str = HERE) -> Candidate:
    return Candidate(Leader(f"master{number}-{address}", f"/e/{number}", number), left_s)


def node(service: str, number: int, **metadata: str) -> Node:
    record = {"crawler": "0.1.0", **metadata}
    return Node(f"{service}-{number}", service, HERE, record)


CLUSTER = [node(MASTER_SERVICE, 1), node(MASTER_SERVICE, 2), node(WORKER_SERVICE, 1)]
LOADS = {f"{WORKER_SERVICE}-1"}


@pytest.mark.parametrize(
    ("candidates", "severity"),
    [
        ([], Severity.FAILURE),
        ([candidate(1)], Severity.OK),
        ([candidate(1), candidate(2)], Severity.OK),
        ([candidate(1, left_s=0)], Severity.OK),
        ([candidate(1, left_s=-1)], Severity.FAILURE),
        ([candidate(1, left_s=None)], Severity.FAILURE),
        ([candidate(1), candidate(2, left_s=None)], Severity.WARNING),
        ([candidate(1), candidate(2, left_s=-1)], Severity.WARNING),
        ([candidate(1), candidate(2, address="127.0.0.1:1")], Severity.WARNING),
        ([candidate(1, address="127.0.0.1:1")], Severity.WARNING),
    ],
)
def test_election(candidates: list[Candidate], severity: Severity) -> None:
    assert worst(judge_election(candidates, {HERE})) is severity


@pytest.mark.parametrize(
    ("nodes", "severity", "word"),
    [
        (CLUSTER, Severity.OK, "2 masters, 1 workers"),
        (CLUSTER[1:], Severity.WARNING, "one master only"),
        (CLUSTER[2:], Severity.FAILURE, "no master"),
        (CLUSTER[:2], Severity.WARNING, "no worker"),
        ([*CLUSTER, node(WORKER_SERVICE, 2)], Severity.WARNING, "how busy"),
        (
            [*CLUSTER, Node("x", MASTER_SERVICE, HERE, native=False)],
            Severity.WARNING,
            "knows no fences",
        ),
        ([*CLUSTER, node(MASTER_SERVICE, 3, crawler="0.2.0")], Severity.WARNING, "0.1.0, 0.2.0"),
        (
            [*CLUSTER, node(MASTER_SERVICE, 3, started=f"{NOW + 2}")],
            Severity.OK,
            "3 masters",
        ),
        (
            [*CLUSTER, node(MASTER_SERVICE, 3, started=f"{NOW + 3}")],
            Severity.WARNING,
            "began 3 s from now",
        ),
        ([*CLUSTER, node(MASTER_SERVICE, 3, started="soon")], Severity.OK, "3 masters"),
    ],
)
def test_registry(nodes: list[Node], severity: Severity, word: str) -> None:
    found = judge_registry(nodes, LOADS, NOW)
    assert worst(found) is severity
    assert any(word in each.text for each in found)


@pytest.mark.parametrize(
    ("told", "found", "severity"),
    [("a", "a", "ok"), ("a", "b", "failure"), (None, "a", "warning"), ("a", None, "warning")],
)
def test_the_store_that_a_cluster_belongs_to(
    told: str | None, found: str | None, severity: str
) -> None:
    assert judge_store_id(told, found).severity == severity


@pytest.mark.parametrize(
    ("ahead_s", "doubt_s", "severity"),
    [(2.0, 0.0, "ok"), (2.1, 0.0, "warning"), (-2.1, 0.0, "warning"), (2.5, 0.5, "ok")],
)
def test_clocks(ahead_s: float, doubt_s: float, severity: str) -> None:
    found = judge_clock("x", ahead_s, doubt_s)
    assert found.severity == severity
    if severity == "warning":
        assert ("ahead" in found.text) is (ahead_s > 0)
