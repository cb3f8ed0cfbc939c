"""Adding, changing and deleting resources, each so that a cut at any step leaves what repeating
the call, or the next leader, completes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import structlog

from crawler.access import ANYBODY, Caller
from crawler.clock import Clock
from crawler.coordination.catalog import Entry
from crawler.coordination.entry import partitions_of
from crawler.coordination.etcd import Op, delete, modified_at, put
from crawler.coordination.instances import Ids
from crawler.coordination.keys import (
    DECISIONS,
    STATUSES,
    decision_key,
    definition_key,
    drain_key,
    owner_key,
    resource_key,
    status_key,
    wish_key,
)
from crawler.coordination.records import Wish, encode_wish
from crawler.errors import Conflict, NotFound, OutcomeUnknown, StoreUnavailable
from crawler.failpoint import hit
from crawler.master.desk import Desk, hints, refuse_deleted, registered, restamp_parts, unchanged
from crawler.master.fence import Fence
from crawler.master.quotas import Quotas
from crawler.master.schedule import rescheduled
from crawler.master.survey import rest_of, wish_of
from crawler.model import WORKER_SERVICE, Desired, Node, Resource, State, check_name

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an add or put. Without a worker, ``node_id`` and ``address`` are ""."""

    resource_id: str
    node_id: str
    address: str
    created: bool = False
    changed: bool = False


def placed(resource: Resource, *, created: bool = False, changed: bool = False) -> Placed:
    """The answer for a resource as it is written now."""
    at = resource.assignment
    return Placed(
        resource.id,
        at.node_id if at is not None else "",
        at.address if at is not None else "",
        created,
        changed,
    )


class _Draft:
    """The resource that one call creates for ``caller``, if it does: with one ID, however often it
    tries. A try whose answer was lost, and that has its effect late, then cannot outlive a delete.
    """

    def __init__(self, caller: Caller, ids: Ids, clock: Clock) -> None:
        self.caller = caller
        self._ids = ids
        self._clock = clock
        self._made: Resource | None = None

    async def make(self, name: str) -> Resource:
        if self._made is None:
            created_ns = int(self._clock.wall() * 1_000_000) * 1_000
            self._made = Resource(await self._ids.next(), name, None, created_ns)
        return self._made

    def became(self, resource: Resource) -> bool:
        """Whether this is the one: an earlier try had an effect."""
        return self._made is not None and self._made.id == resource.id


