"""From what a selector found to the typed, JSON-safe value of a field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import turbohtml

from crawler.engine.extract.dates import read_datetime
from crawler.engine.extract.numbers import read_decimal, read_float, read_int
from crawler.engine.extract.page import Located, as_json
from crawler.engine.extract.text import one_line, readable_text

_TRUE: Final = frozenset({"true", "yes", "on", "1", "y", "t"})
_FALSE: Final = frozenset({"false", "no", "off", "0", "n", "f"})
_LINK_ATTRIBUTES: Final = ("href", "src", "action", "content", "data")


def convert(found: Any, kind: str | None, page: Located, *, machine: bool = False) -> Any:
    """The value of type ``kind`` (None: as it is, for carried, JSON and JSON-LD values).

    ``found`` is an element, a string or a JSON value. Blank text is None: nothing was found.
    Decimals come as strings, datetimes as ISO 8601. ``machine``: a program wrote it, so its
    numbers are read as programs do. Raises `ValueError` that says why not.
    """
    if kind == "html":
        return found.html if isinstance(found, turbohtml.Element) else as_text(found) or None
    if kind == "url":
        return _as_url(found, page)
    if kind is None and not isinstance(found, str):
        return found
    text = as_text(found)
    if not text:
        return None
    if kind in _NUMBERS:
        machine = machine or isinstance(found, int | float)
        return _NUMBERS[kind](text, machine=machine)
    return _FROM_TEXT[kind or "str"](text)


def as_text(found: Any) -> str:
    """In one line: an element's readable text, a string, or a JSON value as JSON."""
    if isinstance(found, str):
        return one_line(found)
    if isinstance(found, turbohtml.Element):
        return readable_text(found)
    return "" if found is None else as_json(found)


def links_of(found: Sequence[Any]) -> list[str]:
    """The references that any of these hold."""
    try:
        references = [element.attr("href") for element in found]
    except AttributeError:  # text is among them
        references = [None]
    if None not in references:
        return references
    return [reference for entry in found if (reference := link_of(entry)) is not None]


def link_of(found: Any) -> str | None:
    """The reference that something found holds: an element's href (or src), or the string."""
    if not isinstance(found, turbohtml.Element):
        return found if isinstance(found, str) else None
    href = found.attr("href")
    if href is not None:
        return href
    return next((link for name in _LINK_ATTRIBUTES if (link := found.attr(name)) is not None), None)


def _as_url(found: Any, page: Located) -> str | None:
    reference = link_of(found)
    if reference is None:
        if isinstance(found, turbohtml.Element):
            raise ValueError(f"<{found.tag}> has no href or src")
        raise ValueError(f"{as_text(found)[:60]!r} is not a URL")
    if not reference.strip():
        return None
    url = page.join(reference)
    if url is None:
        raise ValueError(f"{reference[:60]!r} is not a URL")
    return url


def _read_bool(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueError(f"{text[:60]!r} is neither true nor false")
    return word in _TRUE


def _read_decimal(text: str, *, machine: bool) -> str:
    return format(read_decimal(text, machine=machine), "f")


_NUMBERS: Final[Mapping[str | None, Callable[..., Any]]] = {
    "int": read_int,
    "decimal": _read_decimal,
}
_FROM_TEXT: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "float": read_float,
    "bool": _read_bool,
    "datetime": read_datetime,
}
