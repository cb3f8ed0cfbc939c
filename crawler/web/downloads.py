"""Items and pages as files, streamed: of one snapshot, neither side holds more than a part."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

from pydantic import RootModel

from crawler.model import ItemRecord, PageRecord, PageState, check_name
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.web.inquiries import RunChoice
from crawler.web.models import Nothing
from crawler.web.resources import ONE
from crawler.web.route import LOOKS_AT_ONE, AnyRoute, Asked, Route, Streamed

BATCH = 500
TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
REST = "_more"  # the column for fields that came up later than the others
# What spreadsheets take for a formula, unless it is a number.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")

Record = Mapping[str, Any]
Batches = AsyncIterator[Sequence[Record]]


class Lines(RootModel[str]):
    """A file, line by line."""


class Records(Protocol):
    """Where they are read; all methods raise `StoreUnavailable` and `NotFound`."""

    async def extents(self, resource_id: str) -> Mapping[int, int]:
        """The highest seq of an item per run, the first run first."""

    async def items(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int = 2**63 - 1,
        limit: int = 100,
    ) -> Sequence[ItemRecord]:
        """Items of one run (None: the latest), in order."""

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


@dataclass(frozen=True, slots=True)
class Downloads:
    """A file that was cut short is seen by its reader: the connection ends before the answer."""

    calls: MasterCalls
    records: Records

    def routes(self) -> tuple[AnyRoute, ...]:
        """A door for each kind and format."""
        return tuple(
            Route(
                "GET", f"{ONE}/{kind}.{ending}", f"All {kind} of one run as a file ({ending})",
                partial(self.send, kind, ending), Nothing, RunChoice, Lines,
                check=check_name, fails=LOOKS_AT_ONE, media=TYPES[ending].partition(";")[0],
            )
            for kind in ("items", "pages")
            for ending in TYPES
        )  # fmt: skip

    async def send(self, kind: str, ending: str, asked: Asked[Nothing, RunChoice]) -> Streamed:
        view = await self.calls.get_resource(control.NameRequest(name=asked.name))
        read = self._items if kind == "items" else self._pages
        batches = read(view.id, asked.query.run)
        # What is refused is refused before anything is sent.
        first: Sequence[Record] = await anext(batches, [])
        write = _lines if ending == "jsonl" else _cells(_columns(view.definition_json, first))

        async def rest() -> AsyncGenerator[bytes]:
            async for batch in batches:
                yield write(batch)

        name = _attachment(f"{asked.name}-{kind}.{ending}")
        return Streamed(write(first), rest(), TYPES[ending], {"Content-Disposition": name})

    async def _items(self, resource_id: str, run: int | None) -> Batches:
        extents = await self.records.extents(resource_id)
        run, after = run or max(extents, default=1), 0
        until = extents.get(run, 0)
        while batch := await self.records.items(
            resource_id, run=run, after=after, until=until, limit=BATCH
        ):
            yield [_item(each) for each in batch]
            after = batch[-1].seq

    async def _pages(self, resource_id: str, run: int | None) -> Batches:
        after = ""
        while True:
            batch, after = await self.records.pages(resource_id, run=run, after=after, limit=BATCH)
            yield [asdict(each) for each in batch]
            if not after:
                return


def _item(record: ItemRecord) -> Record:
    """As ``crawler items`` writes it."""
    found = {**record.fields, "_url": record.url, "_rule": record.rule}
    return {**found, "_missing": list(record.missing)} if record.missing else found


def _lines(batch: Sequence[Record]) -> bytes:
    return b"".join(_dumps(each).encode("utf-8", "replace") + b"\n" for each in batch)


def _columns(definition: str, first: Sequence[Record]) -> list[str]:
    """The fields that the definition names and those of the first records; ours come last."""
    names: dict[str, None] = {}
    for rule in (json.loads(definition) if definition and first else {}).get("rules", ()):
        if "_url" in first[0]:  # items
            names.update(dict.fromkeys(rule.get("item") or ()))
    for record in first:
        names.update(dict.fromkeys(record))
    return sorted(names, key=lambda name: name.startswith("_"))


def _cells(columns: Sequence[str]) -> Callable[[Sequence[Record]], bytes]:
    """Writes batches as rows, the first below the names of the columns. What has no column stands
    in the last one, as JSON."""
    known = set(columns)
    head: list[Iterable[str]] = [[*map(cell_of, columns), REST]] if columns else []

    def write(batch: Sequence[Record]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerows(head)
        head.clear()
        for record in batch:
            rest = {name: value for name, value in record.items() if name not in known}
            cells = [cell_of(record.get(name)) for name in columns]
            writer.writerow([*cells, _dumps(rest) if rest else ""])
        return text.getvalue().encode("utf-8", "replace")

    return write


def cell_of(value: Any) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return _dumps(value)
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
