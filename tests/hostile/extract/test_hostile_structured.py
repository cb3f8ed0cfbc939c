"""What hostile pages say about themselves to programs is bounded."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.unit.extract.test_extract_structured import read

# How each is made, when its test runs: together they are tens of megabytes.
HOSTILE: dict[str, Callable[[], str]] = {
    "metas": lambda: "<meta property=og:x content='" + "y" * 3_000 + "'>",
    "many metas": lambda: "<meta property=og:x content=y>" * 20_000,
    "scopes in scopes": lambda: "<div itemscope itemprop='a b c d e f g h i j'>" * 500 + "x",
    "properties in properties": lambda: (
        "<div itemscope>" + "<div itemprop='a b c d e f g h i j'>" * 500 + "x" * 500_000
    ),
    "many properties": lambda: "<div itemscope>" + "<b itemprop=a>x</b>" * 50_000,
    "many scopes": lambda: "<i itemscope itemtype='" + "t " * 1_000 + "'></i>" * 20_000,
    "long names": lambda: "<div itemscope><b itemprop='" + "n" * 1_000_000 + "'>x",
    "deep json-ld": lambda: (
        "<script type=application/ld+json>" + '{"a":' * 400 + "1" + "}" * 400 + "</script>"
    ),
    "large json-ld": lambda: (
        "<script type=application/ld+json>["
        + ('{"a":"' + "x" * 50_000 + '"},') * 40
        + "{}]</script>"
    ),
    "nul": lambda: (
        "<meta property=og:title content='&#0;\x00'><div itemscope><b itemprop='\x00'>\x00"
    ),
}


@pytest.mark.threat(15)
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_bounded(name: str) -> None:
    extraction = read(HOSTILE[name]() + "<h1>x", item={"y": {"xpath": "'y'"}})
    text = json.dumps([item.fields for item in extraction.items], allow_nan=False)
    assert len(text) < 1_000_000
    assert "\\u0000" not in text


def test_what_is_cut_is_told() -> None:
    extraction = read(HOSTILE["large json-ld"]())
    assert extraction.errors == ("rules[0].structured: more than 100000 characters of jsonld",)
    assert len(extraction.items[0].fields["structured"]["jsonld"]) == 1
