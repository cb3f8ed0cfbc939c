"""Encodings by the labels of the WHATWG."""

import pytest

from crawler.engine.fetch.charset import declared, encoding_for


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("UTF-8", "utf-8"),
        (" 'utf8' ", "utf-8"),
        ("latin1", "windows-1252"),
        ("ISO-8859-1", "windows-1252"),
        ("iso8859-1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("ISO_8859-15", "iso-8859-15"),
        ("iso88592", "iso-8859-2"),
        ("gb2312", "gbk"),
        ("Shift-JIS", "shift_jis"),
        ("utf-16", "utf-16le"),
        ("klingon", None),
        ("", None),
    ],
)
def test_labels(label: str, name: str | None) -> None:
    assert encoding_for(label) == name


@pytest.mark.threat(17)
@pytest.mark.parametrize(
    ("body", "header", "name"),
    [
        (b"x", "text/html", None),
        (b"x", "text/html; charset=koi8-r", "koi8-r"),
        (b"x", 'text/html;foo=bar; Charset = "UTF-8"', "utf-8"),
        (b"x", "text/html; charset=nonsense", None),
        (b"\xff\xfex\x00", "text/html; charset=koi8-r", "utf-16le"),
        (b"\xfe\xff\x00x", "", "utf-16be"),
        (b"\xef\xbb\xbfx", "", "utf-8"),
    ],
)
def test_mark_before_header_before_sniffing(body: bytes, header: str, name: str | None) -> None:
    assert declared(body, header) == name
