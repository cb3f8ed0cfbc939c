"""What etcd's errors mean to a caller."""

from __future__ import annotations

import pytest

from crawler.coordination.verdicts import Code, Verdict, judge, to_error
from crawler.errors import (
    Compacted,
    CrawlerError,
    EtcdUnavailable,
    Exhausted,
    Hindered,
    InvalidInput,
    Misconfigured,
    SessionLost,
    TooLarge,
)


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        (Code.UNAVAILABLE, "etcdserver: no leader", Verdict.ELSEWHERE),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Verdict.ELSEWHERE),
        (Code.UNAVAILABLE, "failed to connect to all addresses; last error: x", Verdict.ELSEWHERE),
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", Verdict.LOGIN),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", Verdict.LOGIN),
        (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Verdict.LOGIN),
        # Proposed to the cluster and not heard of again.
        (Code.UNAVAILABLE, "etcdserver: request timed out", Verdict.UNKNOWN),
        (Code.UNAVAILABLE, "etcdserver: server stopped", Verdict.UNKNOWN),
        (Code.UNAVAILABLE, "Socket closed", Verdict.UNKNOWN),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", Verdict.UNKNOWN),
        (Code.UNKNOWN, "", Verdict.UNKNOWN),
        (Code.INTERNAL, "", Verdict.UNKNOWN),
        (Code.CANCELLED, "", Verdict.UNKNOWN),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", Verdict.FINAL),
        (Code.INVALID_ARGUMENT, "etcdserver: request is too large", Verdict.FINAL),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", Verdict.FINAL),
    ],
)
def test_verdicts(code: Code, details: str, verdict: Verdict) -> None:
    assert judge(code, details) is verdict


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (Code.NOT_FOUND, "etcdserver: requested lease not found", SessionLost),
        (Code.INVALID_ARGUMENT, "etcdserver: request is too large", TooLarge),
        (Code.RESOURCE_EXHAUSTED, "grpc: received message larger than max (3 vs. 2)", TooLarge),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Exhausted),
        (Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request", InvalidInput),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", Hindered),
        (Code.UNIMPLEMENTED, "unknown service", Misconfigured),
        (Code.UNAVAILABLE, "etcdserver: no leader", EtcdUnavailable),
        (Code.DEADLINE_EXCEEDED, "", EtcdUnavailable),
        (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", Compacted),
        (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision", Compacted),
    ],
)
def test_errors(code: Code, details: str, kind: type[CrawlerError]) -> None:
    error = to_error(code, details)
    assert type(error) is kind
    assert "etcdserver" not in str(error)
