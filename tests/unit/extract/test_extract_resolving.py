"""References that we resolve ourselves lead where the standard says."""

from __future__ import annotations

import pytest

from crawler.engine.extract.page import Page
from crawler.engine.extract.references import Known
from crawler.engine.urls import canonical
from crawler.engine.urls.memory import TURNED_AWAY


@pytest.mark.parametrize(
    "url", ["https://a.example/x/y/z?q", "https://a.example/x//", "https://a.example//", "http://a"]
)
@pytest.mark.parametrize(
    "reference",
    [
        *("/q", "//c.example/q", "/./q", "/../q#f", "q", "./q", ".", "q/./r", "?q", "\\q", "q\nr"),
        *("../q", "../../q", "../../../q", "..", "../", "..//q", "../?q", "../q/../r", "../q:r"),
        *(
            "/q?r",
            "http://c.example",
            "https://c.example/q?r",
            "//c.example/q",
            "%2e%2e/q",
            "\t?q",
            "q#f",
        ),
        *("../a b", "../" * 1000 + "q", "../%2e%2e/q", "../.q", "http:q", "https:q", "\u00fc"),
    ],
)
def test_a_reference_leads_where_the_standard_says(url: str, reference: str) -> None:
    page = canonical(url)
    for base in (page, canonical("other?p", page), canonical("/", page), page):
        for _ in range(2):  # of which the second one may remember
            found = [*Page(b"", base).resolve_all([reference]), Page(b"", base).resolve(reference)]
            assert [canonical(each or "") for each in found] == [canonical(reference, base)] * 2


def test_the_query_alone_is_that_of_the_page_however_it_is_written() -> None:
    for path in ("x", "y?z"):
        for reference in ("?q", " ?q", "http:?q", "HTTP:?q", "\t?q"):
            found = Page(b"", f"http://a.example/{path}").resolve(reference)
            assert found == f"http://a.example/{path[0]}?q"


def test_blanks_before_a_fragment_are_part_of_the_url() -> None:
    page = Page(b"", "https://a.example/")
    assert page.resolve(" /x? y # z ") == "https://a.example/x?%20y%20"
    assert page.resolve(" # z ") is None


def test_what_leads_nowhere_is_left_out() -> None:
    page = Page(b"", "https://a.example/x")
    references = ["/a", "#top", "mailto:a@b.example", "b#c", "", "javascript:x", "/a", "http://["]
    assert page.resolve_all(references) == [f"https://a.example/{path}" for path in "aba"]
    assert page.resolve_all([]) == []


def test_what_is_remembered_of_references_is_bounded_and_has_its_turn() -> None:
    known = Known(4)
    first = known.of("first")
    known.keep(first, {"a": "A", "b": None, "x" * 1000: "X"})
    assert known.of("first") == {"a": "A", "b": None}, "long ones take too much room"
    for _ in range(TURNED_AWAY * 4):
        assert known.of("first") is first, "what came first stays"
        known.keep(known.of("second"), {})
    assert known.of("first") is not first, "but not for ever"


# Queries in the encoding of the page, as url.spec.whatwg.org has it; paths and fragments are UTF-8.
@pytest.mark.parametrize(
    ("encoding", "reference", "path"),
    [
        ("utf-8", "?\u2020", "?%E2%80%A0"),
        ("windows-1252", "?\u2020", "?%86"),
        ("euc-kr", "?\u2020", "?%A2%D3"),
        ("big5", "?\u2020&a", "?%26%238224%3B&a"),
        ("windows-1251", "\u0436?q=\u0436&p=a b'#\u0436", "%D0%B6?q=%E6&p=a%20b%27"),
        ("koi8-r", "?q=\u0436\n\u0436", "?q=%D6%D6"),
        ("iso-8859-2", "?\u00a2", "?%26%23162%3B"),
        ("gbk", "?\u4e2d\u6587", "?%D6%D0%CE%C4"),
        ("shift_jis", "?\u2212", "?%81|"),
        ("iso-2022-jp", "?\u203e\\", "?%1B(J~%1B(B\\"),
        ("iso-8859-8-i", "?\u05d0", "?%E0"),
        ("utf-16le", "?\u0436", "?%D0%B6"),
        ("x-user-defined", "?\u0436", "?%26%231078%3B"),
    ],
)
def test_queries_are_in_the_encoding_of_the_page(encoding: str, reference: str, path: str) -> None:
    page = Page(b"x", "https://a.example/", encoding)
    assert page.resolve(reference) == f"https://a.example/{path}"
