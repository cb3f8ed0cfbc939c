"""Rows that are written many at a time are the rows that were given, each once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from crawler.store.sqlite.rows import write_rows

INSERT = "INSERT INTO t (x, y) VALUES (?, ?) ON CONFLICT (x) DO NOTHING"
UPDATE = (
    "WITH new (y, x) AS (VALUES (?, ?)) UPDATE t SET y = new.y || ')' FROM new WHERE t.x = new.x"
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute("CREATE TABLE t (at INTEGER PRIMARY KEY, x UNIQUE, y)")
        yield opened


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 47])
def test_every_row_is_written_in_order(connection: sqlite3.Connection, count: int) -> None:
    rows = [(number, f"of {number}") for number in range(count)]
    assert write_rows(connection, INSERT, rows) == count
    assert connection.execute("SELECT x, y FROM t ORDER BY at").fetchall() == rows


def test_only_what_is_new_counts_also_within_one_statement(connection: sqlite3.Connection) -> None:
    rows = [(number % 15, f"the {number}th") for number in range(47)]
    assert write_rows(connection, INSERT, rows) == 15
    assert write_rows(connection, INSERT, rows) == 0
    assert connection.execute("SELECT x, y FROM t ORDER BY at").fetchall() == rows[:15]


def test_an_update_finds_the_row_of_each(connection: sqlite3.Connection) -> None:
    write_rows(connection, INSERT, [(number, "") for number in range(50)])
    write_rows(connection, UPDATE, [(f"(now {number}", number) for number in range(47)])
    found = connection.execute("SELECT y FROM t ORDER BY x").fetchall()
    assert found == [(f"(now {number})",) for number in range(47)] + [("",)] * 3
