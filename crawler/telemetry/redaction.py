"""Keeps secrets out of whatever is written down for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

HIDDEN = "[redacted]"

_SECRET_KEY = re.compile(
    r"(proxy[-_ ]?)?authorization|(set[-_ ]?)?cookies?|.*(password|passwd|passphrase|secret)"
    r"|.*(api|private)[-_]?key|(access|refresh|bearer)[-_]?token",
    re.IGNORECASE,
)
# user:password@ of a URL; the user stays, because it helps to find the mistake.
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s]+@", re.IGNORECASE)
# In the query of a URL or in a connection string, which libpq takes both.
_SETTING = re.compile(r"\b((?:ssl)?password\s*=\s*)(?:'[^']*'|[^\s&'\"]+)", re.IGNORECASE)
# A header inside a text, up to the end of its line (or of the quoted text it stands in).
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n]+",
    re.IGNORECASE,
)
_MAX_DEPTH = 6


def redact_text(text: str) -> str:
    """The text without passwords in URLs and connection strings, and without the values of
    credential headers."""
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\1:***@", text)
    lower = text.lower()  # every line that is logged comes through here
    if "password" in lower:
        text = _SETTING.sub(r"\1***", text)
    if "authorization" in lower or "cookie" in lower:
        text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    return text


def redact(value: object, depth: int = 0) -> object:
    """The value with every secret in it hidden; containers are copied, never changed."""
    if isinstance(value, str):
        return redact_text(value)
    if depth >= _MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: redact_field(str(key), each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact(each, depth + 1) for each in value]
    return value


def redact_field(key: str, value: object, depth: int = 0) -> object:
    """The value of a named field: hidden as a whole if the name says that it is a secret."""
    if value and _is_secret(key):
        return HIDDEN
    return redact(value, depth)


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return _SECRET_KEY.fullmatch(key) is not None
