"""The SQL as written for PostgreSQL: it fits the schema and is served by indexes, whatever the
planner was told of the rows, and the schema is one however it came about."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest

from crawler.clock import SystemClock
from crawler.model import Failures, Item, Keep, PageState, Visit
from crawler.store import open_store, statements
from crawler.store.contract import Frontier, Store
from crawler.store.heritage import SWEPT_AT_ONCE
from crawler.store.postgres import schema
from tests.contract.rows import RESOURCE, done, job, mark, request, seeded, stamp
from tests.integration.store.postgres_stage import Stage
from tests.integration.store.troupe import Troupe
from tests.postgres_server import PostgresServer

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
)
ALL = {
    name: sql
    for subject in SUBJECTS
    for name, sql in statements.statements("postgres", subject).items()
    if name != "lock_epochs"  # no query
}
# What reads few rows by nature: one row per cluster or per resource.
SMALL = {
    "select_newest_epoch",
    "select_resources",
    "select_store",
    "select_remains",
    "retire_epochs",
    "close_all_fences",
}
# What must come out of an index in its order.
ORDERED = {"select_bests", "select_due", "select_next_at", "select_stepped"} | {
    "list_events", "list_pages_of_state", "list_pages_of_state_and_status"
}  # fmt: skip
ROWS = 20_000
FEW = 3_000

CATALOGS = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity, coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
            coalesce(l.collname, ''), a.attnum, a.attstattarget
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r' ORDER BY 1, 8""",
    "relations": """
        SELECT relname, relkind::text, reloptions::text FROM pg_class
        WHERE relnamespace = to_regnamespace(%s) ORDER BY 1""",
    "indexes": """
        SELECT regexp_replace(indexdef, ' ON \\w+\\.', ' ON ') FROM pg_indexes
        WHERE schemaname = %s ORDER BY 1""",
    "constraints": """
        SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = to_regnamespace(%s) ORDER BY 1""",
}


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One that gathers statistics only when it is told to."""
    with PostgresServer(settings={"autovacuum": "off"}) as server:
        yield server


def made_by(connection: psycopg.Connection, name: str, *scripts: str) -> dict[str, object]:
    """What stands in a schema of that name after these scripts."""
    connection.execute(f"CREATE SCHEMA {name}".encode())
    connection.execute(f"SET search_path = {name}".encode())
    for script in scripts:
        connection.execute(script.encode())
    return {
        what: connection.execute(query.encode(), (name,)).fetchall()
        for what, query in CATALOGS.items()
    }


def test_the_fresh_schema_equals_the_migrated_one(own_server: PostgresServer) -> None:
    with psycopg.connect(own_server.url(), autocommit=True) as connection:
        fresh = made_by(connection, "fresh", statements.schema("postgres"))
        scripts = (each.script for each in statements.migrations("postgres").values())
        migrated = made_by(connection, "migrated", *scripts)
    assert fresh == migrated
    assert all(fresh.values())


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(statements.migrations("postgres")) == list(range(1, schema.VERSION + 1))


@pytest.fixture(scope="module")
def planner(own_server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A session on an empty schema that reads a whole table only where no index serves."""
    with psycopg.connect(own_server.url(), autocommit=True) as connection:
        made_by(connection, "planned", statements.schema("postgres"))
        for setting in ("enable_seqscan = off", "plan_cache_mode = force_generic_plan"):
            connection.execute(f"SET {setting}".encode())
        yield connection


def numbered(sql: str) -> tuple[str, int]:
    """The statement with $1, $2 … for its parameters, and how many they are."""
    places: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        key = found[1] or f"{len(places)}"
        return f"${places.setdefault(key, len(places) + 1)}"

    return re.sub(r"%(?:\((\w+)\))?s", place, sql), len(places)


@pytest.mark.parametrize("name", ALL)
def test_statements_fit_the_schema(planner: psycopg.Connection, name: str) -> None:
    text, count = numbered(ALL[name])
    planner.execute(f"PREPARE {name} AS {text}".encode())
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    rows = planner.execute(f"EXPLAIN EXECUTE {name}{values}".encode()).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert name in SMALL or "Seq Scan" not in plan, plan
    assert name not in ORDERED or "Sort" not in plan, plan


@pytest.fixture(scope="module")
def filled(own_server: PostgresServer) -> str:
    """A store with three runs. The statistics know the first, which is done to the last page;
    since then the second was excluded and buried, and the third, which builds on the first, is
    pending."""
    url = own_server.fresh_url()
    asyncio.run(three_runs(Stage(own_server, url, Troupe(url))))
    return url


async def three_runs(stage: Stage) -> None:
    store = await open_store(stage.url, SystemClock())
    await seeded(store, request("start"))
    await store.claim(stamp(20, resource="buried"), job())
    stage.ask(fill(1, "done"))
    stage.ask("ANALYZE")
    stage.ask(fill(2, "excluded"))
    await store.bury("buried")
    third = await store.claim(stamp(11), job(run=2))
    await third.seed([request("start")])
    stage.ask(fill(3, "pending", like=1))
    stage.ask("UPDATE runs SET base = 1 WHERE id = 3")
    stage.ask("UPDATE counters SET swept = '' WHERE run_id = 3")
    await store.close()


