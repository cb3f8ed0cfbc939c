"""XML as what it is: names in their case, ``<link>`` with a content, CDATA as text."""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import Final

import turbohtml
import turbohtml.detect  # which also registers the whatwg-* codecs

from crawler.engine.charset import declared_in_xml

_HEAD: Final = 1 << 10  # octets that hold the declaration
_NAMED: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]{1,31};)")


def is_xml(content_type: str) -> bool:
    """Whether the content type is one of XML; XHTML is read as HTML, as which it is written."""
    return content_type in ("application/xml", "text/xml") or (
        content_type.endswith("+xml") and content_type != "application/xhtml+xml"
    )


def parse_xml(body: bytes, charset: str | None) -> tuple[turbohtml.Document, bytes]:
    """The document, and its text as UTF-8. ``charset`` is what byte order mark or header said.

    Raises `ValueError` where it is XHTML, and where it is not well-formed. Entities that it
    declares itself make it that, for they are not resolved; those of HTML are, for feeds are full
    of them.
    """
    encoding = charset or declared_in_xml(body[:_HEAD]) or "utf-8"
    text = body.decode(f"whatwg-{encoding}", "replace").lstrip("\ufeff \t\r\n")
    plain = _NAMED.sub(lambda found: html5.get(found[1], found[0]), _without_cdata(text))
    try:
        document = turbohtml.parse_xml(plain)
    except turbohtml.HTMLParseError as error:
        raise ValueError(f"not well-formed: {error}") from error
    if document.select_one(":root:is(html)") is not None:
        raise ValueError("XHTML")
    return document, text.encode("utf-8", "replace")


def _without_cdata(text: str) -> str:
    """The same text, its CDATA sections written as other text is."""
    first, *others = text.split("<![CDATA[")
    parts = [first]
    for each in others:
        inside, end, after = each.partition("]]>")
        parts += [html.escape(inside, quote=False), after] if end else ["<![CDATA[", each]
    return "".join(parts)
