"""Sitemaps of full size that were made to hurt end soon, and cost what their entries do."""

from __future__ import annotations

import contextlib
import gzip
import time
import tracemalloc
from collections.abc import Callable

import pytest

from crawler.engine.fetch import Page
from crawler.engine.sitemaps import MAX_BYTES, MAX_ENTRIES, MAX_NESTED
from crawler.errors import FetchFailed
from tests.unit.engine.test_sitemaps import index, pages, read
from tests.unit.engine.virtual import run
from tests.unit.engine.world import FAST, A, World


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


def filled(head: bytes, unit: bytes) -> bytes:
    """As large as a sitemap may be."""
    return head + unit * (MAX_BYTES // len(unit))


@pytest.mark.threat(16)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: filled(b"<urlset>", b"<url><loc>/1</loc></url>"), "more than 200000 entries"),
        (lambda: filled(b"<urlset>", b"<url><loc>http://[</loc></url>"), "200000 entries"),
        (lambda: filled(b"", b"https://a.example/1\n"), "more than 200000 entries"),
        (lambda: filled(b"<urlset>", b"<url/>"), "more than 2000000 elements"),
        (lambda: filled(b"<urlset><!--", b"x" * 99), "a tag or comment of more than"),
        (lambda: filled(b"<urlset a='", b"x" * 99), "a tag or comment of more than"),
        (lambda: b"<urlset>" + b"".join(b"<a%d/>" % n for n in range(1_001)), "1000 names"),
        (lambda: b"<urlset>" + b"".join(b"<a a%d=''/>" % n for n in range(1_001)), "1000 names"),
    ],
    ids=["entries", "no entries", "lines", "elements", "comment", "tag", "names", "attributes"],
)
def test_what_is_not_read_to_its_end_ends_soon(make: Callable[[], bytes], reason: str) -> None:
    """Long before a child that parses counts as hung."""
    body = make()
    started = time.process_time()
    (cut,) = (each for each in read(body).errors if each.startswith("not read to its end"))
    assert reason in cut
    assert time.process_time() - started < 10


@pytest.mark.threat(16)
def test_indexes_that_name_one_another_come_to_an_end() -> None:
    maps = {f"{A}/{n}.xml": index(*(f"{A}/{k}.xml" for k in range(9))) for n in range(9)}
    site = {url: Page(url, 200, body.encode(), "application/xml") for url, body in maps.items()}
    made = World(site, start_urls=[], sitemaps=[f"{A}/0.xml"], **FAST)
    run(made.crawl().run())
    assert sorted(url for _, url in made.site.log) == sorted(maps)


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
