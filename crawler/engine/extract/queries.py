"""The next page as the same URL with another query: a step further, or a cursor from the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_plus

import turbohtml

from crawler.definition.rules import Change
from crawler.engine.extract.fields import LinkField, Reading, compile_source, evaluate, written
from crawler.engine.extract.page import Located, as_json
from crawler.engine.extract.text import readable_text

_NUMBER: Final = re.compile(r"-?\d{1,15}")
_MAX_CURSOR: Final = 2_048  # characters; no URL is longer


class QueryField:
    """A compiled ``query`` of `Next`; ``selector`` is how it was written, for people."""

    def __init__(self, name: str, query: Mapping[str, Change]) -> None:
        self._steps = {key: change.add for key, change in query.items() if change.add is not None}
        self._sources = {
            key: compile_source(change) for key, change in query.items() if change.add is None
        }
        told = ", ".join(
            f"{key} +{change.add}" if change.add is not None else f"{key} {written(change)}"
            for key, change in sorted(query.items())
        )
        self.field = LinkField(name, f"query: {told}", lambda *_: (), False)

    def read(self, page: Located) -> Reading:
        """``value`` is a list of one URL, or empty where pagination ends."""
        changes: dict[str, str] = {}
        for key, source in self._sources.items():
            found, problem = evaluate(source, page, page.root, {})
            cursor = _word(found[0]) if found else ""
            if not cursor:
                return Reading(found, [], problem)
            if len(cursor) > _MAX_CURSOR:
                return Reading(found, [], f"{key} is longer than {_MAX_CURSOR} characters")
            changes[key] = cursor
        pairs = _pairs(page.url)
        for key, step in self._steps.items():
            present = next((value for name, value in pairs if name == key), "")
            if present and _NUMBER.fullmatch(present) is None:
                return Reading([present], [], f"{key} is no number: {present[:60]!r}")
            missing = 1 if step == 1 else 0  # pages are counted from 1, offsets from 0
            changes[key] = str((int(present) if present else missing) + step)
        url = _with_query(page.url, changes)
        return Reading([url], [] if url == page.url else [url])


def _word(found: object) -> str:
    """A cursor as text; "" for what is none: false, or a table."""
    if isinstance(found, str):
        return found.strip()
    if isinstance(found, turbohtml.Element):
        return readable_text(found)
    plain = isinstance(found, int | float) and not isinstance(found, bool)
    return as_json(found) if plain else ""


def _pairs(url: str) -> list[tuple[str, str]]:
    """Names and values of the query as they are meant."""
    query = url.partition("?")[2]
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value).strip()) for name, _, value in parts]


def _with_query(url: str, changes: Mapping[str, str]) -> str:
    """The URL with these values in place of those of the same names, the rest as it is spelled."""
    path, _, query = url.partition("?")
    left = dict(sorted(changes.items()))
    kept = []
    for part in query.split("&"):
        name = unquote_plus(part.partition("=")[0])
        if name not in changes:
            kept += [part] if part else []
        elif name in left:
            kept.append(f"{quote(name, safe='')}={_quoted(left.pop(name))}")
    kept += [f"{quote(name, safe='')}={_quoted(value)}" for name, value in left.items()]
    return f"{path}?{'&'.join(kept)}"


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")
