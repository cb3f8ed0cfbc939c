"""The links of one page are the same however many are added at once."""

from __future__ import annotations

import pytest

from crawler.engine.extract.links import MAX_LINKS, MAX_URL_CHARS, Link, Links
from crawler.engine.extract.page import Page

PAGE = "http://a.example/shop/shelf/page.html"
LIKE = Link("", "goods", 3, {"from": "shelf"})
FEW = ["/a", "b", "../c", "../../d#top", "/a#again", "#here", "mailto:x@y", "http://b.example/e"]


def links() -> Links:
    return Links(Page(b"<p></p>", PAGE))


@pytest.mark.parametrize("number", [0, 1, 8, 999, 1_001, 3_000])
def test_at_once_or_one_by_one(number: int) -> None:
    references = [f"{FEW[n % len(FEW)]}{n // len(FEW) or ''}" for n in range(number)]
    together, apart = links(), links()
    first = together.add(references, LIKE)
    firsts = [apart.add([reference], LIKE) for reference in references]
    assert together.collect() == apart.collect()
    assert first == next(filter(None, firsts), "")


def test_the_first_to_name_a_url_wins() -> None:
    both = links()
    both.add(["/a", "/b"], LIKE)
    assert both.add(["/b", "/c"], Link("", "others")) == "http://a.example/b"
    assert [(link.url, link.to) for link in both.collect()] == [
        ("http://a.example/a", "goods"),
        ("http://a.example/b", "goods"),
        ("http://a.example/c", "others"),
    ]


def test_what_climbs_to_the_top_is_what_stands_there_on_every_page() -> None:
    low, lower = links(), Links(Page(b"<p></p>", "http://a.example/1/2/3/4/"))
    low.add(["../../x/y?z", "../x"], LIKE)
    lower.add(["../../../../x/y?z", "../x"], LIKE)
    assert [link.url for link in low.collect()] == [
        "http://a.example/x/y?z",
        "http://a.example/shop/x",
    ]
    assert [link.url for link in lower.collect()] == [
        "http://a.example/x/y?z",
        "http://a.example/1/2/3/x",
    ]


def test_too_many_and_too_long_ones_are_left_out_and_counted() -> None:
    full = links()
    full.add([f"/{n}" for n in range(MAX_LINKS - 2)], LIKE)
    full.add(["/x", "/" + "y" * MAX_URL_CHARS, "/0", "/z", "/beyond"], LIKE)
    assert len(full.collect()) == MAX_LINKS
    assert full.complaint().startswith("2 links left out")
    assert full.collect()[-1].url == "http://a.example/z"
