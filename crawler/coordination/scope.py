"""How much of the cluster a node follows: all of it, or what it needs to learn of its own work.

Every event is told to every node that watches its key, so that a hundred workers that all watched
everything would be told of each other's work only. A worker hears of what it is given and what is
taken from it, and then reads what there is to know: whatever its crawl depends on is written in one
transaction with its assignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crawler.coordination.etcd import Etcd, Op, Snapshot, fetch
from crawler.coordination.keys import (
    CLUSTER_KEY,
    PART_PREFIXES,
    PREFIXES,
    SPAN_END,
    SPAN_START,
    decision_key,
    definition_key,
    given_prefix,
    resource_key,
    status_key,
    wish_key,
)
from crawler.coordination.registry import registry_key
from crawler.model import Node

Span = tuple[str, str]

_MOST = 16  # resources per read: eight operations each, and etcd takes 128


@dataclass(frozen=True, slots=True)
class Scope:
    """``spans`` are watched; ``prefixes`` are listed, and hold whatever of ours the spans hold.

    ``node``: whose resources are read on their own when something happens to them; "": nobody's.
    ``own``: the key of its registration, which is watched, too: when that is written, everything is
    listed, because the events of different spans may come in any order.
    """

    spans: tuple[Span, ...]
    prefixes: tuple[str, ...]
    node: str = ""
    own: str = ""


EVERYTHING = Scope(((SPAN_START, SPAN_END),), PREFIXES)


def scope_of(worker: Node) -> Scope:
    """What a worker follows."""
    given = given_prefix(worker.id)
    spans = ((given, f"{given[:-1]}0"), (CLUSTER_KEY, f"{CLUSTER_KEY}\0"))
    return Scope(spans, (given, CLUSTER_KEY), worker.id, registry_key(worker))


async def read_resources(etcd: Etcd, names: Sequence[str]) -> list[tuple[Sequence[str], Snapshot]]:
    """All that a worker needs to know of these resources, and of each at one revision
    (linearizable): some of the names, and their keys, at a time."""
    found = []
    for start in range(0, len(names), _MOST):
        some = names[start : start + _MOST]
        result = await etcd.txn((), [op for name in some for op in _look_at(name)])
        kvs = tuple(kv for response in result.responses for kv in response)
        found.append((some, Snapshot(kvs, result.revision)))
    return found


def _look_at(name: str) -> tuple[Op, ...]:
    keys = (resource_key, definition_key, wish_key, status_key, decision_key)
    parts = (fetch(f"{prefix}{name}/", prefix=True) for prefix in PART_PREFIXES)
    return (*(fetch(key(name)) for key in keys), *parts)
