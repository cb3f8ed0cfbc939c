"""Ids that are never issued twice: instance numbers under a lease, a high-water mark in etcd."""

from __future__ import annotations

import asyncio
import random

import structlog

from crawler.clock import MAX_INSTANCES, SNOWFLAKE_EPOCH_MS, Clock, IdSource
from crawler.coordination.election import Term
from crawler.coordination.etcd import Etcd, Op, absent, fetch, modified_at, put
from crawler.coordination.keys import IDS_KEY, INSTANCES, instance_key
from crawler.coordination.session import Session
from crawler.errors import Exhausted, OutcomeUnknown, TermLost

log = structlog.get_logger(__name__)

# How far ahead of the clock ids are reserved: one write to etcd per this much time of issuing.
RESERVE_MS = 60_000

_TIMESTAMP_SHIFT = 22  # bits of instance and sequence in a snowflake
_LAST_MS = SNOWFLAKE_EPOCH_MS + (1 << 41) - RESERVE_MS  # the timestamp has 41 bits


async def claim_instance(etcd: Etcd, session: Session) -> int:
    """A snowflake instance number that nobody else has while the session lives.

    Raises `Exhausted` when all are taken.
    """
    mark = f"{session.lease:x}".encode()
    while True:
        taken = {kv.key for kv in (await etcd.range(INSTANCES)).kvs if kv.lease != session.lease}
        free = [n for n in range(MAX_INSTANCES) if instance_key(n) not in taken]
        if not free:
            raise Exhausted(f"all {MAX_INSTANCES} instance numbers are taken")
        number = random.choice(free)
        key = instance_key(number)
        try:
            result = await etcd.txn([absent(key)], [put(key, mark, session.lease)], [fetch(key)])
        except OutcomeUnknown:
            continue  # at worst one number more hangs on this lease
        if result.succeeded or result.responses[0][0].lease == session.lease:
            return number


class Ids:
    """Ids of resources, issued by the leader of one term.

    No id is issued above the mark in ``/crawler/ids``, and none at or below what the mark was
    when this term began, so ids rise over all leaders although their clocks differ and step.
    """

    def __init__(self, etcd: Etcd, term: Term, instance: int, clock: Clock) -> None:
        self._etcd = etcd
        self._term = term
        self._instance = instance
        self._clock = clock
        self._source: IdSource | None = None
        self._mark_ms = 0
        self._lock = asyncio.Lock()

    async def next(self) -> str:
        """The next id. Raises `TermLost` when the term is over, `EtcdUnavailable` when the mark
        cannot be raised, which is about once a minute of issuing."""
        async with self._lock:
            while True:
                if self._source is not None:
                    issued = self._source.next()
                    if (int(issued) >> _TIMESTAMP_SHIFT) + SNOWFLAKE_EPOCH_MS <= self._mark_ms:
                        return issued
                await self._reserve()

    async def _reserve(self) -> None:
        """Raise the mark; whatever it was before belongs to others."""
        while True:
            kv = await self._etcd.get(IDS_KEY)
            floor_ms = _read_mark(kv.value) if kv else 0
            if self._source is None or floor_ms > self._mark_ms:
                self._source = IdSource(self._instance, floor_ms=floor_ms, clock=self._clock)
            mark_ms = self._source.peek_ms() + RESERVE_MS
            unchanged = modified_at(IDS_KEY, kv.mod_revision) if kv else absent(IDS_KEY)
            write: Op = put(IDS_KEY, str(mark_ms).encode())
            try:
                result = await self._etcd.txn([self._term.holds(), unchanged], [write])
            except OutcomeUnknown:
                continue  # the next look shows a mark above ours: ids then start above that
            if result.succeeded:
                self._mark_ms = mark_ms
                log.debug("ids reserved", mark_ms=mark_ms)
                return
            if not (await self._etcd.txn([self._term.holds()], [])).succeeded:
                raise TermLost(f"{self._term.key} is gone")


def _read_mark(value: bytes) -> int:
    """A mark that no id could have reached counts as none; the clock then has to do."""
    try:
        mark_ms = int(value)
    except ValueError:
        mark_ms = -1
    if not 0 <= mark_ms < _LAST_MS:
        log.error("unreadable high-water mark of ids", key=IDS_KEY, bytes=len(value))
        return 0
    return mark_ms
