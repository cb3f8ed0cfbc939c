"""Turns what sqlite3 raises into our errors: the border of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from crawler.errors import CrawlerError, StoreUnavailable

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_SENTENCES = {
    **dict.fromkeys(_BUSY, "the database is in use by another process that does not finish"),
    sqlite3.SQLITE_FULL: "no space is left for the database",
    sqlite3.SQLITE_IOERR: "the disk of the database failed",
    sqlite3.SQLITE_READONLY: "the database cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    sqlite3.SQLITE_NOMEM: "memory ran out in the database",
    sqlite3.SQLITE_INTERRUPT: "the database call was interrupted",
    sqlite3.SQLITE_PERM: "the database may not be used by this user",
    sqlite3.SQLITE_AUTH: "the database may not be used by this user",
    sqlite3.SQLITE_SCHEMA: "the schema changed under the call",
}


def code_of(error: sqlite3.Error) -> int:
    """The primary result code (sqlite.org/rescode.html); 0 where sqlite3 itself objects."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection is in the way, so that waiting helps."""
    return code_of(error) in _BUSY


def translated(error: sqlite3.Error) -> CrawlerError | None:
    """Our error for the state of the database; None for a mistake of ours in using it."""
    sentence = _SENTENCES.get(code_of(error))
    return None if sentence is None else StoreUnavailable(f"{sentence} ({error})")


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Raise ours for theirs. Mistakes of ours (a wrong statement) pass as they are: a retry
    would not mend them."""
    try:
        yield
    except sqlite3.Error as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
