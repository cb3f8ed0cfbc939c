"""What whole pages yield: items, links, carried values, traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crawler.definition import Definition, for_url, from_data, load_text
from crawler.engine.extract import Extraction, Extractor
from crawler.engine.extract.page import Page

URL = "https://shop.example/list/1"
BARE = Extractor(for_url("https://shop.example/"))


def rules(*tables: dict[str, Any]) -> Definition:
    return from_data({"start_urls": ["https://shop.example/"], "rules": list(tables)})


def read(html: str | bytes, *tables: dict[str, Any], **options: Any) -> Extraction:
    body = html.encode() if isinstance(html, str) else html
    extractor = Extractor(rules(*({"match": "**", **table} for table in tables)))
    return extractor.extract(body, URL, content_type="text/html", **options)


def item(html: str | bytes, field: Any, **options: Any) -> Any:
    """The value of one field; a second field keeps the item from being empty."""
    extraction = read(html, {"item": {"x": field, "y": {"xpath": "'y'"}}}, **options)
    return extraction.items[0].fields["x"]


def urls(html: str, *, base: str = URL) -> list[str]:
    extraction = BARE.extract(html.encode(), base, content_type="text/html")
    return [link.url for link in extraction.links]


SHOP = load_text("""
start_urls = ["https://shop.example/"]
[[rules]]
match = "https://shop.example/list/*"
name = "list"
next = "a[rel=next]"
[[rules.follow]]
css = ".card a"
to = "product"
priority = 3
carry = { category = "h1::text", from = { carry = "from" } }
[[rules.follow]]
css = "nav a"
[[rules]]
name = "product"
item.name = { css = "h1::text", required = true }
item.price = { css = ".price", type = "decimal" }
item.category = { carry = "category" }
""")  # fmt: skip
LIST = b"""<nav><a href="/about">About</a><a href="/p/1">One again</a></nav><h1>Lamps</h1>
<div class=card><a href="/p/1">One</a></div><div class=card><a href="/p/2#x">Two</a></div>
<a rel=next href="2">more</a><a rel=next href="3">last</a>"""


def test_a_list_yields_links_with_what_they_carry() -> None:
    extraction = Extractor(SHOP).extract(LIST, URL, content_type="text/html", carry={"from": "ad"})
    assert extraction.rule == "list"
    assert extraction.items == ()
    more, one, two, about = extraction.links
    assert (more.url, more.to, more.is_next) == ("https://shop.example/list/2", "list", True)
    assert more.carry == {"from": "ad"}  # pagination keeps what was carried here
    assert (one.url, one.to, one.priority) == ("https://shop.example/p/1", "product", 3)
    assert one.carry == {"category": "Lamps", "from": "ad"}
    assert two.url == "https://shop.example/p/2"
    assert (about.to, about.is_next, about.carry) == (None, False, {})
    assert json.dumps([link.carry for link in extraction.links])


def test_a_product_yields_its_item() -> None:
    extraction = Extractor(SHOP).extract(
        b"<h1> Lamp <b>new</b> </h1><p class=price>1.299,00\xc2\xa0\xe2\x82\xac</p>",
        "https://shop.example/p/1",
        content_type="text/html; charset=utf-8",
        rule="product",
        carry={"category": "Lamps"},
    )
    (product,) = extraction.items
    assert product.rule == "product"
    assert product.fields == {"name": "Lamp", "price": "1299.00", "category": "Lamps"}
    assert product.missing == ()
    assert extraction.errors == ()


def test_a_missing_required_field_is_listed_and_the_item_kept() -> None:
    extraction = Extractor(SHOP).extract(
        b"<p class=price>on request</p>", "https://shop.example/p/1", rule="product"
    )
    (product,) = extraction.items
    assert product.fields == {"name": None, "price": None, "category": None}
    assert product.missing == ("name",)
    assert extraction.errors == ("product.price: no number in 'on request'",)


def test_an_item_without_any_value_is_none_and_said_so() -> None:
    extraction = read("<p>", {"item": {"a": "h1", "b": {"css": "h2", "many": True}}})
    assert extraction.items == ()
    assert extraction.errors == ("rules[0]: no field of the item was found",)


def test_a_page_that_no_rule_takes_yields_nothing() -> None:
    extraction = Extractor(SHOP).extract(LIST, "https://shop.example/other")
    assert extraction == Extraction(None)


@pytest.mark.parametrize(
    ("content_type", "body", "taken"),
    [
        ("text/html; charset=utf-8", b"x", True),
        ("TEXT/HTML", b"", True),
        ("application/xhtml+xml", b"", True),
        ("application/atom+xml", b"<feed>", True),
        ("", b"  <p>x", True),
        ("", b"\xff\xfe<\x00p\x00", True),
        ("", b"%PDF-1.4", False),
        ("application/pdf", b"<p>", False),
        ("image/svg+xml", b"<svg>", False),
        ("application/json", b"{}", False),
    ],
)
def test_only_markup_is_read(content_type: str, body: bytes, taken: bool) -> None:
    extraction = BARE.extract(body, URL, content_type=content_type)
    assert bool(extraction.items) is taken
    assert bool(extraction.errors) is not taken


@pytest.mark.threat(16)
def test_xml_is_read_without_entities_of_its_own(tmp_path: Path) -> None:
    """Neither a file nor a billion of laughs comes out of a document type."""
    secret = tmp_path / "secret"
    secret.write_text("canary")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    document = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "{secret.as_uri()}">'
        f'<!ENTITY l0 "ha">{laughs}]><x><title>&f;</title><h1>&l11;</h1></x>'
    )
    extractor = Extractor(rules({"match": "**", "item": {"t": "title", "h": "h1"}}))
    extraction = extractor.extract(document.encode(), URL, content_type="application/xml")
    told = str(extraction.items)
    assert "&l11;" in told
    assert "canary" not in told
    assert len(told) < 1_000


@pytest.mark.parametrize(
    ("html", "field", "value"),
    [
        ("<h1> a \n b\xa0<i>c</i></h1>", "h1", "a b c"),
        ("<h1>a<br>b<p>c</p>d<b>e</b></h1>", "h1", "a b c de"),
        ("<p>a<script>x</script><style>y</style>b</p>", "p", "ab"),
        ("<h1> <b>x</b> y </h1>", "h1::text", "y"),  # the first text that is not blank
        ("<p>1<p> <p>2", {"css": "p::text", "many": True}, ["1", "2"]),
        ("<p>1<p>2", {"css": "p", "many": True}, ["1", "2"]),
        ("<p>", {"css": "a", "many": True}, []),
        ("<p>", {"css": "a", "many": True, "default": ["x"]}, ["x"]),
        ("<p> </p>", "p", None),
        ("<p> </p>", {"css": "p", "default": "none"}, "none"),
        ("<meta name=d content=' a  b '>", "meta[name=d]::attr(content)", "a b"),
        ("<a href=' x?a=1&amp;b=2 '>", {"css": "a", "type": "url"}, "https://shop.example/list/x?a=1&b=2"),
        ("<img src=/i.png>", {"css": "img", "type": "url"}, "https://shop.example/i.png"),
        ("<a href='mailto:a@b'>", {"css": "a", "type": "url"}, "mailto:a@b"),
        ("<base href=/b/><a href=x>", {"css": "a::attr(href)", "type": "url"}, "https://shop.example/b/x"),
        ("<p>a <b>c</b></p>", {"css": "p", "type": "html"}, "<p>a <b>c</b></p>"),
        ("<p>12 of 40", {"css": "p", "type": "int"}, 12),
        ("<p>4.5 stars", {"css": "p", "type": "float"}, 4.5),
        ("<p>yes", {"css": "p", "type": "bool"}, True),
        ("<p>0", {"css": "p", "type": "bool"}, False),
        ("<p>", {"xpath": "boolean(//a)", "type": "bool"}, False),
        ("<p><p>", {"xpath": "count(//p)", "type": "int"}, 2),
        ("<p>a<p>b", {"xpath": "//p[2]"}, "b"),
        ("<p>2 May 2024", {"css": "p", "type": "datetime"}, "2024-05-02"),
        ("<p>SKU: A-1 x", {"css": "p", "re": r"SKU: (\S+)"}, "A-1"),
        ("<p>1 2 3", {"css": "p", "re": r"\d", "many": True, "type": "int"}, [1, 2, 3]),
        ("<script>var id = 'é7';</script>", {"re": r"id = '(\w*\pL\d)'"}, "é7"),
        ("<p>x", {"re": "nothing"}, None),
    ],
)  # fmt: skip
def test_values(html: str, field: Any, value: Any) -> None:
    assert item(html, field) == value


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"css": "p", "type": "int"}, "is not a whole number"),
        ({"css": "b", "type": "decimal"}, "no number in 'abc'"),
        ({"css": "b", "type": "bool"}, "'abc' is neither true nor false"),
        ({"css": "b", "type": "datetime"}, "no date in 'abc'"),
        ({"css": "b", "type": "url"}, "<b> has no href or src"),
        ({"xpath": "count('a')", "type": "int"}, "rules[0].x: "),
    ],
)
def test_what_cannot_be_read_is_said_and_absent(field: Any, said: str) -> None:
    extraction = read("<p>1.5<b>abc", {"item": {"x": field, "y": "b"}})
    assert extraction.items[0].fields["x"] is None
    assert len(extraction.errors) == 1
    assert said in extraction.errors[0]


LD = """<script type="application/ld+json">{"@context": "x", "@graph": [
  {"@type": "Product", "name": "Lamp", "offers": [{"price": 12.5}, {"price": "13"}]},
  {"@type": "Article", "author": {"name": "Ann"}, "n": 3, "ok": true}]}</script>
