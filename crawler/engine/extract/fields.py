"""One field of a rule, compiled: where its values come from and what is made of them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from crawler.definition.jmes import compile_json
from crawler.definition.rules import Selecting, Value
from crawler.definition.selectors import (
    MAX_FOUND,
    compile_css,
    compile_regex,
    compile_xpath,
)
from crawler.engine.extract.page import Located, storable
from crawler.engine.extract.text import readable_text
from crawler.engine.extract.values import as_text, convert, links_of

MAX_VALUES: Final = 10_000  # of one field with many = true
# Of the texts of one item. Elements within elements have the same text again and again, so that a
# small page could fill the memory.
MAX_ITEM_CHARS: Final = 10_000_000
_MAX_SEARCHED: Final = 50_000_000  # characters of what a selector found, for its ``re``

Carry = Mapping[str, Any]
# Of a page, and of what is looked at on it: an element, a JSON value, or the page's `root`.
Source = Callable[[Located, Any, Carry], Sequence[Any]]


class Reading(NamedTuple):
    """What one field came to on one page. ``found`` is everything its selector matched;
    ``absent``: nothing of it is a value, and ``value`` is what stands in. ``chars``: how long its
    texts are."""

    found: Sequence[Any]
    value: Any
    problem: str = ""
    absent: bool = False
    chars: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """A compiled `Value`: ``selector`` is what it was written as, for people.

    ``machine``: what it finds are JSON values, written by a program and not yet `storable`.
    """

    name: str
    selector: str
    source: Source
    kind: str | None
    many: bool
    default: Any
    required: bool
    machine: bool
    carried: bool  # it is not from this page

    @property
    def stand_in(self) -> Any:
        """What there is where nothing is found: the default, None or an empty list."""
        return [] if self.many and self.default is None else self.default

    def read(
        self, page: Located, scope: Any, carry: Carry, room_chars: int = MAX_ITEM_CHARS
    ) -> Reading:
        """The value within ``scope``, or `stand_in`. Texts beyond ``room_chars`` are left out."""
        found, problem = evaluate(self.source, page, scope, carry)
        values: list[Any] = []
        chars = 0
        for entry in islice(found, MAX_VALUES):
            try:
                entry = storable(entry) if self.machine else entry
                value = convert(entry, self.kind, page, machine=self.machine)
            except ValueError as error:
                problem = problem or str(error)
                if not self.many:
                    break
                continue
            if value is not None:
                longer = chars + len(value) if isinstance(value, str) else chars
                if longer > room_chars:
                    problem = f"left out what makes an item longer than {MAX_ITEM_CHARS} characters"
                    break
                chars = longer
                values.append(value)
                if not self.many:
                    break
        if not values:
            return Reading(found, self.stand_in, problem, absent=True)
        return Reading(found, values if self.many else values[0], problem, chars=chars)


@dataclass(frozen=True, slots=True)
class LinkField:
    """A compiled selector of links."""

    name: str
    selector: str
    source: Source
    from_source: bool  # a regex over the page's source finds URLs as HTML spells them

    def read(self, page: Located, scope: Any) -> Reading:
        """``value`` is the list of references within ``scope``, as the page spells them."""
        found, problem = evaluate(self.source, page, scope, {})
        may_follow = page.followed(found)
        links = links_of(may_follow)
        if self.from_source:
            links = [html.unescape(link) for link in links]
        if may_follow and not links:
            problem = "what it finds leads nowhere: no text, no href and no src"
        return Reading(found, links, problem)


def compile_field(name: str, value: Value, *, required: bool = False) -> Field:
    """The field ready to read pages."""
    return Field(
        name=name,
        selector=written(value),
        source=compile_source(value),
        kind=value.kind,
        many=value.many,
        default=value.default,
        required=required,
        machine=value.json_ is not None and value.re is None,
        carried=value.carry is not None,
    )


def compile_links(name: str, links: Selecting) -> LinkField:
    """The selector of links ready to read pages."""
    alone = links.re is not None and not links.given()
    return LinkField(name, written(links), compile_source(links), alone)


def evaluate(source: Source, page: Located, scope: Any, carry: Carry) -> tuple[Sequence[Any], str]:
    """What a source finds, and what went wrong ("": nothing)."""
    # XPath and JMESPath find out about wrong argument types only when they get there.
    try:
        return source(page, scope, carry), ""
    except (ValueError, TypeError) as error:
        return (), str(error)


def compile_source(value: Selecting) -> Source:
    """What a selector and its ``re`` find."""
    source = _compile_selector(value)
    if value.re is None:
        assert source is not None, "the schema asks for one"
        return source
    regex = compile_regex(value.re)
    if source is None:
        return lambda page, _scope, _carry: list(
            islice(_short_enough(regex.find(page.source)), MAX_FOUND)
        )

    def refined(page: Located, scope: Any, carry: Carry) -> Sequence[str]:
        texts = (
            _raw_text(found).encode("utf-8", "replace") for found in source(page, scope, carry)
        )
        matches = (match for text in _searched(texts) for match in regex.find(text))
        return list(islice(_short_enough(matches), MAX_FOUND))

    return refined


def _searched(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Raises `ValueError` where they are too long together to be searched."""
    left = _MAX_SEARCHED
    for text in texts:
        left -= len(text)
        if left < 0:
            raise ValueError(f"finds more than {_MAX_SEARCHED} characters to search with re")
        yield text


def _short_enough(matches: Iterable[str]) -> Iterator[str]:
    """As many as an item has room for, and the one that is too much for it, which is told."""
    chars = 0
    for match in matches:
        yield match
        chars += len(match)
        if chars > MAX_ITEM_CHARS:
            return


def _compile_selector(value: Selecting) -> Source | None:
    if value.css is not None:
        css = compile_css(value.css)
        return lambda _page, scope, _carry: css.find(scope)
    if value.xpath is not None:
        xpath = compile_xpath(value.xpath)
        return lambda _page, scope, _carry: xpath.find(scope)
    if value.json_ is not None:
        path = compile_json(value.json_)
        return lambda _page, scope, _carry: path.find(scope)
    if isinstance(value, Value) and value.carry is not None:
        name = value.carry
        return lambda _page, _scope, carry: _as_list(carry.get(name))
    if isinstance(value, Value) and value.jsonld is not None:
        steps = () if value.jsonld == "@" else tuple(value.jsonld.split("."))
        return lambda page, _scope, _carry: list(_walk(page.jsonld, steps))
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
    return readable_text(found) if hasattr(found, "html") else as_text(storable(found))


def written(value: Selecting) -> str:
    """``h1::text``, ``xpath: //a``, ``.price | re: …``."""
    parts = [
        text if name == "css" else f"{name}: {text}"
        for name in (*value.sources, "re")
        if (text := value.source(name)) is not None
    ]
    return " | ".join(parts)
