"""Every failure as an answer in grpc-gateway's shape: ``{"code":5,"message":"…","details":[]}``.

``code`` is the number of the gRPC status. ``details`` carries what the status alone does not say,
in the messages of google.rpc: BadRequest names the field, ErrorInfo the more special reason, Help
says what to do. The two calls of the Go original go without Help: their answers stay as its callers
know them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

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

BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
HELP = "type.googleapis.com/google.rpc.Help"
DOMAIN = "crawler"

# Class, HTTP status, gRPC code.
_STATUSES: tuple[tuple[type[CrawlerError], int, int], ...] = (
    (InvalidInput, 400, 3),
    (Unauthenticated, 401, 16),
    (Refused, 403, 7),
    (NotFound, 404, 5),
    (Conflict, 409, 6),
    (TooLarge, 413, 8),
    (Exhausted, 429, 8),
    (Unavailable, 503, 14),
    (OutcomeUnknown, 504, 4),
)
_REASONS: dict[type[CrawlerError], str] = {
    NoLeader: "NO_LEADER",
    EtcdUnavailable: "ETCD_UNAVAILABLE",
    StoreUnavailable: "STORE_UNAVAILABLE",
}
# What aiohttp itself refuses.
_CODES = {400: 3, 403: 7, 404: 5, 405: 12, 408: 4, 411: 3, 413: 8, 414: 3, 415: 3, 417: 3, 431: 3}

_HELP = {
    404: "/docs lists every path",
    408: "send the whole body at once; over a slow line, a smaller one",
    413: TooLarge.help,
    414: "put less into the query",
    417: "leave out the header Expect",
    431: "send fewer or shorter headers",
}

INTERNAL = 13
RETRY_AFTER_S = 1


def answer_error(error: CrawlerError, *, help_: bool = True) -> web.Response:
    """The response for an error of ours; one nobody outside can react to is a 500. ``help_``: it
    says what to do."""
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}
            if status == 401:
                headers["WWW-Authenticate"] = 'Bearer realm="crawler"'
            said = error.help if help_ else ""
            return shaped(status, code, str(error), said, _details(error), headers)
    return answer_fault()


def answer_fault() -> web.Response:
    """The response for a fault of ours; the log has the rest."""
    return shaped(500, INTERNAL, "internal error", CrawlerError.help)


def answer_nobody() -> web.Response:
    """What the log and the figures have of a caller that left in the middle: nginx's status for
    it, and gRPC's CANCELLED."""
    return shaped(499, 1, "the caller left before the answer", "")


def answer_refusal(request: web.Request, refusal: web.HTTPException) -> web.Response:
    """The response for what aiohttp refused: an unknown path, a method, a header."""
    status = refusal.status
    headers = {}
    message, help_ = refusal.reason, _HELP.get(status, "/docs describes every request")
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refusal.allowed_methods))
        headers["Allow"] = allowed
        message = f"{request.method} is not possible here, but {allowed}"
    elif isinstance(refusal, web.HTTPNotFound):
        message = f"there is nothing at {request.path[:200]}; see /docs or /openapi.json"
    return shaped(status, _CODES.get(status, 2), message, help_, (), headers)


def shaped(
    status: int,
    code: int,
    message: str,
    help_: str,
    details: tuple[Mapping[str, Any], ...] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error response; ASCII only, so that no message can break it."""
    ways = ({"@type": HELP, "links": [{"description": help_, "url": "/docs"}]},) if help_ else ()
    body = {"code": code, "message": message, "details": [*details, *ways]}
    return web.Response(
        status=status,
        text=json.dumps(body, separators=(",", ":")),
        content_type="application/json",
        headers=headers,
    )


def _details(error: CrawlerError) -> tuple[Mapping[str, Any], ...]:
    if isinstance(error, InvalidInput) and error.field:
        violation = {"field": error.field, "description": str(error)}
        return ({"@type": BAD_REQUEST, "field_violations": [violation]},)
    reason = _REASONS.get(type(error))
    return ({"@type": ERROR_INFO, "reason": reason, "domain": DOMAIN},) if reason else ()
