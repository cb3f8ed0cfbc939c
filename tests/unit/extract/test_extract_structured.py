"""What a page says about itself to programs, under one field."""

from __future__ import annotations

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
