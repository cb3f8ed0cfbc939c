"""What happens in the cluster, told as it happens: made of what every master hears from etcd.

A cursor is the revision of etcd up to which everything was told, so that one of another master is
good here; before it stands a mark of the cluster, because a fresh etcd counts anew. All that is
found at one look is one group, and only the last of a group carries a cursor: nobody goes on in the
middle of it. Masters look at different moments, so that after a change of masters something may be
told twice, and what came and went between two looks is not told.

The groups stand in one ring for all who follow. Whoever falls behind its end is told so.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import NoReturn

from crawler.clock import Clock
from crawler.coordination.catalog import Catalog
from crawler.coordination.election import Leader
from crawler.coordination.entry import Entry, state_of
from crawler.errors import Exhausted, InvalidInput, Unavailable
from crawler.model import Node, State
from crawler.rpc.pb.control_pb2 import Notice

KEPT = 20_000  # notices; some 10 MB at most
FOLLOWERS = 200
HEARTBEAT_S = 10.0
LONGEST_S = 600.0  # then the caller comes back, and is asked again who it is
LOOK_S = 1.0  # how soon it is seen that etcd has gone back

_CURSOR = re.compile(r"(?P<mark>[0-9a-f-]{0,36})\.(?P<revision>[0-9]{1,18})")
_OVER = frozenset({State.FINISHED, State.ERROR})


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a resource was when it was looked at last."""

    id: str
    state: State
    run: int


