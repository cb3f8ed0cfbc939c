"""What etcd must be given back after it was wiped or restored from an old snapshot: the database
remembers more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from crawler.coordination.catalog import Entry
from crawler.coordination.etcd import Op, delete, put
from crawler.coordination.keys import definition_key, wish_key
from crawler.coordination.records import Wish, encode_wish
from crawler.master.batches import Change
from crawler.master.desk import assign, unchanged
from crawler.master.fence import Memo, Mirrored
from crawler.master.survey import wish_of
from crawler.model import Desired, Resource

MAX_ID_DIGITS = 20


def memo_of(entry: Entry) -> Memo | None:
    """What the database is to remember of a resource; None: there is none, or it is on its way
    out."""
    resource = entry.resource
    if resource is None:
        return None
    wish = wish_of(entry) or Wish(Desired.RUNNING, 1, resource.id)
    if wish.state is Desired.DELETED:
        return None
    return Memo(
        resource.id,
        resource.name,
        resource.created_ns,
        entry.definition,
        wish.state.value,
        wish.run,
        wish.due,
        wish.since,
    )


def as_memo(mirrored: Mirrored) -> Memo:
    """The store's own record in our words."""
    return Memo(
        mirrored.id,
        mirrored.name,
        mirrored.created_ns,
        mirrored.definition,
        mirrored.desired,
        mirrored.run,
        mirrored.due,
        mirrored.since,
    )


def refill(
    entries: Mapping[str, Entry], mirrored: Iterable[Mirrored], at: float, term: int
) -> list[Change]:
    """Changes after which etcd has every resource as the database remembers it, unassigned.

    Of two resources of one name the younger counts: ids rise.
    """
    newest: dict[str, Memo] = {}
    for memo in map(as_memo, mirrored):
        other = newest.get(memo.name)
        if _is_issued(memo.id) and (other is None or int(memo.id) > int(other.id)):
            newest[memo.name] = memo
    changes = []
    for memo in newest.values():
        entry = entries.get(memo.name) or Entry(memo.name)
        if _wanting(entry, memo):
            changes.append(Change(memo.name, unchanged(entry), _restore(entry, memo, at, term)))
    return changes


def _wanting(entry: Entry, memo: Memo) -> bool:
    if entry.resource is None:
        return True
    if entry.resource.id == memo.id:
        return memo_of(entry) not in (None, replace(memo, created_ns=entry.resource.created_ns))
    return not _is_issued(entry.resource.id) or int(entry.resource.id) < int(memo.id)


def _is_issued(resource_id: str) -> bool:
    """Whether a leader may have issued it: a snowflake has 19 digits."""
    return resource_id.isdecimal() and len(resource_id) <= MAX_ID_DIGITS


def _restore(entry: Entry, memo: Memo, at: float, term: int) -> tuple[Op, ...]:
    desired = Desired(memo.desired) if memo.desired in set(Desired) else Desired.RUNNING
    definition = definition_key(memo.name)
    home = entry.resource.assignment if entry.resource is not None else None
    wish = Wish(desired, memo.run, memo.id, memo.due, memo.since)
    return (
        put(wish_key(memo.name), encode_wish(wish)),
        put(definition, memo.definition.encode()) if memo.definition else delete(definition),
        *assign(
            Resource(memo.id, memo.name, home, memo.created_ns),
            None,
            "restored from the database: etcd went back in time",
            at,
            term,
        ),
    )
