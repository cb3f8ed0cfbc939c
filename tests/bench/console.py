"""How long the console's questions take with much in the store: ``python -m tests.bench.console``.

One master on a SQLite store with 10,000 resources that ran once, one of them with 1,000,000 pages.
Prints the median and the slowest of ten answers to every question that a page asks; exits with 1
where a median is above the goal.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from tests.acceptance.cluster import Cluster
from tests.bench.interrupt import unwind_on_sigterm
from tests.etcd_server import EtcdServer

RESOURCES, PAGES, TIMES, GOAL_MS = 10_000, 1_000_000, 10, 300
BIG = "site-00000"
ONE = f"/crawler/resource/{BIG}"
QUESTIONS = (
    "/crawler/overview",
    "/crawler/resource?limit=100",
    "/crawler/resource?limit=100&cursor=site-09000",
    "/crawler/resource?limit=100&contains=99",
    ONE,
    f"{ONE}/live",
    f"{ONE}/reasons",
    f"{ONE}/pages?limit=100",
    f"{ONE}/pages?limit=100&state=failed",
    f"{ONE}/pages?limit=100&cursor=900000",
    f"{ONE}/pages?limit=100&text=nowhere",
    f"{ONE}/items?limit=100",
    f"{ONE}/items?limit=100&text=nowhere",
    f"{ONE}/url?key={hashlib.md5(b'7', usedforsecurity=False).hexdigest()}",
    f"{ONE}/runs",
    "/crawler/event?limit=200",
    "/crawler/task",
    "/crawler/node",
)


async def add_all(base: str) -> None:
    """All resources, without definitions: nothing of them is crawled."""
    names = iter(range(RESOURCES))
    async with aiohttp.ClientSession(base) as session, asyncio.TaskGroup() as group:

        async def take() -> None:
            for number in names:
                body = {"name": f"site-{number:05d}"}
                async with session.post("/crawler/resource", json=body) as response:
                    assert response.status in (200, 202), await response.text()

        for _ in range(40):
            group.create_task(take())


def fill(database: Path) -> None:
    """Runs for all, and pages and items for one."""
    connection = sqlite3.connect(database, timeout=60)
    now = time.time()
    with connection:
        for id_, name in connection.execute("SELECT id, name FROM resources").fetchall():
            run = connection.execute(
                "INSERT INTO runs (resource_id, run, seeded, started_at) VALUES (?, 1, 1, ?)",
                (id_, now),
            ).lastrowid
            known = PAGES if name == BIG else 100
            connection.execute(
                "INSERT INTO counters (run_id, part, known, done) VALUES (?, 0, ?, 50)",
                (run, known),
            )
            if name == BIG:
                connection.executemany(
                    "INSERT INTO pages (run_id, fingerprint, part, state, host, depth, priority,"
                    " status, url, method, parent, reason) VALUES (?,?,0,?,?,1,0,?,?,'GET',?,?)",
                    pages(int(run or 0)),
                )
                connection.execute(
                    "INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision,"
                    " fields, stored_at) SELECT run_id, fingerprint, 0, 'product', 1,"
                    " json_object('name', 'Product ' || seq, 'price', seq || '.50'), 0"
                    " FROM pages WHERE state = 'done'"
                )
    connection.close()


def pages(run: int) -> Iterator[tuple[Any, ...]]:
    """One in twenty has failed, one in five waits; each was found on an earlier one."""
    for number in range(PAGES):
        failed, waits = number % 20 == 3, number % 5 == 4
        state = "failed" if failed else "pending" if waits else "done"
        host = f"h{number % 50}.example"
        yield (
            run, mark(number), state, host, 503 if failed else 0 if waits else 200,
            f"https://{host}/page/{number}", mark(number // 10) if number else None,
            "http 503" if failed else "",
        )  # fmt: skip


def mark(number: int) -> bytes:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).digest()


async def ask_all(base: str) -> bool:
    """Print how long answers took; whether all are soon enough."""
    fine = True
    async with aiohttp.ClientSession(base) as session:
        for question in QUESTIONS:
            took_ms = []
            for _ in range(TIMES):
                began = time.perf_counter()
                async with session.get(question) as response:
                    json.loads(await response.read())
                    assert response.status == 200, question
                took_ms.append((time.perf_counter() - began) * 1000)
                if question == "/crawler/overview":
                    await asyncio.sleep(2)  # it is kept for a moment
            median = statistics.median(took_ms)
            fine &= median <= GOAL_MS
            print(f"{median:7.1f} {max(took_ms):7.1f}  {question}")
    return fine


async def main() -> int:
    unwind_on_sigterm()
    with TemporaryDirectory() as folder, EtcdServer() as etcd:
        cluster = Cluster(Path(folder), etcd)
        try:
            cluster.start_master("1")
            await cluster.wait_ready("1")
            base = cluster.url("1")
            await add_all(base)
            fill(cluster.database)
            print(f" median slowest  of {TIMES} answers, in ms; goal {GOAL_MS}")
            return 0 if await ask_all(base) else 1
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
