"""JSON and matches of full size that were made to hurt: bounded, and what is cut is told."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from crawler.engine.extract.links import MAX_LOAD
from crawler.engine.extract.page import MAX_JSON_VALUES
from crawler.engine.extract.scopes import MAX_MATCHES, MAX_NESTED
from tests.unit.extract.test_extract_json import read


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "body",
    [
        b'{"a": ' * 900 + b"1" + b"}" * 900,
        b"[" * 900 + b"]" * 900,
        b'{"a\\u0000": "\\ud800", "a": "\\u0000\\ud800"}',
        b"[" + b"1," * 30_000 + b"1]",
        b"\xff\xfe\x00\xd8" * 1_000,
        b'{"a": "\xff"}',
    ],
)
def test_hostile_json_is_read_soon_and_can_be_stored(body: bytes) -> None:
    paths = ["@", "a", "a == @", "to_string(@)", "[@, @]", "@[]", "*.a", "length(@)", "join('', @)"]
    rule = {
        "kind": "json",
        "item": {f"f{n}": {"json": path, "type": "str"} for n, path in enumerate(paths)},
        "follow": ["@[]", "a"],
    }
    for each in ({}, {"each": "@[]"}):
        extraction = read(body, {**rule, **each}, trace=True)
        told = [entry.fields for entry in extraction.items] + [list(extraction.links)]
        assert json.dumps(told, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (lambda: b"[" + b"[]," * MAX_JSON_VALUES, "more than"),
    ],
    ids=["deep", "many"],
)
def test_json_beyond_the_bounds_is_not_read_and_told(make: Callable[[], bytes], said: str) -> None:
    extraction = read(make(), {"kind": "json", "item": {"a": "a"}})
    assert extraction.items == ()
    assert said in "".join(extraction.errors)


def test_a_text_joined_without_end_is_refused() -> None:
    body = {"a": "x" * 100_000, "b": [""] * 100_000}
    extraction = read(body, {"kind": "json", "item": {"a": "join(a, b)", "c": "length(a)"}})
    assert extraction.items[0].fields == {"a": None, "c": 100_000}
    assert "join() would make more" in extraction.errors[0]


@pytest.mark.timeout(30)
def test_matches_are_capped_and_what_is_cut_is_told() -> None:
    rule = {"each": "p", "item": {"a": "p"}}
    many = read("<p>x</p>" * (MAX_MATCHES + 7), rule)
    assert len(many.items) == MAX_MATCHES
    assert many.errors == ("rules[0].each: 7 matches left out: more than 10000",)
    many = read([1] * (MAX_MATCHES + 7), {"kind": "json", "each": "@", "item": {"a": "@"}})
    assert len(many.items) == MAX_MATCHES
    assert many.errors == ("rules[0].each: 7 matches left out: more than 10000",)


@pytest.mark.timeout(30)
def test_matches_within_matches_are_capped() -> None:
    nested = "<div>" * 400 + "<p>x</p>" * 20_000
    extraction = read(nested, {"each": "div", "item": {"a": "p"}})
    assert len(extraction.items) == MAX_NESTED + 1
    assert "nested deeper" in extraction.errors[0]


def test_the_items_of_a_page_are_bounded_together() -> None:
    html = f"<p>{'x' * 6_000}</p>" * 3_000
    extraction = read(html, {"each": "p", "item": {"a": "p"}})
    assert 1_500 < len(extraction.items) < 1_700
    assert "matches left out: the items of a page hold at most" in extraction.errors[-1]


def test_what_links_carry_is_bounded_together() -> None:
    html = "".join(f"<p><a href=/{n}>x</a>{'y' * 10_000}</p>" for n in range(600))
    rule = {"each": "p", "follow": [{"css": "a", "carry": {"text": "p"}}]}
    extraction = read(html, rule)
    assert 390 < len(extraction.links) < 400
    assert f"at most {MAX_LOAD} characters together" in extraction.errors[-1]
