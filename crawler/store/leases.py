"""Decides how long a sink's lease lasts and how long it may have to wait, for every backend.

The store's clock may step: what lies further ahead than anybody may set it was set before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crawler.store.cleaning import clean_seconds, clean_text
from crawler.store.outbox import Delivery

HOLD_S = 60.0  # longer than sending one batch may take
LONGEST_WAIT_S = 3600.0
MAX_TROUBLE = 500
SINKS_SHOWN = 100


def asked(holder: str, now: float, limit: int, *, early: bool = False) -> dict[str, Any]:
    """What ``select_due_outbox`` is asked with."""
    return {
        "holder": holder,
        "now": now,
        "too_late": 0.0 if early else now + LONGEST_WAIT_S,
        "too_long": now + HOLD_S,
        "limit": limit,
    }


def key_of(delivery: Delivery) -> dict[str, Any]:
    """Its row, under its lease."""
    return {"run_id": delivery.run_id, "sink": delivery.sink, "lease": delivery.lease}


def postponed(delivery: Delivery, wait_s: float, trouble: str, now: float) -> dict[str, Any]:
    """What ``postpone_outbox`` is asked with."""
    return {
        **key_of(delivery),
        "due": now + min(clean_seconds(wait_s), LONGEST_WAIT_S),
        "failed": int(bool(trouble)),
        "trouble": clean_text(trouble)[:MAX_TROUBLE],
    }


def summed(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], int]:
    """How many items each sink lacks over all runs, by resource and sink, from rows of both."""
    lags: dict[tuple[str, str], int] = {}
    for name, sink, lag in rows:
        lags[name, sink] = lags.get((name, sink), 0) + lag
    return lags


def taken_over(delivery: Delivery) -> str:
    """What is said where a lease does not stand any more."""
    return f"another sends the items of {delivery.name} to {delivery.sink} now, or nobody does"
