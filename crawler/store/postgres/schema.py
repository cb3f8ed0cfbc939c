"""Makes the schema in a database, and brings older ones forward."""

from __future__ import annotations

import uuid

import psycopg
import structlog
from psycopg import sql

from crawler.errors import Misconfigured
from crawler.store import statements
from crawler.store.postgres.faults import opening
from crawler.store.postgres.server import Connection, soon
from crawler.store.versions import Level, is_behind

log = structlog.get_logger(__name__)

_MIGRATIONS = statements.migrations("postgres")
VERSION = max(_MIGRATIONS)
_SINCE = _MIGRATIONS[VERSION].since
_LEDGER = statements.statements("postgres", "ledger")
_ONE_AT_A_TIME = 0x63726177  # key of an advisory lock: "craw"
_PATIENCE_MS = 60_000


async def migrate(connection: Connection) -> str:
    """Bring the schema to `VERSION`, if it is not as far, in one transaction; the uuid of the
    database.

    Two that start at once do it one after the other. Raises `Misconfigured` for a schema that this
    version cannot use, or of somebody else.
    """
    with opening():
        async with soon():
            found = await standing(connection)
        if found is not None and not is_behind(found[1], VERSION):
            return found[0]
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {_PATIENCE_MS}")
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
            return await _migrate(connection)


async def _migrate(connection: Connection) -> str:
    await _create_schema(connection)
    found = await standing(connection)
    if found is None:
        await run_script(connection, statements.schema("postgres"))
        store_id, level = str(uuid.uuid4()), Level(0, 0)
    else:
        store_id, level = found
        if not is_behind(level, VERSION):
            return store_id
        await _bring_forward(connection, level.reached)
    level = level.brought_to(VERSION, _SINCE)
    row = {"id": store_id, "version": level.since, "reached": level.reached}
    await connection.execute(_LEDGER["insert_store"].encode(), row)
    log.info("schema ready", version=level.reached, since=level.since)
    return store_id


async def run_script(connection: Connection, script: str) -> None:
    """Execute all statements of a script."""
    await connection.execute(script.encode())


async def _create_schema(connection: Connection) -> None:
    row = await (await connection.execute("SELECT current_schema()")).fetchone()
    if row is not None and row[0] is None:
        path = await (await connection.execute("SHOW search_path")).fetchone()
        assert path is not None
        first = str(path[0]).partition(",")[0].strip().strip('"')
        await connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(first))
        )


async def standing(connection: Connection) -> tuple[str, Level] | None:
    """The uuid of the schema here, and how far it is; None where there is none."""
    row = await (
        await connection.execute("SELECT to_regclass(quote_ident(current_schema()) || '.store')")
    ).fetchone()
    if row is None or row[0] is None:
        return None
    try:
        cursor = await connection.execute(_LEDGER["select_store"].encode())
    except psycopg.errors.UndefinedColumn as error:
        raise Misconfigured("--store: the schema belongs to another program") from error
    found = await cursor.fetchone()
    if found is None:
        raise Misconfigured("--store: the schema was not made by this program")
    return str(found[0]), Level.read(found[1], found[2])


async def _bring_forward(connection: Connection, found: int) -> None:
    for version, migration in _MIGRATIONS.items():
        if version > found:
            await run_script(connection, migration.script)
