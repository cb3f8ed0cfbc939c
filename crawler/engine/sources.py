"""The text of a page as an item, for crawls that keep it (``store_body``)."""

from __future__ import annotations

from typing import Final

import turbohtml
import turbohtml.detect  # registers the whatwg-* codecs

from crawler.engine.fetch import Page
from crawler.model import Item

MAX_BYTES: Final = 2 * 1024 * 1024  # in UTF-8; below what one gRPC message may carry unless told
BINARY: Final = "binary"
_HEAD: Final = 1_024  # where a page says its encoding (WHATWG HTML, 13.2.3.2)
_VAGUE: Final = frozenset({"utf-8", "windows-1252"})  # what is taken where nothing is said


def source_item(page: Page, rule: str) -> Item:
    """The item: ``url``, ``content_type``, ``size_bytes`` of the body, its ``source`` as text, and
    a ``note``: "" where it is whole, else that it was cut, or is "binary" and left out (None)."""
    text, note = None, BINARY
    if b"\0" not in page.body or page.charset is not None:
        text, note = _cut(_decoded(page))
    fields = {
        "url": page.url,
        "content_type": page.content_type,
        "size_bytes": len(page.body),
        "source": text,
        "note": note,
    }
    return Item(rule, fields)


def _decoded(page: Page) -> str:
    """By what the answer says, else by what the text says of itself, else UTF-8 if it is that."""
    encoding = page.charset
    if encoding is None:
        encoding = (turbohtml.parse(page.body[:_HEAD], positions=False).encoding or "").lower()
    if encoding and (page.charset is not None or encoding not in _VAGUE):
        try:
            return page.body.decode(f"whatwg-{encoding}", "replace").removeprefix("\ufeff")
        except LookupError:
            pass
    try:
        return page.body.decode()
    except UnicodeDecodeError:
        return page.body.decode("whatwg-windows-1252", "replace")


def _cut(text: str) -> tuple[str, str]:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MAX_BYTES:
        return text, ""
    return raw[:MAX_BYTES].decode("utf-8", "ignore"), f"cut after {MAX_BYTES} bytes"
