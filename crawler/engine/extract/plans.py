"""What is done with the pages of a rule, compiled, and with all pages where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from crawler.definition import Rule, Value
from crawler.engine.extract.fields import Carry, Field, LinkField, compile_field, compile_links
from crawler.engine.extract.links import Link, Links
from crawler.engine.extract.notes import Notes, is_absent
from crawler.engine.extract.page import Page, as_json
from crawler.model import Item

PAGE_LABEL: Final = "page"
MAX_CARRY_CHARS: Final = 16_384


class Plan(Protocol):
    """What is done with the pages of one rule."""

    def read(self, page: Page, carry: Carry, notes: Notes) -> tuple[tuple[Item, ...], Links]: ...


@dataclass(frozen=True, slots=True)
class _Following:
    """A compiled `Follow`: where links are, and what all of them have in common."""

    links: LinkField
    like: Link
    carry: Mapping[str, Field]


class RulePlan:
    """A rule compiled."""

    def __init__(self, label: str, rule: Rule) -> None:
        self._label = label
        self._item = tuple(
            compile_field(name, value, required=value.required) for name, value in rule.item.items()
        )
        self._next = compile_links("next", rule.next) if rule.next else None
        self._next_priority = rule.next.priority if rule.next else 0
        self._follow = tuple(
            _Following(
                links=compile_links(f"follow[{at}]", follow),
                like=Link("", follow.to, follow.priority),
                carry={
                    name: compile_field(f"follow[{at}].carry.{name}", value)
                    for name, value in follow.carry.items()
                },
            )
            for at, follow in enumerate(rule.follow)
        )

    def read(self, page: Page, carry: Carry, notes: Notes) -> tuple[tuple[Item, ...], Links]:
        items = self._read_item(page, carry, notes)
        links = Links(page)
        if self._next is not None:
            reading = self._next.read(page)
            like = Link("", self._label, self._next_priority, carry, is_next=True)
            notes.note(self._next, reading, links.add(reading.value, like, only_first=True))
        for follow in self._follow:
            reading, like = follow.links.read(page), follow.like
            if follow.carry and reading.value:
                like = like._replace(carry=_read_carry(follow.carry, page, carry, notes))
            notes.note(follow.links, reading, links.add(reading.value, like))
        return items, links

    def _read_item(self, page: Page, carry: Carry, notes: Notes) -> tuple[Item, ...]:
        values: dict[str, Any] = {}
        missing = []
        for field in self._item:
            reading = field.read(page, carry)
            notes.note(field, reading)
            values[field.name] = reading.value
            if field.required and is_absent(reading.value):
                missing.append(field.name)
        if not values:
            return ()
        if not missing and all(is_absent(value) for value in values.values()):
            notes.add(f"{self._label}: no field of the item was found")
            return ()
        return (Item(self._label, values, tuple(missing)),)


def _read_carry(
    fields: Mapping[str, Field], page: Page, carry: Carry, notes: Notes
) -> Mapping[str, Any]:
    """The values that travel with the links of one follow; what is not there does not travel."""
    carried: dict[str, Any] = {}
    room = MAX_CARRY_CHARS
    for name, field in fields.items():
        reading = field.read(page, carry)
        notes.note(field, reading)
        if is_absent(reading.value):
            continue
        room -= len(as_json(reading.value))
        if room < 0:
            notes.add(f"{field.name}: carries more than {MAX_CARRY_CHARS} characters; left out")
            break
        carried[name] = reading.value
    return carried


class WholePage:
    """Without rules: every page yields what pages have, every link is followed."""

    def __init__(self) -> None:
        self._title = compile_field("title", Value(css="head > title"))
        self._description = compile_field(
            "description",
            Value(css="meta[name=description i]::attr(content)"),
        )
        self._links = compile_links("follow[0]", Value(css="a[href], area[href]"))

    def read(self, page: Page, carry: Carry, notes: Notes) -> tuple[tuple[Item, ...], Links]:
        values: dict[str, Any] = {"url": page.url}
        for field in (self._title, self._description):
            reading = field.read(page, carry)
            notes.note(field, reading)
            values[field.name] = reading.value
        body = page.document.select_one("body")
        values["text"] = body.to_text().strip() if body is not None else ""
        values["jsonld"] = list(page.jsonld)
        reading = self._links.read(page)
        links = Links(page)
        notes.note(self._links, reading, links.add(reading.value, Link("")))
        return (Item(PAGE_LABEL, values),), links
