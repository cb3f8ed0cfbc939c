"""What everybody knows of the cluster: one list and one watch, read without waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from contextlib import aclosing, suppress
from functools import partial
from types import MappingProxyType
from typing import NoReturn, TypeVar

import structlog

from crawler import failpoint
from crawler.clock import Backoff, Clock
from crawler.coordination.election import DEFAULT_PREFIX, Leader
from crawler.coordination.entries import entry_from
from crawler.coordination.entry import Entry, all_units, current_status, state_of, units_of
from crawler.coordination.etcd import (
    Etcd,
    KeyValue,
    Snapshot,
    WatchEvent,
    fetch,
)
from crawler.coordination.index import Index, View
from crawler.coordination.keys import (
    CLUSTER_KEY,
    DRAINED,
    GIVEN,
    IDS_KEY,
    LOADS,
    NODES,
    PART_PREFIXES,
    PREFIXES,
    decision_key,
    definition_key,
    drain_key,
    given_name,
    in_span,
    load_key,
    owner_key,
    resource_key,
    status_key,
    wish_key,
)
from crawler.coordination.records import (
    Cluster,
    Decision,
    Load,
    Status,
    Wish,
    decode_cluster,
    encode_cluster,
    encode_decision,
    encode_load,
    encode_resource,
    encode_status,
    encode_wish,
)
from crawler.coordination.scope import EVERYTHING, Scope, Span, read_resources
from crawler.coordination.signing import Seal
from crawler.errors import Compacted, Misconfigured, SessionLost, Unavailable
from crawler.model import Node
from crawler.tasks import TaskGroup, start_loop

__all__ = [
    "CLUSTER_KEY",
    "IDS_KEY",
    "Catalog",
    "Cluster",
    "Decision",
    "Entry",
    "Load",
    "Status",
    "View",
    "Wish",
    "all_units",
    "current_status",
    "decision_key",
    "decode_cluster",
    "definition_key",
    "drain_key",
    "encode_cluster",
    "encode_decision",
    "encode_load",
    "encode_resource",
    "encode_status",
    "encode_wish",
    "load_key",
    "pause_between_lists",
    "read_entry",
    "read_nodes",
    "read_view",
    "resource_key",
    "state_of",
    "status_key",
    "units_of",
    "wish_key",
]

log = structlog.get_logger(__name__)

# Everything is listed again this often (plus or minus a fifth, so that a hundred nodes don't do
# it at once), against whatever the watch may have missed.
RELIST_S = 60.0
# No node lists more keys per second than this in the long run: a hundred nodes that listed ten
# thousand resources every minute would cost etcd half a core.
RELIST_KEYS_PER_S = 100.0
# After a compaction all watchers list at once; this spreads them.
SPREAD_S = 1.0
CATCH_UP_S = 0.3  # an event takes milliseconds
READ_PAUSE_S = 0.05  # between two reads of resources that something happens to

Read = Sequence[tuple[Sequence[str], Snapshot]]
R = TypeVar("R")


class Catalog:
    """The cluster as last heard. Its mappings are live: never iterate over one across an await.

    Events wake through `changed`; whoever is woken looks at the whole. `run` keeps it up to date
    until cancelled, waits while etcd is away, and raises `SessionLost` when etcd has gone back in
    time. ``eager``: see `Entries`. With the ``scope`` of one node, no more is known than that
    needs: its own resources, and the cluster's uuid.
    """

    def __init__(
        self,
        etcd: Etcd,
        clock: Clock,
        election_prefix: str = DEFAULT_PREFIX,
        *,
        seal: Seal = Seal(),  # noqa: B008 - frozen
        relist_s: float = RELIST_S,
        eager: bool = False,
        scope: Scope = EVERYTHING,
    ) -> None:
        if not in_span(f"{election_prefix}/"):
            raise Misconfigured(
                f"election prefix {election_prefix!r}: use one below {' or '.join(PREFIXES)}"
            )
        self._etcd = etcd
        self._clock = clock
        self._election_prefix = election_prefix
        self._seal = seal
        self._eager = eager
        self._scope = scope
        self._due: set[str] = set()
        self._roused = asyncio.Event()
        self._index = self._new_index()
        self._relist_s = relist_s
        self._chance = random.Random()
        self._synced = asyncio.Event()
        self._news = asyncio.Event()
        self._progress = asyncio.Event()
        self._listing = asyncio.Lock()
        self._rewinds = etcd.rewinds
        self.version = 0
        self.revision = 0
        self.outlived = ""  # the cluster's uuid when etcd went back last; "": it never did

    @property
    def seal(self) -> Seal:
        """By which the records of this cluster's nodes are known."""
        return self._seal

    def reseal(self, seal: Seal) -> None:
        """Believe from now on what is signed with these secrets."""
        self._seal = seal
        self._index.reseal(seal)
        self._announce(True, 0)

    @property
    def entries(self) -> Mapping[str, Entry]:
        return MappingProxyType(self._index.entries)

    @property
    def workers(self) -> Mapping[str, Node]:
        return MappingProxyType(self._index.workers)

    @property
    def masters(self) -> Mapping[str, Node]:
        return MappingProxyType(self._index.masters)

    @property
    def loads(self) -> Mapping[str, Load]:
        return MappingProxyType(self._index.loads)

    @property
    def drained(self) -> frozenset[str]:
        return self._index.drained

    @property
    def cluster(self) -> Cluster | None:
        return self._index.cluster

    @property
    def leader(self) -> Leader | None:
        return self._index.leader

    @property
    def candidates(self) -> Sequence[Leader]:
        """All who stand for election, the one that leads first."""
        return self._index.candidates

    def assigned(self, node_id: str) -> Set[str]:
        """Names of the resources of which the node was given a part."""
        return self._index.assigned(node_id)

    def changed_since(self, change: int) -> tuple[Sequence[str], int]:
        """See `Entries.changed_since`."""
        return self._index.entries.changed_since(change)

    async def synced(self) -> None:
        """Return once everything was listed."""
        await self._synced.wait()

    async def changed(self, since: int) -> int:
        """Wait until ``version`` is above ``since``; the version then."""
        while self.version <= since:
            await self._news.wait()
        return self.version

    async def caught_up(self) -> None:
        """Return once all is known that etcd had taken when this was called. Costs one small read
        and the way of an event; where others write to the same etcd, perhaps a list of everything.
        Raises `Unavailable`."""
        wanted = (await self._etcd.range(CLUSTER_KEY)).revision
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                await self.reached(wanted)
        async with self._listing:
            if self.revision < wanted:
                await self._list()

    async def reached(self, revision: int) -> int:
        """Wait until all up to ``revision`` is known; up to which one it is then."""
        while self.revision < revision:
            await self._progress.wait()
        return self.revision

    def observe(
        self, kvs: Iterable[KeyValue], deleted_keys: Iterable[str] = (), *, revision: int
    ) -> None:
        """Take what this process wrote at ``revision`` before the watch tells of it; older events
        that are still on their way do not undo it."""
        news = [self._index.put(kv) for kv in kvs]
        news += [self._index.drop(key, revision) for key in deleted_keys]
        self._announce(any(news), 0)

    async def run(self) -> NoReturn:
        """Follow etcd."""
        self._note_rewind()
        start = await self._list()
        try:
            async with TaskGroup() as group:
                for span in self._scope.spans:
                    start_loop(group, f"catalog: watch {span[0]}", self._watch(span, start + 1))
                if self._scope.own:
                    own = self._watch_own(self._scope.own, start + 1)
                    start_loop(group, "catalog: watch own registration", own)
                start_loop(group, "catalog: relist", self._relist())
                start_loop(group, "catalog: read", self._read())
        except ExceptionGroup as failures:
            # What one loop failed with is what the caller reacts to.
            raise failures.exceptions[0] from failures
        raise AssertionError("loops never end")

    async def _watch(self, span: Span, start: int) -> NoReturn:
        whole = not self._scope.own  # the only span: nothing older is still to come
        while True:
            try:
                async with aclosing(self._etcd.watch(*span, start)) as batches:
                    async for batch in batches:
                        news = [self._take(event) for event in batch]
                        self._announce(any(news), batch[-1].kv.mod_revision if whole else 0)
            except Compacted as error:
                log.warning("watched history is gone", start=start, compacted=error.revision)
            await self._clock.sleep(self._chance.uniform(0.0, SPREAD_S))
            start = await self._list() + 1

    async def _watch_own(self, key: str, start: int) -> NoReturn:
        """List everything whenever the node registers, so that `revision` reaches that."""
        while True:
            with suppress(Compacted):
                async with aclosing(self._etcd.watch(key, f"{key}\0", start)) as batches:
                    async for _ in batches:
                        await self._list()
                        self._announce(True, 0)
            start = await self._list() + 1

    def _take(self, event: WatchEvent) -> bool:
        """Whether the event is news; that something was given or taken is but a hint to read."""
        kv = event.kv
        if kv.key.startswith(GIVEN):
            if self._scope.node:
                self._due.add(given_name(kv.key))
                self._roused.set()
            return False
        return self._index.drop(kv.key, kv.mod_revision) if event.deleted else self._index.put(kv)

    async def _read(self) -> NoReturn:
        """Read what is due; a burst of events is one read."""
        while True:
            await self._roused.wait()
            self._roused.clear()
            names, self._due = sorted(self._due), set()
            self._announce(self._replace(await self._read_resources(names)) > 0, 0)
            await self._clock.sleep(READ_PAUSE_S)

    async def _relist(self) -> NoReturn:
        while True:
            pause_s = pause_between_lists(self._index.size, self._relist_s)
            await self._clock.sleep(pause_s * self._chance.uniform(0.8, 1.2))
            await self._list()

    async def _list(self) -> int:
        """List everything and take what differs; the revision of the list."""
        await failpoint.hit("catalog.before_list")
        floor = self.revision
        snapshot = await self._until_read(partial(self._etcd.span, self._scope.prefixes))
        if snapshot.revision < floor:
            # What was known is of another history; the next `run` begins with nothing.
            self._note_rewind()
            self._index, self.revision = self._new_index(), 0
            raise SessionLost(f"etcd went back from revision {floor} to {snapshot.revision}")
        found = await self._read_resources(sorted(self._own(snapshot)))
        # The reader may have been told of others meanwhile.
        apart = {name for names, _ in found for name in names} | self.assigned(self._scope.node)
        news = self._index.merge(snapshot, apart) + self._replace(found)
        log.debug("listed", keys=len(snapshot.kvs), news=news, revision=snapshot.revision)
        self._announce(bool(news) or not self._synced.is_set(), snapshot.revision)
        self._synced.set()
        return snapshot.revision

    def _note_rewind(self) -> None:
        """Remember what was agreed on before: revisions may have caught up by the time that anybody
        compares them, but what was written in between is gone."""
        if self._etcd.rewinds != self._rewinds:
            self._rewinds = self._etcd.rewinds
            self.outlived = self.cluster.uuid if self.cluster is not None else ""

    def _own(self, snapshot: Snapshot) -> set[str]:
        """Names of what the node of the scope has, as far as is known or listed."""
        node = self._scope.node
        if not node:
            return set()
        listed = (given_name(kv.key) for kv in snapshot.kvs if kv.key.startswith(GIVEN))
        return {*listed, *self.assigned(node)}

    async def _read_resources(self, names: Sequence[str]) -> Read:
        return await self._until_read(partial(read_resources, self._etcd, names))

    def _replace(self, found: Read) -> int:
        return sum(self._index.replace(names, snapshot) for names, snapshot in found)

    async def _until_read(self, read: Callable[[], Awaitable[R]]) -> R:
        """What it reads, once etcd answers."""
        delays = Backoff(base_s=0.1, cap_s=2.0).delays(self._chance)
        while True:
            try:
                return await read()
            except (Unavailable, Compacted) as error:
                log.info("not read yet", error=str(error))
                await self._clock.sleep(next(delays))

    def _new_index(self) -> Index:
        return Index(self._election_prefix, self._seal, eager=self._eager)

    def _announce(self, news: bool, revision: int) -> None:
        if revision > self.revision:
            self.revision = revision
            self._progress.set()
            self._progress = asyncio.Event()
        if news:
            self._index.entries.settle()
            self.version += 1
            # Whoever waits now is woken; whoever waits later gets a new event.
            self._news.set()
            self._news = asyncio.Event()


