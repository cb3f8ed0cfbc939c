"""What a resource brought, over HTTP: its items, pages and events, by cursor, and its sinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from crawler.clock import Clock, SystemClock
from crawler.definition import schedule_of
from crawler.delivery.exports import plan_export
from crawler.model import (
    Event,
    ItemRecord,
    JournalRecord,
    PageRecord,
    PageState,
    RunRecord,
    SinkRecord,
    Stats,
    check_name,
)
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.web.models import (
    EventList,
    ExportPlan,
    ExportQuery,
    ItemList,
    ItemQuery,
    JournalList,
    Nothing,
    PageList,
    PageQuery,
    RecordQuery,
    Run,
    RunList,
    RunQuery,
    SinkList,
    StatsAnswer,
    StatsQuery,
    StretchOfItems,
)
from crawler.web.resources import ONE, counters, due_of
from crawler.web.route import LOOKS, LOOKS_AT_ONE, Answer, AnyRoute, Asked, Route, encode

LAST = 2**63 - 1
R = TypeVar("R", ItemRecord, Event, JournalRecord)

MAX_REPLY_BYTES = 8 * 1024 * 1024


class Records(Protocol):
    """Where records are read; all methods raise `StoreUnavailable`."""

    async def pages(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[PageRecord], str]:
        """Pages of one run (None: the latest), and the cursor for the next ("": the end)."""

    async def find_pages(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[PageRecord], str]:
        """As `pages`, of those whose URL or reason holds the text; it may find none and go on."""

    async def find_items(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[ItemRecord], str]:
        """As `find_pages`, of items of which a field holds the text."""

    async def runs(self, resource_id: str) -> Mapping[int, RunRecord]:
        """The last thousand runs, by number."""

    async def stats(self, resource_id: str, run: int | None = None) -> Stats:
        """What one run (None: the latest) has come to, in figures."""

    async def sinks(self, resource_id: str) -> Sequence[SinkRecord]:
        """How far its sinks have got, the latest run first."""

    async def items(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int = LAST,
        limit: int = 100,
    ) -> Sequence[ItemRecord]:
        """Items of one run (None: the latest) with seq above ``after`` and up to ``until``, in
        order."""

    async def extents(self, resource_id: str) -> Mapping[int, int]:
        """The highest seq of an item per run, the first run first."""

    async def events(
        self, resource_id: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[Event]:
        """Events with seq above ``after``, in order."""

    async def journal(self, *, before: int = LAST, limit: int = 100) -> Sequence[JournalRecord]:
        """Events of all resources with seq below ``before``, the newest first."""


@dataclass(frozen=True, slots=True)
class Results:
    """Names are looked up through this master's gRPC, records are read from the store."""

    calls: MasterCalls
    records: Records
    clock: Clock = SystemClock()  # noqa: RUF009 - without state

    def routes(self) -> tuple[AnyRoute, ...]:
        """All doors to records."""
        return (
            Route(
                "GET", f"{ONE}/items", "Items of one run", self.items,
                Nothing, ItemQuery, ItemList, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/export", "What an export holds now: one snapshot", self.export,
                Nothing, ExportQuery, ExportPlan, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/runs", "Its last thousand runs, and when the next is due", self.runs,
                Nothing, RunQuery, RunList, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/stats", "What one run has come to, by Scrapy's names", self.stats,
                Nothing, StatsQuery, StatsAnswer, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/sinks", "How far its sinks have got with the items", self.sinks,
                Nothing, Nothing, SinkList, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/pages", "Pages of one run", self.pages,
                Nothing, PageQuery, PageList, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/events", "What happened to it", self.events,
                Nothing, RecordQuery, EventList, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", "/crawler/event", "What happened to all resources, the newest first",
                self.journal, Nothing, RecordQuery, JournalList, fails=LOOKS,
            ),
        )  # fmt: skip

    async def items(self, asked: Asked[Nothing, ItemQuery]) -> Answer:
        query = asked.query
        resource_id = await self._id(asked.name)
        if query.text:
            matching, cursor = await self.records.find_items(
                resource_id,
                query.text,
                run=query.run,
                after=str(max(query.after, query.cursor)),
                limit=query.limit,
            )
            shown = _fitting(matching, lambda each: ItemList(items=(each,), next=""))
            cut = len(shown) < len(matching)
            return Answer(ItemList(items=shown, next=str(shown[-1].seq) if cut else cursor))
        found = await self.records.items(
            resource_id,
            run=query.run,
            after=max(query.after, query.cursor),
            until=query.until,
            limit=query.limit,
        )
        shown = _fitting(found, lambda each: ItemList(items=(each,), next=""))
        return Answer(ItemList(items=shown, next=_next(shown, found, asked.query.limit)))

    async def export(self, asked: Asked[Nothing, ExportQuery]) -> Answer:
        extents = await self.records.extents(await self._id(asked.name))
        plan = plan_export(extents, asked.query.since, asked.query.run)
        shown = tuple(
            StretchOfItems(run=each.run, after=each.after, until=each.until)
            for each in plan.stretches
        )
        return Answer(ExportPlan(stretches=shown, cursor=plan.cursor))

    async def journal(self, asked: Asked[Nothing, RecordQuery]) -> Answer:
        query = asked.query
        found = await self.records.journal(before=query.cursor or LAST, limit=query.limit)
        return Answer(
            JournalList(events=tuple(found), next=_next(tuple(found), found, query.limit))
        )

    async def runs(self, asked: Asked[Nothing, RunQuery]) -> Answer:
        view, query = await self._view(asked.name), asked.query
        runs = await self.records.runs(view.id)
        behind = [each for number, each in runs.items() if number > query.cursor]
        found = behind[: query.limit]
        schedule = schedule_of(view.definition_json)
        return Answer(
            RunList(
                runs=tuple(map(_run, found)),
                next=str(found[-1].run) if len(found) < len(behind) else "",
                next_due=due_of(view, schedule, self.clock),
                timezone=schedule.timezone if schedule is not None else "",
            )
        )

    async def stats(self, asked: Asked[Nothing, StatsQuery]) -> Answer:
        found = await self.records.stats(await self._id(asked.name), asked.query.run)
        return Answer(StatsAnswer(stats=dict(found)))

    async def sinks(self, asked: Asked[Nothing, Nothing]) -> Answer:
        return Answer(SinkList(sinks=tuple(await self.records.sinks(await self._id(asked.name)))))

    async def events(self, asked: Asked[Nothing, RecordQuery]) -> Answer:
        found = await self.records.events(
            await self._id(asked.name), after=asked.query.cursor, limit=asked.query.limit
        )
        shown = tuple(found)
        return Answer(EventList(events=shown, next=_next(shown, found, asked.query.limit)))

    async def pages(self, asked: Asked[Nothing, PageQuery]) -> Answer:
        query = asked.query
        resource_id = await self._id(asked.name)
        ask = (
            partial(self.records.find_pages, resource_id, query.text)
            if query.text
            else partial(self.records.pages, resource_id)
        )
        found, cursor = await ask(
            run=query.run,
            state=query.state,
            status=query.status,
            after=query.cursor,
            limit=query.limit,
        )
        return Answer(PageList(pages=tuple(found), next=cursor))

    async def _id(self, name: str) -> str:
        """The resource's ID; `NotFound` where there is none."""
        return (await self._view(name)).id

    async def _view(self, name: str) -> control.ResourceView:
        return await self.calls.get_resource(control.NameRequest(name=name))


def _run(record: RunRecord) -> Run:
    """As it goes out."""
    return Run(
        **dict(counters(record.run, record.progress)),
        due_at=record.due_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )


def _fitting(
    found: Sequence[ItemRecord], alone: Callable[[ItemRecord], ItemList]
) -> tuple[ItemRecord, ...]:
    """The first records that together stay below `MAX_REPLY_BYTES`; one at the least."""
    left = MAX_REPLY_BYTES
    for count, record in enumerate(found):
        left -= len(encode(alone(record)))
        if left < 0:
            return tuple(found[: max(count, 1)])
    return tuple(found)


def _next(shown: tuple[R, ...], found: Sequence[R], limit: int) -> str:
    more = len(found) >= limit or len(shown) < len(found)
    return str(shown[-1].seq) if shown and more else ""
