"""All resources, each put together from its keys when somebody looks at it.

Every master hears of every resource, and one that does not lead looks at few of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import takewhile
from typing import Any

from crawler.coordination.entry import Entry, Part, partitions_of
from crawler.coordination.etcd import KeyValue
from crawler.coordination.keys import (
    DEFINITIONS,
    OWNERS,
    PARTS,
    RESOURCES,
    STATUSES,
    WISHES,
    name_and_part,
)
from crawler.coordination.records import (
    decode_decision,
    decode_definition,
    decode_owner,
    decode_resource,
    decode_status,
    decode_wish,
    home_of,
)


class Entries(Mapping[str, Entry]):
    """Entries by name. The same entry is the same object until one of its keys changes.

    With ``eager`` they are put together at every `settle`, for a node that may have to look at all
    of them at any moment.
    """

    def __init__(self, *, eager: bool = False) -> None:
        self._eager = eager
        self._kvs: dict[str, dict[str, KeyValue]] = {}  # by name, then by key
        self._made: dict[str, Entry] = {}
        self._unmade: set[str] = set()  # of those that are to be put together
        self._homes: dict[str, str] = {}  # node id, by the key of a resource or part
        self._assigned: dict[str, dict[str, str]] = {}  # by node id: key to name
        self._changes = 0
        self._changed: dict[str, int] = {}  # by name: the number of its last change, in order

    def __getitem__(self, name: str) -> Entry:
        return self._made.get(name) or self._make(name)

    def __contains__(self, name: object) -> bool:
        return name in self._kvs

    def __iter__(self) -> Iterator[str]:
        return iter(self._kvs)

    def __len__(self) -> int:
        return len(self._kvs)

    def assigned(self, node_id: str) -> Set[str]:
        """Names of those of which the node was given a part."""
        return set(self._assigned.get(node_id, {}).values())

    def keys_of(self, name: str) -> Collection[str]:
        """The keys that make up this entry."""
        return self._kvs.get(name, {}).keys()

    def changed_since(self, change: int) -> tuple[list[str], int]:
        """Names of those that are there and changed after the change of that number (0: all),
        and the number of the last one. Costs what changed, whatever there is."""
        newest = reversed(self._changed)
        return list(takewhile(lambda name: self._changed[name] > change, newest)), self._changes

    def put(self, name: str, kv: KeyValue) -> None:
        """Take a key of this entry."""
        self._note_change(name)
        self._kvs.setdefault(name, {})[kv.key] = kv
        self._made.pop(name, None)
        if kv.key.startswith((RESOURCES, PARTS)):
            self._move(kv.key, name, home_of(kv))
        if self._eager:
            self._unmade.add(name)

    def settle(self) -> None:
        """What belongs together has come: a transaction, or a list."""
        unmade, self._unmade = self._unmade, set()
        for name in unmade:
            if name in self._kvs and name not in self._made:
                self._make(name)

    def drop(self, name: str, key: str) -> None:
        """Forget a key of this entry; without any, there is no entry."""
        self._note_change(name)
        kvs = self._kvs[name]
        del kvs[key]
        self._made.pop(name, None)
        if not kvs:
            del self._kvs[name], self._changed[name]
        self._move(key, name, "")

    def _make(self, name: str) -> Entry:
        made = self._made[name] = entry_from(name, self._kvs[name].values())
        return made

    def _note_change(self, name: str) -> None:
        self._changed.pop(name, None)
        self._changes += 1
        self._changed[name] = self._changes

    def _move(self, key: str, name: str, home: str) -> None:
        before = self._homes.pop(key, "")
        if before:
            del self._assigned[before][key]
            if not self._assigned[before]:
                del self._assigned[before]
        if home:
            self._homes[key] = home
            self._assigned.setdefault(home, {})[key] = name


def entry_from(name: str, kvs: Iterable[KeyValue]) -> Entry:
    """The entry that these keys make up; an empty one where there are none."""
    own: dict[str, Any] = {}
    parts: dict[int, dict[str, Any]] = {}
    for kv in kvs:
        owner, part = name_and_part(kv.key)
        if owner == name:
            fields = parts.setdefault(part, {}) if part else own
            fields |= _fields(kv)
    return Entry(name, **own, parts={part: Part(**found) for part, found in parts.items()})


def _fields(kv: KeyValue) -> dict[str, Any]:
    if kv.key.startswith((RESOURCES, PARTS)):
        return {"resource": decode_resource(kv), "resource_revision": kv.mod_revision}
    if kv.key.startswith(DEFINITIONS):
        text = decode_definition(kv)
        return {
            "definition": text,
            "definition_revision": kv.mod_revision,
            "partitions": partitions_of(text),
        }
    if kv.key.startswith(WISHES):
        return {"wish": decode_wish(kv), "wish_revision": kv.mod_revision}
    if kv.key.startswith(STATUSES):
        return {"status": decode_status(kv)}
    if kv.key.startswith(OWNERS):
        return {"owner": decode_owner(kv)}
    return {"decision": decode_decision(kv)}
