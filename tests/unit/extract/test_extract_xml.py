"""Pages of XML: what HTML would make of them is wrong, and what is no XML is no reason to fail."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.definition import from_data
from crawler.engine.extract.extractor import Extraction, Extractor

URL = "https://feeds.example/news/rss"
FEED = b"""<?xml version="1.0" encoding="iso-8859-1"?>
<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title>
<image><url>logo.png</url></image>
<item><guid/><pubDate>2024</pubDate><dc:creator>M\xfcller</dc:creator>
  <title><![CDATA[Black & <white>]]></title><link>/1</link></item>
<item><title>a&nbsp;b &amp; c</title><link>https://feeds.example/2</link></item>
</channel></rss>"""


def read(body: bytes, rule: Any, content_type: str = "application/rss+xml") -> Extraction:
    definition = from_data({"start_urls": [URL], "rules": [{"match": "**", **rule}]})
    charset = "utf-8" if "utf-8" in content_type else None
    return Extractor(definition).extract(body, URL, content_type=content_type, charset=charset)


def test_a_feed_is_read_by_rules() -> None:
    item = {
        "title": "title::text",
        "by": r"dc\:creator::text",
        "at": "pubDate::text",
        "by_path": {"xpath": ".//*[name()='dc:creator']/text()"},
    }
    read_so = read(FEED, {"each": "item", "follow": ["link::text"], "item": item})
    assert [each.fields for each in read_so.items] == [
        {"title": "Black & <white>", "by": "Müller", "at": "2024", "by_path": "Müller"},
        {"title": "a b & c", "by": None, "at": None, "by_path": None},
    ]
    assert [link.url for link in read_so.links] == [
        "https://feeds.example/1",
        "https://feeds.example/2",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"<r><b>x & y</b>",
        b'<!DOCTYPE r [<!ENTITY y SYSTEM "file:///etc/passwd">]><r><b>x &amp; y</b><i>&y;</i></r>',
        b"<html xmlns='http://www.w3.org/1999/xhtml'><base href='/'/><b>x &amp; y</b></html>",
        b"<r><b>x &amp; y</b><![CDATA[",
    ],
)
def test_what_is_not_well_formed_and_xhtml_are_read_as_html(body: bytes) -> None:
    [item] = read(body, {"item": {"b": "B::text"}}, "application/xml").items
    assert item.fields == {"b": "x & y"}


def test_its_text_is_searched_in_its_own_encoding() -> None:
    [item] = read(FEED, {"item": {"by": {"re": "creator>([^<]*)"}}}).items
    assert item.fields == {"by": "Müller"}


def test_sections_that_never_end_take_no_time() -> None:
    assert not read(b"<r>" + b"<![CDATA[" * 200_000, {"item": {"b": "b::text"}}, "text/xml").items
