"""The API for asyncio: every call typed, every failure an error of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self
from urllib.parse import quote

from crawler.client.results import (
    CHANGE,
    EVENTS,
    EXPORT,
    ITEMS,
    JOURNAL,
    LIVES,
    LOG_ENTRY,
    LOGS,
    NODES,
    PAGES,
    PLACEMENT,
    RESOURCE,
    RESOURCES,
    RETRY,
    RUNS,
    SINKS,
    STATS,
    STORY,
    WISHED,
    Change,
    Export,
    LiveStatus,
    LogEntry,
    LogPage,
    NodeStatus,
    Placement,
    ResourcePage,
    ResourceStatus,
    Retried,
    RunPage,
    Wished,
)
from crawler.client.transport import Call, Identity, Patience, Transport
from crawler.clock import Clock, SystemClock
from crawler.errors import Exhausted, InvalidInput, OutcomeUnknown, Unavailable
from crawler.model import (
    Event,
    ItemRecord,
    JournalRecord,
    PageRecord,
    PageState,
    SinkRecord,
    State,
    Stats,
    check_name,
)
from crawler.story import Story

DEFAULT_MASTER = "http://127.0.0.1:8081"
PAGE_SIZE = 500
RETRY_S = 1.0  # until a stream that broke off is taken up again

Definition = Mapping[str, Any]


class Client:
    """Calls to the masters at ``masters`` (one URL or several, tried in turn), in an
    ``async with`` block. ``token`` is sent along, where masters ask who is calling;
    ``authority`` is the file of the certificate that theirs are signed with (https://). `Refused`
    where the token would leave this machine in clear, unless ``insecure``.

    Errors: `InvalidInput` and its siblings where the master refused; `Unavailable` where nothing
    happened and ``retry_for_s`` is over; `OutcomeUnknown` where a change was sent and no answer
    came: repeating it is safe.
    """

    def __init__(
        self,
        masters: str | Sequence[str] = DEFAULT_MASTER,
        *,
        timeout_s: float = 15.0,
        retry_for_s: float = 15.0,
        clock: Clock | None = None,
        token: str | None = None,
        authority: str | None = None,
        insecure: bool = False,
    ) -> None:
        urls = (masters,) if isinstance(masters, str) else masters
        self._clock = clock or SystemClock()
        patience = Patience(timeout_s=timeout_s, retry_for_s=retry_for_s)
        self._transport = Transport(
            urls, patience, self._clock, Identity(token, authority, insecure)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open between calls."""

    async def add(self, name: str, definition: Definition | None = None) -> Placement:
        """Add a resource; the same again gives the same answer. `Conflict` where it exists with
        another definition."""
        body: dict[str, Any] = {"name": check_name(name)}
        if definition is not None:
            body["definition"] = definition
        return PLACEMENT.read(await self._send("POST", "/crawler/resource", body=body))

    async def put(self, name: str, definition: Definition) -> Change:
        """Create a resource or change its definition."""
        return CHANGE.read(await self._send("PUT", _path(name), body=definition))

    async def delete(self, name: str) -> None:
        """Delete a resource and all its rows. `NotFound` means that it is gone already."""
        await self._send("DELETE", _path(name))

    async def resource(self, name: str) -> ResourceStatus:
        """One resource with its definition, or `NotFound`."""
        return RESOURCE.read(await self._send("GET", _path(name)))

    async def resources(
        self,
        state: State | None = None,
        *,
        prefix: str = "",
        contains: str = "",
        page_size: int = PAGE_SIZE,
    ) -> tuple[ResourceStatus, ...]:
        """All resources by name, without definitions; or those in one state, whose names begin
        with ``prefix`` and hold ``contains`` in whatever case."""
        found: list[ResourceStatus] = []
        cursor = ""
        while True:
            page = await self.resource_page(
                state, prefix=prefix, contains=contains, cursor=cursor, limit=page_size
            )
            found += page.resources
            cursor = page.next
            if not cursor:
                return tuple(found)

    async def resource_page(
        self,
        state: State | None = None,
        *,
        prefix: str = "",
        contains: str = "",
        cursor: str = "",
        limit: int = 100,
    ) -> ResourcePage:
        """One answer of that list, from ``cursor`` (``next`` of the one before) on, with how many
        resources are in which state."""
        query = _without_none(
            state=state, prefix=prefix, contains=contains, cursor=cursor, limit=limit
        )
        return RESOURCES.read(await self._send("GET", "/crawler/resource", query=query))

    async def pause(self, name: str) -> Wished:
        """Stop crawling and keep the run."""
        return WISHED.read(await self._send("POST", _path(name, "/pause")))

    async def resume(self, name: str) -> Wished:
        """Go on with a paused run."""
        return WISHED.read(await self._send("POST", _path(name, "/resume")))

    async def stop(self, name: str) -> Wished:
        """End the run."""
        return WISHED.read(await self._send("POST", _path(name, "/stop")))

    async def start(self, name: str, *, key: str = "") -> Wished:
        """Begin the next run. With a ``key`` of the caller's own (a uuid, say) it is one run,
        however often that is called; and it is called again, at the next master too, where no
        answer came."""
        return WISHED.read(await self._send("POST", _path(name, "/start"), key=key))

    async def retry(
        self,
        name: str,
        *,
        status: str = "",
        reason: str = "",
        run: int | None = None,
        dry_run: bool = False,
    ) -> Retried:
        """Try failed pages of the latest run again: those of an HTTP status (``503``, ``5xx``,
        ``0``: no answer), or with a text in their reason. A run that was over goes on. ``dry_run``
        only counts them. `Conflict` for a ``run`` that is not the latest."""
        body: dict[str, Any] = {"status": status, "reason": reason, "dry_run": dry_run}
        pages = 0
        while True:
            body |= _without_none(run=run)
            page = RETRY.read(await self._send("POST", _path(name, "/retry"), body=body))
            pages += page.pages
            if not page.next:
                return Retried(page.run, pages)
            run, body["after"] = page.run, page.next

    async def nodes(self) -> tuple[NodeStatus, ...]:
        """All live nodes."""
        found: list[NodeStatus] = []
        query: dict[str, str | int] = {}
        while True:
            page = NODES.read(await self._send("GET", "/crawler/node", query=query))
            found += page.nodes
            if not page.next:
                return tuple(found)
            query["cursor"] = page.next

    async def drain(self, node: str, *, undo: bool = False) -> None:
        """Take all work from a worker and give it no more; ``undo`` lets it have work again."""
        path = f"/crawler/node/{quote(node, safe='')}/drain"
        await self._send("POST", path, body={"undo": undo})

    async def export(self, name: str, *, since: str = "", run: int | None = None) -> Export:
        """What came since the cursor of an export before; "": all of the latest run. ``run``: that
        one alone. Its items, as they are at this moment: `exported`."""
        query = _without_none(since=since, run=run)
        return EXPORT.read(await self._send("GET", _path(name, "/export"), query=query))

    async def exported(
        self, name: str, export: Export, *, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[tuple[ItemRecord, ...]]:
        """The items of an export, in order, as many at a time as an answer holds."""
        for each in export.stretches:
            async for items in self._item_pages(
                name, run=each.run, after=each.after, until=each.until, page_size=page_size
            ):
                yield items

    async def items(
        self,
        name: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int | None = None,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[ItemRecord]:
        """Items of one run (None: the latest) with a seq above ``after`` and up to ``until``, in
        order."""
        async for items in self._item_pages(
            name, run=run, after=after, until=until, page_size=page_size
        ):
            for item in items:
                yield item

    async def _item_pages(
        self, name: str, *, run: int | None, after: int, until: int | None, page_size: int
    ) -> AsyncIterator[tuple[ItemRecord, ...]]:
        query = _without_none(run=run, after=after, until=until, limit=page_size)
        while True:
            page = ITEMS.read(await self._send("GET", _path(name, "/items"), query=query))
            yield page.items
            if not page.next:
                return
            query["cursor"] = page.next

    async def pages(
        self,
        name: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[PageRecord]:
        """Pages of one run (None: the latest); all, or those in one state or of one HTTP status."""
        query = _without_none(run=run, state=state, status=status, limit=page_size)
        while True:
            page = PAGES.read(await self._send("GET", _path(name, "/pages"), query=query))
            for record in page.pages:
                yield record
            if not page.next:
                return
            query["cursor"] = page.next

    async def story(
        self, name: str, url: str = "", *, key: str = "", run: int | None = None
    ) -> Story:
        """What one run (None: the latest) knows of one URL, or of the page with that ``key``, as a
        list told it: from how it was found, through each attempt, to its items."""
        query = _without_none(url=url or None, key=key or None, run=run)
        return STORY.read(await self._send("GET", _path(name, "/url"), query=query)).story

    async def runs(self, name: str) -> RunPage:
        """Its last thousand runs, and when the next one is due."""
        return RUNS.read(await self._send("GET", _path(name, "/runs")))

    async def stats(self, name: str, *, run: int | None = None) -> Stats:
        """What one run (None: the latest) has come to so far, in figures by Scrapy's names."""
        query = _without_none(run=run)
        return STATS.read(await self._send("GET", _path(name, "/stats"), query=query)).stats

    async def live(self, name: str) -> tuple[LiveStatus, ...]:
        """How it goes at this moment, as the workers tell that crawl it: part by part."""
        return LIVES.read(await self._send("GET", _path(name, "/live"))).parts

    async def sinks(self, name: str) -> tuple[SinkRecord, ...]:
        """How far its sinks have got: those of the latest run and those still behind, the latest
        run first."""
        return SINKS.read(await self._send("GET", _path(name, "/sinks"))).sinks

    async def logs(self, name: str, since: str = "5m") -> LogPage:
        """Log lines about it: those of so long ago (``90s``, ``5m``, ``2h``), or since so many Unix
        seconds, as far as its nodes have kept them."""
        return LOGS.read(await self._send("GET", _path(name, "/logs"), query={"since": since}))

    async def follow_logs(self, name: str, since: str = "5m") -> AsyncIterator[LogEntry]:
        """The same, and what comes, wherever it moves and whichever master dies. Raises `NotFound`
        once it is deleted, `Exhausted` where lines were read too slowly, and `Unavailable` where no
        master answers from the first."""
        heard = False
        while True:
            call = Call("GET", _path(name, "/logs/follow"), {"since": since}, None)
            try:
                async with aclosing(self._transport.lines(call)) as lines:
                    kind = ""
                    async for line in lines:
                        heard = True
                        field, _, value = line.partition(": ")
                        if field == "event":
                            kind = value
                        elif field == "data" and kind == "dropped":
                            raise Exhausted(str(json.loads(value).get("message")))
                        elif field == "data":
                            entry = LOG_ENTRY.read(value.encode())
                            since = repr(entry.at)
                            yield entry
            except (Unavailable, OutcomeUnknown):
                if not heard:
                    raise
            await self._clock.sleep(RETRY_S)

    async def events(
        self, name: str, *, after: int = 0, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[Event]:
        """Events with a seq above ``after``, in order."""
        query: dict[str, str | int] = {"cursor": after, "limit": page_size}
        while True:
            page = EVENTS.read(await self._send("GET", _path(name, "/events"), query=query))
            for event in page.events:
                yield event
            if not page.next:
                return
            query["cursor"] = page.next

    async def journal(self, *, page_size: int = PAGE_SIZE) -> AsyncIterator[JournalRecord]:
        """Events of all resources, the newest first."""
        query: dict[str, str | int] = {"limit": page_size}
        while True:
            page = JOURNAL.read(await self._send("GET", "/crawler/event", query=query))
            for event in page.events:
                yield event
            if not page.next:
                return
            query["cursor"] = page.next

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> bytes:
        raw = None if body is None else _encode(body)
        return await self._transport.send(Call(method, path, query or {}, raw, key))


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(body), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"definition: not JSON: {error}", field="definition") from error


def _path(name: str, rest: str = "") -> str:
    return f"/crawler/resource/{quote(check_name(name), safe='')}{rest}"


def _without_none(**query: str | int | None) -> dict[str, str | int]:
    return {key: value for key, value in query.items() if value is not None}