def pause_between_lists(keys: int, least_s: float = RELIST_S) -> float:
    """Seconds from one list of so many keys to the next."""
    return max(least_s, keys / RELIST_KEYS_PER_S)


async def read_entry(etcd: Etcd, name: str) -> Entry:
    """The entry as etcd has it now (linearizable); an empty one if there is no such resource."""
    keys = (resource_key, definition_key, wish_key, status_key, decision_key, owner_key)
    parts = (f"{prefix}{name}/" for prefix in PART_PREFIXES)
    result = await etcd.txn(
        [], [*(fetch(key(name)) for key in keys), *(fetch(part, prefix=True) for part in parts)]
    )
    return entry_from(name, (kv for response in result.responses for kv in response))


async def read_view(etcd: Etcd, election_prefix: str = DEFAULT_PREFIX) -> View:
    """The cluster as etcd has it now (linearizable), at one revision."""
    return await _read(etcd, PREFIXES, election_prefix)


async def read_nodes(etcd: Etcd) -> View:
    """The nodes alone, those among them whose records nobody signed."""
    return await _read(etcd, (NODES, LOADS, DRAINED), DEFAULT_PREFIX)


async def _read(etcd: Etcd, prefixes: Sequence[str], election_prefix: str) -> View:
    snapshot = await etcd.span(prefixes)
    index = Index(election_prefix)
    index.merge(snapshot)
    return View(
        MappingProxyType(index.entries),
        MappingProxyType(index.workers),
        MappingProxyType(index.masters),
        MappingProxyType(index.loads),
        index.drained,
        index.cluster,
        index.leader,
        snapshot.revision,
    )
