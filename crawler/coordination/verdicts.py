"""What an error of etcd means: whether it happened, whether to try elsewhere, what to raise."""

from __future__ import annotations

import re
from enum import Enum, auto

import grpc
from grpc import aio

from crawler.errors import (
    Compacted,
    CrawlerError,
    EtcdUnavailable,
    Exhausted,
    Hindered,
    InvalidInput,
    Misconfigured,
    SessionLost,
    TooLarge,
)

Code = grpc.StatusCode


class Verdict(Enum):
    """The reaction to a failed attempt."""

    ELSEWHERE = auto()  # definitely without effect; another member, or a later moment, may do it
    LOGIN = auto()  # definitely without effect; the token is missing or stale
    UNKNOWN = auto()  # it may have happened
    FINAL = auto()  # definitely without effect, and repeating it would not help


# Texts: etcd api/v3rpc/rpctypes/error.go; the last is gRPC core's, for a call that found no
# connection to leave by.
_ELSEWHERE = (
    "etcdserver: no leader",
    "etcdserver: not capable",
    "etcdserver: too many requests",
    "failed to connect to all addresses",
)
_LOGIN = (
    "etcdserver: invalid auth token",
    "etcdserver: user name is empty",
    "etcdserver: revision of auth store is old",
)
_DEFINITE = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.RESOURCE_EXHAUSTED,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
        Code.UNAUTHENTICATED,
    }
)
_NUMBER = re.compile(r"\d+")


def judge(code: grpc.StatusCode, details: str) -> Verdict:
    """The verdict on a gRPC status."""
    if details.startswith(_ELSEWHERE):
        return Verdict.ELSEWHERE
    if details.startswith(_LOGIN):
        return Verdict.LOGIN
    return Verdict.FINAL if code in _DEFINITE else Verdict.UNKNOWN


def details_of(error: aio.AioRpcError) -> str:
    """The status message, never None."""
    return error.details() or ""


def to_error(code: grpc.StatusCode, details: str) -> CrawlerError:
    """Our error for a status without effect."""
    text = f"etcd: {details.removeprefix('etcdserver: ') or code.name}"
    if "has been compacted" in details or "is a future revision" in details:
        # The latter: etcd went back in time within a list, which must begin anew, too.
        number = _NUMBER.search(details)
        return Compacted(int(number[0]) if number else 0)
    if "lease not found" in details:
        return SessionLost(text)
    if "too large" in details or "larger than max" in details:
        return TooLarge(text)
    if "database space exceeded" in details:
        return Exhausted(f"{text}: compact, defragment and disarm the alarm")
    if code is Code.PERMISSION_DENIED or judge(code, details) is Verdict.LOGIN:
        return Hindered(f"{text} (check the user and password for etcd)")
    if code in {Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED}:
        return Misconfigured(text)
    return InvalidInput(text) if code in _DEFINITE else EtcdUnavailable(text)
