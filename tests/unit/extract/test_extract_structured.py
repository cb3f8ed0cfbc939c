"""What a page says about itself to programs, under one field; and what hostile pages do there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawler.definition import from_data
from crawler.engine.extract import Extraction, Extractor

URL = "https://shop.example/list/1"


def read(html: str | bytes, **rule: Any) -> Extraction:
    definition = from_data(
        {
            "start_urls": ["https://shop.example/"],
            "rules": [{"match": "**", "structured": True, **rule}],
        }
    )
    body = html.encode() if isinstance(html, str) else html
    return Extractor(definition).extract(body, URL, content_type="text/html")


def structured(html: str) -> Any:
    (item,) = read(html).items
    return item.fields["structured"]


def test_everything_stands_under_one_field() -> None:
    html = """<meta property="og:title" content=" A  lamp "><meta property=og:image content=/1.png>
    <meta property=og:image content=/2.png><meta name="twitter:card" content=summary>
    <meta name=description content=no><meta property=og:empty content="">
    <script type="application/ld+json">{"@type": "Product", "name": "Lamp"}</script>
    <div itemscope itemtype="https://schema.org/Offer"><b itemprop=price content=3>x</b></div>
    <h1>Lamp</h1>"""
    (item,) = read(html, item={"name": "h1"}).items
    assert item.fields == {
        "name": "Lamp",
        "structured": {
            "jsonld": [{"@type": "Product", "name": "Lamp"}],
            "opengraph": {"og:title": "A lamp", "og:image": ["/1.png", "/2.png"]},
            "twitter": {"card": "summary"},
            "microdata": [{"type": ["https://schema.org/Offer"], "properties": {"price": ["3"]}}],
        },
    }


def test_a_page_without_any_has_none() -> None:
    assert read("<p>x").items == ()
    (item,) = read("<h1>x", item={"name": "h1"}).items
    assert item.fields == {"name": "x", "structured": None}


NESTED = (
    "<div itemscope><p itemprop=o itemscope itemtype='u v'><b itemprop=n>x</b></p>"
    "<i itemscope><b itemprop=m>y</b></i></div>"
)


@pytest.mark.parametrize(
    ("html", "items"),
    [
        ("<p itemprop=a>x", None),
        (
            "<p itemscope><b itemprop='a b'>x <i>y</i></b>",
            [{"properties": {"a": ["x y"], "b": ["x y"]}}],
        ),
        ("<p itemscope itemid=/i>", [{"id": "https://shop.example/i"}]),
        (
            "<p itemscope><a itemprop=u href=/x>t</a>",
            [{"properties": {"u": ["https://shop.example/x"]}}],
        ),
        (
            "<p itemscope><img itemprop=i src=x>",
            [{"properties": {"i": ["https://shop.example/list/x"]}}],
        ),
        ("<p itemscope><time itemprop=t datetime=2024>x</time>", [{"properties": {"t": ["2024"]}}]),
        ("<p itemscope><time itemprop=t>x</time>", [{"properties": {"t": ["x"]}}]),
        (
            "<p itemscope><b itemprop=a>1</b><b itemprop=a>2</b>",
            [{"properties": {"a": ["1", "2"]}}],
        ),
        (
            NESTED,
            [
                {"properties": {"o": [{"type": ["u", "v"], "properties": {"n": ["x"]}}]}},
                {"properties": {"m": ["y"]}},
            ],
        ),
    ],
)
def test_microdata(html: str, items: Any) -> None:
    found = structured(html) if items else read(html).items
    assert found == ({"microdata": items} if items else ())


HOSTILE = {
    "metas": "<meta property=og:x content='" + "y" * 3_000 + "'>",
    "many metas": "<meta property=og:x content=y>" * 20_000,
    "scopes in scopes": "<div itemscope itemprop='a b c d e f g h i j'>" * 500 + "x",
    "properties in properties": "<div itemscope>"
    + "<div itemprop='a b c d e f g h i j'>" * 500
    + "x" * 500_000,
    "many properties": "<div itemscope>" + "<b itemprop=a>x</b>" * 50_000,
    "many scopes": "<i itemscope itemtype='" + "t " * 1_000 + "'></i>" * 20_000,
    "long names": "<div itemscope><b itemprop='" + "n" * 1_000_000 + "'>x",
    "deep json-ld": "<script type=application/ld+json>"
    + '{"a":' * 400
    + "1"
    + "}" * 400
    + "</script>",
    "large json-ld": "<script type=application/ld+json>["
    + ('{"a":"' + "x" * 50_000 + '"},') * 40
    + "{}]</script>",
    "nul": "<meta property=og:title content='&#0;\x00'><div itemscope><b itemprop='\x00'>\x00",
}


@pytest.mark.threat(15)
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_bounded(name: str) -> None:
    extraction = read(HOSTILE[name] + "<h1>x", item={"y": {"xpath": "'y'"}})
    text = json.dumps([item.fields for item in extraction.items], allow_nan=False)
    assert len(text) < 1_000_000
    assert "\\u0000" not in text


def test_what_is_cut_is_told() -> None:
    extraction = read(HOSTILE["large json-ld"])
    assert extraction.errors == ("rules[0].structured: more than 100000 characters of jsonld",)
    assert len(extraction.items[0].fields["structured"]["jsonld"]) == 1
