"""What a large frontier costs: ``python -m tests.bench.frontier [ROWS ...] [--store URL]``.

Fills a new run of a PostgreSQL store with so many pending pages over many hosts and prints, per
number of rows, the median of window() and of commit() and their ratios to those at the first
number; then the same again after ``--commits`` commits, between which nothing was vacuumed. Without
``--store`` a server of its own is started. Ratios near 1 are what to look for; times depend on the
machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from crawler.clock import SystemClock
from crawler.model import Item, Request
from crawler.store import open_store
from crawler.store.contract import Frontier
from tests.bench.interrupt import unwind_on_sigterm
from tests.contract.rows import CLUSTER, done, job, request, stamp
from tests.postgres_server import PostgresServer

T = TypeVar("T")

PAGES_PER_HOST = 100
WINDOW = 64
BATCH = 16
LINKS = 10
SAMPLES = 60

_FILL = """
INSERT INTO pages (run_id, fingerprint, part, state, host, depth, priority, url, method)
SELECT %(run_id)s, decode(md5(n::text), 'hex'), 0, 'pending', 'h' || n %% %(hosts)s || '.example',
    3, n %% 3, 'https://h' || n %% %(hosts)s || '.example/products/' || md5(n::text), 'GET'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n"""
_CHUNK = 500_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians, in seconds."""

    window_s: float
    commit_s: float

    def told(self, base: Figures) -> str:
        """With the ratios to others."""
        return (
            f"window {self.window_s * 1000:7.2f} ms ({self.window_s / base.window_s:4.2f})   "
            f"commit {self.commit_s * 1000:7.2f} ms ({self.commit_s / base.commit_s:4.2f})"
        )


class Crawl:
    """Windows and commits, as an engine asks for them."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier
        self._chance = random.Random(1)
        self._number = 0

    async def window(self) -> list[Request]:
        """The next pages."""
        return list((await self._frontier.window(WINDOW, 2, frozenset())).requests)

    async def commit(self, pages: list[Request]) -> None:
        """Pages that yield an item each and link to known pages and to new ones."""
        await self._frontier.commit(
            [
                done(each, *self._links(each), items=(Item("r", {"url": each.url}),))
                for each in pages
            ]
        )

    def _links(self, page: Request) -> Iterator[Request]:
        for _ in range(LINKS // 2):
            yield request(f"menu/{self._chance.randrange(100)}", page.host)
        for _ in range(LINKS // 2):
            self._number += 1
            yield request(f"new/{self._number}", page.host)

    async def work(self, commits: int) -> None:
        """So many commits, by windows."""
        while commits > 0:
            pages = await self.window()
            for first in range(0, len(pages), BATCH):
                await self.commit(pages[first : first + BATCH])
                commits -= 1

    async def measure(self) -> Figures:
        """The median of many of each, in turn."""
        windows, commits = [], []
        for _ in range(SAMPLES):
            pages, took_s = await timed(self.window)
            windows.append(took_s)
            batch = pages[:BATCH]
            _, took_s = await timed(lambda batch=batch: self.commit(batch))  # type: ignore[misc]
            commits.append(took_s)
        return Figures(statistics.median(windows), statistics.median(commits))


async def timed(call: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """Its result, and the seconds that it took."""
    began = time.perf_counter()
    return await call(), time.perf_counter() - began


def fill(url: str, rows: int) -> None:
    """Add so many pending pages to the newest run, in chunks, and count them."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT max(id) FROM runs").fetchone()
        assert row is not None
        for first in range(1, rows + 1, _CHUNK):
            last = min(rows, first + _CHUNK - 1)
            values = {"run_id": row[0], "hosts": max(1, rows // PAGES_PER_HOST)}
            connection.execute(_FILL, {**values, "first": first, "last": last})
        connection.execute("UPDATE counters SET known = known + %s", (rows,))
        connection.execute("ALTER TABLE pages SET (autovacuum_enabled = off)")
        connection.execute("CHECKPOINT")


async def bench(url: str, rows: int, commits: int) -> tuple[Figures, Figures]:
    """Before and after so many commits."""
    store = await open_store(url, SystemClock())
    await store.open_epoch(CLUSTER, 1)
    frontier = await store.claim(stamp(10), job())
    await frontier.seed([])
    await asyncio.to_thread(fill, url, rows)
    crawl = Crawl(frontier)
    await crawl.work(20)
    before = await crawl.measure()
    await crawl.work(commits)
    after = await crawl.measure()
    await store.close()
    return before, after


@contextmanager
def schema(base: str, name: str) -> Iterator[str]:
    """The URL of a schema of that name, which is gone afterwards."""
    url = f"{base}{'&' if '?' in base else '?'}options=-csearch_path%3D{name}"
    try:
        yield url
    finally:
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


def run(base: str, sizes: list[int], commits: int) -> None:
    """Print the figures of each size."""
    first: Figures | None = None
    for rows in sizes:
        with schema(base, f"bench_{rows}") as url:
            before, after = asyncio.run(bench(url, rows, commits))
        first = first or before
        print(f"{rows:>11,} rows                    {before.told(first)}", flush=True)
        print(f"{'':11} after {commits:>7,} commits  {after.told(first)}", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What a large frontier costs on PostgreSQL.")
    parser.add_argument("rows", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--store", help="postgresql://… of a database to use")
    parser.add_argument("--commits", type=int, default=1000)
    asked = parser.parse_args()
    unwind_on_sigterm()
    if asked.store:
        run(asked.store, asked.rows, asked.commits)
        return
    with PostgresServer(durable=True, settings={"max_wal_size": "4GB"}) as server:
        run(server.url(), asked.rows, asked.commits)


if __name__ == "__main__":
    main()
