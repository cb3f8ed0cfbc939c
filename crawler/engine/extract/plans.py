"""What is done with the pages of a rule, compiled, and with all pages where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from crawler.definition import Next, Rule, Value
from crawler.definition.kinds import STRUCTURED
from crawler.engine.extract.fields import (
    MAX_ITEM_CHARS,
    Carry,
    Field,
    LinkField,
    Reading,
    compile_field,
    compile_links,
)
from crawler.engine.extract.following import Following
from crawler.engine.extract.joining import brings_nothing, is_too_long, join
from crawler.engine.extract.links import Link, Links
from crawler.engine.extract.notes import Notes, is_absent
from crawler.engine.extract.page import Located, Page, as_json
from crawler.engine.extract.queries import QueryField
from crawler.engine.extract.scopes import Scopes
from crawler.engine.extract.structured import read_structured
from crawler.engine.parts import MAX_CHARS, Part
from crawler.model import Item

PAGE_LABEL: Final = "page"
MAX_EACH_CHARS: Final = 10_000_000  # of the items of one page


class Yield(NamedTuple):
    """What a page yields. ``part``: its item goes on where the first link leads."""

    items: tuple[Item, ...]
    links: Links
    part: Part | None = None


class Plan(Protocol):
    """What is done with the pages of one rule."""

    def joins(self, rule: str, /) -> bool:
        """Whether its pages go on with an item of this rule."""

    def read(self, page: Located, carry: Carry, notes: Notes, part: Part | None, /) -> Yield: ...


class RulePlan:
    """A rule compiled."""

    def __init__(self, label: str, rule: Rule) -> None:
        self._label = label
        self._item = tuple(
            compile_field(name, value, required=value.required) for name, value in rule.item.items()
        )
        self._each = Scopes(rule.each) if rule.each else None
        self._structured = rule.structured
        self._join = rule.next is not None and rule.next.join
        self._next = _compile_next(rule.next) if rule.next else None
        self._more = Link(
            "",
            label,
            rule.next.priority if rule.next else 0,
            is_next=True,
            method="" if isinstance(self._next, QueryField) else "GET",
        )
        self._follow = tuple(
            Following(f"follow[{at}]", follow) for at, follow in enumerate(rule.follow)
        )

    def joins(self, rule: str) -> bool:
        return self._join and rule == self._label

    def read(self, page: Located, carry: Carry, notes: Notes, part: Part | None) -> Yield:
        if self._join:
            return self._read_joined(page, carry, notes, part)
        links = Links(page)
        if self._each is not None:
            self._read_next(page, carry, notes, links)
            return Yield(self._read_matches(self._each, page, carry, notes, links), links)
        item = self._read_item(page, page.root, carry, notes)
        self._read_next(page, carry, notes, links)
        for follow in self._follow:
            follow.read(page, page.root, carry, notes, links)
        return Yield(() if item is None else (item,), links)

    def _read_matches(
        self, each: Scopes, page: Located, carry: Carry, notes: Notes, links: Links
    ) -> tuple[Item, ...]:
        """Item and links of every match by itself."""
        reading = each.read(page)
        notes.note_matches(each, reading)
        items, room = [], MAX_EACH_CHARS
        for at, scope in enumerate(reading.value, 1):
            notes.match = at
            item = self._read_item(page, scope, carry, notes) if self._item else None
            if item is not None:
                room -= len(as_json(item.fields))
                if room < 0:
                    left = len(reading.value) - at + 1
                    notes.add(
                        f"{self._label}: {left} matches left out: the items of a page hold at "
                        f"most {MAX_EACH_CHARS} characters"
                    )
                    break
                items.append(item)
            for follow in self._follow:
                follow.read(page, scope, carry, notes, links)
        notes.match = None
        return tuple(items)

    def _read_joined(self, page: Located, carry: Carry, notes: Notes, part: Part | None) -> Yield:
        """The item, or as much of it as there is where it goes on on another page."""
        own = {
            field.name: reading.value
            for field, reading in self._read_fields(page, page.root, carry, notes)
            if not reading.absent
        }
        others: Mapping[str, Any] = {}
        if self._structured:
            others = self._read_structured(page, notes) if part is None else {STRUCTURED: None}
        links = Links(page)
        before = page.left_alone
        more = self._read_next(page, carry, notes, links)
        is_whole = bool(more) or page.left_alone == before
        for follow in self._follow:
            follow.read(page, page.root, carry, notes, links)
        if part is None and not own and not any(others.values()):
            item = self._finish({field.name: field.stand_in for field in self._item}, notes)
            return Yield(() if item is None else (item,), links)
        if part is not None and brings_nothing(part, own):
            links.end()
            return Yield((part.finished(),), links)
        joined = join(self._label, self._item, part, own, others)
        if more and more != page.url and not is_too_long(joined):
            return Yield((), links, joined)
        links.end()
        if not is_too_long(joined):
            return Yield((joined.finished() if is_whole else joined.unfinished(),), links)
        notes.add(f"{self._label}: an item that goes on holds at most {MAX_CHARS} characters")
        return Yield((joined.unfinished(),), links)

    def _read_item(self, page: Located, scope: Any, carry: Carry, notes: Notes) -> Item | None:
        readings = self._read_fields(page, scope, carry, notes)
        values = {field.name: reading.value for field, reading in readings}
        if self._structured:
            values |= self._read_structured(page, notes)
        return self._finish(values, notes)

    def _read_fields(
        self, page: Located, scope: Any, carry: Carry, notes: Notes
    ) -> Iterator[tuple[Field, Reading]]:
        room = MAX_ITEM_CHARS
        for field in self._item:
            reading = field.read(page, scope, carry, room)
            room -= reading.chars
            notes.note(field, reading)
            yield field, reading

    def _finish(self, values: Mapping[str, Any], notes: Notes) -> Item | None:
        """The item of these values; None where there is none of them."""
        if not values:
            return None
        missing = tuple(
            field.name for field in self._item if field.required and is_absent(values[field.name])
        )
        if not missing and all(is_absent(value) for value in values.values()):
            which = "" if notes.match is None else f" (match {notes.match})"
            notes.add(f"{self._label}: no field of the item was found{which}")
            return None
        return Item(self._label, values, missing)

    def _read_structured(self, page: Located, notes: Notes) -> Mapping[str, Any]:
        if not isinstance(page, Page):
            return {}
        found, said = read_structured(page)
        notes.note_links(_STRUCTURED, Reading(list(found), [], said), found or None)
        return {STRUCTURED: found or None}

    def _read_next(self, page: Located, carry: Carry, notes: Notes, links: Links) -> str:
        """Where pagination goes on; "" where it ends."""
        if self._next is None:
            return ""
        if isinstance(self._next, QueryField):
            field, reading = self._next.field, self._next.read(page)
        else:
            field, reading = self._next, self._next.read(page, page.root)
        like = self._more._replace(carry=carry)
        first = links.add(reading.value, like, only_first=True)
        notes.note_links(field, reading, first)
        return first


_STRUCTURED: Final = LinkField(STRUCTURED, "structured = true", lambda *_: (), False)


def _compile_next(more: Next) -> LinkField | QueryField:
    if more.query is not None:
        return QueryField("next", more.query)
    return compile_links("next", more)


class WholePage:
    """Without rules: every page yields what pages have, every link is followed."""

    def __init__(self) -> None:
        self._title = compile_field("title", Value(css="head > title"))
        self._description = compile_field(
            "description",
            Value(css="meta[name=description i]::attr(content)"),
        )
        self._links = compile_links("follow[0]", Value(css="a[href], area[href]"))

    def joins(self, _rule: str) -> bool:
        return False

    def read(self, page: Located, carry: Carry, notes: Notes, _part: Part | None) -> Yield:
        values: dict[str, Any] = {"url": page.url}
        for field in (self._title, self._description):
            reading = field.read(page, page.root, carry)
            notes.note(field, reading)
            values[field.name] = reading.value
        body = page.root.select_one("body, :root:not(html)")
        values["text"] = body.to_text().strip() if body is not None else ""
        values["jsonld"] = list(page.jsonld)
        reading = self._links.read(page, page.root)
        links = Links(page)
        notes.note_links(self._links, reading, links.add(reading.value, Link("")))
        return Yield((Item(PAGE_LABEL, values),), links)
