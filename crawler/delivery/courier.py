"""Feeds the sinks of all crawls: who does it, and why nothing is lost whoever dies.

Delivery does not belong to a crawl. A run may be over, paused or moved to another worker, and its
child process gone, while items are still to be sent because a receiver was down; it must neither
keep the run from ending nor end with it. So every worker process, whatever it crawls, has one
courier, and the right to send one run's items to one sink is a lease in the store:

* The items are the outbox. The transaction that commits them marks the sinks of their run as
  behind, so no crash lies between an item and the knowledge that it is to be sent.
* A courier looks for what is behind and due, takes a lease (which draws a number), reads the next
  items, sends them, and only then moves the cursor, under its number. Killed before that move, it
  or another sends the same items again, with the same ids: at least once, in the order of the
  commits. One that was paused and has been replaced moves nothing when it wakes.
* A lease ends by itself a minute after its last renewal; a process that comes back under its id
  has it again at once. Nothing of this asks etcd, so it goes on while etcd is away.
* A receiver that is down is tried again after seconds, then minutes, with jitter, by whoever is
  there. One that refuses (HTTP 4xx) is left alone for an hour, or until the resource is claimed
  anew. Either way the items stay, and `crawler show` tells how many and why.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, Protocol

import structlog
from prometheus_client import Counter, Gauge

from crawler.clock import Backoff, Clock
from crawler.definition import Sink, read_sinks
from crawler.delivery.records import Parcel, pack
from crawler.errors import CrawlerError, DeliveryFailed, Fenced, OutcomeUnknown, Unavailable
from crawler.failpoint import hit
from crawler.store.outbox import Delivery, Outbox
from crawler.tasks import TaskGroup, bounded, every, start_loop

log = structlog.get_logger(__name__)

DELIVERED = Counter("crawler_sink_items", "Items delivered to sinks.", ["kind"])
FAILURES = Counter("crawler_sink_failures", "Batches that a sink did not take.", ["kind"])
LAG = Gauge(
    "crawler_sink_lag_items",
    "Items that sinks have yet to get; every worker tells all.",
    ["resource", "sink"],
)

AT_ONCE = 8  # sinks that one process feeds at a time
LOOK_EVERY_S = 1.0  # while there is something to send; otherwise ever less often, up to
IDLE_S = 5.0
TELL_EVERY_S = 15.0
MOST_TOLD = 200  # sinks of runs
TURN_S = 15.0  # then it is others' turn
MAX_BYTES = 1 << 20  # of one batch's fields, if it has more than one item
REFUSED_S = 3600.0
RETRY = Backoff(base_s=1.0, cap_s=300.0, floor_s=0.5)


class Sending(Protocol):
    """What carries a parcel to its sink."""

    async def send(self, sink: Sink, parcel: Parcel) -> None:
        """Deliver it, once. Raises `DeliveryFailed`."""


class Courier:
    """One per process; its outbox names it."""

    def __init__(
        self, outbox: Outbox, sending: Sending, clock: Clock, chance: random.Random | None = None
    ) -> None:
        self._outbox = outbox
        self._sending = sending
        self._clock = clock
        self._chance = chance or random.Random()
        self._busy: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._pause_s = LOOK_EVERY_S
        self._away = False

    async def run(self) -> NoReturn:
        """Deliver until cancelled; leases are then given back."""
        try:
            async with TaskGroup() as group:
                telling = every(TELL_EVERY_S, self._tell_lags, self._clock)
                start_loop(group, "lags of sinks", telling)
                while True:
                    await self._begin(group)
                    await self._clock.sleep(self._pause_s * self._chance.uniform(0.75, 1.25))
        finally:
            await bounded(self._outbox.release(), 1.0, "leases on sinks")

    async def drain(self, *, early: bool = False) -> None:
        """Deliver all that can be delivered now; return when the rest has to wait. ``early``: ask
        those once that were put off, too, for somebody may have mended what was wrong. Raises
        `Unavailable` and `OutcomeUnknown`, as the store does."""
        asked: set[tuple[int, str]] = set()
        while early and (deliveries := await self._outbox.take(AT_ONCE, asked, early=True)):
            asked.update(each.key for each in deliveries)
            await self._serve_all(deliveries)
        while deliveries := await self._outbox.take(AT_ONCE, frozenset()):
            await self._serve_all(deliveries)

    async def _serve_all(self, deliveries: Sequence[Delivery]) -> None:
        async with TaskGroup() as group:
            for each in deliveries:
                group.create_task(self._serve(each), name=f"deliver to {each.sink}")

    async def _begin(self, group: asyncio.TaskGroup) -> None:
        """Start on what is due, as far as there is room."""
        try:
            found = await self._outbox.take(AT_ONCE - len(self._busy), self._busy.keys())
        except (Unavailable, OutcomeUnknown) as error:
            if not self._away:
                log.warning("sinks not looked at", error=str(error))
            self._away, self._pause_s = True, IDLE_S
            return
        self._away = False
        self._pause_s = LOOK_EVERY_S if found or self._busy else min(IDLE_S, self._pause_s * 1.5)
        for each in found:
            task = group.create_task(self._serve(each), name=f"deliver to {each.sink}")
            self._busy[each.key] = task
            task.add_done_callback(lambda _, key=each.key: self._busy.pop(key))  # type: ignore[misc]

    async def _serve(self, delivery: Delivery) -> None:
        with structlog.contextvars.bound_contextvars(
            resource=delivery.name, run=delivery.run, sink=delivery.sink
        ):
            try:
                await self._send_all(delivery)
            except Fenced as error:
                log.info("sink left to another", why=str(error))
            except (Unavailable, OutcomeUnknown) as error:
                log.warning("delivery interrupted", error=str(error))
            except Exception as error:  # the other sinks have no part in it
                log.exception("delivery crashed")
                with suppress(CrawlerError):
                    trouble = f"internal error: {type(error).__name__}"
                    await self._outbox.postpone(delivery, RETRY.cap_s, trouble)

    async def _send_all(self, delivery: Delivery) -> None:
        """One turn: all there is, or as much as `TURN_S` allows."""
        sink = sinks_of(delivery).get(delivery.sink)
        if sink is None:
            trouble = "the definition does not name it any more, or cannot be read"
            await self._outbox.postpone(delivery, REFUSED_S, trouble)
            return
        end = self._clock.elapsed() + TURN_S
        while self._clock.elapsed() < end:
            items = await self._outbox.read(delivery, sink.batch, MAX_BYTES)
            if not items:
                if await self._outbox.settle(delivery):
                    return
                continue
            try:
                await self._sending.send(sink, pack(delivery, items))
            except DeliveryFailed as failure:
                await self._put_off(delivery, sink, failure)
                return
            await hit("delivery.sent")
            delivery = await self._outbox.advance(delivery, items[-1].seq, len(items))
            DELIVERED.labels(sink.kind).inc(len(items))
        await self._outbox.postpone(delivery, 0.0, "")

    async def _put_off(self, delivery: Delivery, sink: Sink, failure: DeliveryFailed) -> None:
        FAILURES.labels(sink.kind).inc()
        wait_s = wait_after(failure, delivery.failures, self._chance)
        log.warning("sink did not take items", reason=str(failure), again_in_s=round(wait_s, 1))
        await self._outbox.postpone(delivery, wait_s, str(failure))

    async def _tell_lags(self) -> None:
        with suppress(Unavailable, OutcomeUnknown):
            lags = await self._outbox.lags(MOST_TOLD)
            LAG.clear()
            for (resource, sink), lag in lags.items():
                LAG.labels(resource, sink).set(lag)


def sinks_of(delivery: Delivery) -> Mapping[str, Sink]:
    """What the definition says of its sinks now, by name."""
    return read_sinks(delivery.sinks) if delivery.sinks else {}


def wait_after(failure: DeliveryFailed, failures: int, chance: random.Random) -> float:
    """Seconds until a sink is tried again that failed ``failures`` times before this one."""
    if failure.refused:
        return REFUSED_S
    return max(RETRY.delay(failures, chance), failure.retry_after_s or 0.0)
