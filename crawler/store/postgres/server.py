"""The server behind a URL: how a connection to it is made, and what it must be set to."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from crawler.errors import Misconfigured
from crawler.store.postgres.faults import opening

log = structlog.get_logger(__name__)

OLDEST_MAJOR = 14
DEFAULT_SCHEMA = "crawler"
CONNECT_S = 5

Connection = AsyncConnection[tuple[Any, ...]]

# libpq's (postgresql.org/docs/current/libpq-connect.html): whoever gets no acknowledgement for ten
# seconds, or no answer to three probes, is told so. A URL may say otherwise.
_LINK = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "crawler",
}
# The server's, per session. A client that stops inside a transaction loses it after three seconds;
# whoever waits for its locks waits longer than that, and so comes next.
_SESSION = {
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "tcp_user_timeout": "10s",
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "2s",
}


def parse_url(url: str) -> dict[str, Any]:
    """Arguments of a connection, from ``postgresql://…`` as libpq reads it. `Misconfigured`."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # libpq repeats what it could not read, and that may hold the password.
        raise Misconfigured(
            "--store: this is no connection URL; write postgresql://user@host:5432/database, with "
            "special characters in user and password percent-encoded"
        ) from error
    return {**_LINK, **given}


def place(url: str) -> str:
    """Host and database, for people: without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{host or 'the local socket'}/{unquote(parts.path.lstrip('/'))}"


async def connect(arguments: dict[str, Any]) -> Connection:
    """A connection of its own, checked and set. Raises `Misconfigured`, `StoreUnavailable`."""
    with opening():
        connection: Connection = await AsyncConnection.connect(**arguments, autocommit=True)
    try:
        await prepare(connection)
        await _warn(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def prepare(connection: Connection) -> None:
    """Check the server and set the session; on every new connection, as somebody may change
    the server's settings while we run. Raises `Misconfigured`."""
    with opening():
        await _check(connection)
        settings = [text for pair in _SESSION.items() for text in pair]
        calls = ", ".join(["set_config(%s, %s, false)"] * len(_SESSION))
        await connection.execute(f"SELECT {calls}".encode(), settings)
        await _choose_schema(connection)


async def _check(connection: Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_MAJOR:
        raise Misconfigured(
            f"--store: PostgreSQL {version} is too old; this needs {OLDEST_MAJOR} or newer"
        )
    if await _setting(connection, "server_encoding") != "UTF8":
        raise Misconfigured("--store: the database must be of encoding UTF8 (createdb -E UTF8)")
    level = await _setting(connection, "synchronous_commit")
    if level == "off":
        raise Misconfigured(
            "--store: synchronous_commit is off: PostgreSQL would acknowledge commits that a crash "
            "then loses, and pages would be lost with them. Set it to on, for the role or the "
            "database: ALTER DATABASE … SET synchronous_commit = on"
        )
    # Kept for the session: a change of the server's configuration must not take it away.
    await connection.execute("SELECT set_config('synchronous_commit', %s, false)", (level,))


async def _warn(connection: Connection) -> None:
    for name in ("fsync", "full_page_writes"):
        if await _setting(connection, name) == "off":
            log.warning("the database may lose commits when its machine crashes", setting=name)


async def _setting(connection: Connection, name: str) -> str:
    row = await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchone()
    assert row is not None
    return str(row[0])


async def _choose_schema(connection: Connection) -> None:
    """Ours, unless the URL, the role or the database names a search path."""
    if await _setting(connection, "search_path") == '"$user", public':
        await connection.execute("SELECT set_config('search_path', %s, false)", (DEFAULT_SCHEMA,))