<script type="application/ld+json">{broken</script>"""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"jsonld": "author.name"}, "Ann"),
        ({"jsonld": "offers.price"}, 12.5),
        ({"jsonld": "offers.price", "many": True}, [12.5, "13"]),
        ({"jsonld": "offers.price", "type": "decimal"}, "12.5"),
        ({"jsonld": "n"}, 3),
        ({"jsonld": "ok", "type": "bool"}, True),
        ({"jsonld": "author"}, {"name": "Ann"}),
        ({"jsonld": "name.x"}, None),
        ({"jsonld": "@type", "many": True}, ["Product", "Article"]),
        ({"jsonld": "author.name", "re": "A(.)"}, "n"),
    ],
)
def test_jsonld_by_path(field: Any, value: Any) -> None:
    assert item(LD, field) == value


def test_carried_values_keep_their_type() -> None:
    page = {
        "follow": [
            {
                "css": "a",
                "carry": {"n": {"css": "p", "type": "int"}, "l": {"css": "p", "many": True}},
            }
        ]
    }
    extraction = read("<p>1<p>2<a href=/x>", page)
    assert extraction.links[0].carry == {"n": 1, "l": ["1", "2"]}
    fields = {
        "n": {"carry": "n"},
        "l": {"carry": "l", "many": True},
        "s": {"carry": "n", "type": "str"},
    }
    again = read("<p>", {**page, "item": fields}, carry=extraction.links[0].carry)
    assert again.items[0].fields == {"n": 1, "l": ["1", "2"], "s": "1"}


def test_what_is_carried_is_bounded() -> None:
    page = {"follow": [{"css": "a", "carry": {"a": "h1", "b": "p"}}]}
    extraction = read(f"<h1>x</h1><p>{'y' * 20_000}</p><a href=/x>", page)
    assert extraction.links[0].carry == {"a": "x"}
    assert "carries more than 16384" in extraction.errors[0]


def test_links_by_regex_are_unescaped() -> None:
    extraction = read(
        '<script>go("/a?x=1&amp;y=2")</script>', {"follow": [{"re": r'go\("([^"]+)"\)'}]}
    )
    assert [link.url for link in extraction.links] == ["https://shop.example/a?x=1&y=2"]


def test_elements_that_lead_nowhere_are_told() -> None:
    extraction = read("<div class=card>x</div>", {"follow": [".card"]})
    assert extraction.links == ()
    (said,) = extraction.errors
    assert said.startswith("rules[0].follow[0]: what it finds leads nowhere")


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("/a", "https://shop.example/a"),
        ("a", "https://shop.example/list/a"),
        ("a#frag", "https://shop.example/list/a"),
        ("./a", "https://shop.example/list/a"),
        ("../a/./b", "https://shop.example/a/b"),
        ("?p=2", "https://shop.example/list/1?p=2"),
        ("//other.example/x", "https://other.example/x"),
        ("\\\\other.example\\x", "https://other.example/x"),
        (" /a b ", "https://shop.example/a%20b"),
        ("/\ta\n", "https://shop.example/a"),
        ("http://h.example/x?y=z", "http://h.example/x?y=z"),
        ("HTTPS://H.example/X", "https://h.example/X"),
        ("/ä", "https://shop.example/%C3%A4"),
        ("#top", None),
        ("", None),
        ("javascript:x()", None),
        ("mailto:a@b", None),
        ("data:text/html,x", None),
        ("ftp://h/x", None),
        ("http://[::1", None),
        ("http://a b/", None),
    ],
)
def test_references_become_absolute(href: str, url: str | None) -> None:
    assert urls(f'<a href="{href}">x</a>') == ([url] if url else [])


def test_a_link_counts_once_and_base_is_obeyed() -> None:
    html = "<base href='//other.example/z/'><a href=x>1</a><a href=x#y>2</a><a href=/z/x>3</a>"
    assert urls(html) == ["https://other.example/z/x"]
    assert urls("<base href='data:x'><a href=x>") == ["https://shop.example/list/x"]


def test_a_bare_url_yields_what_pages_have() -> None:
    html = f"""<title> My  page </title><meta name=Description content="About it">{LD}
    <body><h1>Hello</h1><script>no</script><p>text<br>more</p><a href=/x>l</a></body>"""
    extraction = BARE.extract(html.encode(), URL, content_type="text/html")
    (page,) = extraction.items
    assert page.rule == extraction.rule == "page"
    assert page.fields["url"] == URL
    assert page.fields["title"] == "My page"
    assert page.fields["description"] == "About it"
    assert page.fields["text"].startswith("Hello\n\ntext\nmore")
    assert "no" not in page.fields["text"]
    assert [entry["@type"] for entry in page.fields["jsonld"]] == ["Product", "Article"]
    assert [link.url for link in extraction.links] == ["https://shop.example/x"]


def test_the_trace_tells_field_by_field() -> None:
    extraction = Extractor(SHOP).extract(
        b"<p class=price>cheap</p><p class=price>2</p>",
        "https://shop.example/p/1",
        rule="product",
        carry={"category": "Lamps"},
        trace=True,
    )
    name, price, category = extraction.trace
    assert (name.field, name.selector, name.matched) == ("name", "h1::text", 0)
    assert name.problem == "required, but not found"
    assert (price.rule, price.matched, price.raw, price.value) == ("product", 2, "cheap", None)
    assert price.problem == "no number in 'cheap'"
    assert (category.selector, category.value, category.problem) == ("carry: category", "Lamps", "")


def test_the_trace_shows_links_too() -> None:
    extraction = Extractor(SHOP).extract(LIST, URL, trace=True)
    told = {entry.field: (entry.matched, entry.raw, entry.value) for entry in extraction.trace}
    assert told["next"] == (2, "2", "https://shop.example/list/2")
    assert told["follow[0]"] == (2, "/p/1", "https://shop.example/p/1")
    assert told["follow[0].carry.category"] == (1, "Lamps", "Lamps")
    assert Extractor(SHOP).extract(LIST, URL).trace == ()


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        ("Это русский текст, который читают люди.", "cp1251", "windows-1251"),
        ("これは日本語の文章です。東京は日本の首都です。", "shift_jis", "Shift_JIS"),
        ("これは日本語の文章です。東京は日本の首都です。", "iso2022_jp", "ISO-2022-JP"),
        ("这是一个中文网页，北京是中国的首都。", "gbk", "GBK"),
        ("Voilà une phrase en français, très naturelle.", "cp1252", "windows-1252"),
    ],
)
def test_what_says_nothing_of_its_encoding_is_guessed(text: str, codec: str, name: str) -> None:
    page = Page(f"<title>x</title><p>{text}</p>".encode(codec), URL)
    assert page.document.encoding == name
    assert text in page.source.decode()
    told = Page(f"<meta charset=windows-1252><p>{text}</p>".encode(codec), URL)
    assert told.document.encoding == "windows-1252"


@pytest.mark.threat(17)
@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("é".encode(), "utf-8", "é"),
        ("é".encode(), None, "é"),
        ("é".encode("cp1252"), None, "é"),
        ("ж".encode("koi8-r"), "koi8-r", "ж"),
        (b"<meta charset=koi8-r>" + "ж".encode("koi8-r"), None, "ж"),
        (b"<meta charset=koi8-r>" + "ж".encode(), "utf-8", "ж"),  # the header stands above meta
        ("\ufeffж".encode(), "koi8-r", "ж"),  # and the byte-order mark above the header
        ("日".encode("shift_jis"), "Shift_JIS", "日"),
        ("“".encode("cp1252"), "iso-8859-1", "“"),
        ("é".encode(), "no-such-charset", "é"),
        ("é".encode(), "a\x00b", "é"),
        (b"<?xml version='1.0' encoding='koi8-r'?>" + "ж".encode("koi8-r"), None, "ж"),
        (b"<?xml encoding='gbk'?><meta charset=koi8-r>" + "ж".encode("koi8-r"), None, "ж"),
        (b"<meta charset=utf-16>" + "ж".encode(), None, "ж"),  # it is readable, so it cannot be
        # Where Python's codec of that name would say something else, or nothing.
        (b"<meta charset=gb2312>\xa8\xbf", None, "ǹ"),
        (b"<meta charset=gbk>\x80", None, "€"),
        (b"<meta charset=gb18030>\xa2\xab", None, "\ue766"),
        (b"<meta charset=big5>\x88\x62", None, "Ê̄"),
        (b"<meta charset=big5>\xa3\xe1", None, "€"),
        (b"<meta charset=shift_jis>\x87\x40", None, "①"),
        (b"<meta charset=euc-jp>\xad\xa1", None, "①"),
        (b"<meta charset=euc-kr>\x81\x41", None, "갂"),
        (b"<meta charset=windows-874>\xa1", None, "ก"),
        (b"<meta charset=koi8-u>\xae", None, "ў"),
        (b"<meta charset=x-mac-cyrillic>\xff", None, "€"),
        (b"\xe0", "iso-8859-8-i", "א"),
        (b"\x80", "x-user-defined", "\uf780"),
        (b"nothing of this is read", "hz-gb-2312", "\ufffd"),
    ],
)
def test_the_encoding_is_decided_as_browsers_do(
    body: bytes, charset: str | None, text: str
) -> None:
    extraction = read(body, {"item": {"x": "body", "re": {"re": r"(\pL+)$"}}}, charset=charset)
    assert extraction.items[0].fields["x"] == text
    if text.isalpha():
        assert extraction.items[0].fields["re"] == text
