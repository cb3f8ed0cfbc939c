"""The store room: what a crawl must not lose. `open_store` is its door."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from crawler.clock import Clock
from crawler.errors import Misconfigured
from crawler.store.contract import Store
from crawler.store.sqlite.store import open_sqlite

__all__ = ["LOCKED_FOR_S", "open_store", "sqlite_path"]

LOCKED_FOR_S = 5.0


async def open_store(
    url: str, clock: Clock, *, locked_for_s: float = LOCKED_FOR_S, name: str = "crawler"
) -> Store:
    """Open the database at ``url``, creating or migrating its schema.

    ``sqlite:///absolute/path`` names a file on this machine; its directory is created.
    ``postgresql://user@host:5432/database`` is a URL as libpq reads it, password files and TLS
    included; the tables stand in the schema ``crawler`` unless a search path is set.
    ``locked_for_s`` bounds the wait for other writers. ``name`` is what a database server calls the
    sessions, unless the URL or ``PGAPPNAME`` names them. Raises `Misconfigured` for a URL or a
    file that cannot be used, `StoreUnavailable` where waiting may help.
    """
    scheme, _, _ = url.partition("://")
    if scheme == "sqlite":
        return await open_sqlite(sqlite_path(url), clock, locked_for_s=locked_for_s)
    if scheme in {"postgresql", "postgres"}:
        # Its driver takes longer to load than a small crawl on SQLite takes.
        from crawler.store.postgres.store import open_postgres

        return await open_postgres(url, clock, locked_for_s=locked_for_s, name=name)
    raise Misconfigured(
        "--store: expected sqlite:///path or postgresql://user@host/database, "
        f"got a URL of scheme {scheme!r}"
    )


def sqlite_path(url: str) -> Path:
    """The file that ``sqlite:///absolute/path`` names. Raises `Misconfigured`."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise Misconfigured(
            f"--store: {url!r} names no file; write three slashes and the absolute path, "
            "as in sqlite:///var/lib/crawler/store.db"
        )
    return Path("/" + path.lstrip("/"))
