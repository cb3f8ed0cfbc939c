"""A definition as it may be shown: without the values of its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from crawler.definition.secrets import PLAIN_NAME

MASK: Final = "***"
_BODIES: Final = ("form", "json_body", "json")
_SECRET: Final = re.compile(r"auth|cookie|key|passw|secret|session|signature|token", re.IGNORECASE)
_NAME_ALONE: Final = re.compile(rf"([A-Za-z]+ )?\$\{{secret:{PLAIN_NAME}\}}")


def is_secret(name: str) -> bool:
    """Whether a header or field of this name is likely to hold a credential."""
    return _SECRET.search(name) is not None


def masked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a definition's JSON with `MASK` for every cookie, every secret header, sinks' too,
    every secret that a request sends, every field of a login and all that is in ``auth`` but the
    domain; what only names a worker's secret is left."""
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
    login = shown.get("login")
    if isinstance(login, Mapping) and isinstance(form := login.get("form"), Mapping):
        shown["login"] = {**login, "form": {name: _hidden(value) for name, value in form.items()}}
    if isinstance(shown.get("rules"), list):
        shown["rules"] = [_in_rule(rule) for rule in shown["rules"]]
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
