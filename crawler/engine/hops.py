"""How many redirects in a row led to a request: kept in what it carries, so that it survives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crawler.model import Request

_MARK = ""  # no value that a definition carries is called so


def hops(request: Request) -> int:
    """Redirects since a link or a start URL."""
    mark = request.carry.get(_MARK)
    return int(mark[0]) if mark else 0


def from_start(request: Request) -> bool:
    """Whether this is a start URL, or only redirects led from one to it."""
    mark = request.carry.get(_MARK)
    return bool(mark[1]) if mark else request.parent is None


def carried(request: Request) -> Mapping[str, Any]:
    """What the definition carries to this page."""
    if _MARK not in request.carry:
        return request.carry
    return {name: value for name, value in request.carry.items() if name != _MARK}


def one_more(request: Request) -> Mapping[str, Any]:
    """What the request carries that this one is redirected to."""
    return {**request.carry, _MARK: [hops(request) + 1, from_start(request)]}
