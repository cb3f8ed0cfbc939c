"""What JSON pages yield, what repeats on pages of both kinds, and what requests are made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawler.definition import from_data
from crawler.engine.extract import Extraction, Extractor
from crawler.engine.extract.links import Link

URL = "https://api.example/v1/items?limit=100"


def read(body: Any, rule: dict[str, Any], *, url: str = URL, **options: Any) -> Extraction:
    definition = from_data(
        {"start_urls": ["https://api.example/"], "rules": [{"match": "**", **rule}]}
    )
    kind = "application/json" if rule.get("kind") == "json" else "text/html"
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return Extractor(definition).extract(
        text.encode() if isinstance(text, str) else text,
        url,
        **{"content_type": kind, **options},
    )


def item(body: Any, field: Any) -> Any:
    rule = {"kind": "json", "item": {"x": field, "y": "`1`"}}
    return read(body, rule).items[0].fields["x"]


ITEMS: dict[str, Any] = {
    "data": [
        {"id": 1, "name": "One", "price": {"amount": 1.5}, "tags": ["a", "b"]},
        {"id": "b/ä", "price": {"amount": "12,50"}},
        {"name": "Three", "id": None},
    ],
    "meta": {"next_cursor": "x/1=="},
}


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"a": {"b": 5}}, "a.b", 5),
        ({"a": [1, 2]}, "a", 1),
        ({"a": [1, None, 2]}, {"json": "a", "many": True}, [1, 2]),
        ({"a": None}, {"json": "a", "default": 7}, 7),
        ({"a": " x  y "}, "a", "x y"),
        ({"a": "  "}, "a", None),
        ({"a": {"b": [True]}}, "a", {"b": [True]}),
        ({"a": {"b": 1}}, {"json": "a", "type": "str"}, '{"b":1}'),
        ({"a": 1.299}, {"json": "a", "type": "decimal"}, "1.299"),
        ({"a": "1.299"}, {"json": "a", "type": "decimal"}, "1.299"),
        ({"a": "1.299,00 €"}, {"json": "a", "type": "decimal"}, "1299.00"),
        ({"a": 1e21}, {"json": "a", "type": "decimal"}, "1000000000000000000000"),
        ({"a": 12.0}, {"json": "a", "type": "int"}, 12),
        ({"a": True}, {"json": "a", "type": "bool"}, True),
        ({"a": 1700000000}, {"json": "a", "type": "datetime"}, "2023-11-14T22:13:20+00:00"),
        ({"a": 1700000000.5}, {"json": "a", "type": "datetime"}, "2023-11-14T22:13:20+00:00"),
        ({"a": "/x"}, {"json": "a", "type": "url"}, "https://api.example/x"),
        ({"a": "SKU 17"}, {"json": "a", "re": r"\d+", "type": "int"}, 17),
        ({"a": [{"n": 2}, {"n": 1}]}, "sort_by(a, &n)[0].n", 1),
        ({"a": "x"}, "sort(a)", None),
        ('\ufeff{"a": "é"}', "a", "é"),
        ('{"a": "é"}'.encode("utf-16"), "a", "é"),
        ('{"a": NaN, "b": 1}', "a", None),
        ('{"a": 1e999}', "a", None),
    ],
)
def test_values_of_json(body: Any, field: Any, value: Any) -> None:
    assert item(body, field) == value


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("application/json; charset=utf-8", b'{"a": 1}', ""),
        ("text/json", b'{"a": 1}', ""),
        ("application/hal+json", b'{"a": 1}', ""),
        ("", b' {"a": 1}', ""),
        ("", b"a", "the body is not JSON"),
        ("text/plain; charset=utf-8", b'\xef\xbb\xbf{"a": 1}', ""),
        ("text/html", b'{"a": 1}', ""),
        ("text/html", b"<p>", "text/html is not JSON"),
        ("text/plain", b"[error]", "the body is not JSON: Expecting value (line 1 column 2)"),
        ("application/json", b"<p>", "the body is not JSON: Expecting value (line 1 column 1)"),
        ("application/json", b"", "the body is not JSON"),
        ("application/json", b'{"a": ' + b"9" * 5_000 + b"}", "too many digits"),
    ],
)
def test_only_json_is_read_and_the_rest_is_told(content_type: str, body: bytes, said: str) -> None:
    rule = {"kind": "json", "item": {"a": "a"}}
    extraction = read(body, rule, content_type=content_type)
    assert bool(extraction.items) is not bool(said)
    assert said in "".join(extraction.errors)


def test_each_match_of_json_is_an_item_with_its_own_missing_fields() -> None:
    rule = {
        "kind": "json",
        "each": "data[]",
        "item": {
            "id": {"json": "id", "required": True},
            "price": {"json": "price.amount", "type": "decimal"},
            "from": {"carry": "from"},
        },
        "follow": [{"json": "name", "carry": {"from": "id"}}],
        "next": "meta.next_cursor",
    }
    extraction = read(ITEMS, rule, carry={"from": "here"})
    assert [dict(each.fields) for each in extraction.items] == [
        {"id": 1, "price": "1.5", "from": "here"},
        {"id": "b/ä", "price": "12.50", "from": "here"},
        {"id": None, "price": None, "from": "here"},
    ]
    assert [each.missing for each in extraction.items] == [(), (), ("id",)]
    more, *links = extraction.links  # next looks at the whole page
    assert (more.url, more.is_next) == ("https://api.example/v1/x/1==", True)
    assert [(link.url, link.carry) for link in links] == [
        ("https://api.example/v1/One", {"from": 1}),
        ("https://api.example/v1/Three", {}),
    ]


CARDS = """<a rel=next href=/2>more</a><h1>All</h1>
<div class=card id=c1><h2>One</h2><a href=/1>x</a><b>1 €</b></div>
<div class=card id=c2><h2>Two</h2><a href=/2b>x</a></div><a href=/other>y</a>"""


def test_each_match_of_html_is_looked_at_by_itself() -> None:
    rule = {
        "each": ".card",
        "item": {
            "name": {"css": "h2::text", "required": True},
            "price": {"css": "b", "type": "decimal", "required": True},
            "id": {"css": ".card::attr(id)"},
            "own": {"xpath": "@id"},
            "page": "h1",
        },
        "follow": [{"css": "a", "carry": {"name": "h2"}}],
        "next": "a[rel=next]",
    }
    extraction = read(CARDS, rule)
    assert [dict(each.fields) for each in extraction.items] == [
        {"name": "One", "price": "1", "id": "c1", "own": "c1", "page": None},
        {"name": "Two", "price": None, "id": "c2", "own": "c2", "page": None},
    ]
    assert [each.missing for each in extraction.items] == [(), ("price",)]
    assert [(link.url, link.carry) for link in extraction.links] == [
        ("https://api.example/2", {}),
        ("https://api.example/1", {"name": "One"}),
        ("https://api.example/2b", {"name": "Two"}),
    ]


@pytest.mark.parametrize(
    ("css", "found"),
    [
        ("a::attr(href)", ["/x"]),
        ("::attr(href)", ["/x", "/y"]),
        ("::text", ["t", "in", "z"]),
        ("div ::text", ["in"]),
        ("a ::text", ["t", "in", "z"]),
        ("a.card::text", ["t", "z"]),
        ("b", ["in"]),
        ("i", []),
    ],
)
def test_css_within_a_match_finds_the_match_itself_too(css: str, found: list[str]) -> None:
    html = "<div><i>q</i><a class=card href=/x>t<div><b href=/y>in</b></div>z</a></div>"
    extraction = read(
        html, {"each": "a.card", "item": {"x": {"css": css, "many": True}, "y": {"xpath": "'y'"}}}
    )
    assert extraction.items[0].fields["x"] == found


def test_the_trace_tells_match_by_match() -> None:
    rule = {"each": ".card", "item": {"name": "h2"}, "follow": ["a"], "next": "a[rel=next]"}
    trace = read(CARDS, rule, trace=True).trace
    assert [(each.field, each.match, each.value) for each in trace] == [
        ("next", None, "https://api.example/2"),
        ("each", None, "2 matches"),
        ("name", 1, "One"),
        ("follow[0]", 1, "https://api.example/1"),
        ("name", 2, "Two"),
        ("follow[0]", 2, "https://api.example/2b"),
    ]


# --- requests -----------------------------------------------------------------------------------


def test_urls_are_made_of_values_of_the_match() -> None:
    rule = {
        "kind": "json",
        "each": "data[]",
        "follow": [
            {
                "url": "https://api.example/v1/items/{id}?p={price.amount}&f={from}",
                "carry": {"from": {"carry": "from"}},
            }
        ],
    }
    extraction = read(ITEMS, rule, carry={"from": "a&b c"})
    assert [link.url for link in extraction.links] == [
        "https://api.example/v1/items/1?p=1.5&f=a%26b%20c",
        "https://api.example/v1/items/b%2F%C3%A4?p=12%2C50&f=a%26b%20c",
    ]
    assert extraction.errors == (
        "rules[0].follow[0]: no link: {id} has no value to fill in (match 3)",
    )


@pytest.mark.parametrize(
    ("template", "value", "url"),
    [
        ("/x/{a}", True, "/x/true"),
        ("/x/{a}", "..", None),
        ("/x/{a}/y", ".", None),
        ("/x/{a}{a}", ".", None),
        ("/x/{a}.", ".", None),
        ("/x/.{a}", "git", "/x/.git"),
        ("/x?q={a}", "..", "/x?q=.."),
        ("/x/{a}", "a?b#c/d%2e", "/x/a%3Fb%23c%2Fd%252e"),
        ("/x/{a}", "", None),
        ("/x/{a}", [1], None),
        ("/x/{a}", {"b": 1}, None),
        ("/x/{{{a}}}", "y", "/x/{y}"),
        ("?a={a}", "y", "/v1/items?a=y"),
        ("/x/{a}", "\ud800\u0000", "/x/%EF%BF%BD%EF%BF%BD"),
        ("/x/{b}", "y", None),
    ],
)
def test_a_value_stays_within_its_place(template: str, value: Any, url: str | None) -> None:
    extraction = read({"a": value}, {"kind": "json", "follow": [{"url": template}]})
    assert [link.url for link in extraction.links] == ([f"https://api.example{url}"] if url else [])
    assert len(extraction.errors) == (url is None)


def test_forms_and_json_bodies_are_sent_by_post() -> None:
    rule = {
        "kind": "json",
        "each": "data[?name]",
        "follow": [
            {"url": "/search", "form": {"q": "{name} {{x}}", "n": 3, "{": "a&b"}},
            {"url": "/api", "json": {"ids": ["{id}", "n"], "tags": "{tags}", "n": 1}},
            {"url": "/go", "method": "POST"},
        ],
    }
    links = read({"data": ITEMS["data"][:1]}, rule).links
    assert links == (
        Link(
            "https://api.example/search",
            method="POST",
            body=b"n=3&q=One+%7Bx%7D&%7B=a%26b",
        ),
        Link(
            "https://api.example/api",
            method="POST",
            body=b'{"ids":[1,"n"],"n":1,"tags":["a","b"]}',
        ),
        Link("https://api.example/go", method="POST"),
    )


def test_a_form_on_html_is_filled_with_what_is_carried() -> None:
    html = "<form action=/find></form><b>é</b>"
    follow = {"css": "form", "carry": {"b": "b"}, "form": {"q": "{b}"}}
    (link,) = read(html, {"follow": [follow]}).links
    assert (link.url, link.body) == ("https://api.example/find", b"q=%C3%A9")
    extraction = read("<form action=/find>", {"follow": [follow]})
    assert extraction.links == ()
    assert extraction.errors == ("rules[0].follow[0]: no link: {b} has no value to fill in",)


def test_equal_requests_count_once_and_different_bodies_do_not() -> None:
    rule = {"kind": "json", "each": "@", "follow": [{"url": "/s", "json": ["{a}"]}]}
    links = read([{"a": 1}, {"a": 2}, {"a": 1}], rule).links
    assert [link.body for link in links] == [b"[1]", b"[2]"]


def test_bodies_are_bounded() -> None:
    rule = {"kind": "json", "follow": [{"url": "/s", "json": ["{a}"]}]}
    extraction = read({"a": "x" * 70_000}, rule)
    assert extraction.links == ()
    assert "longer than 65536 bytes" in extraction.errors[0]


# --- pagination by the query ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "url", "following"),
    [
        ({"page": "+1"}, "https://api.example/l", "https://api.example/l?page=2"),
        (
            {"page": "+1"},
            "https://api.example/l?page=9&x=%C3%A4+1",
            "https://api.example/l?page=10&x=%C3%A4+1",
        ),
        ({"page": "+1"}, "https://api.example/l?a=b", "https://api.example/l?a=b&page=2"),
        ({"page": "+1"}, "https://api.example/l?page=2&page=3", "https://api.example/l?page=3"),
        ({"offset": "+20"}, "https://api.example/l", "https://api.example/l?offset=20"),
        ({"offset": "+20"}, "https://api.example/l?offset=20", "https://api.example/l?offset=40"),
        ({"page": "+1"}, "https://api.example/l?page=-1", "https://api.example/l?page=0"),
        ({"page": "+1"}, "https://api.example/l?page=x", None),
        ({"page": "+1"}, "https://api.example/l?page=", "https://api.example/l?page=2"),
        (
            {"c": "meta.next_cursor"},
            "https://api.example/l?c=old",
            "https://api.example/l?c=x%2F1%3D%3D",
        ),
        ({"c": "meta.next_cursor"}, "https://api.example/l?c=x%2F1%3D%3D", None),
        ({"c": "meta.nothing"}, "https://api.example/l", None),
        ({"c": "`0`"}, "https://api.example/l", "https://api.example/l?c=0"),
        ({"c": "`false`"}, "https://api.example/l", None),
        ({"c": "''"}, "https://api.example/l", None),
        ({"c": "meta"}, "https://api.example/l", None),
        (
            {"c": "meta.next_cursor", "p": "+1"},
            "https://api.example/l",
            "https://api.example/l?c=x%2F1%3D%3D&p=2",
        ),
    ],
)
def test_the_query_goes_on(query: dict[str, str], url: str, following: str | None) -> None:
    extraction = read(ITEMS, {"kind": "json", "next": {"query": query}}, url=url)
    assert [link.url for link in extraction.links] == ([following] if following else [])
    assert all(link.is_next and link.method == "" for link in extraction.links)


def test_a_cursor_on_html_is_css() -> None:
    rule = {"next": {"query": {"c": "input[name=c]::attr(value)"}}}
    (link,) = read("<input name=c value=' 7 '>", rule, url="https://h.example/?a").links
    assert link.url == "https://h.example/?a&c=7"
