"""Rules for JSON, for what repeats, for requests and for pages that go on: what may be said."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.definition import Definition, from_data, from_json, json_schema, load_text
from crawler.errors import InvalidInput

START = 'start_urls = ["https://api.example/"]\n'
RULE = START + '[[rules]]\nmatch = "**"\n'
JSON = RULE + 'kind = "json"\n'

API = """
# a JSON API with a cursor
start_urls = ["https://api.example/v1/items?limit=100"]
[[rules]]
kind = "json"
match = "https://api.example/v1/items?*"
next = { query = { cursor = "meta.next_cursor" } }
each = "data[]"
follow = [{ url = "https://api.example/v1/items/{id}", to = "detail", carry = { rank = "rank" } }]
[[rules]]
name = "detail"
kind = "json"
item.id = { json = "id", required = true }
item.price = { json = "price.amount", type = "decimal" }
item.rank = { carry = "rank", type = "int" }
"""
NEWS = """
# a news site
start_urls = ["https://news.example/"]
[[rules]]
match = "https://news.example/20*/**"
next = { css = "a.next-part", join = true }
item.title = { css = "h1::text", required = true }
item.body = { css = "article p::text", many = true }
"""


def loaded(text: str) -> Definition:
    definition = load_text(text)
    assert from_json(definition.canonical()) == definition
    assert from_json(definition.canonical()).canonical() == definition.canonical()
    return definition


def test_the_designs_api_is_understood() -> None:
    lists, detail = loaded(API).rules
    assert lists.each is not None
    assert lists.next is not None
    assert lists.next.query is not None
    assert lists.each.json_ == "data[]"
    assert lists.next.query["cursor"].json_ == "meta.next_cursor"
    assert lists.follow[0].carry["rank"].json_ == "rank"
    assert detail.item["price"].json_ == "price.amount"


def test_the_designs_news_site_is_understood() -> None:
    (article,) = loaded(NEWS).rules
    assert article.next is not None
    assert article.next.join


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (JSON + 'next = "more"', JSON + 'next = { json = "more" }'),
        (JSON + 'follow = ["data[].url"]', JSON + 'follow = [{ json = "data[].url" }]'),
        (RULE + 'next.query.page = "+1"', RULE + "next.query.page.add = 1"),
        (RULE + 'next.query.c = "a::text"', RULE + 'next.query.c.css = "a::text"'),
        (JSON + 'next.query.p = "+20"', JSON + "next.query.p = { add = 20 }"),
        (
            RULE + 'follow = [{ css = "a", json = { a = [1, "x"] } }]',
            RULE + 'follow = [{ css = "a", json_body = { a = [1, "x"] } }]',
        ),
        (
            RULE + 'follow = [{ css = "a", form = { n = 2, b = true } }]',
            RULE + 'follow = [{ css = "a", form = { n = "2", b = "true" } }]',
        ),
    ],
)
def test_what_is_short_means_the_same_as_what_is_long(text: str, same: str) -> None:
    assert loaded(text) == loaded(same)


@pytest.mark.parametrize(
    ("text", "field", "line", "said"),
    [
        (RULE + 'kind = "xml"', "kind", 4, "must be 'html', 'json' or 'file'"),
        (RULE + 'item.a = { json = "a" }', "item.a.json", 4, 'set kind = "json" on the rule'),
        (RULE + 'each.json = "a"\nitem.a = "a"', "each.json", 4, 'set kind = "json"'),
        (RULE + 'follow = [{ json = "a" }]', "follow[0].json", 4, 'set kind = "json"'),
        (RULE + 'next.json = "a"', "next.json", 4, 'set kind = "json"'),
        (RULE + 'next.query.a.json = "a"', "next.query.a.json", 4, 'set kind = "json"'),
        (JSON + 'item.a = { css = "a" }', "item.a.css", 5, "is for HTML pages"),
        (JSON + 'item.a = { xpath = "//a" }', "item.a.xpath", 5, 'write json = "…"'),
        (JSON + 'item.a = { jsonld = "a" }', "item.a.jsonld", 5, "is for HTML pages"),
        (JSON + 'item.a = { re = "a" }', "item.a.re", 5, "needs a json beside it"),
        (
            JSON + 'follow = ["a", { json = "b", carry.x.css = "c" }]',
            "follow[1].carry.x.css",
            5,
            "HTML",
        ),
        (JSON + 'item.a = "a["', "item.a", 5, "cannot be used as JMESPath: it ends too soon"),
        (JSON + 'item.a = "a,b"', "item.a", 5, "unexpected ',' (at character 2)"),
        (JSON + 'item.a = "nope(a)"', "item.a", 5, "there is no function nope()"),
        (JSON + 'item.a = "join(a)"', "item.a", 5, "join() takes 2 arguments, not 1"),
        (JSON + 'item.a = "sort_by(a, b)"', "item.a", 5, "a path after & at place 2"),
        (JSON + 'item.a = "[&a]"', "item.a", 5, "&… belongs into a call"),
        (JSON + 'each = "a"', "each", 5, "the rule has neither"),
        (RULE + 'each = "li::text"\nitem.a = "b"', "each", 4, "leave ::text and ::attr()"),
        (RULE + 'each = { re = "x" }\nitem.a = "b"', "each", 4, "name elements"),
        (RULE + 'each = "li"\nitem.a = { re = "x" }', "item.a.re", 5, "put css or xpath beside it"),
        (RULE + 'each = "li"\nitem.a = { jsonld = "x" }', "item.a.jsonld", 5, "the whole page"),
        (RULE + 'each = "li"\nitem.a = { xpath = "(//b)[1]" }', "item.a.xpath", 5, "begin with ./"),
        (RULE + 'each = "li"\nstructured = true\nitem.a = "b"', "structured", 5, "keep one"),
        (
            RULE + 'each = "li"\nitem.a = "b"\nnext = { css = "a", join = true }',
            "next.join",
            6,
            "one of them",
        ),
        (JSON + "structured = true", "structured", 5, "is for HTML pages"),
        (RULE + 'structured = true\nitem.structured = "b"', "item.structured", 5, "another name"),
        (RULE + "next.query = {}", "next.query", 4, "at least one entry"),
        (RULE + 'next.query.p = "+0"', "next.query.p", 4, "must be at least 1"),
        (RULE + 'next.query.p = { add = 1, css = "a" }', "next.query.p", 4, "keep one of them"),
        (RULE + 'next.query.p = { add = 1, re = "a" }', "next.query.p", 4, "has add and re"),
        (RULE + 'next = { css = "a", query.p = "+1" }', "next", 4, "has css and query"),
        (RULE + "next.query.p.ad = 1", "next.query.p.ad", 4, "did you mean add?"),
        (RULE + 'follow = [{ url = "https://h/{id}" }]', "follow[0].url", 4, "add carry = { id"),
        (
            RULE + 'follow = [{ url = "https://{h}/" }]',
            "follow[0].url",
            4,
            "in path and query only",
        ),
        (RULE + 'follow = [{ url = "//h/" }]', "follow[0].url", 4, "write https://host/path"),
        (RULE + 'follow = [{ url = "/a/../{x}" }]', "follow[0].url", 4, "without . and .."),
        (RULE + 'follow = [{ url = "/a#{x}" }]', "follow[0].url", 4, "#fragment"),
        (RULE + 'follow = [{ url = "/{x" }]', "follow[0].url", 4, "write {{ for the mark"),
        (RULE + 'follow = [{ url = "/{x y}" }]', "follow[0].url", 4, "%20"),
        (RULE + 'follow = [{ url = "/{1}" }]', "follow[0].url", 4, "names no value"),
        (RULE + 'follow = [{ url = "https://u:p@h/" }]', "follow[0].url", 4, "password"),
        (RULE + 'follow = [{ url = "/a", css = "a" }]', "follow[0]", 4, "css and url"),
        (RULE + 'follow = [{ url = "/a", re = "a" }]', "follow[0]", 4, "has url and re"),
        (RULE + 'follow = [{ css = "a", form = {} }]', "follow[0].form", 4, "at least one"),
        (RULE + 'follow = [{ css = "a", form.q = "{x}" }]', "follow[0].form", 4, "add carry"),
        (
            RULE + 'follow = [{ css = "a", form.q = [1] }]',
            "follow[0].form.q",
            4,
            "must be a string",
        ),
        (RULE + 'follow = [{ css = "a", json.q = "{x}" }]', "follow[0].json", 4, "add carry"),
        (
            RULE + 'follow = [{ css = "a", json.q = 2020-01-01 }]',
            "follow[0].json",
            4,
            "JSON cannot say",
        ),
        (
            RULE + 'follow = [{ css = "a", json_body = "x" }]',
            "follow[0].json_body",
            4,
            "a table or a list",
        ),
        (
            RULE + 'follow = [{ css = "a", json.a = 1, form.b = 1 }]',
            "follow[0].form",
            4,
            "two bodies",
        ),
        (
            RULE + 'follow = [{ css = "a", json.a = 1, json_body.b = 1 }]',
            "follow[0]",
            4,
            "two bodies",
        ),
        (
            RULE + 'follow = [{ css = "a", form.a = 1, method = "GET" }]',
            "follow[0].method",
            4,
            "no body",
        ),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(
    text: str, field: str, line: int, said: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_text(text + "\n", source="x.toml")
    assert caught.value.field == f"rules[0].{field}"
    assert str(caught.value).startswith(f"x.toml:{line}: rules[0].{field}: ")
    assert said in str(caught.value)


@pytest.mark.threat(25)
@pytest.mark.parametrize(
    "path",
    [
        "|".join(["[@, @]"] * 40),
        "|".join(["{a: @, b: @}"] * 40),
        "|".join(["join('', [@, @])"] * 40),
        "|".join(["merge(@, @)"] * 40),
        "(" * 2_000 + "a" + ")" * 2_000,
        "a" + "[?b" * 300 + "]" * 300,
        "a" + ".a" * 2_500,
        "!" * 3_000 + "a",
    ],
)
def test_paths_that_could_cost_too_much_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        load_text(JSON + f'item.a = """{path}"""')


def test_usual_paths_are_not_too_costly() -> None:
    fields = ", ".join(f"f{n}: a.f{n}" for n in range(30))
    for path in (f"data[].{{{fields}}}", "a[?b == 'x' && c > `1` || d].e | sort_by(@, &f)[0]"):
        loaded(JSON + f"item.a = '''{path}'''")


def test_the_json_schema_knows_the_grammar() -> None:
    tables: dict[str, Any] = json_schema()["$defs"]
    assert {"kind", "each", "structured"} <= set(tables["Rule"]["properties"])
    assert {"query", "join", "json"} <= set(tables["Next"]["properties"])
    follow = tables["Follow"]["properties"]
    assert {"url", "method", "form", "json", "json_body"} <= set(follow)
    assert {"type": "object"} in follow["json"]["anyOf"]
    assert "json_" not in follow
    assert {"type": "string"} in tables["Rule"]["properties"]["each"]["anyOf"]


@pytest.mark.parametrize("kind", ["html", "json", 5, None])
@pytest.mark.parametrize(
    "table",
    [
        {"each": [1]},
        {"item": 5},
        {"item": {"a": 5}},
        {"follow": 5},
        {"follow": [5, None, ["x"]]},
        {"follow": [{"carry": 5, "css": "a"}]},
        {"follow": [{"json": 5}, {"json": None}, {"json": {"a": None}}]},
        {"next": {"query": 5}},
        {"next": {"query": {"a": None, "b": 5, "c": ["+1"]}}},
    ],
)
def test_tables_of_any_shape_are_refused_in_our_words(kind: Any, table: Any) -> None:
    rule = {"match": "**", "kind": kind, **table}
    with pytest.raises(InvalidInput):
        from_data({"start_urls": ["https://h/"], "rules": [rule]})


@pytest.mark.parametrize(
    "follow",
    [
        'css = "a", form = { key = "${secret:shop}" }',
        'css = "a", json = { auth = ["x ${secret:shop}"] }',
        'url = "https://api.example/?key=${secret:shop}"',
    ],
)
def test_secrets_of_workers_are_refused_in_what_is_stored(follow: str) -> None:
    with pytest.raises(InvalidInput, match=r"holds \$\{secret:NAME\}, which stands in headers"):
        load_text(RULE + f"follow = [{{ {follow} }}]\n")


def test_a_dollar_before_a_placeholder_is_a_dollar() -> None:
    text = 'follow = [{ css = "a", form = { q = "${price}" }, carry = { price = "b" } }]\n'
    form = load_text(RULE + text).rules[0].follow[0].form
    assert form == {"q": "${price}"}


def test_a_rule_may_want_its_pages_shown_in_a_browser() -> None:
    text = RULE + 'fetcher = "browser"\nbrowser = { load = ["images"], wait_for = ".price" }\n'
    rule = loaded(text).rules[0]
    assert (rule.fetcher, rule.browser.load, rule.browser.wait_for) == (
        "browser",
        ("images",),
        ".price",
    )
    assert loaded(RULE).rules[0].fetcher == "http"
    assert loaded(text).recipe() != loaded(RULE).recipe()


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (JSON + 'fetcher = "browser"\n', "rules[0].fetcher", "is for HTML pages"),
        (RULE + 'browser.wait_for = "h1"\n', "rules[0].browser", 'set fetcher = "browser"'),
        (RULE + 'fetcher = "opera"\n', "rules[0].fetcher", "'http' or 'browser'"),
        (
            RULE + 'fetcher = "browser"\nbrowser.wait_for = "h1::text"\n',
            "rules[0].browser",
            "name an element",
        ),
        (
            RULE + 'fetcher = "browser"\nbrowser.load = ["scripts"]\n',
            "rules[0].browser.load[0]",
            "'images', 'media' or 'fonts'",
        ),
        (
            'proxy_pool = "fast"\n' + RULE + 'fetcher = "browser"\n',
            "rules[0].fetcher",
            "past the proxy_pool",
        ),
    ],
)
def test_what_makes_no_sense_for_a_browser_is_refused(text: str, field: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_text(text)
    assert refused.value.field == field
    assert reason in str(refused.value)
