"""What a master's API reads of the store, over lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crawler.errors import StoreUnavailable
from crawler.model import (
    Event,
    ItemRecord,
    JournalRecord,
    KeptAnswer,
    PageRecord,
    PageState,
    Progress,
    RunRecord,
    SinkRecord,
    Stats,
)
from crawler.story import Reason, Story


@dataclass
class FakeResults:
    """Records by resource ID. While ``away`` is a text, every call fails with it."""

    counters: dict[str, tuple[int, Progress]] = field(default_factory=dict)
    item_records: dict[str, list[ItemRecord]] = field(default_factory=dict)
    page_records: dict[str, list[PageRecord]] = field(default_factory=dict)
    event_records: dict[str, list[Event]] = field(default_factory=dict)
    run_records: dict[str, list[RunRecord]] = field(default_factory=dict)
    sink_records: dict[str, list[SinkRecord]] = field(default_factory=dict)
    figures: dict[str, Stats] = field(default_factory=dict)
    answers: dict[str, KeptAnswer] = field(default_factory=dict)
    stories: dict[bytes, Story] = field(default_factory=dict)  # by fingerprint
    schedules: dict[str, str] = field(default_factory=dict)  # definitions
    names: dict[str, str] = field(default_factory=dict)
    task_definitions: list[tuple[str, str, str]] = field(default_factory=list)
    away: str = ""

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable(self.away)

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        self._reach()
        return {each: self.counters[each] for each in resource_ids if each in self.counters}

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
        self._reach()
        found = [
            page
            for page in self.page_records.get(resource_id, [])
            if page.url > after and state in (None, page.state) and status in (None, page.status)
        ]
        shown = found[:limit]
        return shown, shown[-1].url if len(found) > limit else ""

    async def items(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int = 2**63 - 1,
        limit: int = 100,
    ) -> Sequence[ItemRecord]:
        self._reach()
        return [
            each for each in self.item_records.get(resource_id, []) if after < each.seq <= until
        ][:limit]

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
        found, cursor = await self.pages(
            resource_id, run=run, state=state, status=status, after=after, limit=limit
        )
        return [each for each in found if text in each.url or text in each.reason], cursor

    async def find_items(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[ItemRecord], str]:
        found = await self.items(resource_id, run=run, after=int(after or 0))
        return [each for each in found if text in str(each.fields)][:limit], ""

    async def story(
        self, resource_id: str, fingerprint: bytes, *, run: int | None = None
    ) -> Story | None:
        self._reach()
        return self.stories.get(fingerprint)

    async def reasons(self, resource_id: str, *, run: int | None = None) -> Sequence[Reason]:
        self._reach()
        counted = Counter(
            (each.state, each.status, each.reason)
            for each in self.page_records.get(resource_id, [])
            if each.state in (PageState.FAILED, PageState.EXCLUDED)
        )
        return [Reason(*alike, pages) for alike, pages in counted.most_common()]

    async def totals(self) -> Progress:
        self._reach()
        found = [counted for _, counted in self.counters.values()]
        return Progress(
            known=sum(each.known for each in found),
            done=sum(each.done for each in found),
            failed=sum(each.failed for each in found),
            excluded=sum(each.excluded for each in found),
            items=sum(each.items for each in found),
        )

    async def failing(self, limit: int) -> Sequence[tuple[str, int, int]]:
        self._reach()
        found = [
            (self.names.get(id_, id_), counted.failed, counted.known)
            for id_, (_, counted) in self.counters.items()
            if counted.failed
        ]
        return found[:limit]

    async def scheduled(self, resource_ids: Sequence[str]) -> Mapping[str, str]:
        self._reach()
        return {each: self.schedules[each] for each in resource_ids if each in self.schedules}

    async def tasks(self, *, before: str = "", limit: int = 100) -> Sequence[tuple[str, str, str]]:
        self._reach()
        found = [each for each in self.task_definitions if not before or each[0] < before]
        return sorted(found, reverse=True)[:limit]

    async def extents(self, resource_id: str) -> Mapping[int, int]:
        self._reach()
        run, _ = self.counters.get(resource_id, (1, Progress()))
        return {run: max((each.seq for each in self.item_records.get(resource_id, [])), default=0)}

    async def runs(self, resource_id: str) -> Mapping[int, RunRecord]:
        self._reach()
        return {each.run: each for each in self.run_records.get(resource_id, [])}

    async def stats(self, resource_id: str, run: int | None = None) -> Stats:
        self._reach()
        return self.figures.get(resource_id, {})

    async def sinks(self, resource_id: str) -> Sequence[SinkRecord]:
        self._reach()
        return self.sink_records.get(resource_id, [])

    async def events(
        self, resource_id: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[Event]:
        self._reach()
        return [e for e in self.event_records.get(resource_id, []) if e.seq > after][:limit]

    async def journal(
        self, *, before: int = 2**63 - 1, limit: int = 100
    ) -> Sequence[JournalRecord]:
        self._reach()
        found = [
            JournalRecord(e.seq, e.at, e.kind, e.detail, e.node, id_, "")
            for id_, told in self.event_records.items()
            for e in told
            if e.seq < before
        ]
        return sorted(found, key=lambda each: -each.seq)[:limit]

    async def begin_answer(self, key: str, digest: bytes, plan: str) -> KeptAnswer:
        self._reach()
        return self.answers.setdefault(key, KeptAnswer(digest, plan))

    async def end_answer(self, key: str, digest: bytes, status: int, body: str) -> None:
        self._reach()
        kept = self.answers[key]
        if kept.digest == digest and not kept.status:
            self.answers[key] = replace(kept, status=status, body=body)


def item(seq: int, **fields: object) -> ItemRecord:
    """An item record with the given fields."""
    return ItemRecord(
        seq=seq, url=f"https://shop.example/p/{seq}", rule="product", ordinal=0,
        definition_revision=7, fields=fields, missing=(), stored_at=1675470192.5,
    )  # fmt: skip


def page(number: int, state: PageState = PageState.DONE, status: int = 200) -> PageRecord:
    """A page record."""
    return PageRecord(
        url=f"https://shop.example/{number:04}", state=state, reason="", status=status, attempts=1,
        depth=1, priority=0, host="shop.example", rule="product", content_type="text/html",
        size_bytes=1000, elapsed_s=0.1, found_on="https://shop.example/", fetched_at=1675470192.5,
    )  # fmt: skip
