"""Reads the database with plain SQL: what was really stored, told apart from our own counters."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

Ask = Callable[[str], list[tuple[Any, ...]]]


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one query on a connection of its own to the file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def ask_server(url: str, sql: str) -> list[tuple[Any, ...]]:
    """The same of a server."""
    with psycopg.connect(url) as connection:
        return connection.execute(sql.encode()).fetchall()


def examine(path: Path) -> dict[str, int]:
    """Pages by state; fails where the file is damaged or something is there twice or half."""
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    return count(partial(ask, path))


def count(ask: Ask) -> dict[str, int]:
    """Pages by state; fails where something is there twice or half."""
    states: dict[str, int] = dict(ask("SELECT state, count(*) FROM pages GROUP BY state"))
    [counters] = ask(
        "SELECT sum(known), sum(done), sum(failed), sum(excluded), sum(items),"
        " sum(incomplete_items), sum(fetched_bytes) FROM counters",
    )
    done = states.get("done", 0)
    [(items, incomplete)] = ask("SELECT count(*), count(missing) FROM items")
    counted = (sum(states.values()), done, states.get("failed", 0), states.get("excluded", 0))
    assert counters == (*counted, items, incomplete, 100 * done)
    assert items == 2 * done
    assert ask("SELECT min(url) FROM pages GROUP BY run_id, url HAVING count(*) > 1") == []
    halves = "SELECT fingerprint FROM items GROUP BY run_id, fingerprint HAVING count(*) <> 2"
    assert ask(halves) == []
    return states


def notes_beside(path: Path) -> list[str]:
    """The notes that claimants left and nobody removed."""
    return [each.name for each in Path(f"{path}-claims").iterdir()]
