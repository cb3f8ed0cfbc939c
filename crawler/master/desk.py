"""How one resource is changed: read it, decide, write in one fenced transaction, and decide again
on what is there now if anything changed between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog

from crawler.coordination.catalog import Entry, read_entry, units_of
from crawler.coordination.etcd import Compare, Op, absent, created_at, delete, modified_at, put
from crawler.coordination.keys import decision_key, given_key, resource_key, wish_key
from crawler.coordination.records import Decision, encode_decision, encode_resource
from crawler.coordination.registry import registry_key
from crawler.errors import Unavailable
from crawler.master.journal import Journal
from crawler.master.office import Office
from crawler.master.placing import Placing
from crawler.master.situation import Job
from crawler.master.survey import hosts_of, wish_of
from crawler.model import Assignment, Desired, Node, Resource
from crawler.telemetry.correlation import current_id

log = structlog.get_logger(__name__)

T = TypeVar("T")
TRIES = 8

Step = Callable[[Entry, set[str]], Awaitable[T | None]]


def unchanged(entry: Entry) -> tuple[Compare, Compare]:
    """That neither the assignment (of the unit) nor the wish changed since the entry was read."""
    resource, wish = resource_key(entry.name, entry.part), wish_key(entry.name)
    return (
        modified_at(resource, entry.resource_revision)
        if entry.resource_revision
        else absent(resource),
        modified_at(wish, entry.wish_revision) if entry.wish_revision else absent(wish),
    )


def parts_unchanged(entry: Entry) -> Iterator[Compare]:
    """That none of parts 1 and above was given to another since the entry was read."""
    for part, known in entry.parts.items():
        if known.resource is not None:
            yield modified_at(resource_key(entry.name, part), known.resource_revision)


def registered(node: Node | None) -> tuple[Compare, ...]:
    """That this incarnation of the node is registered; nothing for None."""
    return (created_at(registry_key(node), node.revision),) if node is not None else ()


def assign(
    resource: Resource,
    node: Node | None,
    reason: str,
    at: float,
    term: int,
    request_id: str = "",
) -> tuple[Op, ...]:
    """Write the resource, which is where it was, as given to ``node``, why, in which term, and for
    which request; and tell the workers that it concerns. The write is the new token."""
    home = Assignment(node.id, node.address) if node is not None else None
    decision = Decision(node.id if node is not None else "", reason, at, term, request_id)
    where, record = (resource.name, resource.part), replace(resource, assignment=home)
    return (
        put(resource_key(*where), encode_resource(record)),
        put(decision_key(*where), encode_decision(decision)),
        *hints(where, resource.assignment, home),
    )


def hints(
    where: tuple[str, int], before: Assignment | None, home: Assignment | None
) -> Iterator[Op]:
    """Let the worker at ``home`` know that it was given this part (or given it anew), and the one
    that had it that it was taken."""
    if home is not None:
        yield put(given_key(home.node_id, *where), b"")
    if before is not None and (home is None or before.node_id != home.node_id):
        yield delete(given_key(before.node_id, *where))


def request_of(entry: Entry) -> str:
    """The request that is being dealt with; without one, the last that concerned the resource."""
    before = entry.decision.request_id if entry.decision is not None else ""
    return current_id() or before


def release_parts(entry: Entry, reason: str, at: float, term: int) -> Iterator[Op]:
    """Take parts 1 and above from whoever has them."""
    for unit in units_of(entry)[1:]:
        assert unit.resource is not None
        yield from assign(unit.resource, None, reason, at, term, request_of(entry))


def restamp_parts(entry: Entry) -> Iterator[Op]:
    """Raise the tokens of parts 1 and above; who has them keeps them."""
    for part, known in entry.parts.items():
        if known.resource is not None:
            home = known.resource.assignment
            yield put(resource_key(entry.name, part), encode_resource(known.resource))
            yield from hints((entry.name, part), home, home)


def refuse_deleted(entry: Entry) -> None:
    """Raise `Unavailable` while the resource is on its way out."""
    wish = wish_of(entry)
    if wish is not None and wish.state is Desired.DELETED:
        raise Unavailable(f"{entry.name} is being deleted; try again in a moment")


class Desk:
    """Changes under one term; at any time one per resource."""

    def __init__(self, office: Office, placing: Placing, journal: Journal) -> None:
        self.office = office
        self.journal = journal
        self.placing = placing
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, name: str) -> asyncio.Lock:
        """Spares changes of one resource the tries that they would cost one another."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    async def settle(self, name: str, step: Step[T], guess: Entry | None = None) -> T:
        """Call ``step`` on the resource until it answers; None means that what it compared has
        changed, and it is called on what is there now.

        ``guess`` is taken for the first try instead of a read; a wrong one costs that try. The
        second argument of ``step`` is a set of workers found gone, for it to add to and avoid.
        """
        avoid: set[str] = set()
        for _ in range(TRIES):
            entry = guess or await read_entry(self.office.etcd, name)
            guess = None
            answer = await step(entry, avoid)
            if answer is not None:
                return answer
        raise Unavailable(f"{name} was changed {TRIES} times meanwhile; try again")

    async def give(
        self,
        entry: Entry,
        resource: Resource,
        definition: str | None,
        ops: Sequence[Op],
        avoid: set[str],
    ) -> Resource | None:
        """Write the resource with ``ops``, given to the worker that carries least, or unassigned
        where there is none. None: something changed, nothing was written."""
        hosts = hosts_of(definition) if entry.partitions == 1 else ()
        job = Job(resource.name, hosts=hosts, defined=definition is not None)
        choice = self.placing.choose(job, avoid)
        node = choice.seat.node if choice.seat is not None else None
        try:
            written = await self.keep(entry, resource, node, choice.reason, ops, avoid)
        except BaseException:
            self.placing.drop(job.name)
            raise
        if written is None:
            self.placing.drop(job.name)
        else:
            self.placing.keep(job.name)
        return written

    async def keep(
        self,
        entry: Entry,
        resource: Resource,
        node: Node | None,
        reason: str,
        ops: Sequence[Op],
        avoid: set[str],
    ) -> Resource | None:
        """Write the resource with ``ops``, given to this node or (None) to nobody."""
        at, term = self.office.clock.wall(), self.office.term.revision
        revision = await self.office.write(
            (*unchanged(entry), *parts_unchanged(entry), *registered(node)),
            (*ops, *assign(resource, node, reason, at, term, request_of(entry))),
        )
        if revision is None:
            await self._note_gone(node, avoid)
            return None
        log.info(
            "decided",
            resource=resource.name,
            node=node.id if node is not None else "",
            reason=reason,
            revision=revision,
        )
        if node is not None:
            self.journal.tell(resource.id, "assigned", reason, node.id)
        home = Assignment(node.id, node.address) if node is not None else None
        return replace(resource, assignment=home, revision=revision)

    async def _note_gone(self, node: Node | None, avoid: set[str]) -> None:
        """Where the worker is what changed, the catalog has yet to hear of it."""
        if node is not None:
            kv = await self.office.etcd.get(registry_key(node))
            if kv is None or kv.create_revision != node.revision:
                avoid.add(node.id)
