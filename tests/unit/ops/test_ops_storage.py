"""Thresholds: stores, masters, and what etcd's HTTP door tells."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.ops.door import read_date, read_quota
from crawler.ops.findings import Severity, worst
from crawler.ops.masters import judge_answer
from crawler.ops.storage import MIB, judge_store

FILE = {
    "backend": "sqlite", "id": "u", "schema": 1, "since": 1, "newest": 1, "version": "3.40",
    "journal": "wal", "size_bytes": 5, "log_bytes": 0, "disk_free_bytes": 1024 * MIB,
}  # fmt: skip
SERVER = {
    "backend": "postgresql", "id": "u", "schema": 1, "since": 1, "newest": 1, "oldest_major": 14,
    "version": "15.1", "major": 15, "encoding": "UTF8", "synchronous_commit": "on", "fsync": True,
    "full_page_writes": True, "standby": False, "connections": 79, "max_connections": 100,
    "size_bytes": 5, "now": 1000.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({}, Severity.OK),
        ({"id": None, "schema": 0}, Severity.WARNING),
        ({"newest": 2}, Severity.WARNING),
        ({"schema": 2}, Severity.WARNING),
        ({"schema": 2, "since": 2}, Severity.FAILURE),
        ({"journal": "delete"}, Severity.WARNING),
        ({"log_bytes": 256 * MIB - 1}, Severity.OK),
        ({"log_bytes": 256 * MIB}, Severity.WARNING),
        ({"disk_free_bytes": 1024 * MIB - 1}, Severity.WARNING),
        ({"disk_free_bytes": 100 * MIB}, Severity.WARNING),
        ({"disk_free_bytes": 100 * MIB - 1}, Severity.FAILURE),
    ],
)
def test_sqlite(change: dict[str, Any], severity: Severity) -> None:
    assert worst(judge_store({**FILE, **change}, 1000.0)) is severity


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({}, Severity.OK),
        ({"major": 14}, Severity.OK),
        ({"major": 13}, Severity.FAILURE),
        ({"encoding": "LATIN1"}, Severity.FAILURE),
        ({"standby": True}, Severity.FAILURE),
        ({"synchronous_commit": "off"}, Severity.FAILURE),
        ({"synchronous_commit": "local"}, Severity.OK),
        ({"fsync": False}, Severity.WARNING),
        ({"full_page_writes": False}, Severity.WARNING),
        ({"connections": 80}, Severity.WARNING),
        ({"connections": 94}, Severity.WARNING),
        ({"connections": 95}, Severity.FAILURE),
        ({"now": 1002.5}, Severity.OK),
        ({"now": 1002.6}, Severity.WARNING),
        ({"now": 997.4}, Severity.WARNING),
    ],
)
def test_postgresql(change: dict[str, Any], severity: Severity) -> None:
    assert worst(judge_store({**SERVER, **change}, 1000.0)) is severity


@pytest.mark.parametrize(
    ("status", "body", "severity", "word"),
    [
        (200, {"ok": True}, "ok", "ready"),
        (401, None, "warning", "token"),
        (404, None, "failure", "404"),
        (503, None, "failure", "not ready"),
        (503, {"checks": {}}, "failure", "not ready"),
        (503, {"checks": {"etcd": {"ok": False, "words": "gone"}}}, "failure", "etcd: gone"),
        (503, {"checks": ["odd"]}, "failure", "not ready"),
    ],
)
def test_masters(status: int, body: Any, severity: str, word: str) -> None:
    found = judge_answer("master x", status, body)
    assert found.severity == severity
    assert word in found.text


def test_a_date_is_right_to_half_a_second_and_half_the_wait() -> None:
    headers = {"Date": "Thu, 01 Jan 1970 00:16:45 GMT"}
    assert read_date(headers, 1000.0, 1.0) == (5.0, 1.0)
    assert read_date({"Date": "soon"}, 1000.0, 1.0) == (None, 0.0)
    assert read_date({}, 1000.0, 1.0) == (None, 0.0)


@pytest.mark.parametrize(
    ("line", "quota"),
    [
        (b"etcd_server_quota_backend_bytes 2.147483648e+09", 2 * 1024**3),
        (b"# TYPE etcd_server_quota_backend_bytes gauge", None),
        (b"etcd_server_quota_backend_bytes 0", None),
        (b"etcd_server_quota_backend_bytes 9.223372036854775e+18", None),
        (b"", None),
    ],
)
def test_the_quota_stands_in_the_metrics(line: bytes, quota: int | None) -> None:
    assert read_quota(b"a 1\n" + line + b"\nb 2\n") == quota