class Feed:
    """`run` it while there is a session; `follow` it at any time."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        *,
        kept: int = KEPT,
        heartbeat_s: float = HEARTBEAT_S,
        longest_s: float = LONGEST_S,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._kept = kept
        self._heartbeat_s = heartbeat_s
        self._longest_s = longest_s
        self._groups: deque[tuple[int, tuple[Notice, ...]]] = deque()
        self._count = 0
        self._followers = 0
        self._closed = False
        self._news = asyncio.Event()
        self._mark = ""
        self._revision = 0  # up to which everything was looked at; 0: nothing was
        self._start = 0  # up to which it is not known any more
        self._standings: dict[str, _Standing] = {}
        self._partial: set[str] = set()  # names of what has keys, and is no resource (any more)
        self._nodes: dict[str, Node] = {}
        self._leader: Leader | None = None
        self._change = 0

    def close(self) -> None:
        """Send all who follow to another master."""
        self._closed = True
        self._wake()

    async def run(self) -> NoReturn:
        """Look whenever etcd has told something."""
        await self._catalog.synced()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._catalog.reached(self._revision + 1)
            self.look()

    def look(self) -> None:
        """Tell what is new; or, with another history of etcd, begin anew."""
        cluster, revision = self._catalog.cluster, self._catalog.revision
        mark = cluster.uuid if cluster is not None else ""
        if revision < self._revision or mark != self._mark or not self._revision:
            self._begin(mark, revision)
        elif revision > self._revision:
            self._add(revision, tuple(self._differences()))

    async def follow(self, cursor: str) -> AsyncGenerator[Notice]:
        """Notices since ``cursor`` ("": from now on), with a heartbeat first and while there are
        none. Raises `InvalidInput`, `Exhausted` for one who is too slow or one too many,
        `Unavailable` where this master stops. Ends by itself after some minutes."""
        with self._place():
            until = self._clock.elapsed() + self._longest_s
            mark, at = self._read(cursor) if cursor else (self._mark, self._revision)
            known = mark == self._mark and self._start <= at <= self._revision
            if not known:
                mark, at = self._mark, self._revision
            yield self._own(Notice.HEARTBEAT if known else Notice.RESET, at)
            while self._clock.elapsed() < until:
                if mark != self._mark:
                    mark, at = self._mark, self._revision
                    yield self._own(Notice.RESET, at)
                if at < self._start:
                    raise Exhausted("too slow: what came meanwhile is not kept; look at everything")
                news, horizon = self._news, self._revision
                for notice in self._since(at):
                    yield notice
                at = horizon
                if not await self._turn(news) and mark == self._mark:
                    at = self._revision
                    yield self._own(Notice.HEARTBEAT, at)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._followers >= FOLLOWERS:
            raise Exhausted(f"{FOLLOWERS} follow this master already; ask another one")
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def _turn(self, news: asyncio.Event) -> bool:
        """Wait for the news, as long as from one heartbeat to the next; whether there are any."""
        if not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_s):
                    await news.wait()
        if self._closed:
            raise Unavailable("this master stops; go on at another one")
        return news.is_set()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _read(self, cursor: str) -> tuple[str, int]:
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise InvalidInput(f"cursor: none of this list (got {cursor[:80]!r})", field="cursor")
        return found["mark"], int(found["revision"])

    def _own(self, kind: Notice.Kind.ValueType, revision: int) -> Notice:
        return Notice(kind=kind, at=self._clock.wall(), cursor=f"{self._mark}.{revision}")

    def _since(self, at: int) -> list[Notice]:
        groups = takewhile(lambda group: group[0] > at, reversed(self._groups))
        return [notice for _, notices in reversed(list(groups)) for notice in notices]

    def _begin(self, mark: str, revision: int) -> None:
        """Take what there is for known."""
        self._groups.clear()
        self._count = 0
        self._mark, self._revision, self._start = mark, revision, revision
        self._standings.clear()
        self._partial.clear()
        self._change = 0
        list(self._differences())
        self._wake()

    def _add(self, revision: int, notices: tuple[Notice, ...]) -> None:
        self._revision = revision
        if not notices:
            return
        notices[-1].cursor = f"{self._mark}.{revision}"
        self._groups.append((revision, notices))
        self._count += len(notices)
        while self._count > self._kept and self._groups:
            self._start, gone = self._groups.popleft()
            self._count -= len(gone)
        self._wake()

    def _differences(self) -> Iterator[Notice]:
        """What differs from the last look, which this one then is."""
        at = self._clock.wall()
        now = {**self._catalog.masters, **self._catalog.workers}
        before, self._nodes = self._nodes, now
        for node_id in sorted(before.keys() - now.keys()):
            yield _of_node(Notice.NODE_LOST, before[node_id], at)
        for node_id, node in sorted(now.items()):
            known = before.get(node_id)
            if known is None or known.revision != node.revision:
                yield _of_node(Notice.NODE_JOINED, node, at)
        leader = self._catalog.leader
        if leader != self._leader:
            self._leader = leader
            name, address = (leader.id, leader.address) if leader is not None else ("", "")
            yield Notice(kind=Notice.LEADER_CHANGED, at=at, name=name, address=address)
        yield from self._of_resources(before.keys() ^ now.keys(), at)

    def _of_resources(self, turned: set[str], at: float) -> Iterator[Notice]:
        """``turned``: the nodes that came or went, on which states depend too."""
        entries = self._catalog.entries
        names, self._change = self._catalog.changed_since(self._change)
        affected = set(names).union(*(self._catalog.assigned(each) for each in turned))
        for name in sorted(affected):
            entry = entries.get(name)
            if entry is None or entry.resource is None:
                yield from self._of_gone(name, at)
                self._partial |= {name} & entries.keys()
            else:
                self._partial.discard(name)
                yield from self._of_resource(entry, entry.resource.id, at)
        if len(self._standings) + len(self._partial) > len(entries):
            self._partial &= entries.keys()
            for name in sorted(self._standings.keys() - entries.keys()):
                yield from self._of_gone(name, at)

    def _of_gone(self, name: str, at: float) -> Iterator[Notice]:
        standing = self._standings.pop(name, None)
        if standing is not None:
            yield Notice(kind=Notice.RESOURCE_DELETED, at=at, name=name, id=standing.id)

    def _of_resource(self, entry: Entry, id_: str, at: float) -> Iterator[Notice]:
        state, reason = state_of(entry, self._catalog.workers)
        standing = _Standing(id_, state, entry.wish.run if entry.wish is not None else 1)
        if standing == self._standings.get(entry.name):
            return
        self._standings[entry.name] = standing
        yield Notice(
            kind=Notice.TASK_FINISHED if state in _OVER else Notice.RESOURCE_CHANGED,
            at=at,
            name=entry.name,
            id=id_,
            state=state.value,
            reason=reason,
            run=standing.run,
        )


def _of_node(kind: Notice.Kind.ValueType, node: Node, at: float) -> Notice:
    return Notice(kind=kind, at=at, name=node.id, address=node.address)
