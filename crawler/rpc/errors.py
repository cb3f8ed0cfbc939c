"""Our errors as gRPC statuses and back, so that each keeps its class and its field on the way.

The class travels as JSON in the trailing metadata `ERROR_KEY`, because several classes share one
status code. A status without that key came from another implementation or from gRPC itself: it
is read by its code, and where that leaves open whether the call had an effect, as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

import grpc

from crawler.errors import (
    Conflict,
    CrawlerError,
    EtcdUnavailable,
    Exhausted,
    Fenced,
    InvalidInput,
    NoLeader,
    NotFound,
    OutcomeUnknown,
    Refused,
    SessionLost,
    StoreUnavailable,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

ERROR_KEY = "crawler-error-bin"
HELP_KEY = "crawler-help-bin"  # a sentence for people: what to do about it
# All trailers together must stay below 8 KiB, or gRPC drops them, and with them the kind of error.
# A byte of the message that is not printable ASCII takes three there (percent-encoding).
MAX_MESSAGE_BYTES = 5000
MAX_FIELD = 200  # characters

Code = grpc.StatusCode
Details = tuple[tuple[str, bytes], ...]

# More special classes first.
_CODES: tuple[tuple[type[CrawlerError], grpc.StatusCode], ...] = (
    (InvalidInput, Code.INVALID_ARGUMENT),
    (TooLarge, Code.RESOURCE_EXHAUSTED),
    (NotFound, Code.NOT_FOUND),
    (Conflict, Code.ALREADY_EXISTS),
    (Refused, Code.PERMISSION_DENIED),
    (Unauthenticated, Code.UNAUTHENTICATED),
    (Unavailable, Code.UNAVAILABLE),
    (Exhausted, Code.RESOURCE_EXHAUSTED),
    (OutcomeUnknown, Code.DEADLINE_EXCEEDED),
    # Some steps may have been taken before the term or the session was lost.
    (Fenced, Code.DEADLINE_EXCEEDED),
    (SessionLost, Code.DEADLINE_EXCEEDED),
)

_KINDS: dict[str, type[CrawlerError]] = {
    kind.__name__: kind
    for kind in (
        TooLarge,
        NotFound,
        Conflict,
        Refused,
        Unauthenticated,
        Unavailable,
        NoLeader,
        EtcdUnavailable,
        StoreUnavailable,
        Exhausted,
        OutcomeUnknown,
    )
}

_BY_CODE: dict[grpc.StatusCode, type[CrawlerError]] = {
    Code.INVALID_ARGUMENT: InvalidInput,
    Code.OUT_OF_RANGE: InvalidInput,
    Code.NOT_FOUND: NotFound,
    Code.ALREADY_EXISTS: Conflict,
    Code.ABORTED: Conflict,
    Code.FAILED_PRECONDITION: Conflict,
    Code.PERMISSION_DENIED: Refused,
    Code.UNAUTHENTICATED: Unauthenticated,
    Code.RESOURCE_EXHAUSTED: Exhausted,
    # The other side is older or another implementation: it did not even look at the call.
    Code.UNIMPLEMENTED: Unavailable,
}

# Callers of the Go original's two calls are told by code and message alone.
_UNKNOWN = "the outcome is unknown: "

# What gRPC's core says of a call for which no connection could be had.
_NEVER_SENT = ("failed to connect", "DNS resolution failed", "name resolution failure")


def to_status(error: CrawlerError) -> tuple[grpc.StatusCode, str, Details]:
    """Code, message and trailing metadata for an error of ours.

    An error that no caller can react to becomes INTERNAL; a lost term or session is told as
    unknown, because its callers must repeat the call rather than stop.
    """
    lost = isinstance(error, Fenced | SessionLost)
    message = _fitting(f"{_UNKNOWN}{error}" if lost else str(error))
    for kind, code in _CODES:
        if isinstance(error, kind):
            unknown = code is Code.DEADLINE_EXCEEDED
            detail = {"kind": OutcomeUnknown.__name__ if unknown else _name(error)}
            if isinstance(error, InvalidInput):
                detail["field"] = error.field[:MAX_FIELD]
            packed = json.dumps(detail, ensure_ascii=False).encode(errors="replace")
            help_ = OutcomeUnknown.help if code is Code.DEADLINE_EXCEEDED else error.help
            return code, message, ((ERROR_KEY, packed), (HELP_KEY, help_.encode()))
    return Code.INTERNAL, message, ()


def _name(error: CrawlerError) -> str:
    """The class that the other side knows: a room's own kind of an error travels as that error."""
    known = {InvalidInput, *_KINDS.values()}
    return next(kind for kind in type(error).__mro__ if kind in known).__name__


def _fitting(message: str) -> str:
    """The message as UTF-8 can carry it, cut to `MAX_MESSAGE_BYTES` on the wire."""
    left = MAX_MESSAGE_BYTES
    sound = message[:MAX_MESSAGE_BYTES].encode(errors="replace").decode()
    for number, each in enumerate(sound):
        left -= (
            1 if each.isascii() and each.isprintable() and each != "%" else 3 * len(each.encode())
        )
        if left < 0:
            return sound[:number]
    return sound


def from_rpc_error(error: grpc.aio.AioRpcError) -> CrawlerError:
    """The error of ours that a failed call stands for; the caller raises it ``from error``."""
    code = error.code()
    message = error.details() or code.name.lower().replace("_", " ")
    detail = _detail(error)
    if detail is not None:
        return _restore(detail, message)
    if code is Code.UNAVAILABLE and any(sign in message for sign in _NEVER_SENT):
        return Unavailable(message)
    if code is Code.RESOURCE_EXHAUSTED and "larger than max" in message:
        return TooLarge(message)
    kind = _BY_CODE.get(code)
    return kind(message) if kind is not None else OutcomeUnknown(_UNKNOWN + message)


def _restore(detail: dict[str, object], message: str) -> CrawlerError:
    kind = detail.get("kind")
    if kind == InvalidInput.__name__:
        return InvalidInput(message, field=str(detail.get("field", "")))
    return _KINDS.get(str(kind), OutcomeUnknown)(message)


def _detail(error: grpc.aio.AioRpcError) -> dict[str, object] | None:
    trailers = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key == ERROR_KEY:
            try:
                detail = json.loads(value)
            except ValueError:
                return None
            return detail if isinstance(detail, dict) else None
    return None
