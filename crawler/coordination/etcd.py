"""The etcd client: reads, transactions, leases and watches over several endpoints.

Our own thin layer on grpc.aio, because no published one resumes its watches, fails over, and
keeps apart what happened, what did not and what is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass

import structlog

from crawler.clock import Clock
from crawler.coordination.calls import Calls, Metadata, Repeat
from crawler.coordination.endpoints import Endpoint, EtcdSettings
from crawler.coordination.operations import (
    Compare,
    KeyValue,
    Op,
    Snapshot,
    TxnResult,
    WatchEvent,
    absent,
    compare_to_wire,
    created_at,
    delete,
    fetch,
    from_wire,
    modified_at,
    op_to_wire,
    prefix_end,
    put,
    result_from_wire,
    to_bytes,
)
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.coordination.watch import Watch
from crawler.errors import Compacted, EtcdUnavailable, SessionLost

__all__ = [
    "Compare",
    "Etcd",
    "EtcdSettings",
    "KeyValue",
    "Op",
    "ServerStatus",
    "Snapshot",
    "TxnResult",
    "WatchEvent",
    "absent",
    "created_at",
    "delete",
    "fetch",
    "modified_at",
    "put",
]

log = structlog.get_logger(__name__)

# Definitions are at most 256 kB, so a page fits the channel's receive limit. Not fewer: etcd counts
# all keys of the range anew for every page.
_PAGE_KEYS = 2_000
# How often one page of a list is asked for, each time within the limit of a call: what was read
# before it need not be read again for its sake.
_PAGE_TRIES = 3


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How one member is. ``leader`` is False while it sees none; ``alarms`` are etcd's words."""

    endpoint: str
    version: str
    db_bytes: int
    leader: bool
    alarms: tuple[str, ...]


