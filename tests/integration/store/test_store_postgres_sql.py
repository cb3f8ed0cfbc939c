"""The SQL for PostgreSQL as written: complete, used, served by indexes, and one schema however it
came about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crawler.store import statements
from tests.postgres_server import PostgresServer

ROOM = Path(statements.__file__).parent
SUBJECTS = ("ledger", "frontier", "results", "budgets", "purging")
ALL = [
    (name, sql)
    for subject in SUBJECTS
    for name, sql in statements.statements("postgres", subject).items()
    if not sql.startswith("LOCK")  # has no plan; every epoch that a test opens runs it
]
# What stands for the parameters, by the cast or the column beside it.
_CAST = re.compile(r"%(?:\((?P<name>\w+)\))?s(?:::(?P<type>\w+(?:\[\])?))?")
_VALUES = {
    "at_limit": "false",
    "limit": "7",
    "count": "7",
    "skip": "'{}'",
    "hosts": "'{h}'",
    "state": "'done'",
}

_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
FROM information_schema.columns WHERE table_schema = current_schema()
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
_OPTIONS = """
SELECT relname, reloptions FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""


def build(url: str, schema: str, scripts: list[str]) -> psycopg.Connection[Any]:
    """A connection to a new schema in which these were run."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(f"CREATE SCHEMA {schema}".encode())
    connection.execute(f"SET search_path = {schema}".encode())
    for script in scripts:
        connection.execute(script.encode())
    return connection


def shape(connection: psycopg.Connection[Any], schema: str) -> list[list[str]]:
    """Everything that the catalogs say of the tables, without the name of the schema."""
    found = []
    for query in (_COLUMNS, _INDEXES, _OPTIONS):
        rows = connection.execute(query.encode()).fetchall()
        found.append(sorted(str(row).replace(schema, "") for row in rows))
    return found


def test_the_fresh_schema_equals_the_migrated_one(postgres: PostgresServer) -> None:
    scripts = {
        "fresh_one": [statements.schema("postgres")],
        "migrated_one": list(statements.migrations("postgres").values()),
    }
    shapes = []
    for schema, each in scripts.items():
        with build(postgres.url(), schema, each) as connection:
            shapes.append(shape(connection, schema))
    assert shapes[0][0]
    assert shapes[0] == shapes[1]


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """Enough rows in every table that a plan without an index would be dearer."""
    with build(postgres.url(), "filled", [statements.schema("postgres")]) as connection:
        connection.execute(_FILL.encode())
        connection.execute(b"ANALYZE")
        yield connection


_FILL = """
INSERT INTO epochs SELECT n, 'c' || n, n FROM generate_series(1, 3000) AS n;
INSERT INTO resources SELECT 'r' || n, 'n', 0, NULL, 'running', 1, n % 100 = 0
    FROM generate_series(1, 20000) AS n;
INSERT INTO fences SELECT 'r' || n, 0, 1, n, 1, true, '' FROM generate_series(1, 20000) AS n;
INSERT INTO runs (resource_id, run) SELECT 'r' || n, 1 FROM generate_series(1, 20000) AS n;
INSERT INTO counters SELECT n, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO pages (run_id, fingerprint, part, state, host, depth, priority, not_before, status, url,
        method)
    SELECT n % 7, decode(md5(n::text), 'hex'), 0,
        (ARRAY['pending', 'done', 'failed', 'excluded'])[1 + n % 4], 'h' || n % 500, 0, 0,
        CASE WHEN n % 40 = 0 THEN n ELSE 0 END, CASE WHEN n % 4 = 1 THEN 200 ELSE 0 END, 'u', 'GET'
    FROM generate_series(1, 60000) AS n;
INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision, fields, stored_at)
    SELECT n % 7, decode(md5(n::text), 'hex'), 0, 'r', 1, '{}', 0
    FROM generate_series(1, 60000) AS n;
INSERT INTO events (resource_id, at, kind, detail, node) SELECT 'r' || n, 0, 'k', '', ''
    FROM generate_series(1, 60000) AS n;
INSERT INTO turns SELECT 'h' || n, '', 0, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO waiters SELECT 'h' || n, 'w', 0, 0 FROM generate_series(1, 20000) AS n;
"""
# What reads all of a small table by nature, or of a rare kind of row.
WHOLE = {"select_resources", "select_newest_epoch", "select_store", "select_remains"}


@pytest.mark.parametrize(("name", "sql"), ALL, ids=[name for name, _ in ALL])
def test_statements_fit_the_schema_and_its_indexes(
    filled: psycopg.Connection[Any], name: str, sql: str
) -> None:
    lines = filled.execute(f"EXPLAIN {_CAST.sub(_value, sql)}".encode()).fetchall()
    plan = "\n".join(row[0] for row in lines)
    tables = {"pages", "items", "events", "fences", "runs", "counters", "turns", "waiters"}
    scanned = set(re.findall(r"Seq Scan on (\w+)", plan))
    assert name in WHOLE or not scanned & tables, plan


def _value(parameter: re.Match[str]) -> str:
    name, kind = parameter["name"], parameter["type"]
    if kind is not None and kind.endswith("[]"):
        return f"'{{1}}'::{kind}" if kind != "bytea[]" else "ARRAY['\\x01'::bytea]"
    return _VALUES.get(name or "", "'1'")


def test_statements_are_used_and_written_once() -> None:
    names = [name for name, _ in ALL]
    assert len(names) == len(set(names))
    sources = "".join(path.read_text() for path in (ROOM / "postgres").glob("*.py"))
    composed = {name for name in names if name.startswith("list_pages")}
    assert [name for name in names if f'"{name}"' not in sources and name not in composed] == []
