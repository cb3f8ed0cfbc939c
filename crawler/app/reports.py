"""What a worker without a cluster tells of its crawls: log lines, and words for probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Never

import structlog

from crawler.coordination.catalog import Entry, Load, Status
from crawler.definition import schedule_of
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.model import Progress, Resource, State
from crawler.store.contract import Store

log = structlog.get_logger(__name__)

_AT_REST = (State.FINISHED, State.ERROR)


class Reports:
    """Takes what the supervisor reports. The latest status of each resource is kept."""

    def __init__(self, store: Store, entries: Mapping[str, Entry]) -> None:
        self._store = store
        self._ids = {name: entry.resource.id for name, entry in entries.items() if entry.resource}
        self._statuses = {name: entry.status for name, entry in entries.items()}
        self._told: dict[str, Progress] = {}
        self._ends = not any(schedule_of(entry.definition) for entry in entries.values())

    def status(self, name: str) -> Status | None:
        """What was reported of it last."""
        return self._statuses[name]

    async def write_statuses(self, reports: Sequence[tuple[Resource, Status]]) -> Sequence[Never]:
        """Tell them; none is refused."""
        for resource, status in reports:
            await self._tell(resource, status)
        return ()

    async def _tell(self, resource: Resource, status: Status) -> None:
        """One status, and the end of all crawls with the last one."""
        self._statuses[resource.name] = status
        note = log.error if status.state is State.ERROR else log.info
        note(
            "crawl reports",
            resource=resource.name,
            state=status.state.value,
            run=status.run,
            reason=status.reason,
        )
        if status.state in _AT_REST:
            await self.tell_progress()
            self.tell_end()

    async def write_load(self, load: Load) -> None:
        """Nobody asks for it."""

    def tell_end(self) -> None:
        """Say so when nothing is left to do; with a schedule there always is."""
        if not self._ends:
            return
        states = {name: self._state(name) for name in self._statuses}
        if all(state in _AT_REST for state in states.values()):
            log.info(
                "all crawls have ended; serving until stopped",
                finished=[name for name, state in states.items() if state is State.FINISHED],
                failed=[name for name, state in states.items() if state is State.ERROR],
                again="a definition that changed begins its next run at the next start",
            )

    async def tell_progress(self) -> None:
        """One line per crawl that went on since the last time; the database may be away."""
        try:
            found = await self._progress()
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("progress unknown", error=str(error))
            return
        for name, progress in found.items():
            if self._told.get(name) != progress:
                self._told[name] = progress
                log.info(
                    "progress",
                    resource=name,
                    done=progress.done,
                    failed=progress.failed,
                    pending=progress.pending,
                    items=progress.items,
                )

    async def words(self) -> str:
        """``shop running: 12 of 40 pages, 9 items; news finished: …``."""
        return "; ".join(
            f"{name} {self._state(name).value}: {each.known - each.pending:,} of "
            f"{each.known:,} pages, {each.items:,} items"
            for name, each in (await self._progress()).items()
        )

    def _state(self, name: str) -> State:
        status = self._statuses[name]
        return State.PENDING if status is None else status.state

    async def _progress(self) -> Mapping[str, Progress]:
        found = await self._store.progress(list(self._ids.values()))
        return {name: found.get(id_, (0, Progress()))[1] for name, id_ in self._ids.items()}
