"""What pages ask robots to do about their links is done, unless a definition says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.definition import from_data
from crawler.engine.extract import Extraction, Extractor

URL = "https://a.example/x/y"
LINKS = "<a href=/1>1</a><a rel='NoFollow noopener' href=/2>2</a><a rel=nofollowed href=/3>3</a>"


def read(html: str, *, trace: bool = False, **settings: Any) -> Extraction:
    definition = from_data({"start_urls": ["https://a.example/"], **settings})
    return Extractor(definition).extract(html.encode(), URL, content_type="text/html", trace=trace)


def paths(extraction: Extraction) -> list[str]:
    return [link.url.removeprefix("https://a.example") for link in extraction.links]


def test_links_marked_nofollow_are_left_alone() -> None:
    assert paths(read(LINKS)) == ["/1", "/3"]
    assert paths(read(LINKS, nofollow="ignore")) == ["/1", "/2", "/3"]


def test_rules_leave_them_alone_too_and_a_trace_tells() -> None:
    rules = [{"match": "**", "next": "a[href='/2']", "follow": ["a"], "item": {"t": "a"}}]
    found = read(LINKS, rules=rules, trace=True)
    assert paths(found) == ["/1", "/3"]
    assert found.errors == ('2 links left alone: rel=nofollow (see "nofollow")',)
    assert found.items[0].fields["t"] == "1"
    assert not read(LINKS, rules=rules).errors


@pytest.mark.parametrize(
    ("meta", "followed"),
    [
        ("<meta name=robots content=nofollow>", False),
        ("<META NAME='ROBOTS' CONTENT='NoIndex , NoFollow'>", False),
        ("<meta name=robots content='noindex nofollow'>", False),
        ("<meta name=robots content=none>", False),
        ("<meta name='crawler-cluster' content=nofollow>", False),
        ("<meta name=otherbot content=nofollow>", True),
        ("<meta name=robots content='noindex, follow'>", True),
        ("<meta name=robots content=index><meta name=robots content=nofollow>", False),
        ("<meta name=robots>", True),
        ("<meta property=robots content=nofollow>", True),
    ],
)
def test_a_page_that_says_nofollow_yields_its_item_and_no_links(meta: str, followed: bool) -> None:
    found = read(f"<title>t</title>{meta}{LINKS}")
    assert bool(found.links) is followed
    assert found.items[0].fields["title"] == "t"
    assert found.errors == (() if followed else ("links left alone: the page says nofollow",))
    assert paths(read(meta + LINKS, nofollow="ignore")) == ["/1", "/2", "/3"]


def test_an_agent_of_ones_own_is_meant_by_its_name() -> None:
    html = "<meta name=shopbot content=nofollow>" + LINKS
    assert not read(html, user_agent="Mozilla/5.0 (compatible; ShopBot/2.0)").links
    assert not read(html, user_agents=["ShopBot/2.0", "Other/1"]).links
    assert read(html).links


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<link rel=canonical href=/c#x>", "https://a.example/c"),
        ("<base href=/b/><link rel='nofollow CANONICAL' href=c>", "https://a.example/b/c"),
        ("<link rel=canonical href=''>", None),
        ("<link rel=canonical>", None),
        ("<link rel=canonical href='data:,x'>", None),
        ("", None),
    ],
)
def test_the_canonical_url_is_resolved(head: str, expected: str | None) -> None:
    assert read(head).canonical == expected


def test_links_beyond_the_cap_are_told_before_anything_else() -> None:
    many = "".join(f"<a href=/{n}></a>" for n in range(10_002))
    rules = [{"match": "**", "follow": ["a"], "item": {"x": {"css": "a", "type": "int"}}}]
    errors = read(f"<a href=/x>no number</a>{many}", rules=rules).errors
    assert errors[0].startswith("3 links left out")
    assert len(errors) > 1
