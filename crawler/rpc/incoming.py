"""What a call brings along besides its request: its forwarding marks and its deadline."""

from __future__ import annotations

from typing import Any

import grpc

from crawler.telemetry.correlation import KEY as REQUEST_KEY
from crawler.telemetry.traces import KEY as TRACE_KEY

HOP_KEY = "crawler-hop"
MARK_KEY = "crawler-mark"  # of the master that has counted the call already

Context = grpc.aio.ServicerContext[Any, Any]


def hops(context: Context) -> int:
    """How many masters forwarded this call. An unreadable mark counts as one, against loops."""
    for key, value in context.invocation_metadata() or ():
        if key == HOP_KEY:
            text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            return int(text) if text.isdecimal() and len(text) < 4 else 1
    return 0


def request_id_of(context: Context) -> str:
    """The id that the call came with; "" for none."""
    return _metadata(context, REQUEST_KEY)


def traceparent_of(context: Context) -> str:
    """The span that the call is part of; "" for none."""
    return _metadata(context, TRACE_KEY)


def _metadata(context: Context, wanted: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == wanted:
            return value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return ""


def remaining_s(context: Context, most_s: float) -> float:
    """Seconds until the caller gives up, ``most_s`` at the most; never below zero."""
    left: float | None = context.time_remaining()  # None where the caller set no deadline
    return most_s if left is None else max(0.0, min(left, most_s))
