"""What a callback finds on its page."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.engine import fetch
from crawler.errors import InvalidInput
from crawler.model import Request as Asked
from crawler.spider import Page, Request

URL = "https://shop.example/a/b"
CARDS = """<base href=/x/><h1 id=top class="big bold">The  <b>shop</b></h1>
<ul><li class=card><a href=one>One</a><li class=card><a href="mailto:me@x">Two</a>
<li class=card><img src=three.png><li class=card><a href="http://[">bad</a></ul>"""


def page(body: bytes | str, content_type: str = "text/html", **values: Any) -> Page:
    raw = body if isinstance(body, bytes) else body.encode()
    asked = Asked(b"0" * 16, URL, "shop.example", carry={"rank": 1, "": 2})
    return Page(asked, fetch.Page(URL, 200, raw, content_type, **values), lambda *_: "")


def test_selections_are_those_of_scrapy() -> None:
    cards = page(CARDS).css(".card")
    assert (len(cards), bool(page(CARDS).css("q"))) == (4, False)
    assert cards.css("a::text").getall() == ["One", "Two", "bad"]
    assert cards[0].css("a::attr(href)").get() == "one"
    assert [each.xpath("./a/text()").get("none") for each in cards] == ["One", "Two", "none", "bad"]
    assert cards[2:].css("img").attrib == {"src": "three.png"}
    assert page(CARDS).css("h1").attrib == {"id": "top", "class": "big bold"}
    assert page(CARDS).css("h1").text() == "The shop"
    assert page(CARDS).xpath("//h1/b").get() == "<b>shop</b>"
    assert page(CARDS).xpath("count(//li)").get() == "4"
    assert page(CARDS).css("q").get() is None
    assert page(CARDS).css("q").attrib == {}


def test_regular_expressions_search_text_and_selections() -> None:
    assert page(CARDS).re(r"href=(\w+)>") == ["one"]
    assert page(CARDS).css("a::text").re(r"[A-Z]\w") == ["On", "Tw"]
    assert page(CARDS).css("a").re_first(r"mailto:(\S+)@") == "me"
    assert page(CARDS).css("q").re_first("x", "none") == "none"
    with pytest.raises(InvalidInput, match="has 2 groups; keep the one"):
        page(CARDS).re("(a)(b)")


def test_links_are_resolved_against_the_base() -> None:
    assert page(CARDS).follow("one").url == "https://shop.example/x/one"
    assert page("<p>").follow(" ../c ").url == "https://shop.example/c"
    assert page("{}", "application/json").follow("c").url == "https://shop.example/a/c"
    found = page(CARDS).follow_all(".card a", "parse_card", meta={"n": 1}, priority=2)
    assert [(each.url, each.label, each.priority) for each in found] == [
        ("https://shop.example/x/one", "parse_card", 2),
        ("mailto:me@x", "parse_card", 2),
    ]
    assert [each.url for each in page(CARDS).follow_all(page(CARDS).css("img"))] == [
        "https://shop.example/x/three.png"
    ]
    assert [each.url for each in page(CARDS).follow_all(["/1", "/2"])] == [
        "https://shop.example/1",
        "https://shop.example/2",
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "charset", "text"),
    [
        ("<p>ä".encode("latin-1"), "text/html", "windows-1252", "<p>ä"),
        ("<meta charset=windows-1251>привет".encode("cp1251"), "text/html", None, "привет"),
        ("ä".encode(), "text/plain", None, "ä"),
        ("ä".encode("cp1252"), "text/plain", "windows-1252", "ä"),
        (b"\xff", "text/plain", "no-such", "\ufffd"),
    ],
)
def test_text_is_decoded_as_browsers_do(
    body: bytes, content_type: str, charset: str | None, text: str
) -> None:
    assert page(body, content_type, charset=charset).text.endswith(text)


def test_the_answer_is_there() -> None:
    answer = page('{"a": [1]}', "application/json", headers={"ETag": "x"})
    assert (answer.url, answer.status, answer.method) == (URL, 200, "GET")
    assert answer.headers["ETag"] == "x"
    assert answer.json() == {"a": [1]}
    assert answer.meta == {"rank": 1}
    with pytest.raises(ValueError, match="the body is not JSON"):
        page("<p>").json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "get"}, "method: one of GET, HEAD, POST"),
        ({"method": "GET", "json": {}}, "json: GET sends nothing; leave method out, or POST"),
        ({"form": {}, "body": b""}, "body: stands beside form; keep one of them"),
        ({"form": {"a": None}}, r"form\['a'\]: a string, a number, or a list of these"),
        ({"json": "x"}, "json: must be a dict or a list"),
        ({"json": {"x": object()}}, "json: Object of type object"),
        ({"body": b"x" * 65_537}, "body: at most 65,536 bytes are sent"),
        ({"priority": 1.5}, "priority: a whole number up to"),
        ({"meta": []}, "meta: must be a dict"),
        ({"meta": {"": 1}}, "meta: names are like those of variables"),
        ({"meta": {"=": 1}}, "meta: names are like those of variables"),
        ({"meta": {"t": (1,)}}, r"meta\['t'\]: tuple cannot be kept"),
        ({"meta": {"t": {1: 2}}}, r"meta\['t'\]: names are strings"),
        ({"meta": {"t": "x" * 17_000}}, "meta: more than 16,384 characters"),
    ],
)
def test_wrong_requests_name_the_argument(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Request(URL, **arguments)


def test_a_list_in_a_form_is_one_field_several_times() -> None:
    request = Request(URL, form={"tag": ["b", "a"], "page": "1"})
    assert request.sent() == b"page=1&tag=b&tag=a"


def test_what_a_request_carries_is_as_it_was_when_it_was_made() -> None:
    tags = ["a"]
    request = Request(URL, meta={"tags": tags})
    tags.append("b")
    assert request.meta == {"tags": ["a"]}
