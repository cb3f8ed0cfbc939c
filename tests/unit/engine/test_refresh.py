"""Pages that lead elsewhere by themselves, told from those that only look like it."""

from __future__ import annotations

import pytest

from crawler.engine.fetch.refresh import MAX_BYTES, leads_to

URL = "https://docs.example/old/index.html"


def refresh(content: str, before: str = "") -> bytes:
    return f"<!doctype html>{before}<meta http-equiv=refresh content='{content}'>".encode()


def target(body: bytes, content_type: str = "text/html") -> str | None:
    return leads_to(body, URL, content_type, None)


@pytest.mark.parametrize(
    ("content", "leads"),
    [
        ("0; url=/en/", "https://docs.example/en/"),
        ("0;URL=new.html#part", "https://docs.example/old/new.html"),
        ('5.5, url = "a.html" and more', "https://docs.example/old/a.html"),
        ("1 https://other.example/", "https://other.example/"),
        ("6; url=/en/", None),
        ("0", None),
        ("0; url=", None),
        ("; url=/en/", None),
        ("0; url=index.html#top", None),
        ("0; url=javascript:alert(1)", None),
        ("0; url=data:text/html,x", None),
    ],
)
def test_where_a_refresh_leads(content: str, leads: str | None) -> None:
    assert target(refresh(content)) == leads


def test_references_are_resolved_as_links_are() -> None:
    assert target(refresh("0;url=a", "<base href=/b/>")) == "https://docs.example/b/a"
    body = "<META CONTENT='0;url=ä' HTTP-EQUIV=Refresh>".encode("latin-1")
    assert leads_to(body, URL, "text/html", "windows-1252") == "https://docs.example/old/%C3%A4"


@pytest.mark.parametrize(
    "around", ["<noscript>{}</noscript>", "<!-- {} -->", "<script>{}</script>"]
)
def test_what_no_page_obeys_leads_nowhere(around: str) -> None:
    assert target(around.format(refresh("0;url=/en/").decode()).encode()) is None


def test_a_page_with_something_to_say_stays_itself() -> None:
    assert target(refresh("0;url=/en/").ljust(MAX_BYTES)) is not None
    assert target(refresh("0;url=/en/").ljust(MAX_BYTES + 1)) is None
    assert target(refresh("0;url=/en/"), "text/plain") is None
