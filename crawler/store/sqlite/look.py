"""What a database file is like, read without a right to write."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from crawler.errors import NotFound, StoreUnavailable
from crawler.store.sqlite import ledger, schema


def look_at_file(path: Path) -> Mapping[str, Any]:
    """``schema`` with ``since`` (the oldest version that can use it) and ``newest`` (the one that
    we know), ``journal`` (its mode), sizes of file and log and the free disk in bytes. Blocks."""
    if not path.is_file():
        raise NotFound(f"{path}: there is no database yet")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2.0)) as found:
            level = schema.level_of(found)
            facts = {
                "backend": "sqlite",
                "id": ledger.store_id(found) if level.reached else None,
                "schema": level.reached,
                "since": level.since,
                "newest": schema.VERSION,
                "version": sqlite3.sqlite_version,
                "journal": str(found.execute("PRAGMA journal_mode").fetchone()[0]),
            }
        disk = os.statvfs(path)
        log = Path(f"{path}-wal")
        log_bytes = log.stat().st_size if log.exists() else 0
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"{path}: {error}") from error
    sizes = {"size_bytes": path.stat().st_size, "log_bytes": log_bytes}
    return {**facts, **sizes, "disk_free_bytes": disk.f_bavail * disk.f_frsize}
