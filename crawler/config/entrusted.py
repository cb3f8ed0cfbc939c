"""What only a worker's own file entrusts it with: secrets and proxies, which no flag can hold."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

_MAX_CHARS: Final = 8_192
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MOST_PROXIES: Final = 1_000
_PROXY_SCHEMES: Final = ("http", "socks5")
_ROTATIONS: Final = ("round-robin", "sticky")
_SOURCES: Final = ("value", "file", "env")


def secrets(table: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """``{name: {value or file or env, domains}}`` as ``{name: {value, domains}}``: files and
    variables are read here and now. No message repeats a value."""
    return {name: _named("secrets", name, entry, _secret) for name, entry in table.items()}


def proxy_pools(table: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """``{name: {urls, rotation}}``, checked. No message repeats user or password."""
    return {name: _named("proxy_pools", name, entry, _pool) for name, entry in table.items()}


def _named(
    setting: str, name: str, entry: Any, read: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r}: a name is 1 to 64 letters, digits, _ - or .")
    if not isinstance(entry, Mapping):
        raise ValueError(f"{name}: expected a table, [{setting}.{name}]")
    try:
        return read(entry)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _only(entry: Mapping[str, Any], *known: str) -> None:
    for key in entry:
        if key not in known:
            raise ValueError(f"unknown key {key}; known here: {', '.join(known)}")


def _pool(entry: Mapping[str, Any]) -> dict[str, Any]:
    _only(entry, "urls", "rotation")
    urls = entry.get("urls")
    if not isinstance(urls, list) or not 1 <= len(urls) <= _MOST_PROXIES:
        raise ValueError(f"needs urls, a list of 1 to {_MOST_PROXIES} proxies")
    rotation = entry.get("rotation", _ROTATIONS[0])
    if rotation not in _ROTATIONS:
        raise ValueError(f"rotation must be one of {', '.join(_ROTATIONS)}")
    return {"urls": [_proxy(at, url) for at, url in enumerate(urls)], "rotation": rotation}


def _proxy(at: int, url: Any) -> str:
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isprintable() else urlsplit("")
        whole = parts.hostname and parts.port and not parts.query and parts.path in ("", "/")
    except ValueError:
        parts, whole = urlsplit(""), False
    if parts.scheme not in _PROXY_SCHEMES or not whole:
        raise ValueError(
            f"urls[{at}]: expected http://USER:PASSWORD@HOST:PORT or socks5://..., the user and "
            "password only where the proxy wants them"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _secret(entry: Mapping[str, Any]) -> dict[str, Any]:
    _only(entry, *_SOURCES, "domains")
    given = [name for name in _SOURCES if name in entry]
    if len(given) != 1:
        raise ValueError(f"needs one of {', '.join(_SOURCES)}")
    source = entry[given[0]]
    if not isinstance(source, str):
        raise ValueError(f"{given[0]} must be a string")
    value = _value(given[0], source)
    if not value or len(value) > _MAX_CHARS or not value.isascii() or not value.isprintable():
        raise ValueError(
            f"what it holds must be one line of printable ASCII, at most {_MAX_CHARS} characters"
        )
    return {"value": value, "domains": _domains(entry.get("domains"))}


def _value(source: str, text: str) -> str:
    if source == "value":
        return text
    if source == "env":
        if text not in os.environ:
            raise ValueError(f"there is no environment variable {text}")
        return os.environ[text]
    try:
        return Path(text).expanduser().read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{text}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{text}: is not text") from None


def _domains(given: Any) -> list[str]:
    if not isinstance(given, list) or not given or not all(isinstance(d, str) for d in given):
        raise ValueError('needs domains = ["shop.example", ...]: nowhere else is it sent')
    from crawler.definition.checks import domain  # slow to import, and most commands need it not

    try:
        return [domain(each) for each in given]
    except ValueError as error:
        raise ValueError(f"domains: {error}") from error
