"""The SQL as written: complete, used, served by indexes, and one schema however it came about."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.store import statements
from crawler.store.sqlite import schema
from crawler.store.sqlite.links import asking

ROOM = Path(statements.__file__).parent
SUBJECTS = (
    "ledger",
    "frontier",
    "results",
    "budgets",
    "purging",
    "outbox",
    "retrying",
    "trimming",
    "heritage",
    "answers",
)
BACKENDS = ("sqlite", "postgres")
ALL = [
    (subject, name, sql)
    for subject in SUBJECTS
    for name, sql in statements.statements("sqlite", subject).items()
]
GIVEN = {"wanted", "visit", "CONSTANT"}  # what a statement is given, row by row
# What reads few rows by nature: one row per cluster, per resource or per process.
SMALL = {"select_newest_epoch", "select_leader", "select_resources", "select_store_id"} | {
    "select_remains",
    "retire_epochs",  # one for each etcd that there was
    "close_all_fences",  # one for each part of a resource
    "select_runs_progress",
    "select_old_runs",  # thousands of runs at most
    "count_kinds",  # asked when a run is over, or by hand
    "prune_answers",  # a hundred
    "says_reached",  # one row
    "select_reached",
    "set_reached",
    "keep_urls",  # so many pages as it is told
}


@pytest.fixture
def fresh() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.run_script(connection, statements.schema("sqlite"))
    yield connection
    connection.close()


def shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Every object of the schema, without layout and comments."""
    rows = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema")
    return sorted((*row[:3], _tight(row[3])) for row in rows)


def _tight(sql: str) -> str:
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(re.sub(r"--[^\n]*", "", sql).split()))


def test_the_fresh_schema_equals_the_migrated_one(fresh: sqlite3.Connection) -> None:
    migrated = sqlite3.connect(":memory:", isolation_level=None)
    for migration in statements.migrations("sqlite").values():
        schema.run_script(migrated, migration.script)
    assert shape(migrated) == shape(fresh)
    migrated.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(statements.migrations("sqlite")) == list(range(1, schema.VERSION + 1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_can_use_a_schema_can_use_what_was_only_added(backend: str) -> None:
    """The number never falls, and stays only where a migration adds and takes nothing away: what
    older programs insert is complete without it."""
    adding = re.compile(
        r"CREATE TABLE |CREATE INDEX |ALTER TABLE \w+ ALTER COLUMN \w+ SET STATISTICS "
        r"|ALTER TABLE \w+ ADD COLUMN (?!.*NOT NULL(?!.*DEFAULT))(?!.*(UNIQUE|CHECK|REFERENCES))"
    )
    before = 1
    for version, migration in statements.migrations(backend).items():
        assert before <= migration.since <= version
        if migration.since < version:
            script = re.sub(r"--[^\n]*", "", migration.script)
            for statement in filter(None, map(str.strip, script.split(";"))):
                assert adding.match(" ".join(statement.split())), statement
        before = migration.since


@pytest.mark.threat(21)
@pytest.mark.parametrize(("subject", "name", "sql"), ALL, ids=[name for _, name, _ in ALL])
def test_statements_fit_the_schema(
    fresh: sqlite3.Connection, subject: str, name: str, sql: str
) -> None:
    sql = asking(name) if "/* fingerprints */" in sql else sql
    named = dict.fromkeys(re.findall(r":([a-z_]+)", sql), 0)
    plan = fresh.execute(f"EXPLAIN QUERY PLAN {sql}", named or [0] * sql.count("?")).fetchall()
    if name not in SMALL:
        steps = " / ".join(row[3] for row in plan)
        scans = [
            row[3] for row in plan if row[3].startswith("SCAN") and not GIVEN & {*row[3].split()}
        ]
        assert not scans, steps
        assert "TEMP B-TREE FOR ORDER BY" not in steps, steps


@pytest.mark.parametrize("backend", BACKENDS)
def test_statements_are_used_and_written_once(backend: str) -> None:
    names = [name for each in SUBJECTS for name in statements.statements(backend, each)]
    assert len(names) == len(set(names))
    shared, own = ROOM.glob("*.py"), (ROOM / backend).glob("*.py")
    sources = "".join(path.read_text() for path in (*shared, *own))
    composed = {name for name in names if name.startswith("list_pages")}
    assert [name for name in names if f'"{name}"' not in sources and name not in composed] == []


@pytest.mark.threat(21)
@pytest.mark.parametrize("backend", BACKENDS)
def test_sql_is_nowhere_else(backend: str) -> None:
    """But for what asks the database about itself and its settings."""
    tables = re.findall(r"^CREATE TABLE (\w+)", statements.schema(backend), re.MULTILINE)
    words = re.compile(rf"\b(FROM|INTO|UPDATE|TABLE) ({'|'.join(tables)})\b")
    for path in (ROOM / backend).glob("*.py"):
        assert words.search(path.read_text()) is None, path
