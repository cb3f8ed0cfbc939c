"""What to do about a request that failed: again, and when, or never. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from crawler.clock import Backoff
from crawler.errors import FetchFailed

RETRY_AFTER = "Retry-After"
MAX_WAIT_S = 3600.0  # a longer Retry-After is asked again after this
_BACKOFF = Backoff(base_s=1.0, cap_s=300.0, floor_s=0.5)
_SLOW_DOWN = frozenset({429, 503})  # statuses that speak for the whole host


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after ``delay_s`` seconds; ``host_s``: let the whole host alone so long, because
    of ``host_reason``."""

    delay_s: float
    host_s: float
    reason: str
    host_reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Never again, because of ``reason``; ``host_s``: let the whole host alone so long, as it asked
    by Retry-After."""

    reason: str
    host_s: float = 0.0


def retry_after_s(value: str, date: str) -> float | None:
    """Seconds that a Retry-After header (RFC 9110 10.2.3) asks for; None: nothing readable.

    Where it is a date, it is seen from the ``date`` of the same answer: both are by the clock of
    the server, and ours may show anything.
    """
    text = value.strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 12:
        return float(text)
    until, now = _unix(text), _unix(date)
    return None if until is None or now is None else max(0.0, until - now)


def _unix(date: str) -> float | None:
    """The Unix time of a date as HTTP writes it; None for anything else."""
    try:
        read = parsedate_to_datetime(date.strip()[:64])
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def refusal(
    status: int, retry_after_s: float | None, retry_codes: Collection[int]
) -> FetchFailed | None:
    """The failure that a status means; None for 2xx. Redirects are the caller's business."""
    if 200 <= status < 300:
        return None
    return FetchFailed(
        f"http {status}", retry=status in retry_codes, status=status, retry_after_s=retry_after_s
    )


def decide(
    failure: FetchFailed, attempts: int, retry_times: int, chance: random.Random
) -> Again | GiveUp:
    """What follows from the failure of attempt number ``attempts`` + 1.

    Exponential backoff with full jitter, and not before Retry-After.
    """
    asked_s = min(failure.retry_after_s or 0.0, MAX_WAIT_S)
    if not failure.retry or attempts >= retry_times:
        return GiveUp(failure.reason, asked_s)
    delay_s = max(_BACKOFF.delay(attempts, chance), asked_s)
    host_s = delay_s if failure.status in _SLOW_DOWN else asked_s
    host_reason = RETRY_AFTER if asked_s and host_s == asked_s else failure.reason
    return Again(delay_s, host_s, failure.reason, host_reason)