class Resources:
    """What callers may do with resources as such, under one term."""

    def __init__(self, desk: Desk, ids: Ids, fence: Fence) -> None:
        self._desk = desk
        self._office = desk.office
        self._ids = ids
        self._fence = fence
        self._quotas = Quotas(desk.office.catalog)

    async def add(
        self, name: str, definition: str | None = None, caller: Caller = ANYBODY
    ) -> Placed:
        """Create it for ``caller``, or find it there. ``definition`` is canonical JSON.

        Raises `Conflict` where it exists with another definition, `Unavailable` while one of its
        name is being deleted, `Exhausted` where the caller may have no more resources.
        """
        name = check_name(name)
        step = partial(self._add, definition, self._draft(caller))
        async with self._desk.lock(name):
            return await self._desk.settle(name, step, self._guess(name))

    async def put(self, name: str, definition: str, caller: Caller = ANYBODY) -> Placed:
        """Create it for ``caller``, or give it this definition; then the assignment's token rises
        with it, so that its worker begins anew with the new one. Raises `Exhausted` as `add`."""
        name = check_name(name)
        step = partial(self._put, definition, self._draft(caller))
        async with self._desk.lock(name):
            return await self._desk.settle(name, step, self._guess(name))

    async def delete(self, name: str) -> None:
        """Delete it for good: when this returns, nothing of it is ever written again.

        Raises `NotFound`; `OutcomeUnknown` where it is marked, and the database could not be told.
        """
        name = check_name(name)
        async with self._desk.lock(name):
            await self._desk.settle(name, self._delete)

    async def drain(self, node: str, *, undo: bool = False) -> None:
        """Take all work from a worker, or let it have work again. Raises `NotFound`."""
        node_id = self._find(node, undo)
        key = drain_key(node_id)
        if undo:
            await self._office.write((), (delete(key),))
        elif (
            await self._office.write(
                registered(self._office.catalog.workers[node_id]), (put(key, b"{}"),)
            )
            is None
        ):
            raise NotFound(f"{node_id} has just left")
        log.info("drain", node=node_id, undo=undo)

    async def finish(self, entry: Entry) -> None:
        """The second and third step of a delete that is marked: the database's tombstone, then
        the keys."""
        wish = entry.wish
        assert wish is not None
        await self._fence.bury(wish.resource_id)
        await hit("master.delete.after_bury")
        # A delete mark is never taken back, so no more than the mark need be compared.
        marked = (modified_at(wish_key(entry.name), entry.wish_revision),)
        await self._office.write(marked, erase(entry))
        await hit("master.delete.after_keys")
        log.info("deleted", resource=entry.name, id=wish.resource_id)

    def _draft(self, caller: Caller) -> _Draft:
        return _Draft(caller, self._ids, self._office.clock)

    def _guess(self, name: str) -> Entry | None:
        """For a name that the catalog has not heard of, a read is not worth while."""
        return None if name in self._office.catalog.entries else Entry(name)

    async def _add(
        self, definition: str | None, draft: _Draft, entry: Entry, avoid: set[str]
    ) -> Placed | None:
        refuse_deleted(entry)
        if entry.resource is None:
            return await self._create(entry, definition, draft, avoid)
        if definition is not None and definition != entry.definition:
            raise Conflict(f"{entry.name} exists with another definition; put changes it")
        return placed(entry.resource, created=draft.became(entry.resource))

    async def _put(
        self, definition: str, draft: _Draft, entry: Entry, avoid: set[str]
    ) -> Placed | None:
        refuse_deleted(entry)
        if entry.resource is None:
            return await self._create(entry, definition, draft, avoid)
        if definition == entry.definition:
            return placed(entry.resource, created=draft.became(entry.resource))
        _refuse_redivision(entry, definition)
        written = await self._change(entry, entry.resource, definition, avoid)
        return placed(written, changed=True) if written is not None else None

    async def _create(
        self, entry: Entry, definition: str | None, draft: _Draft, avoid: set[str]
    ) -> Placed | None:
        resource = await draft.make(entry.name)
        ops = [put(wish_key(entry.name), encode_wish(Wish(Desired.RUNNING, 1, resource.id)))]
        ops += [_define(entry.name, definition), _own(entry.name, draft.caller)]
        await hit("master.add.before_txn")
        async with self._quotas.room(draft.caller):
            written = await self._desk.give(entry, resource, definition, ops, avoid)
        if written is None:
            return None
        await hit("master.add.after_txn")
        log.info(
            "add resource",
            specs={
                "ID": written.id,
                "Name": written.name,
                "AssignedNode": str(written.assignment or ""),
                "CreationTime": written.created_ns,
            },
        )
        return placed(written, created=True)

    async def _change(
        self, entry: Entry, resource: Resource, definition: str, avoid: set[str]
    ) -> Resource | None:
        ops = [_define(entry.name, definition), *restamp_parts(entry)]
        before, now = wish_of(entry), int(self._office.clock.wall())
        wish = before or Wish(Desired.RUNNING, 1, resource.id)
        wish = rescheduled(wish, entry.definition, definition, now)
        if wish != before:
            ops.append(put(wish_key(entry.name), encode_wish(wish)))
        home = self._home(resource, avoid)
        if home is None and rest_of(entry) in ("", State.ERROR):
            return await self._desk.give(entry, resource, definition, ops, avoid)
        return await self._desk.keep(entry, resource, home, "definition changed", ops, avoid)

    def _home(self, resource: Resource, avoid: set[str]) -> Node | None:
        """The live worker that has it and may keep it with a definition."""
        if resource.assignment is None or resource.assignment.node_id in avoid:
            return None
        node = self._office.catalog.workers.get(resource.assignment.node_id)
        return node if node is not None and node.native else None

    async def _delete(self, entry: Entry, avoid: set[str]) -> bool | None:
        del avoid
        if entry.resource is None and entry.wish is None and entry.resource_revision:
            # Nobody can read what it was, so that there is nothing to bury.
            revision = await self._office.write(unchanged(entry), erase(entry))
            return None if revision is None else True
        marked = entry if is_marked(entry) else await self._mark(entry)
        if marked is None:
            return None
        await hit("master.delete.after_mark")
        try:
            await self.finish(marked)
        except StoreUnavailable as error:
            raise OutcomeUnknown(
                f"{entry.name} is marked deleted, but the database could not be told yet; try again"
            ) from error
        return True

    async def _mark(self, entry: Entry) -> Entry | None:
        """The first step: irrevocable. None: something changed."""
        wish = wish_of(entry)
        if entry.resource is not None:
            resource_id = entry.resource.id
        elif wish is not None:
            resource_id = wish.resource_id  # its resource key was deleted by somebody else
        else:
            raise NotFound(f"there is no resource {entry.name}")
        mark = Wish(Desired.DELETED, wish.run if wish is not None else 1, resource_id)
        revision = await self._office.write(
            unchanged(entry), (put(wish_key(entry.name), encode_wish(mark)),)
        )
        return None if revision is None else replace(entry, wish=mark, wish_revision=revision)

    def _find(self, node: str, undo: bool) -> str:
        """The worker's full id; a short one (``2``, ``worker-2``) will do."""
        catalog = self._office.catalog
        known = {*catalog.workers, *(catalog.drained if undo else ())}
        for node_id in (node, f"{WORKER_SERVICE}-{node}", f"go.micro.server.{node}"):
            if node_id in known:
                return node_id
        raise NotFound(f"there is no worker {node[:80]}")


