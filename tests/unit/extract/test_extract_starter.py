"""A starter definition from a real page: it always loads, and finds what it names."""

from __future__ import annotations

import pytest

from crawler.definition import load_text
from crawler.engine.extract import Extractor, guess, starter

URL = "https://books.example/index.html"
CARDS = "".join(
    f'<li class="col-6"><article class="product_pod">'
    f'<h3><a href="book-{n}.html">A Book {n}</a></h3>'
    f'<p class="price_color">£{n}.77</p></article></li>'
    for n in range(20)
)
LIST = f"""<title>All</title><meta name=description content="x">
<header><a href="/">Home</a></header>
<nav><a href=/a>A</a><a href=/b>B</a><a href=/c>C</a></nav><h1>All "products"</h1>
<ol class=row>{CARDS}</ol><ul class=pager><li class=next><a href="page-2.html">next</a></ul>"""


def test_a_list_page_is_understood() -> None:
    text = starter(guess(URL, LIST.encode()))
    definition = load_text(text)
    listing, page = definition.rules
    assert (listing.match, page.name) == (URL, "page")
    assert page.item["price"].type == "decimal"
    extraction = Extractor(definition).extract(LIST.encode(), URL, content_type="text/html")
    assert extraction.links[0].url == "https://books.example/page-2.html"
    assert extraction.links[0].is_next
    books = {f"https://books.example/book-{n}.html" for n in range(20)}
    assert {link.url for link in extraction.links[1:]} == books
    assert {link.to for link in extraction.links[1:]} == {"page"}
    assert "20 links" in text


def test_a_page_of_its_own_becomes_a_site() -> None:
    html = """<h1>Thing</h1><span class="price">$ 12.50</span><time datetime=2024-01-02>x</time>
    <script type="application/ld+json">{"brand": {"name": "ACME"}, "sku": "9"}</script>
    <article><p>one</p><p>two</p></article>"""
    url = "https://shop.example/thing?id=1"
    definition = load_text(starter(guess(url, html.encode())))
    (thing,) = Extractor(definition).extract(html.encode(), url, content_type="text/html").items
    assert thing.fields == {
        "title": "Thing",
        "price": "12.50",
        "sku": "9",
        "brand": "ACME",
        "published": "2024-01-02",
        "body": ["one", "two"],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(range(256)),
        b"<h1>quote \" backslash \\ newline \n \x07 \xc2\x85 </h1>",
        b"<title>\"\"\"</title><meta name=description content='#\"\\'>",
        b'<p class="a:b c\\d"><a class="[x]" href="/1">l</a><a class="[x]" href="/2">l</a>' * 9,
        b"".join(b'<article><h2><a href="/%d">link</a></h2></article>' % n for n in range(9)),
        b"<a href=/x>" * 5_000,
        b'<a rel=next href="http://[bad">n</a>' + b'<p class=c><a href="http://[bad">x</a></p>' * 4,
        b"<div class=price>" * 5_000 + b"$5",
    ],
)  # fmt: skip
@pytest.mark.parametrize("url", ["https://h.example/", "http://127.0.0.1:8080/a*b?x=%22*&y='#z"])
def test_it_always_loads(body: bytes, url: str) -> None:
    definition = load_text(starter(guess(url, body)))
    extraction = Extractor(definition).extract(
        body, url.partition("#")[0], content_type="text/html"
    )
    assert extraction.rule is not None
