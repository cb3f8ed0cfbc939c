"""Answers that are no success, as errors of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from crawler.errors import (
    Conflict,
    CrawlerError,
    EtcdUnavailable,
    Exhausted,
    InvalidInput,
    NoLeader,
    NotFound,
    OutcomeUnknown,
    Refused,
    StoreUnavailable,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

MAX_SHOWN = 300  # characters of an answer that is not ours

_REASONS: dict[str, type[CrawlerError]] = {
    "NO_LEADER": NoLeader,
    "ETCD_UNAVAILABLE": EtcdUnavailable,
    "STORE_UNAVAILABLE": StoreUnavailable,
}
_STATUSES: dict[int, type[CrawlerError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Refused,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: Exhausted,
    501: Unavailable,
    503: Unavailable,
}


def from_answer(status: int, body: bytes) -> CrawlerError:
    """The error for a status of 300 and more. What is not in our shape came from something in
    between (a proxy, say) and is read by its status; an unknown one of 500 and more says nothing
    about whether the call had an effect."""
    shaped = _shaped(body)
    message = str(shaped.get("message") or f"HTTP {status}: {_shown(body)}")
    for detail in _details(shaped):
        reason = _REASONS.get(str(detail.get("reason")))
        if reason is not None and status == 503:
            return reason(message)
        for violation in _list(detail.get("field_violations")):
            return InvalidInput(message, field=str(violation.get("field", "")))
    if status < 500:
        return _STATUSES.get(status, InvalidInput)(message)
    return _STATUSES.get(status, OutcomeUnknown)(message)


def _shaped(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _details(shaped: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return _list(shaped.get("details"))


def _list(value: Any) -> Iterator[Mapping[str, Any]]:
    return (
        (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
    )


def _shown(body: bytes) -> str:
    return " ".join(body.decode("utf-8", "replace").split())[:MAX_SHOWN] or "no text"