def _refuse_redivision(entry: Entry, definition: str) -> None:
    """The parts of a resource are those of its first definition: its rows are divided so."""
    wanted = partitions_of(definition)
    if entry.definition is not None and wanted != entry.partitions:
        raise Conflict(
            f"partitions: {entry.name} is divided into {entry.partitions} for good, not {wanted}; "
            "delete it and add it again, or use another name"
        )


def is_marked(entry: Entry) -> bool:
    """Whether its delete has begun; where the resource key is gone, its wish alone says so."""
    wish = wish_of(entry)
    return wish is not None and wish.state is Desired.DELETED


def erase(entry: Entry) -> list[Op]:
    """Delete every key of the resource."""
    keys = (definition_key, wish_key, owner_key, resource_key, status_key, decision_key)
    parts = {*range(1, entry.partitions), *entry.parts}
    known = {0: entry.resource} | {part: each.resource for part, each in entry.parts.items()}
    homes = {part: each.assignment for part, each in known.items() if each is not None}
    return [
        *(delete(key(entry.name)) for key in keys),
        *(delete(resource_key(entry.name, part)) for part in sorted(parts)),
        # One operation for those of all parts: etcd takes 128.
        *(delete(f"{prefix}{entry.name}/", prefix=True) for prefix in (STATUSES, DECISIONS)),
        *(op for part, home in homes.items() for op in hints((entry.name, part), home, None)),
    ]


def _define(name: str, definition: str | None) -> Op:
    """Write the definition; without one, one that a deleted resource left behind must go."""
    key = definition_key(name)
    return put(key, definition.encode()) if definition is not None else delete(key)


def _own(name: str, caller: Caller) -> Op:
    """Write whose it is; where nobody was asked, an owner that was left behind must go."""
    key = owner_key(name)
    return put(key, caller.name.encode()) if caller.name else delete(key)
