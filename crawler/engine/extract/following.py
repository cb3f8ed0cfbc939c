"""Where a rule goes from a page, or from a match on it: links, and what travels with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crawler.definition import Follow
from crawler.engine.extract.fields import (
    Carry,
    Field,
    LinkField,
    Reading,
    compile_field,
    compile_links,
)
from crawler.engine.extract.links import NOTHING, Link, Links
from crawler.engine.extract.notes import Notes, is_absent
from crawler.engine.extract.page import Located, as_json
from crawler.engine.extract.requests import Look, Sending, look_into

MAX_CARRY_CHARS: Final = 16_384


class Following:
    """A compiled `Follow`: where links are, what is sent, and what all of them have in common."""

    def __init__(self, name: str, follow: Follow) -> None:
        if follow.url is None:
            self._links = compile_links(name, follow)
        else:
            self._links = LinkField(name, f"url: {follow.url}", lambda *_: (), False)
        self._like = Link("", follow.to, follow.priority)
        self._sending = Sending(follow)
        self._carry = {
            key: compile_field(f"{name}.carry.{key}", value) for key, value in follow.carry.items()
        }

    def read(self, page: Located, scope: Any, carry: Carry, notes: Notes, links: Links) -> None:
        """Add the links within ``scope``."""
        sending, like, load = self._sending, self._like, 0
        reading = self._links.read(page, scope) if sending.url is None else _TEMPLATE
        if self._carry and reading.value:
            values, load = _read_carry(self._carry, page, scope, carry, notes)
            like = like._replace(carry=values)
        if not sending.plain and reading.value:
            look = look_into(like.carry, scope)
            reading, like, load = _fill(sending, reading, like, load, look)
        first = links.add(reading.value, like, load=load)
        notes.note_links(self._links, reading, first)


# Stands for what a selector would find, until the template is filled.
_TEMPLATE: Final = Reading((), [""])


def _fill(
    sending: Sending, reading: Reading, like: Link, load: int, look: Look
) -> tuple[Reading, Link, int]:
    """What is sent where, with its values filled in; no references where one is missing."""
    try:
        if sending.url is not None:
            url = sending.fill_url(look)
            reading = Reading([url], [url])
        body = sending.fill_body(look)
    except ValueError as error:
        return Reading(reading.found, [], f"no link: {error}"), like, load
    if sending.method != "GET":
        like = like._replace(method=sending.method, body=body)
        load += 1 + len(body or b"")
    return reading, like, load


def _read_carry(
    fields: Mapping[str, Field], page: Located, scope: Any, carry: Carry, notes: Notes
) -> tuple[Mapping[str, Any], int]:
    """The values that travel with the links of one follow, and their size; what is not there does
    not travel."""
    carried: dict[str, Any] = {}
    room = MAX_CARRY_CHARS
    for name, field in fields.items():
        reading = field.read(page, scope, carry)
        notes.note(field, reading)
        if is_absent(reading.value):
            continue
        size = len(as_json(reading.value))
        if size > room:
            notes.add(f"{field.name}: carries more than {MAX_CARRY_CHARS} characters; left out")
            break
        room -= size
        carried[name] = reading.value
    return carried or NOTHING, MAX_CARRY_CHARS - room
