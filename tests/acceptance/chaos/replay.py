"""etcd's history read again, revision by revision: who lived when, and what was given to whom.

Keys and records are read here by what is promised of them on the wire, and not by the code that
wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.acceptance.chaos.history import EtcdWrite

ELECTION = "/resources/election/"
RESOURCES = "/resources/"
PARTS = "/crawler/parts/"
DECISIONS = "/crawler/decisions/"
DEFINITIONS = "/crawler/definitions/"
STATUSES = "/crawler/status/"
WISHES = "/crawler/desired/"
NODES = "/micro/registry/"
WORKERS = f"{NODES}go.micro.server.worker/"


@dataclass(frozen=True, slots=True)
class Life:
    """A key from its creation to its deletion; ``gone`` and ``gone_at`` None: it is there still.
    ``again_at`` is when it was first written once more (None: never)."""

    key: str
    value: bytes
    created: int
    created_at: float
    gone: int | None = None
    gone_at: float | None = None
    again_at: float | None = None

    def covers(self, revision: int) -> bool:
        """Whether the key was there after this revision's changes."""
        return self.created <= revision and (self.gone is None or revision < self.gone)


@dataclass(frozen=True, slots=True)
class Naming:
    """One write of a unit's assignment. ``unit`` is its key; ``node_id`` "": given to nobody.
    ``resource_id`` "": the key was deleted."""

    unit: str
    part: int
    resource_id: str
    node_id: str
    address: str
    revision: int
    at: float


def lives(writes: Iterable[EtcdWrite], prefix: str) -> list[Life]:
    """Every life of every key below the prefix, in the order of their creation."""
    living: dict[str, dict[str, Any]] = {}
    found: list[dict[str, Any]] = []
    for write in writes:
        if not write.key.startswith(prefix):
            continue
        life = living.get(write.key)
        if write.value is None:
            if life is not None:
                living.pop(write.key).update(gone=write.revision, gone_at=write.at)
        elif life is None or life["created"] != write.create_revision:
            living[write.key] = {
                "key": write.key,
                "value": write.value,
                "created": write.create_revision,
                "created_at": write.at,
            }
            found.append(living[write.key])
        else:
            life.setdefault("again_at", write.at)
    return [Life(**each) for each in found]


def reigns(writes: Iterable[EtcdWrite]) -> list[Life]:
    """Each leader from its first write, which is to its own key, to the end of that key; by when
    they began."""
    candidates = lives(writes, ELECTION)
    led = [
        replace(life, created_at=life.again_at) for life in candidates if life.again_at is not None
    ]
    return sorted(led, key=lambda each: each.created_at)


def namings(writes: Iterable[EtcdWrite]) -> list[Naming]:
    """Every write of an assignment, of all units, in order."""
    return [naming for write in writes if (naming := _naming(write)) is not None]


def by_unit(found: Iterable[Naming]) -> dict[str, list[Naming]]:
    """The same, apart for each unit."""
    units: dict[str, list[Naming]] = {}
    for naming in found:
        units.setdefault(naming.unit, []).append(naming)
    return units


def rests(writes: Iterable[EtcdWrite], ended: float) -> dict[str, list[tuple[float, float]]]:
    """When each unit, named by its assignment's key, was reported to have ended its run: it needs
    no worker then."""
    found: dict[str, list[tuple[float, float]]] = {}
    since: dict[str, float] = {}
    for write in writes:
        if not write.key.startswith(STATUSES):
            continue
        name, _, part = write.key.removeprefix(STATUSES).partition("/")
        unit = f"{PARTS}{name}/{part}" if part else RESOURCES + name
        if unit in since:
            found.setdefault(unit, []).append((since.pop(unit), write.at))
        if write.value is not None and record(write.value).get("state") in ("finished", "error"):
            since[unit] = write.at
    for unit, at in since.items():
        found.setdefault(unit, []).append((at, ended))
    return found


def terms(writes: Iterable[EtcdWrite]) -> dict[int, set[int]]:
    """By revision, the terms that its decisions name (0: a decision that names none)."""
    found: dict[int, set[int]] = {}
    for write in writes:
        if write.key.startswith(DECISIONS) and write.value is not None:
            found.setdefault(write.revision, set()).add(int(record(write.value).get("term", 0)))
    return found


def record(value: bytes) -> Mapping[str, Any]:
    """A JSON object; {} for what is none."""
    try:
        read = json.loads(value)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def address_in(value: bytes) -> str:
    """The address in a node's record."""
    nodes = record(value).get("nodes") or [{}]
    return str(nodes[0].get("address", ""))


def unit_of(key: str) -> int | None:
    """The part that an assignment's key is about; None for other keys."""
    number = key.rpartition("/")[2]
    if key.startswith(PARTS) and number.isdecimal():
        return int(number)
    if key.startswith(RESOURCES) and "/" not in key.removeprefix(RESOURCES):
        return 0
    return None


def intervals_without(
    found: Sequence[Life], began: float, ended: float
) -> Iterator[tuple[float, float]]:
    """When none of these was there."""
    until = began
    for life in sorted(found, key=lambda each: each.created_at):
        if life.created_at > until:
            yield until, life.created_at
        until = max(until, ended if life.gone_at is None else life.gone_at)
    if until < ended:
        yield until, ended


def _naming(write: EtcdWrite) -> Naming | None:
    part = unit_of(write.key)
    if part is None:
        return None
    if write.value is None:
        return Naming(write.key, part, "", "", "", write.revision, write.at)
    read = record(write.value)
    node_id, _, address = str(read.get("AssignedNode", "")).partition("|")
    resource_id = str(read.get("ID", ""))
    return Naming(write.key, part, resource_id, node_id, address, write.revision, write.at)
