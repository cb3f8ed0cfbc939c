"""How an item looks to a receiver: one line of JSON with an id that never changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from crawler.store.outbox import Delivery, Outgoing

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Parcel:
    """Consecutive items for one sink. ``id`` names this stretch of the stream, ``lines`` are JSON
    texts, each with its newline."""

    id: str
    resource: str
    lines: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.lines)


def pack(delivery: Delivery, items: Sequence[Outgoing]) -> Parcel:
    """The items as they are sent; at least one."""
    first, last = items[0].seq, items[-1].seq
    name = f"{delivery.resource_id}-{delivery.run}-{delivery.sink}-{first}-{last}"
    return Parcel(name, delivery.name, tuple(line_of(delivery, each) for each in items))


def item_id(resource_id: str, run: int, fingerprint: bytes, ordinal: int) -> str:
    """The same for the same item, however often it is sent, and no other item's."""
    return f"{resource_id}-{run}-{fingerprint.hex()}-{ordinal}"


def line_of(delivery: Delivery, item: Outgoing) -> bytes:
    """The item's fields, then what we know of it, under names that begin with ``_``. The stored
    text is a JSON object without newlines, and is taken as it stands."""
    known = {
        "_id": item_id(delivery.resource_id, delivery.run, item.fingerprint, item.ordinal),
        "_run": delivery.run,
        "_url": item.url,
        "_rule": item.rule,
    }
    ours = _JSON.encode(known)
    if item.missing:
        ours = f'{ours[:-1]},"_missing":{item.missing}}}'
    text = ours if item.fields == "{}" else f"{item.fields[:-1]},{ours[1:]}"
    return text.encode() + b"\n"
