"""Who leads: etcd's own election recipe, with the holes of that recipe closed.

The recipe (etcd client/v3/concurrency/election.go): a key per candidate, named by its lease and
created only if absent; the lowest create revision leads; each waits for the key just before its
own. Added: the own key is checked after winning (a candidate whose lease died while it waited
would otherwise be told that it won), and watched while leading.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import NoReturn

import structlog

from crawler import failpoint
from crawler.coordination.etcd import (
    Compare,
    Etcd,
    KeyValue,
    Snapshot,
    absent,
    created_at,
    delete,
    fetch,
    put,
)
from crawler.coordination.session import Session
from crawler.errors import Compacted, OutcomeUnknown, TermLost, Unavailable

log = structlog.get_logger(__name__)

DEFAULT_PREFIX = "/resources/election"

# Candidates and leaders look again this often, whatever their watch says: one event that it misses
# would leave the cluster without a leader for ever.
_LOOK_TTLS = 2

_VALUE = re.compile(r"master(?P<id>[A-Za-z0-9_]+)-(?P<address>.+)")


@dataclass(frozen=True, slots=True)
class Term:
    """Leadership as a value: the election key and its create revision."""

    key: str
    revision: int

    def holds(self) -> Compare:
        """The condition that every write of this leader carries."""
        return created_at(self.key, self.revision)


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, as read by others. ``value`` is ``master<id>-<ip>:<grpc port>``."""

    value: str
    key: str
    revision: int

    @property
    def id(self) -> str:
        """The id given with ``--id``; "" where the value has another shape."""
        match = _VALUE.fullmatch(self.value)
        return match["id"] if match else ""

    @property
    def address(self) -> str:
        """``ip:port`` of its gRPC server; "" where the value has another shape."""
        match = _VALUE.fullmatch(self.value)
        return match["address"] if match else ""


def election_value(master_id: str, address: str) -> str:
    """What a candidate writes; ``master_id`` as given with ``--id``."""
    return f"master{master_id}-{address}"


def leader_of(candidates: Iterable[KeyValue]) -> Leader | None:
    """The leader among all keys below the election prefix."""
    first = min(candidates, key=lambda kv: kv.create_revision, default=None)
    if first is None:
        return None
    return Leader(first.value.decode("utf-8", "replace"), first.key, first.create_revision)


class Election:
    """This session's candidacy.

    While etcd is away its methods wait: each call has used up its own time limit when it fails,
    so they repeat at once, and the session's deadline ends them through their task group.
    """

    def __init__(self, etcd: Etcd, session: Session, prefix: str, value: str) -> None:
        self._etcd = etcd
        self._prefix = f"{prefix.rstrip('/')}/"
        self._key = f"{self._prefix}{session.lease:x}"
        self._lease = session.lease
        self._look_s = _LOOK_TTLS * session.ttl_s
        self._value = value.encode()

    async def campaign(self) -> Term:
        """Wait until this session leads. Raises `TermLost` when the own key goes meanwhile."""
        term = await self._stand()
        log.info("candidate", key=term.key, revision=term.revision)
        while True:
            snapshot = await self._candidates()
            if not any(kv.key == term.key for kv in snapshot.kvs):
                raise TermLost(f"{term.key} went away while it waited")
            before = [kv for kv in snapshot.kvs if kv.create_revision < term.revision]
            if not before:
                await failpoint.hit("election.before_confirm")
                await self._confirm(term)
                log.info("elected", key=term.key, revision=term.revision)
                return term
            # Waiting for one key only: when a leader goes, one candidate wakes and not all.
            ahead = max(before, key=lambda kv: kv.create_revision)
            await self._await_end(ahead.key, snapshot.revision + 1)

    async def watch_own(self, term: Term) -> NoReturn:
        """Raises `TermLost` once the election key of ``term`` is gone."""
        while True:
            revision = await self._confirm(term)
            await self._await_end(term.key, revision + 1)

    async def resign(self, term: Term) -> None:
        """Give up leadership, so that the next candidate leads at once. Idempotent."""
        await self._etcd.txn([term.holds()], [delete(term.key)])
        log.info("resigned", key=term.key)

    async def _stand(self) -> Term:
        """Create the own key; it may be there already if an earlier answer was lost."""
        while True:
            try:
                result = await self._etcd.txn(
                    [absent(self._key)],
                    [put(self._key, self._value, self._lease)],
                    [fetch(self._key)],
                )
            except (OutcomeUnknown, Unavailable):
                continue
            if result.succeeded:
                return Term(self._key, result.revision)
            (kv,) = result.responses[0]
            return Term(self._key, kv.create_revision)

    async def _candidates(self) -> Snapshot:
        while True:
            try:
                return await self._etcd.range(self._prefix)
            except Unavailable:
                continue

    async def _confirm(self, term: Term) -> int:
        """The revision at which the term stood; raises `TermLost` if it does not."""
        while True:
            try:
                result = await self._etcd.txn([term.holds()], [fetch(term.key)])
            except Unavailable:
                continue
            if not result.succeeded:
                raise TermLost(f"{term.key} is gone")
            return result.revision

    async def _await_end(self, key: str, revision: int) -> None:
        """Return when the key was deleted, or when only a new look can tell."""
        with suppress(Compacted, TimeoutError):
            async with (
                asyncio.timeout(self._look_s),
                aclosing(self._etcd.watch(key, f"{key}\0", revision)) as batches,
            ):
                async for batch in batches:
                    if any(event.deleted for event in batch):
                        return
