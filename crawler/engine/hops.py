"""Which redirects in a row led to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crawler.engine.baggage import HOPS
from crawler.model import Request

_MARK_BYTES = 8  # of a fingerprint: enough to tell a handful of requests apart


def hops(request: Request) -> int:
    """Redirects since a link or a start URL."""
    mark = request.carry.get(HOPS)
    return int(mark[0]) if mark else 0


def from_start(request: Request) -> bool:
    """Whether this is a start URL, or only redirects led from one to it."""
    mark = request.carry.get(HOPS)
    return bool(mark[1]) if mark else request.parent is None


def leads_back(request: Request, fingerprint: bytes) -> bool:
    """Whether the request of that fingerprint is one that was redirected to this one."""
    return _short(fingerprint) in _way(request)


def one_more(request: Request) -> Mapping[str, Any]:
    """What the request carries that this one is redirected to."""
    way = [*_way(request), _short(request.fingerprint)]
    return {**request.carry, HOPS: [hops(request) + 1, from_start(request), way]}


def _way(request: Request) -> Sequence[str]:
    """The requests that redirects led over; empty where an earlier version did not keep them."""
    mark = request.carry.get(HOPS, ())
    return mark[2] if len(mark) > 2 else ()


def _short(fingerprint: bytes) -> str:
    return fingerprint[:_MARK_BYTES].hex()
