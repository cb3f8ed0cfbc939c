"""One field of a rule, compiled: where its values come from and what is made of them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from crawler.definition.schema import Selecting, Value
from crawler.definition.selectors import (
    MAX_FOUND,
    compile_css,
    compile_regex,
    compile_xpath,
)
from crawler.engine.extract.page import Page
from crawler.engine.extract.text import readable_text
from crawler.engine.extract.values import as_text, convert, link_of

MAX_VALUES: Final = 10_000  # of one field with many = true

Carry = Mapping[str, Any]
Source = Callable[[Page, Carry], Sequence[Any]]


class Reading(NamedTuple):
    """What one field came to on one page. ``found`` is everything its selector matched."""

    found: Sequence[Any]
    value: Any
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A compiled `Value`: ``selector`` is what it was written as, for people."""

    name: str
    selector: str
    source: Source
    kind: str | None
    many: bool
    default: Any
    required: bool

    def read(self, page: Page, carry: Carry) -> Reading:
        """The value on this page; the default (None, or an empty list) where there is none."""
        absent: Any = [] if self.many and self.default is None else self.default
        found, problem = _evaluate(self.source, page, carry)
        values: list[Any] = []
        for entry in islice(found, MAX_VALUES):
            try:
                value = convert(entry, self.kind, page)
            except ValueError as error:
                problem = problem or str(error)
                if not self.many:
                    break
                continue
            if value is not None:
                values.append(value)
                if not self.many:
                    break
        if not values:
            return Reading(found, absent, problem)
        return Reading(found, values if self.many else values[0], problem)


@dataclass(frozen=True, slots=True)
class LinkField:
    """A compiled selector of links."""

    name: str
    selector: str
    source: Source
    from_source: bool  # a regex over the page's source finds URLs as HTML spells them

    def read(self, page: Page) -> Reading:
        """``value`` is the list of references, as the page spells them."""
        found, problem = _evaluate(self.source, page, {})
        may_follow = page.followed(found)
        links = [link for entry in may_follow if (link := link_of(entry)) is not None]
        if self.from_source:
            links = [html.unescape(link) for link in links]
        if may_follow and not links:
            problem = "what it finds has neither href nor src"
        return Reading(found, links, problem)


def compile_field(name: str, value: Value, *, required: bool = False) -> Field:
    """The field ready to read pages."""
    keeps_type = (value.carry or value.jsonld) and not value.re
    return Field(
        name=name,
        selector=_written(value),
        source=_compile_source(value),
        kind=value.type or (None if keeps_type else "str"),
        many=value.many,
        default=value.default,
        required=required,
    )


def compile_links(name: str, links: Selecting) -> LinkField:
    """The selector of links ready to read pages."""
    alone = links.re is not None and links.css is None and links.xpath is None
    return LinkField(name, _written(links), _compile_source(links), alone)


def _evaluate(source: Source, page: Page, carry: Carry) -> tuple[Sequence[Any], str]:
    # XPath finds out about wrong argument types only when it gets there.
    try:
        return source(page, carry), ""
    except (ValueError, TypeError) as error:
        return (), str(error)


def _compile_source(value: Selecting) -> Source:
    source = _compile_selector(value)
    if value.re is None:
        assert source is not None, "the schema asks for one"
        return source
    regex = compile_regex(value.re)
    if source is None:
        return lambda page, _carry: list(islice(regex.find(page.source), MAX_FOUND))

    def refined(page: Page, carry: Carry) -> Sequence[str]:
        texts = (_raw_text(found).encode("utf-8", "replace") for found in source(page, carry))
        matches = (match for text in texts for match in regex.find(text))
        return list(islice(matches, MAX_FOUND))

    return refined


def _compile_selector(value: Selecting) -> Source | None:
    if value.css is not None:
        css = compile_css(value.css)
        return lambda page, _carry: css.find(page.document)
    if value.xpath is not None:
        xpath = compile_xpath(value.xpath)
        return lambda page, _carry: xpath.find(page.document)
    if isinstance(value, Value) and value.carry is not None:
        name = value.carry
        return lambda _page, carry: _as_list(carry.get(name))
    if isinstance(value, Value) and value.jsonld is not None:
        steps = () if value.jsonld == "@" else tuple(value.jsonld.split("."))
        return lambda page, _carry: list(_walk(page.jsonld, steps))
    return None


def _walk(values: Iterable[Any], steps: tuple[str, ...]) -> Sequence[Any]:
    """What stands at a path below any of ``values``; lists on the way are taken entry by entry."""
    found = list(values)
    for step in steps:
        below = [value[step] for value in found if isinstance(value, dict) and step in value]
        found = [entry for value in below for entry in _as_list(value)][:MAX_FOUND]
    return found


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _raw_text(found: Any) -> str:
    if isinstance(found, str):
        return found
    return readable_text(found) if hasattr(found, "html") else as_text(found)


def _written(value: Selecting) -> str:
    """``h1::text``, ``xpath: //a``, ``.price | re: …``."""
    parts = [
        text if name == "css" else f"{name}: {text}"
        for name in (*value.sources, "re")
        if (text := getattr(value, name)) is not None
    ]
    return " | ".join(parts)
