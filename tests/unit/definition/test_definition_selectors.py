"""Selectors and URL patterns: what they find, and how a wrong one is refused."""

from __future__ import annotations

import pytest
import turbohtml

from crawler.definition.patterns import Routes, compile_match
from crawler.definition.rules import Rule
from crawler.definition.selectors import compile_css, compile_regex, compile_xpath
from crawler.errors import InvalidInput

PAGE = turbohtml.parse(
    "<title>T</title><div class=a>x<div class=a>y<b>z</b>w</div>v</div>"
    "<h1 id=i>Hi <b>there</b> you</h1><a href=q HREFLANG=de>l</a><img title='x,y::text'>"
)


@pytest.mark.parametrize(
    ("css", "found"),
    [
        ("h1::text", ["Hi ", " you"]),
        ("h1 ::text", ["Hi ", "there", " you"]),
        (".a ::text", ["x", "y", "z", "w", "v"]),  # no text twice, in document order
        ("h1::attr(ID)", ["i"]),
        ("h1::attr(nope)", []),
        (".a ::attr(class)", ["a", "a"]),
        ("a::text, h1::text", ["Hi ", " you", "l"]),
        ("a::attr(href), h1::text", ["q", "Hi ", " you"]),
        ("::attr(href)", ["q"]),
        ("img[title='x,y::text']::attr(title)", ["x,y::text"]),
        (":is(h1, a)::attr(id)", ["i"]),
    ],
)
def test_css_with_text_and_attributes(css: str, found: list[str]) -> None:
    assert list(compile_css(css).find(PAGE)) == found


def test_plain_css_finds_elements() -> None:
    (heading,) = compile_css("h1").find(PAGE)
    assert isinstance(heading, turbohtml.Element)


@pytest.mark.parametrize(
    ("xpath", "found"),
    [
        ("//a/@href", ["q"]),
        ("//h1/text()", ["Hi ", " you"]),
        ("count(//div)", ["2"]),
        ("1 div 4", ["0.25"]),
        ("boolean(//h1)", ["true"]),
        ("normalize-space(//h1)", ["Hi there you"]),
        ("//a[re:test(@href, '^q$')]/@hreflang", ["de"]),
        ("//nothing", []),
    ],
)
def test_xpath_results_are_elements_and_strings(xpath: str, found: list[str]) -> None:
    assert list(compile_xpath(xpath).find(PAGE)) == found


@pytest.mark.parametrize(
    "xpath",
    ["//a[", "", "foo(//a)", "//p[foo()]", "//p[$x]", "//x:a", "//p[ancestor::x:a]", "re:nope()"],
)
def test_xpath_is_checked_to_its_names(xpath: str) -> None:
    with pytest.raises(InvalidInput):
        compile_xpath(xpath)


@pytest.mark.parametrize(
    "xpath",
    ["//a[contains(., 'foo(bar) $x y:z')]", "child::a", "//*[@id='a:b']", "//a[1 and (2)]"],
)
def test_what_only_looks_wrong_in_xpath_is_taken(xpath: str) -> None:
    compile_xpath(xpath)


@pytest.mark.parametrize(
    "css", ["a[", "", "  ", "h1::before", "a::attr()", "a,", "div > ::text", "x" * 5000]
)
def test_wrong_css_is_refused(css: str) -> None:
    with pytest.raises(InvalidInput):
        compile_css(css)


def test_a_regex_gives_its_group_or_the_whole_match() -> None:
    source = "é id=12 id=x id=3".encode()
    assert list(compile_regex(r"id=(\d+)").find(source)) == ["12", "3"]
    assert list(compile_regex(r"id=\d").find(source)) == ["id=1", "id=3"]
    assert list(compile_regex(r"é|zz()").find(source)) == [""]


@pytest.mark.threat(25)
@pytest.mark.timeout(10)
def test_regexes_take_linear_time() -> None:
    assert list(compile_regex("(?:a+)+$").find(b"a" * 100_000 + b"b")) == []


@pytest.mark.parametrize(
    ("match", "url", "fits"),
    [
        ("https://h/", "https://h/", True),
        ("https://h", "https://h/", True),
        ("https://h/", "https://h/x", False),
        ("https://H:443/p/*", "https://h/p/1", True),
        ("https://h/p/*", "https://h/p/1/2", False),
        ("https://h/p/*", "https://h/p/1?a=b", True),
        ("https://h/p/**", "https://h/p/1/2", True),
        ("https://h/p/**", "https://h/p/", True),
        ("https://h/20*/**", "https://h/2024/05/x", True),
        ("https://h/20*/**", "https://h/1999/05/x", False),
        ("https://h/items?*", "https://h/items?u=/a/b", True),
        ("https://h/items?*", "https://h/itemsx", False),
        ("https://h/*-*.html", "https://h/a-b.html", True),
        ("https://h/*-*.html", "https://h/a/b-c.html", False),
        ("https://h/ab*ba", "https://h/aba", False),  # head and tail do not overlap
        ("*://h/x", "http://h/x", True),
        ("https://*.h/x", "https://a.b.h/x", True),
        ("**/p/*", "http://any/p/1", True),
        ("**", "http://any/p/1", True),
        ("https://bücher.example/straße", "https://xn--bcher-kva.example/stra%C3%9Fe", True),
        ("https://h/a.b", "https://h/axb", False),
        ("https://h/%20*", "https://h/%20x", True),
        ("re:/p/\\d+$", "https://h/p/12", True),
        ("re:/p/\\d+$", "https://h/p/12x", False),
    ],
)
def test_url_patterns(match: str, url: str, fits: bool) -> None:
    assert bool(compile_match(match).fits(url)) is fits


@pytest.mark.parametrize(
    "match", ["", "/p/*", "p", "*", "https:///x", "https://a b/", "https://h/#x", "re:("]
)
def test_wrong_patterns_are_refused(match: str) -> None:
    with pytest.raises(InvalidInput):
        compile_match(match)


def test_a_page_goes_where_it_is_sent_otherwise_where_it_first_fits() -> None:
    routes = Routes(
        [Rule(match="https://h/a*"), Rule(name="b", match="https://h/**"), Rule(name="c")]
    )
    assert routes.labels == ("rules[0]", "b", "c")
    assert routes.take("https://h/abc", None) == 0
    assert routes.take("https://h/abc", "b") == 1
    assert routes.take("https://h/x", "c") == 2
    assert routes.take("https://h/x", "rules[0]") == 0
    assert routes.take("https://h/x", "gone") == 1
    assert routes.take("https://other/", None) is None
