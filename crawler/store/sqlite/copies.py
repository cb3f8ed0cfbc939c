"""A copy of a database file that others are writing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from crawler.errors import StoreUnavailable
from crawler.store import statements
from crawler.store.sqlite.faults import foreign_errors

_SQL = statements.statements("sqlite", "ledger")


def copy(path: Path, target: Path) -> Path:
    """Write one moment of ``path`` to a new file, and see that it can be read.

    Read only and in one step (sqlite.org/backup.html): writers go on, in the log behind it.
    """
    with foreign_errors():
        target.touch(mode=0o600, exist_ok=False)
        with (
            closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as made,
        ):
            source.backup(made)
            # The copy is one file, without a log of its own beside it.
            made.execute("PRAGMA journal_mode = DELETE")
            (said,) = made.execute("PRAGMA quick_check").fetchone()
    if said != "ok":
        raise StoreUnavailable(f"the copy of {path} is damaged, and so may {path} be: {said}")
    settle(target)
    return target


def retire_epochs(path: Path) -> None:
    """In a copy that nobody uses yet."""
    with foreign_errors(), closing(sqlite3.connect(path)) as connection, connection:
        for name in ("retire_epochs", "close_all_fences"):
            connection.execute(_SQL[name])


def settle(path: Path) -> None:
    """Return once a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
