"""Pages of full size that were made to hurt are read soon, and what they yield can be stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from crawler.engine.extract import Extractor
from crawler.engine.extract.fields import MAX_ITEM_CHARS
from crawler.engine.extract.links import MAX_LINKS
from tests.unit.extract.test_extract_pages import BARE, URL, rules

# How each is made, when its test runs: together they are megabytes.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "attributes": lambda: (
        b"<a href=/x " + b" ".join(b"a%d=1" % n for n in range(300_000)) + b">x</a>"
    ),
    "nested divs": lambda: b"<div class=card>" * 100_000 + b"<a href=/x>x",
    "nested links": lambda: b"<a href=/x><p>" * 50_000,
    "nested tables": lambda: b"<table><tr><td>" * 30_000,
    "nested inline": lambda: b"<h1>" + b"<b>" * 100_000 + b"x",
    "many words": lambda: b"<h1>" + b"<i>x</i> " * 100_000,
    "no page at all": lambda: bytes(range(256)) * 1_000,
    "zeros": lambda: b"\x00" * 100_000,
    "half of utf-16": lambda: b"\xff\xfe\x00\xd8" * 10_000,
    "long href": lambda: b"<a href='" + b"a" * 3_000_000 + b"'>x</a>",
    "deep json-ld": lambda: (
        b"<script type='application/ld+json'>" + b'{"a":' * 5_000 + b"</script>"
    ),
    "nested json-ld": lambda: (
        b"<script type='application/ld+json'>" + b'{"a":' * 500 + b"1" + b"}" * 500 + b"</script>"
    ),
    "json-ld no store takes": lambda: (
        b"<script type='application/ld+json'>"
        b'{"a": 1e999, "b\\u0000": "\\ud800", "c": 99999999999999999999999}</script>'
    ),
    "unclosed": lambda: b"<!doctype html><html><head><title><a href='",
    "empty": lambda: b"",
}


@pytest.mark.threat(15)
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_read_soon_and_can_be_stored(name: str) -> None:
    hungry = Extractor(
        rules(
            {
                "match": "**",
                "follow": ["a", {"xpath": "//div//a"}, {"re": "href=(\\S+)"}],
                "item": {
                    "a": "h1",
                    "b": {"css": "body ::text", "many": True},
                    "c": {"css": "body", "type": "html"},
                    "d": {"jsonld": "a"},
                    "e": {"css": "title", "type": "decimal"},
                },
            }
        )
    )
    body = HOSTILE[name]()
    for extractor in (hungry, BARE):
        extraction = extractor.extract(body, URL, content_type="text/html", trace=True)
        told = [entry.fields for entry in extraction.items] + [list(extraction.links)]
        text = json.dumps(told, ensure_ascii=False, allow_nan=False)
        assert "\\u0000" not in text
        assert text.encode()
        assert all(len(link.url) <= 2_048 for link in extraction.links)


@pytest.mark.threat(15)
@pytest.mark.timeout(20)
def test_links_are_capped() -> None:
    body = b"".join(b"<a href=/x%d>x</a>" % n for n in range(30_000))
    extraction = BARE.extract(body, URL, content_type="text/html")
    assert len(extraction.links) == MAX_LINKS
    assert extraction.errors[0].startswith("20000 links left out")


def test_thousands_of_links_to_a_few_pages_lose_none() -> None:
    body = b"".join(b"<a href='/x%d#%d'>x</a>" % (n % 7, n) for n in range(30_000))
    extraction = BARE.extract(body + b"<a href=/last>", URL, content_type="text/html")
    assert len(extraction.links) == 8
    assert extraction.errors == ()


@pytest.mark.parametrize(
    "field",
    [
        {"css": "div", "many": True},
        {"css": "div", "many": True, "type": "html"},
        {"css": "div", "re": "x+", "many": True},
    ],
)
def test_texts_that_hold_one_another_are_bounded(field: Mapping[str, Any]) -> None:
    """400 elements, each with all of the text of the one within it."""
    body = b"<div>" * 400 + b"x" * 300_000 + b"</div>" * 400 + b"<p>" + b"x" * 12_000_000
    extractor = Extractor(rules({"match": "**", "item": {"a": field, "b": "p", "c": "title"}}))
    extraction = extractor.extract(body, URL, content_type="text/html")
    (item,) = extraction.items
    assert 9_000_000 < sum(len(text) for text in item.fields["a"]) <= MAX_ITEM_CHARS
    assert item.fields["b"] is None
    said = f"left out what makes an item longer than {MAX_ITEM_CHARS} characters"
    assert extraction.errors[:2] == (f"rules[0].a: {said}", f"rules[0].b: {said}")


def test_what_an_expression_searches_is_bounded() -> None:
    body = b"<div>" * 400 + b"x" * 300_000
    extractor = Extractor(
        rules({"match": "**", "item": {"a": {"css": "div", "re": "y"}, "b": "div"}})
    )
    extraction = extractor.extract(body, URL, content_type="text/html")
    assert extraction.errors == (
        "rules[0].a: finds more than 50000000 characters to search with re",
    )
