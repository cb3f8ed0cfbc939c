"""What a definition lets be kept of old runs."""

from __future__ import annotations

import json
from typing import Final

from crawler.model import Keep

DEFAULT: Final = Keep()


def keep_of(definition: str | None) -> Keep:
    """What is to be kept of the resource. Read without the schema, because a leader reads
    thousands; what is no number of rows counts as not said."""
    if definition is None or '"keep_' not in definition:
        return DEFAULT
    try:
        data = json.loads(definition)
        given = [data.get(f"keep_{what}") for what in ("runs", "pages", "events")]
    except (ValueError, AttributeError, RecursionError):
        return DEFAULT
    defaults = (DEFAULT.runs, DEFAULT.pages, DEFAULT.events)
    return Keep(*(_number(each, default) for each, default in zip(given, defaults, strict=True)))


def _number(given: object, default: int) -> int:
    valid = isinstance(given, int) and not isinstance(given, bool) and given >= 1
    return given if valid and isinstance(given, int) else default
