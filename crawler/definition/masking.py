"""A definition as it may be shown: without the values of its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"
_BODIES: Final = ("form", "json_body", "json")
_SECRET: Final = re.compile(r"auth|cookie|key|passw|secret|session|signature|token", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a header or field of this name is likely to hold a credential."""
    return _SECRET.search(name) is not None


def masked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a definition's JSON with `MASK` for every cookie, and for every secret header and
    every secret that a request sends."""
    shown = dict(definition)
    headers, cookies = shown.get("headers"), shown.get("cookies")
    if isinstance(headers, Mapping):
        shown["headers"] = {
            name: MASK if is_secret(name) else value for name, value in headers.items()
        }
    if isinstance(cookies, Mapping):
        shown["cookies"] = dict.fromkeys(cookies, MASK)
    if isinstance(shown.get("rules"), list):
        shown["rules"] = [_in_rule(rule) for rule in shown["rules"]]
    return shown


def _in_rule(rule: Any) -> Any:
    if not isinstance(rule, Mapping) or not isinstance(rule.get("follow"), list):
        return rule
    return {**rule, "follow": [_in_follow(follow) for follow in rule["follow"]]}


def _in_follow(follow: Any) -> Any:
    if not isinstance(follow, Mapping):
        return follow
    bodies = {name: _in_body(follow[name]) for name in _BODIES if name in follow}
    return {**follow, **bodies} if bodies else follow


def _in_body(value: Any) -> Any:
    """A placeholder is no secret: what it stands for is not known here."""
    if isinstance(value, Mapping):
        return {
            name: MASK
            if is_secret(str(name)) and isinstance(entry, str | int) and "{" not in str(entry)
            else _in_body(entry)
            for name, entry in value.items()
        }
    return [_in_body(entry) for entry in value] if isinstance(value, list) else value
