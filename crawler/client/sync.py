"""The same client for code without asyncio: a private loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from itertools import chain
from typing import Any, Self, TypeVar

from crawler.client.client import DEFAULT_MASTER, PAGE_SIZE, Client, Definition
from crawler.client.results import (
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
from crawler.clock import Clock
from crawler.model import (
    Event,
    ItemRecord,
    JournalRecord,
    PageRecord,
    PageState,
    SinkRecord,
    State,
    Stats,
)
from crawler.story import Story

T = TypeVar("T")


class SyncClient:
    """`Client` with the same methods and errors, blocking; in a ``with`` block."""

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
        self._client = Client(
            masters,
            timeout_s=timeout_s,
            retry_for_s=retry_for_s,
            clock=clock,
            token=token,
            authority=authority,
            insecure=insecure,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="crawler-client", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._run(loop.shutdown_asyncgens())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        self._loop = self._thread = None

    def add(self, name: str, definition: Definition | None = None) -> Placement:
        """See `Client.add`."""
        return self._run(self._client.add(name, definition))

    def put(self, name: str, definition: Definition) -> Change:
        """See `Client.put`."""
        return self._run(self._client.put(name, definition))

    def delete(self, name: str) -> None:
        """See `Client.delete`."""
        self._run(self._client.delete(name))

    def resource(self, name: str) -> ResourceStatus:
        """See `Client.resource`."""
        return self._run(self._client.resource(name))

    def resources(
        self,
        state: State | None = None,
        *,
        prefix: str = "",
        contains: str = "",
        page_size: int = PAGE_SIZE,
    ) -> tuple[ResourceStatus, ...]:
        """See `Client.resources`."""
        return self._run(
            self._client.resources(state, prefix=prefix, contains=contains, page_size=page_size)
        )

    def resource_page(
        self,
        state: State | None = None,
        *,
        prefix: str = "",
        contains: str = "",
        cursor: str = "",
        limit: int = 100,
    ) -> ResourcePage:
        """See `Client.resource_page`."""
        return self._run(
            self._client.resource_page(
                state, prefix=prefix, contains=contains, cursor=cursor, limit=limit
            )
        )

    def pause(self, name: str) -> Wished:
        """See `Client.pause`."""
        return self._run(self._client.pause(name))

    def resume(self, name: str) -> Wished:
        """See `Client.resume`."""
        return self._run(self._client.resume(name))

    def stop(self, name: str) -> Wished:
        """See `Client.stop`."""
        return self._run(self._client.stop(name))

    def start(self, name: str, *, key: str = "") -> Wished:
        """See `Client.start`."""
        return self._run(self._client.start(name, key=key))

    def retry(
        self,
        name: str,
        *,
        status: str = "",
        reason: str = "",
        run: int | None = None,
        dry_run: bool = False,
    ) -> Retried:
        """See `Client.retry`."""
        return self._run(
            self._client.retry(name, status=status, reason=reason, run=run, dry_run=dry_run)
        )

    def nodes(self) -> tuple[NodeStatus, ...]:
        """See `Client.nodes`."""
        return self._run(self._client.nodes())

    def drain(self, node: str, *, undo: bool = False) -> None:
        """See `Client.drain`."""
        self._run(self._client.drain(node, undo=undo))

    def export(self, name: str, *, since: str = "", run: int | None = None) -> Export:
        """See `Client.export`."""
        return self._run(self._client.export(name, since=since, run=run))

    def exported(
        self, name: str, export: Export, *, page_size: int = PAGE_SIZE
    ) -> Iterator[ItemRecord]:
        """The items of an export, in order; see `Client.exported`."""
        pages = self._each(self._client.exported(name, export, page_size=page_size))
        return chain.from_iterable(pages)

    def items(
        self,
        name: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[ItemRecord]:
        """See `Client.items`."""
        found = self._client.items(name, run=run, after=after, until=until, page_size=page_size)
        return self._each(found)

    def pages(
        self,
        name: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[PageRecord]:
        """See `Client.pages`."""
        found = self._client.pages(name, run=run, state=state, status=status, page_size=page_size)
        return self._each(found)

    def story(self, name: str, url: str = "", *, key: str = "", run: int | None = None) -> Story:
        """See `Client.story`."""
        return self._run(self._client.story(name, url, key=key, run=run))

    def runs(self, name: str) -> RunPage:
        """See `Client.runs`."""
        return self._run(self._client.runs(name))

    def stats(self, name: str, *, run: int | None = None) -> Stats:
        """See `Client.stats`."""
        return self._run(self._client.stats(name, run=run))

    def live(self, name: str) -> tuple[LiveStatus, ...]:
        """See `Client.live`."""
        return self._run(self._client.live(name))

    def logs(self, name: str, since: str = "5m") -> LogPage:
        """See `Client.logs`."""
        return self._run(self._client.logs(name, since))

    def follow_logs(self, name: str, since: str = "5m") -> Iterator[LogEntry]:
        """See `Client.follow_logs`."""
        return self._each(self._client.follow_logs(name, since))

    def sinks(self, name: str) -> tuple[SinkRecord, ...]:
        """See `Client.sinks`."""
        return self._run(self._client.sinks(name))

    def events(self, name: str, *, after: int = 0, page_size: int = PAGE_SIZE) -> Iterator[Event]:
        """See `Client.events`."""
        return self._each(self._client.events(name, after=after, page_size=page_size))

    def journal(self, *, page_size: int = PAGE_SIZE) -> Iterator[JournalRecord]:
        """See `Client.journal`."""
        return self._each(self._client.journal(page_size=page_size))

    def _each(self, source: AsyncIterator[T]) -> Iterator[T]:
        while True:
            try:
                yield self._run(_next(source))
            except StopAsyncIteration:
                return

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the loop and wait; an interrupt here cancels it there."""
        if self._loop is None:
            work.close()
            raise RuntimeError("use it in a with block")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)
