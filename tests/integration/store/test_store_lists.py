"""Lists have an end, however much there is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.store import open_store

MANY = 1_200


@pytest.mark.threat(26)
async def test_the_last_thousand_runs_are_told(path: Path) -> None:
    store = await open_store(f"sqlite://{path}", SystemClock())
    with sqlite3.connect(path) as direct:
        numbers = [(number, number) for number in range(1, MANY + 1)]
        direct.executemany("INSERT INTO runs (id, resource_id, run) VALUES (?, 'a', ?)", numbers)
        direct.executemany("INSERT INTO counters (run_id, part, known) VALUES (?, 0, ?)", numbers)
        direct.executemany("INSERT INTO counters (run_id, part, known) VALUES (?, 1, ?)", numbers)
    direct.close()
    runs = await store.runs("a")
    assert list(runs) == list(range(MANY - 999, MANY + 1))
    assert all(each.progress.known == 2 * number for number, each in runs.items())
    await store.close()
