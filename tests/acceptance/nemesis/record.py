"""A run's history, put together from etcd, the database and whoever called."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from tests.acceptance.chaos.history import Call, EtcdWrite, History
from tests.acceptance.chaos.outcome import Truth
from tests.acceptance.chaos.recorders import EtcdRecorder, read_commits, read_items, read_pages
from tests.acceptance.chaos.register import trace_of
from tests.acceptance.chaos.replay import DEFINITIONS
from tests.acceptance.cluster import Cluster, request
from tests.acceptance.nemesis.ground import Tree

CATCH_UP_S = 30.0


class Record:
    """What is being recorded since ``began``."""

    def __init__(self, database: str, recorder: EtcdRecorder) -> None:
        self.began = time.time()
        self._database = database
        self._recorder = recorder
        self._writes: asyncio.Task[tuple[EtcdWrite, ...]] = asyncio.create_task(recorder.run())

    async def history(self, calls: Sequence[Call]) -> History:
        """All of it, as of now."""
        ended = time.time()
        await self._recorder.end()
        return History(
            self.began,
            ended,
            writes=await asyncio.wait_for(self._writes, CATCH_UP_S),
            commits=read_commits(self._database),
            calls=tuple(calls),
            pages=read_pages(self._database),
            items=read_items(self._database),
        )

    async def close(self) -> None:
        self._writes.cancel()
        await asyncio.gather(self._writes, return_exceptions=True)


@asynccontextmanager
async def recorded(cluster: Cluster, database: str) -> AsyncIterator[Record]:
    """Record a cluster; its history is to be asked for within the block."""
    async with cluster.client() as etcd:
        record = Record(database, EtcdRecorder(etcd))
        try:
            yield record
        finally:
            await record.close()


async def finished(cluster: Cluster, patience_s: float) -> None:
    """Return once every crawl has ended, or none has had a new page for so long."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < patience_s:
        states, done = await _states(cluster)
        if states == {"finished"}:
            return
        if done != last:
            last, since = done, time.monotonic()
        await asyncio.sleep(0.3)


def truth_of(history: History, trees: Mapping[str, Tree]) -> Truth:
    """What each resource that is there at the end must have come to, by its ID. ``trees``: what is
    crawled by each canonical definition."""
    writes = history.writes or ()
    names = {
        write.key.removeprefix(DEFINITIONS) for write in writes if write.key.startswith(DEFINITIONS)
    }
    traces = [trace_of(name, writes) for name in names]
    return {
        trace.ids[-1]: trees[trace.last.spec].truth()
        for trace in traces
        if trace.last.there and trace.last.spec
    }


async def _states(cluster: Cluster) -> tuple[set[str], int]:
    """The states of all that has a definition, and the pages that are done."""
    for master in cluster.masters:
        try:
            url = f"{cluster.url(master)}/crawler/resource?limit=1000"
            status, answer = await request("GET", url)
        except (OSError, aiohttp.ClientError, TimeoutError):
            continue
        if status == 200:
            crawls = [each for each in answer["resources"] if each["reason"] != "no definition"]
            done = sum((each.get("progress") or {}).get("done", 0) for each in crawls)
            return {each["state"] for each in crawls}, done
    return set(), -1
