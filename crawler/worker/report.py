"""What a worker tells the cluster: the status of each resource it owns, and its load."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from typing import NoReturn, Protocol

import structlog

from crawler.clock import Backoff, Clock
from crawler.coordination.catalog import Load, Status, encode_load, load_key, write_status
from crawler.coordination.etcd import Etcd, put
from crawler.errors import Exhausted, Fenced, OutcomeUnknown, Unavailable
from crawler.model import Resource

log = structlog.get_logger(__name__)

_BATCH = 16  # transactions at once
_BACKOFF = Backoff(base_s=0.1, cap_s=2.0)
LOAD_EVERY_S = 1.0
_LATER = (Unavailable, OutcomeUnknown, Exhausted)  # Exhausted: etcd has no space at the moment


class Writer(Protocol):
    """Where reports go. Both raise `Unavailable`, `OutcomeUnknown` or `Exhausted` where repeating
    later is right."""

    async def write_status(self, resource: Resource, status: Status) -> None:
        """Raises `Fenced` when the resource was assigned anew since."""

    async def write_load(self, load: Load) -> None:
        """Tell how busy this node is, for as long as its session lasts."""


class EtcdWriter:
    """Writes under ``/crawler/status/`` and, on the session's lease, ``/crawler/load/``."""

    def __init__(self, etcd: Etcd, lease: int, node_id: str) -> None:
        self._etcd = etcd
        self._lease = lease
        self._node_id = node_id

    async def write_status(self, resource: Resource, status: Status) -> None:
        await write_status(self._etcd, resource, status)

    async def write_load(self, load: Load) -> None:
        await self._etcd.txn((), (put(load_key(self._node_id), encode_load(load), self._lease),))


class StatusBoard:
    """The latest status per resource. What is not written yet survives sessions; of several
    statuses of one resource only the latest is written."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self._latest: dict[str, tuple[object, ...]] = {}
        self._unwritten: dict[str, tuple[Resource, Status]] = {}
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

    def keep_only(self, names: Collection[str]) -> None:
        """Forget all resources but these."""
        for name in [each for each in self._latest if each not in names]:
            self.forget(name)

    async def settled(self) -> None:
        """Return when all is written."""
        await self._settled.wait()

    async def run(self, writer: Writer) -> NoReturn:
        """Write until cancelled. While etcd is away, try again with backoff."""
        failures = 0
        while True:
            await self._news.wait()
            batch = list(self._unwritten.values())[:_BATCH]
            async with asyncio.TaskGroup() as group:
                writing = [
                    group.create_task(self._write(*each, writer), name=f"status {each[0].unit}")
                    for each in batch
                ]
            if all(each.result() for each in writing):
                failures = 0
            else:
                await self._clock.sleep(_BACKOFF.delay(failures, self._chance))
                failures += 1

    async def _write(self, resource: Resource, status: Status, writer: Writer) -> bool:
        try:
            await writer.write_status(resource, status)
        except _LATER as error:
            log.warning("status not written yet", resource=resource.unit, error=str(error))
            return False
        except Fenced:
            log.info("status is not ours to write", resource=resource.unit, token=status.revision)
        if self._unwritten.get(resource.unit) == (resource, status):  # else a newer one came
            self._drop(resource.unit)
        return True

    def _drop(self, name: str) -> None:
        self._unwritten.pop(name, None)
        if not self._unwritten:
            self._news.clear()
            self._settled.set()


async def report_load(
    measure: Callable[[], Load], writer: Writer, clock: Clock, chance: random.Random
) -> NoReturn:
    """Write the load when it changed, at most once a second, until cancelled."""
    written: Load | None = None
    failures = 0
    while True:
        load = measure()
        pause_s = LOAD_EVERY_S
        if load != written:
            try:
                await writer.write_load(load)
                written, failures = load, 0
            except _LATER as error:
                log.warning("load not written yet", error=str(error))
                pause_s = max(pause_s, _BACKOFF.delay(failures, chance))
                failures += 1
        await clock.sleep(pause_s)