class Etcd:
    """A client. Every call ends within ``settings.call_timeout_s``; reads are linearizable.

    Raises `EtcdUnavailable` (no effect), `OutcomeUnknown` (transactions that write, and only
    they), `TooLarge`, `Exhausted` (etcd's space), `Misconfigured` (etcd refuses the login or the
    keys). Build it inside the running event loop; `close` it last.
    """

    def __init__(self, settings: EtcdSettings, clock: Clock) -> None:
        self._clock = clock
        self._calls = Calls(settings, clock)
        self._seen = (0, 0)
        # How often etcd was seen to have gone back in time, being wiped or restored: whatever
        # was read before may never have happened. A session ends when it rises.
        self.rewinds = 0

    async def close(self) -> None:
        """Free the channels."""
        await self._calls.close()

    async def get(self, key: str) -> KeyValue | None:
        """One key, or None."""
        response = await self._range(pb.RangeRequest(key=to_bytes(key)))
        return from_wire(response.kvs[0]) if response.kvs else None

    async def range(self, prefix: str) -> Snapshot:
        """All keys that begin with ``prefix``, at one revision."""
        return await self.span((prefix,))

    async def span(self, prefixes: Sequence[str]) -> Snapshot:
        """All keys that begin with one of ``prefixes``, in their order, at one revision.

        Raises `Compacted` if that revision is compacted before the last page, twice. Ends within
        some times the limit of a call per page.
        """
        try:
            return await self._read_span(prefixes)
        except Compacted:
            return await self._read_span(prefixes)

    async def txn(
        self,
        compares: Iterable[Compare],
        then: Sequence[Op],
        otherwise: Sequence[Op] = (),
        *,
        guarded: bool = False,
    ) -> TxnResult:
        """Run ``then`` if all ``compares`` hold, else ``otherwise``; at most 128 operations.

        Sent once if it writes, so that a lost answer raises `OutcomeUnknown`; unless it is
        ``guarded``, which means that doing it twice is as good as once: then it is repeated, and
        compares that do not hold may fail because of itself. Raises `SessionLost` when a put names
        a lease that is gone.
        """
        request = pb.TxnRequest(
            compare=map(compare_to_wire, compares),
            success=map(op_to_wire, then),
            failure=map(op_to_wire, otherwise),
        )

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> pb.TxnResponse:
            return await at.kv.Txn(request, metadata=metadata, timeout=timeout_s)

        floor = self._seen
        response = await self._calls.call(send, _repeat((*then, *otherwise), guarded))
        self._observe(response.header, floor)
        return result_from_wire(response)

    async def grant(self, ttl_s: int) -> int:
        """A new lease. It lives at least ``ttl_s`` from when this was called; if an answer is
        lost, the lease that nobody knows of simply runs out."""

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> pb.LeaseGrantResponse:
            request = pb.LeaseGrantRequest(TTL=ttl_s)
            return await at.lease.LeaseGrant(request, metadata=metadata, timeout=timeout_s)

        response = await self._calls.call(send, Repeat.FREELY)
        return response.ID

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys; it is no error if it is gone."""

        async def send(
            at: Endpoint, metadata: Metadata, timeout_s: float
        ) -> pb.LeaseRevokeResponse:
            request = pb.LeaseRevokeRequest(ID=lease)
            return await at.lease.LeaseRevoke(request, metadata=metadata, timeout=timeout_s)

        try:
            await self._calls.call(send, Repeat.FREELY)
        except SessionLost:
            log.debug("lease was gone already", lease=f"{lease:x}")

    async def keep_alive_once(self, lease: int, timeout_s: float | None = None) -> int:
        """Renew a lease; its time to live in seconds from when this was called, 0: it is gone."""

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> int:
            stream = at.lease.LeaseKeepAlive(None, metadata=metadata, timeout=timeout_s)
            try:
                await stream.write(pb.LeaseKeepAliveRequest(ID=lease))
                response = await stream.read()
            except asyncio.InvalidStateError as error:
                raise EtcdUnavailable("etcd closed the keepalive stream") from error
            finally:
                stream.cancel()
            if isinstance(response, pb.LeaseKeepAliveResponse):
                return response.TTL
            raise EtcdUnavailable("etcd closed the keepalive stream")

        return await self._calls.call(send, Repeat.FREELY, timeout_s=timeout_s)

    def watch(
        self, start_key: str, end_key: str, start_revision: int
    ) -> AsyncGenerator[tuple[WatchEvent, ...], None]:
        """Events of ``[start_key, end_key)`` in whole revisions; see `Watch.batches`.

        ``start_revision`` 0: from now on. One key alone: ``end_key`` is ``start_key + "\\0"``.
        """
        span = (start_key, end_key)
        return Watch(self._calls, self._revision, self._clock, span, start_revision).batches()

    async def status(self) -> ServerStatus:
        """The state of the member that answers first."""

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> ServerStatus:
            response = await at.maintenance.Status(
                pb.StatusRequest(), metadata=metadata, timeout=timeout_s
            )
            return ServerStatus(
                at.url,
                response.version,
                response.dbSize,
                response.leader != 0,
                tuple(response.errors),
            )

        return await self._calls.call(send, Repeat.FREELY)

    async def _revision(self) -> int:
        response = await self._range(pb.RangeRequest(key=b"\0"))
        return response.header.revision

    async def _read_span(self, prefixes: Sequence[str]) -> Snapshot:
        kvs: list[KeyValue] = []
        revision = 0
        for prefix in prefixes:
            start, end = to_bytes(prefix), prefix_end(prefix)
            while True:
                page = await self._page(
                    pb.RangeRequest(key=start, range_end=end, limit=_PAGE_KEYS, revision=revision)
                )
                revision = revision or page.header.revision
                kvs.extend(map(from_wire, page.kvs))
                if not page.more:
                    break
                start = page.kvs[-1].key + b"\0"
        return Snapshot(tuple(kvs), revision)

    async def _page(self, request: pb.RangeRequest) -> pb.RangeResponse:
        """One page; once a revision is fixed, it is worth to wait for the others."""
        for _ in range(_PAGE_TRIES - 1 if request.revision else 0):
            try:
                return await self._range(request)
            except EtcdUnavailable as error:
                log.info("page not read yet", revision=request.revision, error=str(error))
        return await self._range(request)

    async def _range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> pb.RangeResponse:
            return await at.kv.Range(request, metadata=metadata, timeout=timeout_s)

        floor = self._seen
        response = await self._calls.call(send, Repeat.FREELY)
        self._observe(response.header, floor)
        return response

    def _observe(self, header: pb.ResponseHeader, floor: tuple[int, int]) -> None:
        """Notice that etcd went back: linearizable answers never fall below what had been seen
        before they were asked for, neither in revision nor in raft term."""
        term, revision = floor
        if header.raft_term < term or header.revision < revision:
            self.rewinds += 1
            self._seen = (header.raft_term, header.revision)
            log.error("etcd went back in time", seen=floor, now=self._seen)
            return
        seen_term, seen_revision = self._seen
        self._seen = (max(seen_term, header.raft_term), max(seen_revision, header.revision))


def _repeat(ops: Iterable[Op], guarded: bool) -> Repeat:
    if all(op.kind == "fetch" for op in ops):
        return Repeat.FREELY
    return Repeat.GUARDED if guarded else Repeat.NEVER
