"""Releases of etcd, judged."""

from __future__ import annotations

import pytest

from crawler.coordination.versions import Version, keeps_strangers_out, read_version


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.4.23", (3, 4, 23)), ("3.6.0-rc.1", (3, 6, 0)), ("", None), ("main", None)],
)
def test_versions_are_read(text: str, version: Version | None) -> None:
    assert read_version(text) == version


@pytest.mark.threat(3)
@pytest.mark.parametrize(
    ("version", "kept_out"),
    [
        ((3, 4, 43), False),
        ((3, 4, 44), True),
        ((3, 5, 0), False),
        ((3, 5, 29), False),
        ((3, 5, 30), True),
        ((3, 6, 10), False),
        ((3, 6, 11), True),
        ((3, 7, 0), True),
    ],
)
def test_where_a_login_protects(version: Version, kept_out: bool) -> None:
    assert keeps_strangers_out(version) is kept_out
