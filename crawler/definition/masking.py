"""A definition as it may be shown: without the values of its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"
_SECRET: Final = re.compile(r"auth|cookie|key|passw|secret|session|signature|token", re.IGNORECASE)


def is_secret(header: str) -> bool:
    """Whether a header of this name is likely to hold a credential."""
    return _SECRET.search(header) is not None


def masked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a definition's JSON with `MASK` for every cookie and for every secret
    header, of sinks too."""
    shown = _without_headers(definition)
    cookies, sinks = shown.get("cookies"), shown.get("sinks")
    if isinstance(sinks, list):
        shown["sinks"] = [
            _without_headers(sink) if isinstance(sink, Mapping) else sink for sink in sinks
        ]
    if isinstance(cookies, Mapping):
        shown["cookies"] = dict.fromkeys(cookies, MASK)
    return shown


def _without_headers(table: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(table)
    if isinstance(headers := shown.get("headers"), Mapping):
        shown["headers"] = {
            name: MASK if is_secret(name) else value for name, value in headers.items()
        }
    return shown
