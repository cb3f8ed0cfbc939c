"""Makes a database file and brings older ones forward."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from crawler.errors import Misconfigured
from crawler.store import statements
from crawler.store.versions import Level, is_behind

log = structlog.get_logger(__name__)

APPLICATION_ID = 0x63726177  # "craw": tells our files from other SQLite databases
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_MIGRATIONS = statements.migrations("sqlite")
VERSION = max(_MIGRATIONS)
_SINCE = _MIGRATIONS[VERSION].since
_LEDGER = statements.statements("sqlite", "ledger")


def prepare_file(path: Path) -> None:
    """Create the file with mode 0600, where none is.

    Never opens a file that exists: closing it would drop the POSIX locks that SQLite holds in
    this process (sqlite.org/howtocorrupt.html, section 2.2). Raises `Misconfigured`.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise Misconfigured(f"SQLite {sqlite3.sqlite_version} is too old; this needs 3.37 or newer")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise Misconfigured(f"--store: {path}: {error.strerror}") from error


def take_rights(path: Path) -> None:
    """Take the rights of others from a file that is known as ours. Raises `Misconfigured`."""
    try:
        for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            with suppress(FileNotFoundError):
                if each.stat().st_mode & 0o077:
                    each.chmod(0o600)
    except OSError as error:
        raise Misconfigured(f"--store: {path}: {error.strerror}") from error


def refuse_foreign(connection: sqlite3.Connection) -> None:
    """Raise `Misconfigured` for a file of somebody else; to be called before anything is changed,
    and the journal's mode stays with a file."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise Misconfigured("--store: the file is a database of another program")


def level_of(connection: sqlite3.Connection) -> Level:
    """How far the schema of the file is; 0 for an empty one. Raises `Misconfigured` for a file of
    somebody else."""
    refuse_foreign(connection)
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == 0 or not connection.execute(_LEDGER["says_reached"]).fetchone()[0]:
        return Level.read(version, None)
    return Level.read(version, connection.execute(_LEDGER["select_reached"]).fetchone()[0])


def needs_migration(connection: sqlite3.Connection) -> bool:
    """Whether the schema is not as far as `VERSION`. Raises `Misconfigured` for a file of somebody
    else, and for a schema that this version cannot use."""
    return is_behind(level_of(connection), VERSION)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to `VERSION`, if it is not as far; inside the caller's write transaction, so
    all or nothing."""
    found = level_of(connection)
    if not is_behind(found, VERSION):
        return
    if found.reached == 0:
        run_script(connection, statements.schema("sqlite"))
        connection.execute(_LEDGER["insert_store_id"], (str(uuid.uuid4()),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        for version, migration in _MIGRATIONS.items():
            if version > found.reached:
                run_script(connection, migration.script)
    level = found.brought_to(VERSION, _SINCE)
    connection.execute(_LEDGER["set_reached"], (level.reached,))
    connection.execute(f"PRAGMA user_version = {level.since}")
    log.info("schema ready", found=found.reached, version=level.reached, since=level.since)


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Execute the statements one by one: sqlite3's executescript would commit before."""
    for statement in _split(script):
        connection.execute(statement)


def _split(script: str) -> Iterator[str]:
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""
