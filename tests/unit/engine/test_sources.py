"""The text of a page as an item: right characters, bounded, and nothing made of what is no text."""

from __future__ import annotations

import pytest

from crawler.engine.fetch import Page
from crawler.engine.sources import MAX_BYTES, source_item

URL = "https://shop.example/"


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        (b"gr\xfc\xdfe", "windows-1252", "grüße"),
        ("grüße".encode(), None, "grüße"),
        (b"gr\xfc\xdfe", None, "grüße"),
        (b"<meta charset=shift_jis>\x83\x65", None, "<meta charset=shift_jis>テ"),
        ("\ufeffhi".encode(), "utf-8", "hi"),
        (b"h\0i\0", "utf-16le", "hi"),
        (b"", None, ""),
    ],
)
def test_text_by_what_is_said_of_it(body: bytes, charset: str | None, text: str) -> None:
    item = source_item(Page(URL, 200, body, "text/html", charset), "task")
    said = {"url": URL, "content_type": "text/html", "size_bytes": len(body)}
    assert item.fields == {**said, "source": text, "note": ""}


def test_what_is_no_text_has_no_source() -> None:
    fields = source_item(Page(URL, 200, b"\x89PNG\0\0", "image/png"), "").fields
    assert (fields["source"], fields["note"], fields["size_bytes"]) == (None, "binary", 6)


def test_a_long_text_is_cut_between_two_characters() -> None:
    fields = source_item(Page(URL, 200, b"x" + "é".encode() * MAX_BYTES, "text/plain"), "").fields
    assert len(fields["source"].encode()) == MAX_BYTES - 1
    assert fields["note"] == f"cut after {MAX_BYTES} bytes"
