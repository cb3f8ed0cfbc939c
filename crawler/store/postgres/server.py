"""The server behind a URL: how a connection to it is made, and what it must be set to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from crawler.errors import Hindered, Misconfigured, StoreUnavailable
from crawler.store.postgres.faults import foreign_errors, opening

log = structlog.get_logger(__name__)

OLDEST_MAJOR = 14
DEFAULT_SCHEMA = "crawler"
_DURABLE = "synchronous_commit"
CONNECT_S = 5

Connection = AsyncConnection[tuple[Any, ...]]
Step = Callable[[Connection], Awaitable[None]]

# libpq's (postgresql.org/docs/current/libpq-connect.html): whoever gets no acknowledgement for ten
# seconds, or no answer to three probes, is told so. A URL may say otherwise.
_LINK = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
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
    "default_transaction_isolation": "read committed",
    "jit": "off",
}


def parse_url(url: str, name: str = "crawler") -> dict[str, Any]:
    """Arguments of a connection, from ``postgresql://…`` as libpq reads it. `Misconfigured`.

    ``name`` is what its sessions are called (``application_name``) unless the URL or the variable
    ``PGAPPNAME`` calls them otherwise.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # libpq repeats what it could not read, and that may hold the password.
        raise Misconfigured(
            "--store: this is no connection URL; write postgresql://user@host:5432/database, with "
            "special characters in user and password percent-encoded"
        ) from error
    return {
        **_LINK,
        "fallback_application_name": name,
        **given,
        "client_encoding": "UTF8",
    }


def place(url: str) -> str:
    """Host and database, for people: without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{host or 'the local socket'}/{unquote(parts.path.lstrip('/'))}"


async def connect(arguments: dict[str, Any]) -> Connection:
    """A first connection: the server is checked. Raises `Misconfigured`, `StoreUnavailable`."""
    with opening():
        return await _connect(arguments, _check, _set, _warn)


async def redial(arguments: dict[str, Any]) -> Connection:
    """One more connection. The server was good when the store was opened: what is wrong with it
    now, somebody may mend. Raises `StoreUnavailable`."""
    with foreign_errors():
        return await _connect(arguments, _keep_durable, _set)


async def _connect(arguments: dict[str, Any], *steps: Step) -> Connection:
    connection: Connection = await AsyncConnection.connect(**arguments, autocommit=True)
    try:
        async with soon():
            for step in steps:
                await step(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


@asynccontextmanager
async def soon() -> AsyncIterator[None]:
    """For questions that a server answers at once: raises `StoreUnavailable` after `CONNECT_S`. A
    link that lives, through a proxy, may lead to a server that died, and then nothing else ends."""
    try:
        async with asyncio.timeout(CONNECT_S):
            yield
    except TimeoutError as error:
        raise StoreUnavailable("the database does not answer") from error


async def _set(connection: Connection) -> None:
    settings = [text for pair in _SESSION.items() for text in pair]
    calls = ", ".join(["set_config(%s, %s, false)"] * len(_SESSION))
    await connection.execute(f"SELECT {calls}".encode(), settings)
    await choose_schema(connection)


async def _check(connection: Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_MAJOR:
        raise Misconfigured(
            f"--store: PostgreSQL {version} is too old; this needs {OLDEST_MAJOR} or newer"
        )
    if await _setting(connection, "server_encoding") != "UTF8":
        raise Misconfigured("--store: the database must be of encoding UTF8 (createdb -E UTF8)")
    if await _setting(connection, _DURABLE) == "off":
        raise Hindered(
            "--store: synchronous_commit is off: PostgreSQL would acknowledge commits that a crash "
            "then loses, and pages would be lost with them. Set it to on, for the role or the "
            "database: ALTER DATABASE … SET synchronous_commit = on"
        )


async def _keep_durable(connection: Connection) -> None:
    """For the session, which a change of the server's configuration then does not reach. What was
    switched off after the store was opened stays on for us."""
    level = await _setting(connection, _DURABLE)
    if level == "off":
        log.warning("the database would lose commits; this session keeps them", setting=_DURABLE)
    kept = "on" if level == "off" else level
    await connection.execute("SELECT set_config(%s, %s, false)", (_DURABLE, kept))


async def _warn(connection: Connection) -> None:
    for name in ("fsync", "full_page_writes"):
        if await _setting(connection, name) == "off":
            log.warning("the database may lose commits when its machine crashes", setting=name)


async def _setting(connection: Connection, name: str) -> str:
    row = await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchone()
    assert row is not None
    return str(row[0])


async def choose_schema(connection: Connection) -> None:
    """Ours, unless the URL, the role or the database names a search path."""
    if await _setting(connection, "search_path") == '"$user", public':
        await connection.execute("SELECT set_config('search_path', %s, false)", (DEFAULT_SCHEMA,))
