"""What requests send, and what it is: the two kinds of bodies tell themselves apart.

A JSON body is a table or a list, so it begins with ``{`` or ``[``; an urlencoded form has both
escaped. So the type follows from the body, and nothing has to be kept beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def form_body(fields: Iterable[tuple[str, str]]) -> bytes:
    """An urlencoded form, sorted by name: equal forms are equal requests. Fields of one name
    stay in their order."""
    return urlencode(sorted(fields, key=itemgetter(0)), errors="replace").encode()


def json_body(value: dict[str, Any] | list[Any]) -> bytes:
    """JSON in UTF-8, compact and sorted by name: equal values are equal requests."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "replace")


def content_type_of(body: bytes) -> str:
    """The media type of a body made here."""
    return JSON if body[:1] in (b"{", b"[") else FORM
