"""Copies of a whole store: made while nodes work with it, and put back where there is none."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from crawler.errors import Conflict, Misconfigured, NotFound
from crawler.store import sqlite_path
from crawler.store.look import look_at

_SQLITE, _POSTGRESQL = "store.db", "store.dump"


async def save_copy(url: str, folder: Path) -> Path:
    """Write what stands at ``url``, as it is at one moment, into the folder; the file.

    Nobody is held up by it. Raises `NotFound` where there is no store of ours, `StoreUnavailable`,
    `Misconfigured` (also where a program that it needs is missing).
    """
    found = await look_at(url)
    if found["id"] is None:
        raise NotFound("--store: there is nothing of ours in that database")
    if found["backend"] == "postgresql":
        from crawler.store.postgres.copies import dump

        return await dump(url, folder / _POSTGRESQL)
    from crawler.store.sqlite.copies import copy

    return await asyncio.to_thread(copy, sqlite_path(url), folder / _SQLITE)


async def restore_copy(file: Path, url: str) -> None:
    """Put a copy where there is no store yet: all of it or, where this raises, nothing. Claims of
    before count no more.

    Raises `Conflict` where one is, or where the copy is of the other backend; `Misconfigured` where
    it cannot be written.
    """
    wanted = _POSTGRESQL if url.startswith("postgres") else _SQLITE
    if file.name != wanted:
        other = "PostgreSQL" if file.name == _POSTGRESQL else "SQLite"
        raise Conflict(f"--store: this is a copy of {other}; it cannot be put anywhere else")
    try:
        found = await look_at(url)
    except NotFound:
        found = {"id": None}
    if found["id"] is not None:
        raise Conflict("--store: there is a store already; a copy is put where there is none")
    if wanted == _POSTGRESQL:
        from crawler.store.postgres.copies import undump

        await undump(file, url)
        return
    path = sqlite_path(url)
    try:
        await asyncio.to_thread(_put, file, path)
    except OSError as error:
        raise Misconfigured(f"--store: {path}: {error.strerror}") from error


def _put(file: Path, path: Path) -> None:
    """Whole or not at all: under its name it appears when it is complete."""
    if path.exists() or path.with_name(f"{path.name}-wal").exists():
        raise Conflict(f"{path}: there is something already; move it away, with {path.name}-wal")
    from crawler.store.sqlite.copies import retire_epochs, settle

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.restored")
    shutil.copyfile(file, staged)
    staged.chmod(0o600)
    retire_epochs(staged)
    if os.geteuid() == 0:  # who restores; who works there is whose directory it is
        owner = path.parent.stat()
        os.chown(staged, owner.st_uid, owner.st_gid)
    settle(staged)
    staged.replace(path)
    settle(path.parent)
