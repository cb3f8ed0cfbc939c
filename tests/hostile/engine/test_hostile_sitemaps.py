"""Sitemaps of full size that were made to hurt end soon, and cost what their entries do."""

from __future__ import annotations

import contextlib
import gzip
import time
import tracemalloc
from collections.abc import Callable

import pytest

from crawler.engine.sitemaps import MAX_ENTRIES, MAX_NESTED
from crawler.errors import FetchFailed
from tests.unit.engine.test_sitemaps import index, pages, read
from tests.unit.engine.world import A


@pytest.mark.threat(12)
def test_a_bomb_is_refused() -> None:
    with pytest.raises(FetchFailed, match="decompression bomb"):
        read(gzip.compress(b"<urlset>" + b" " * (60 << 20)))


@pytest.mark.threat(16)
def test_entries_beyond_the_bounds_are_counted() -> None:
    many = read("".join(f"{A}/{n}\n" for n in range(MAX_ENTRIES + 7)))
    assert len(many.links) == MAX_ENTRIES
    assert many.errors[0].startswith("7 entries left out: more than 50000 pages")
    nested = read(index(*(f"{A}/{n}" for n in range(MAX_NESTED + 1))))
    assert len(nested.links) == MAX_NESTED


@pytest.mark.threat(16)
def test_a_large_sitemap_takes_no_more_memory_than_its_entries() -> None:
    filler = "<junk attribute='x'>" + "y" * 100_000 + "</junk>"
    body = f"<urlset>{filler * 200}<url><loc>{A}/1</loc></url><loc>{'z' * 1_000_000}</loc></urlset>"
    raw = body.encode()
    tracemalloc.start()
    try:
        assert pages(raw) == [f"{A}/1"]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert len(raw) > 20 << 20


@pytest.mark.threat(16)
@pytest.mark.parametrize(
    "make",
    [
        lambda: b"<urlset>" + b"<url><loc/>" * 30,
        lambda: b"\n" * (30 << 20),
        lambda: b"http" * (5 << 20),
        lambda: b"<urlset" + b"".join(b" a%d=''" % n for n in range(500_000)),
        lambda: b"<urlset>" + b"&#120;" * 2_000_000,
    ],
    ids=["depth", "lines", "one line", "open tag", "characters"],
)
def test_hostile_sitemaps_end_soon(make: Callable[[], bytes]) -> None:
    body = make()
    started = time.process_time()
    with contextlib.suppress(FetchFailed):
        assert not read(body).links
    assert time.process_time() - started < 20
