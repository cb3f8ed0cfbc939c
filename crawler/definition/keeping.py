"""What a definition lets be kept of old runs, and how the rest is let go of."""

from __future__ import annotations

import json
from typing import Final, Protocol

from crawler.clock import Clock
from crawler.model import Keep

DEFAULT: Final = Keep()
ROWS: Final = 2_000  # per transaction
PAUSE_S: Final = 0.2  # between two of them: crawls get their turns


class Trimming(Protocol):
    """The database, as far as it is needed here."""

    async def trim(self, resource_id: str, keep: Keep, limit: int) -> bool:
        """Delete about ``limit`` rows of what need not be kept of it; whether there is more."""


async def let_go(
    store: Trimming,
    resource_id: str,
    definition: str | None,
    clock: Clock,
    pause_s: float = PAUSE_S,
) -> None:
    """Delete what this definition (canonical JSON) does not want kept of the resource. Raises
    `StoreUnavailable` and `OutcomeUnknown`; then the rest is for the next call."""
    keep = keep_of(definition)
    while await store.trim(resource_id, keep, ROWS):
        await clock.sleep(pause_s)


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
