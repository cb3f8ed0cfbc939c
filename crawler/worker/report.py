"""What a worker tells the cluster: the status of each resource it owns, and its load."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NoReturn, Protocol

import structlog

from crawler.clock import Backoff, Clock
from crawler.coordination.catalog import (
    Load,
    Status,
    encode_load,
    load_key,
)
from crawler.coordination.etcd import Etcd, put
from crawler.coordination.statuses import MAX_STATUSES, write_statuses
from crawler.errors import Exhausted, OutcomeUnknown, Unavailable
from crawler.model import Resource

log = structlog.get_logger(__name__)

_BACKOFF = Backoff(base_s=0.1, cap_s=2.0)
BURST_S = 0.05  # statuses that come so close after one another are one write
LOAD_EVERY_S = 1.0
ACTIVE_EVERY_S = 5.0  # pages in flight change all the time; every report wakes all masters
Report = tuple[Resource, Status]
_LATER = (Unavailable, OutcomeUnknown, Exhausted)  # Exhausted: etcd has no space at the moment


class Writer(Protocol):
    """Where reports go. Both raise `Unavailable`, `OutcomeUnknown` or `Exhausted` where repeating
    later is right."""

    async def write_statuses(self, reports: Sequence[Report]) -> Sequence[Report]:
        """Those that were not written because the resource was assigned anew since."""

    async def write_load(self, load: Load) -> None:
        """Tell how busy this node is, for as long as its session lasts."""


class EtcdWriter:
    """Writes under ``/crawler/status/`` and, on the session's lease, ``/crawler/load/``."""

    def __init__(self, etcd: Etcd, lease: int, node_id: str) -> None:
        self._etcd = etcd
        self._lease = lease
        self._node_id = node_id

    async def write_statuses(self, reports: Sequence[Report]) -> Sequence[Report]:
        return await write_statuses(self._etcd, reports)

    async def write_load(self, load: Load) -> None:
        await self._etcd.txn((), (put(load_key(self._node_id), encode_load(load), self._lease),))


class StatusBoard:
    """The latest status per resource. What is not written yet survives sessions; of several
    statuses of one resource only the latest is written."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self._latest: dict[str, tuple[object, ...]] = {}
        self._unwritten: dict[str, Report] = {}
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def note(self, resource: Resource, status: Status) -> None:
        """Remember the status for writing, if anything but its time changed."""
        content = (status.state, status.reason, status.run, status.resource_id, status.revision)
        if self._latest.get(resource.unit) == content:
            return
        self._latest[resource.unit] = content
        self._unwritten[resource.unit] = (resource, status)
        self._settled.clear()
        self._news.set()

    def forget(self, name: str) -> None:
        """The resource is not ours any more; its next status is news."""
        self._latest.pop(name, None)
        self._drop(name)

    @property
    def units(self) -> Collection[str]:
        """Of which it remembers the latest status."""
        return self._latest.keys()

    async def settled(self) -> None:
        """Return when all is written."""
        await self._settled.wait()

    async def run(self, writer: Writer) -> NoReturn:
        """Write until cancelled. While etcd is away, try again with backoff."""
        failures = 0
        while True:
            await self._news.wait()
            if await self._write(list(self._unwritten.values())[:MAX_STATUSES], writer):
                failures = 0
                await self._clock.sleep(BURST_S)
            else:
                await self._clock.sleep(_BACKOFF.delay(failures, self._chance))
                failures += 1

    async def _write(self, batch: Sequence[Report], writer: Writer) -> bool:
        try:
            refused = await writer.write_statuses(batch)
        except _LATER as error:
            units = [resource.unit for resource, _ in batch]
            log.warning("statuses not written yet", resources=units, error=str(error))
            return False
        for resource, status in refused:
            log.info("status is not ours to write", resource=resource.unit, token=status.revision)
        for each in batch:
            unit = each[0].unit
            if self._unwritten.get(unit) == each:  # else a newer one came
                self._drop(unit)
        return True

    def _drop(self, name: str) -> None:
        self._unwritten.pop(name, None)
        if not self._unwritten:
            self._news.clear()
            self._settled.set()


async def report_load(
    measure: Callable[[], Load], writer: Writer, clock: Clock, chance: random.Random
) -> NoReturn:
    """Write the load when it changed, at most once a second, until cancelled; more seldom where
    nothing but the pages in flight or what the proxy did changed."""
    written: Load | None = None
    written_at = 0.0
    failures = 0
    while True:
        load = measure()
        pause_s = LOAD_EVERY_S
        if _is_news(load, written, clock.elapsed() - written_at):
            try:
                await writer.write_load(load)
                written, written_at, failures = load, clock.elapsed(), 0
            except _LATER as error:
                log.warning("load not written yet", error=str(error))
                pause_s = max(pause_s, _BACKOFF.delay(failures, chance))
                failures += 1
        await clock.sleep(pause_s)


def _is_news(load: Load, written: Load | None, age_s: float) -> bool:
    if written is None or replace(load, active=written.active, proxy=written.proxy) != written:
        return True
    return load != written and age_s >= ACTIVE_EVERY_S
