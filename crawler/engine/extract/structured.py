"""What a page says about itself to programs: JSON-LD, OpenGraph, Twitter cards and microdata.

Microdata is read as the HTML standard has it ("Values", "Associating names with items"), without
``itemref``. Everything is bounded, for the page chooses it.
"""

from __future__ import annotations

from typing import Any, Final

import turbohtml
from turbohtml import query

from crawler.engine.extract.page import Page, as_json, storable
from crawler.engine.extract.text import one_line

MAX_CHARS: Final = 100_000  # of each kind, as JSON
_MAX_METAS: Final = 500
_MAX_META: Final = 2_000  # characters
_MAX_PROPERTIES: Final = 2_000
_MAX_VALUE: Final = 10_000  # characters of one value
_MAX_TEXT: Final = 2_000_000  # characters looked at for values
_METAS: Final = query.compile("meta[content]:is([property], [name])")
_SCOPES: Final = query.compile("[itemscope]")
_PROPERTIES: Final = query.compile("[itemprop]")
_GRAPHS: Final = ("og:", "article:", "book:", "profile:", "video:", "music:", "product:", "fb:")
_URLS: Final = {
    "a": "href",
    "area": "href",
    "link": "href",
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "source": "src",
    "track": "src",
    "video": "src",
    "object": "data",
}
_MACHINE: Final = {"data": "value", "meter": "value", "time": "datetime", "meta": "content"}


def read_structured(page: Page) -> tuple[dict[str, Any], str]:
    """``jsonld`` (list), ``opengraph`` and ``twitter`` (tables) and ``microdata`` (list), only
    those that the page has; and what was left out ("": nothing)."""
    graph, cards = _read_metas(page)
    found: dict[str, Any] = {
        "jsonld": list(page.jsonld),
        "opengraph": graph,
        "twitter": cards,
        "microdata": _read_microdata(page),
    }
    cut = []
    for name in ("jsonld", "microdata"):
        kept = _fitting(found[name])
        if len(kept) < len(found[name]):
            cut.append(name)
            found[name] = kept
    said = f"more than {MAX_CHARS} characters of {' and '.join(cut)}" if cut else ""
    return {name: value for name, value in found.items() if value}, said


def _fitting(entries: list[Any]) -> list[Any]:
    """The first entries, as many as there is room for."""
    room, kept = MAX_CHARS, []
    for entry in entries:
        room -= len(as_json(entry))
        if room < 0:
            break
        kept.append(entry)
    return kept


def _read_metas(page: Page) -> tuple[dict[str, Any], dict[str, Any]]:
    """OpenGraph by whole names (``og:title``), Twitter without their beginning. What is said
    several times is a list."""
    graph: dict[str, Any] = {}
    cards: dict[str, Any] = {}
    room = MAX_CHARS
    for meta in _METAS.select(page.document, _MAX_METAS):
        if room < 0:
            break
        name = (meta.attr("property") or meta.attr("name") or "").strip().lower()[:200]
        value = _clean(meta.attr("content") or "")[:_MAX_META]
        if not value:
            continue
        room -= len(name) + len(value)
        if name.startswith("twitter:"):
            _add(cards, name.removeprefix("twitter:"), value)
        elif name.startswith(_GRAPHS):
            _add(graph, name, value)
    return graph, cards


def _read_microdata(page: Page) -> list[dict[str, Any]]:
    """Items that are no property of another, each ``type``, ``id`` and ``properties``, where it
    has them; a property has a list of values, as the standard says."""
    items: dict[turbohtml.Node, dict[str, Any]] = {}
    top: list[dict[str, Any]] = []
    for element in _SCOPES.select(page.document, _MAX_PROPERTIES):
        item: dict[str, Any] = {}
        if kinds := (element.attr("itemtype") or "").split():
            item["type"] = [_clean(kind) for kind in kinds[:10]]
        if element.attr("itemid"):
            item["id"] = _clean(page.join(element.attr("itemid") or "") or "")
        items[element] = item
        if element.attr("itemprop") is None:
            top.append(item)
    if not items:
        return []
    room = _MAX_TEXT
    for element in _PROPERTIES.select(page.document, _MAX_PROPERTIES):
        owner = next((items[above] for above in element.ancestors if above in items), None)
        if owner is None:
            continue
        names = (element.attr("itemprop") or "").split()[:10]
        value: Any = items.get(element)
        if value is not None:
            del names[1:]  # ten names in ten levels would be ten billion copies
        else:
            text = _text_of(element, page)
            value = _clean(text)
            room -= len(text) + len(names) * len(value)
        properties = owner.setdefault("properties", {})
        for name in names:
            properties.setdefault(_clean(name), []).append(value)
        if room < 0:
            break
    return [storable(item) for item in top]


def _text_of(element: turbohtml.Element, page: Page) -> str:
    """The value of a property that is no item."""
    if element.tag in _URLS:
        return page.join(element.attr(_URLS[element.tag]) or "") or ""
    if element.tag in _MACHINE:
        value = element.attr(_MACHINE[element.tag])
        if value is not None:
            return value
    return element.attr("content") or element.text


def _clean(text: str) -> str:
    return one_line(text[: 2 * _MAX_VALUE])[:_MAX_VALUE]


def _add(values: dict[str, Any], name: str, value: str) -> None:
    """The first value stands alone, more of the same name make a list."""
    known = values.get(name)
    if known is None:
        values[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        values[name] = [known, value]
