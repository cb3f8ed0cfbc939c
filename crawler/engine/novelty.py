"""Whether a page brings anything that the page before it did not have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from xxhash import xxh3_128

from crawler.model import Item

_JSON = json.JSONEncoder(separators=(",", ":"), default=str)


class Link(Protocol):
    """What is looked at here of a link."""

    @property
    def url(self) -> str: ...
    @property
    def is_next(self) -> bool: ...
    @property
    def body(self) -> bytes | None: ...


def digest(items: Sequence[Item], links: Iterable[Link]) -> str:
    """32 characters over items and links, but for those to the next page; "" where there is
    nothing."""
    state = xxh3_128()
    empty = not items
    for item in items:
        state.update(_json([item.rule, item.fields]))
    for link in links:
        if not link.is_next:
            empty = False
            state.update(link.url.encode("utf-8", "replace") + b"\n" + (link.body or b"") + b"\n")
    return "" if empty else state.hexdigest()


def digest_of(value: Any) -> str:
    """32 characters over a JSON value."""
    return xxh3_128(_json(value)).hexdigest()


def _json(value: Any) -> bytes:
    return _JSON.encode(value).encode()
