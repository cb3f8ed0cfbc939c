"""Deals what is due out to the hosts: the order of a window, and its rows, for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crawler.model import Request
from crawler.store.cleaning import decode_fields

Row = tuple[Any, ...]  # as every backend's statements give it, in the order of `request_of`
STEP_S = 1.0  # a wait that began so far ahead was set by a clock that has stepped back since
SEQ, FINGERPRINT, HOST, PRIORITY = 0, 1, 3, 5


@dataclass(frozen=True, slots=True)
class Choice:
    """What was picked, the host to go on behind, and `wait_of` those that wait."""

    requests: tuple[Request, ...]
    last_host: str
    next_in_s: float | None

    @property
    def overdue(self) -> bool:
        """Whether rows wait whose time has come; promoting makes them due."""
        return self.next_in_s == 0.0


def wait_of(row: Row | None, now: float) -> float | None:
    """Seconds until a page that waits comes due, by the row of ``select_next_at``; 0.0 also where a
    time was set by a clock that stepped back since, None where none waits."""
    if row is None:
        return None
    next_at, began_at = map(float, row)
    return 0.0 if began_at > now + STEP_S else max(0.0, next_at - now)


def dealt(by_host: Sequence[Sequence[Row]], limit: int) -> tuple[Request, ...]:
    """First the best of every host, then the second of every host, and so on."""
    ranked = [(rank, row) for rows in by_host for rank, row in enumerate(rows)]
    ranked.sort(key=lambda each: (each[0], -each[1][PRIORITY], each[1][SEQ]))
    return tuple(request_of(row) for _, row in ranked[:limit])


def request_of(row: Row) -> Request:
    """The request that a row holds."""
    _, fingerprint, url, host, depth, priority, method, body, rule, carry, parent, *rest = row
    attempts, strikes = rest
    return Request(
        fingerprint,
        url,
        host,
        depth,
        priority,
        method,
        body,
        rule,
        decode_fields(carry),
        parent,
        attempts,
        strikes,
    )
