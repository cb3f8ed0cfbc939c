"""How many redirects in a row led to a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crawler.engine.baggage import HOPS
from crawler.model import Request


def hops(request: Request) -> int:
    """Redirects since a link or a start URL."""
    mark = request.carry.get(HOPS)
    return int(mark[0]) if mark else 0


def from_start(request: Request) -> bool:
    """Whether this is a start URL, or only redirects led from one to it."""
    mark = request.carry.get(HOPS)
    return bool(mark[1]) if mark else request.parent is None


def one_more(request: Request) -> Mapping[str, Any]:
    """What the request carries that this one is redirected to."""
    return {**request.carry, HOPS: [hops(request) + 1, from_start(request)]}
