"""An item that goes on over several pages: what each page adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from crawler.engine.extract.fields import MAX_VALUES, Field
from crawler.engine.novelty import digest_of
from crawler.engine.parts import MAX_CHARS, Part

_TEXTS: Final = frozenset({"str", "html"})

Own = Mapping[str, Any]  # what one page has: only values that were found


def join(rule: str, fields: Sequence[Field], before: Part | None, own: Own, others: Own) -> Part:
    """The item after one more page. ``before``: as it was, None on the first page; ``others``:
    what the item has besides its fields, of the first page.

    Lists are appended and texts go on in a new line, unless they say the same again; of any other
    value, and of what was carried, the first that was found stays.
    """
    known: Own = {}
    if before is not None:
        known = {key: value for key, value in before.fields.items() if key not in before.absent}
    values: dict[str, Any] = {}
    absent, missing = [], []
    for field in fields:
        name = field.name
        if name in known and name in own:
            values[name] = _together(field, known[name], own[name])
        elif name in known or name in own:
            values[name] = known[name] if name in known else own[name]
        else:
            values[name] = field.stand_in
            absent.append(name)
            if field.required:
                missing.append(name)
    values.update({name: known.get(name, value) for name, value in others.items()})
    return Part(rule, values, tuple(absent), tuple(missing), digest_of(own))


def brings_nothing(before: Part, own: Own) -> bool:
    """Whether a page has nothing to add: no value, or those of the page before once more."""
    return not own or digest_of(own) == before.last


def is_too_long(part: Part) -> bool:
    """Whether an item is too long to travel."""
    return sum(_size(value) for value in part.fields.values()) > MAX_CHARS


def _together(field: Field, known: Any, own: Any) -> Any:
    if field.carried or known == own:
        return known
    if field.many and isinstance(known, list) and isinstance(own, list):
        return [*known, *own][:MAX_VALUES]
    if isinstance(known, str) and isinstance(own, str) and (field.kind or "str") in _TEXTS:
        return f"{known}\n{own}"
    return known


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_size, value)) + len(value)
    if isinstance(value, dict):
        return sum(_size(key) + _size(entry) for key, entry in value.items())
    return len(value) if isinstance(value, str) else 8
