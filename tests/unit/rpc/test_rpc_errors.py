"""The table between our errors and gRPC's, without a network."""

from __future__ import annotations

import json

import grpc
import pytest

from crawler import errors
from crawler.definition import InvalidDefinition, load_text
from crawler.rpc.errors import ERROR_KEY, from_rpc_error, to_status

Code = grpc.StatusCode


def failed(code: grpc.StatusCode, message: str, **trailers: bytes) -> grpc.aio.AioRpcError:
    pairs = [(key.replace("_", "-"), value) for key, value in trailers.items()]
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*pairs), message, None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("x", field="f"), Code.INVALID_ARGUMENT),
        (errors.TooLarge("x"), Code.RESOURCE_EXHAUSTED),
        (errors.NotFound("x"), Code.NOT_FOUND),
        (errors.Conflict("x"), Code.ALREADY_EXISTS),
        (errors.Refused("x"), Code.PERMISSION_DENIED),
        (errors.Unauthenticated("x"), Code.UNAUTHENTICATED),
        (errors.Unavailable("x"), Code.UNAVAILABLE),
        (errors.EtcdUnavailable("x"), Code.UNAVAILABLE),
        (errors.StoreUnavailable("x"), Code.UNAVAILABLE),
        (errors.Exhausted("x"), Code.RESOURCE_EXHAUSTED),
        (errors.OutcomeUnknown("x"), Code.DEADLINE_EXCEEDED),
        (errors.TermLost("x"), Code.DEADLINE_EXCEEDED),
        (errors.SessionLost("x"), Code.DEADLINE_EXCEEDED),
        (errors.Misconfigured("x"), Code.INTERNAL),
    ],
)
def test_codes(error: errors.CrawlerError, code: grpc.StatusCode) -> None:
    assert to_status(error)[0] is code


def test_a_rooms_own_kind_of_an_error_travels_as_that_error() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        load_text("nonsense = 1")
    code, message, details = to_status(caught.value)
    back = from_rpc_error(failed(code, message, crawler_error_bin=details[0][1]))
    assert type(back) is errors.InvalidInput
    assert back.field == "nonsense"


@pytest.mark.parametrize(
    "lost", [errors.TermLost("x"), errors.Fenced("x"), errors.SessionLost("x")]
)
def test_a_lost_office_is_told_as_unknown(lost: errors.CrawlerError) -> None:
    code, message, details = to_status(lost)
    back = from_rpc_error(failed(code, message, crawler_error_bin=details[0][1]))
    assert type(back) is errors.OutcomeUnknown
    assert str(back) == "the outcome is unknown: x"


def test_a_lost_answer_is_told_as_unknown_and_not_as_unavailable() -> None:
    lost = from_rpc_error(failed(Code.UNAVAILABLE, "Stream removed (Socket closed)"))
    assert str(lost) == "the outcome is unknown: Stream removed (Socket closed)"


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (Code.UNAVAILABLE, "failed to connect to all addresses; last error", errors.Unavailable),
        (Code.UNAVAILABLE, "Socket closed", errors.OutcomeUnknown),
        (Code.UNAVAILABLE, "", errors.OutcomeUnknown),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", errors.OutcomeUnknown),
        (Code.CANCELLED, "", errors.OutcomeUnknown),
        (Code.UNKNOWN, "x", errors.OutcomeUnknown),
        (Code.INTERNAL, "x", errors.OutcomeUnknown),
        (Code.UNIMPLEMENTED, "Method not found!", errors.Unavailable),
        (Code.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)", errors.TooLarge),
        (Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", errors.Exhausted),
        (Code.FAILED_PRECONDITION, "x", errors.Conflict),
        (Code.INVALID_ARGUMENT, "x", errors.InvalidInput),
    ],
)
def test_statuses_of_others(
    code: grpc.StatusCode, message: str, kind: type[errors.CrawlerError]
) -> None:
    assert type(from_rpc_error(failed(code, message))) is kind


@pytest.mark.parametrize("garbage", [b"", b"[]", b"\xff", b"{", b"7"])
def test_an_unreadable_detail_is_read_by_its_code(garbage: bytes) -> None:
    back = from_rpc_error(failed(Code.NOT_FOUND, "no such task", crawler_error_bin=garbage))
    assert type(back) is errors.NotFound


@pytest.mark.parametrize("kind", ["Exception", "CrawlerError", "", None, 7])
def test_an_unknown_kind_is_an_unknown_outcome(kind: object) -> None:
    detail = json.dumps({"kind": kind}).encode()
    back = from_rpc_error(failed(Code.UNAVAILABLE, "x", crawler_error_bin=detail))
    assert type(back) is errors.OutcomeUnknown


def test_the_key_is_binary() -> None:
    assert ERROR_KEY.endswith("-bin")
