"""The schedules of a worker without a cluster: what a leader's timetable does for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from crawler.clock import Clock
from crawler.coordination.catalog import Entry, Status, Wish
from crawler.definition import Schedule, schedule_of
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.master.schedule import Call, Turn, begun, call_of, run_for, settled_until, told
from crawler.model import Event
from crawler.store.contract import Mirrored, Store

log = structlog.get_logger(__name__)


class Agreement(Protocol):
    """What is to be crawled, in which run."""

    @property
    def entries(self) -> Mapping[str, Entry]: ...

    def take(self, entry: Entry) -> None:
        """Have it crawled as this entry says from now on."""


class Reports(Protocol):
    """How crawls stand."""

    def status(self, name: str) -> Status | None:
        """What was reported of it last."""


class Recrawl:
    """Begins runs when they are due. ``round`` it every second."""

    def __init__(
        self, agreement: Agreement, reports: Reports, store: Store, node: str, clock: Clock
    ) -> None:
        self._agreement = agreement
        self._reports = reports
        self._store = store
        self._node = node
        self._clock = clock
        self._settled: dict[str, int] = {}
        self._schedules = {
            name: schedule
            for name, entry in agreement.entries.items()
            if (schedule := schedule_of(entry.definition)) is not None
        }

    async def round(self) -> None:
        """Look once. What the database does not take is done the next time."""
        for name, schedule in self._schedules.items():
            entry = replace(self._agreement.entries[name], status=self._reports.status(name))
            now = int(self._clock.wall())
            after = max(settled_until(entry, schedule, now), min(now, self._settled.get(name, 0)))
            call = call_of(entry, schedule, after, now)
            if call is None or call.turn is Turn.WAIT:
                continue
            try:
                await self._answer(entry, schedule, call)
            except (StoreUnavailable, OutcomeUnknown) as error:
                log.warning("a run is due and cannot begin yet", resource=name, error=str(error))
            else:
                self._settled[name] = call.due

    async def _answer(self, entry: Entry, schedule: Schedule, call: Call) -> None:
        resource, wish = entry.resource, entry.wish
        assert resource is not None
        assert wish is not None
        due = f"due {told(schedule, call.due)}"
        if call.turn is Turn.SKIP:
            await self._tell(resource.id, "skipped", f"{due}: run {wish.run} goes on")
            return
        holder, highest = (await self._store.due_runs({resource.id: call.due}))[resource.id]
        run = run_for(wish, holder, highest)
        if run is None:
            return
        wanted = begun(wish, run, call.due)
        await self._store.mirror([memo_of(entry, wanted)])  # a run that is due is never forgotten
        log.info("due", resource=entry.name, run=run, due=call.due, turn=call.turn.value)
        self._agreement.take(replace(entry, wish=wanted, status=None))
        await self._tell(resource.id, "start", f"run {run}, {due}")

    async def _tell(self, resource_id: str, kind: str, detail: str) -> None:
        event = Event(0, self._clock.wall(), kind, detail, self._node)
        await self._store.note([(resource_id, event)])


def memo_of(entry: Entry, wish: Wish) -> Mirrored:
    """What the database is to remember of it."""
    resource = entry.resource
    assert resource is not None
    return Mirrored(
        resource.id,
        entry.name,
        resource.created_ns,
        entry.definition,
        wish.state,
        wish.run,
        wish.due,
        wish.since,
    )
