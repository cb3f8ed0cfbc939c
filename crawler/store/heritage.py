"""What a run takes over from the run that it builds on, without a database.

Pages travel the way links do: a page that is unchanged brings those that were first found on it, so
that each is reached as it would be in a run of its own. What nobody has brought by the end is swept
up: its finders have changed, or could not be had.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from crawler.model import Before, Imprint, PageState, Request
from crawler.store.cleaning import decode_fields

SWEPT_AT_ONCE = 2000  # pages of the base that one transaction looks at
Row = tuple[Any, ...]


def base_of(latest: Row | None, recipe: str) -> int | None:
    """Which run a new one builds on, by the row of ``select_base``: the ``latest`` one of its own
    recipe. None: on none."""
    return int(latest[0]) if latest is not None and recipe and latest[1] == recipe else None


def recalled(
    requests: Sequence[Request], rows: Iterable[Row], begun_at: float
) -> tuple[Request, ...]:
    """The requests with what the base says of them, from rows of ``select_before``. A page that is
    reached by another rule or with other values may yield something else, so nothing is said."""
    known = {bytes(row[0]): row[1:] for row in rows}
    return tuple(_recalled(each, known.get(each.fingerprint), begun_at) for each in requests)


def _recalled(request: Request, row: Row | None, begun_at: float) -> Request:
    if row is None or row[0] != request.rule or decode_fields(row[1]) != request.carry:
        return request
    digest, etag, last_modified, interval_s, due_at, depth, rule, content_type, links = row[2:]
    imprint = Imprint(bytes(digest), etag, last_modified, interval_s)
    # What was asked in the future was asked by a clock that has stepped back since.
    waits = due_at - interval_s <= begun_at < due_at
    return replace(
        request, before=Before(imprint, depth, rule, content_type, links, due_at if waits else 0.0)
    )


def taken(row: Row) -> tuple[Request, str | None]:
    """A page of the base as a link, from a row of ``select_children`` or ``select_left``, and why
    it is excluded as one (None: it is not)."""
    url, host, depth, priority, method, body, rule, carry, parent, fingerprint, state, *rest = row
    reason, fetched_at = rest
    request = Request(
        bytes(fingerprint),
        url,
        host,
        depth,
        priority,
        method,
        None if body is None else bytes(body),
        rule,
        decode_fields(carry),
        bytes(parent),
    )
    refused = state == PageState.EXCLUDED and not fetched_at
    return request, reason if refused else None