def fill(run_id: int, state: str, like: int = 0) -> str:
    """Rows as a long crawl leaves them, with an item for each; ``like``: of the same pages as that
    run."""
    like = like or run_id
    pages = f"""
        INSERT INTO pages (run_id, fingerprint, part, state, host, depth, priority, url, method,
            status, fetched_at, parent, digest)
        SELECT {run_id}, decode(md5('{like}' || n), 'hex'), 0, '{state}',
            'h' || n % 50 || '.example', 1, n % 3, 'https://h.example/' || n, 'GET', 200, 1,
            decode(md5('{like}' || n / 10), 'hex'), '\\x00'
        FROM generate_series(1, {ROWS}) AS n"""
    items = f"""
        INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision, fields,
            stored_at)
        SELECT run_id, fingerprint, 0, 'r', 1, '{{}}', 1 FROM pages WHERE run_id = {run_id}"""
    counters = f"""
        UPDATE counters SET known = known + {ROWS}, items = items + {ROWS},
            excluded = {ROWS if state == "excluded" else 0},
            done = {ROWS if state == "done" else 0}
        WHERE run_id = {run_id}"""
    return f"{pages}; {items}; {counters}"


def read_so_far(server: PostgresServer) -> int:
    """Rows and index entries of the large tables that were read, by sessions that have ended."""
    return int(
        server.sql("""
            SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables
                    WHERE relname IN ('pages', 'items', 'events'))
                + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
                    WHERE relname IN ('pages', 'items', 'events'))""")
    )


async def some(frontier: Frontier) -> None:
    """Two windows and a commit of both, with links old and new."""
    for _ in range(2):
        window = await frontier.window(40, 2, frozenset())
        known = [request(f"{n}") for n in range(20)]
        await frontier.commit(
            [done(each, *known, items=(Item("r", {}),)) for each in window.requests]
        )


async def unchanged(frontier: Frontier) -> None:
    """A commit of pages that bring what was found on them before."""
    window = await frontier.window(9, 2, frozenset())
    known = [(each, each.before) for each in window.requests if each.before is not None]
    assert len(known) > 5
    assert any(before.links for _, before in known)
    await frontier.commit(
        [
            Visit(page, PageState.DONE, imprint=before.imprint, unchanged=True)
            for page, before in known
        ]
    )


async def strike(frontier: Frontier) -> None:
    await frontier.strike(mark("shop.example/start"), "killed")


Call = Callable[[Store, Frontier], Awaitable[object]]
CALLS: dict[str, Call] = {
    "work": lambda _, frontier: some(frontier),
    "unchanged": lambda _, frontier: unchanged(frontier),
    "strike": lambda _, frontier: strike(frontier),
    "targets": lambda _, frontier: frontier.targets([mark("shop.example/start"), mark("a")]),
    "progress": lambda _, frontier: frontier.progress(),
    "note": lambda _, frontier: frontier.note("a", "b"),
    "items": lambda store, _: store.items(RESOURCE),
    "items behind": lambda store, _: store.items(RESOURCE, after=ROWS * 2 + 500),
    "events": lambda store, _: store.events(RESOURCE),
    "pages": lambda store, _: store.pages(RESOURCE),
    "purge": lambda store, _: store.purge(20),
    "failed": lambda store, _: store.failed(RESOURCE, 2, Failures(500, 599)),
    "retry": lambda store, _: store.retry(stamp(11), 2, list(range(1, 50))),
    "trim": lambda store, _: store.trim(RESOURCE, Keep(pages=1, events=1), 20),
    "trim all": lambda store, _: store.trim(RESOURCE, Keep(runs=1, events=1), 20),
}
LISTS = [(state, status) for state in (*PageState, None) for status in (200, 404, None)]


async def read_by(server: PostgresServer, url: str, call: Call) -> int:
    """The rows and index entries that a call reads, opening and claiming included."""
    before = read_so_far(server)
    store = await open_store(url, SystemClock())
    await call(store, await store.claim(stamp(11), job(run=2)))
    await store.close()
    return read_so_far(server) - before


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_calls_read_few_rows_whatever_the_statistics_say(
    own_server: PostgresServer, filled: str, call: Call
) -> None:
    assert await read_by(own_server, filled, call) < FEW


async def test_sweeping_reads_what_it_looks_at(own_server: PostgresServer, filled: str) -> None:
    read = await read_by(own_server, filled, lambda _, frontier: frontier.sweep())
    assert SWEPT_AT_ONCE < read < 4 * SWEPT_AT_ONCE + FEW


@pytest.mark.parametrize(("state", "status"), LISTS)
async def test_lists_read_few_rows_whatever_the_statistics_say(
    own_server: PostgresServer, filled: str, state: PageState | None, status: int | None
) -> None:
    async def shown(store: Store, _: Frontier) -> None:
        await store.pages(RESOURCE, state=state, status=status)

    assert await read_by(own_server, filled, shown) < FEW
