"""What the engine itself keeps among the values that a request carries, so that it survives.

No value that a definition carries has such a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crawler.model import Request

HOPS: Final = ""  # how many redirects led to it
BEFORE: Final = "<"  # what was on the page before it
CHAIN: Final = "="  # an item that it goes on with
_MARKS: Final = frozenset({HOPS, BEFORE, CHAIN})


def carried(request: Request) -> Mapping[str, Any]:
    """What the definition carries to this page."""
    carry = request.carry
    if not carry or _MARKS.isdisjoint(carry):
        return carry
    return {name: value for name, value in carry.items() if name not in _MARKS}
