"""A definition as it may be shown: without the values of its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from crawler.definition.secrets import PLAIN_NAME

MASK: Final = "***"
_SECRET: Final = re.compile(r"auth|cookie|key|passw|secret|session|signature|token", re.IGNORECASE)

_NAME_ALONE: Final = re.compile(rf"([A-Za-z]+ )?\$\{{secret:{PLAIN_NAME}\}}")


def is_secret(header: str) -> bool:
    """Whether a header of this name is likely to hold a credential."""
    return _SECRET.search(header) is not None


def masked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a definition's JSON with `MASK` for every cookie, every secret header, sinks' too,
    and all that is in ``auth`` but the domain; what only names a worker's secret is left."""
    shown = _without_headers(definition)
    cookies, sinks = shown.get("cookies"), shown.get("sinks")
    if isinstance(sinks, list | tuple):
        shown["sinks"] = [
            _without_headers(sink) if isinstance(sink, Mapping) else sink for sink in sinks
        ]
    if isinstance(cookies, Mapping):
        shown["cookies"] = {name: _hidden(value) for name, value in cookies.items()}
    auth = shown.get("auth")
    if isinstance(auth, list | tuple):
        shown["auth"] = [_masked_auth(entry) for entry in auth]
    return shown


def _masked_auth(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return _hidden(entry)
    return {
        name: value if name == "domain" else _masked_auth(value) for name, value in entry.items()
    }


def _hidden(value: Any) -> Any:
    """A secret's name is no secret, and of a value it tells more than a mask."""
    return value if isinstance(value, str) and _NAME_ALONE.fullmatch(value) else MASK


def _without_headers(table: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(table)
    if isinstance(headers := shown.get("headers"), Mapping):
        shown["headers"] = {
            name: _hidden(value) if is_secret(name) else value for name, value in headers.items()
        }
    return shown
