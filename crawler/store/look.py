"""A look at a database that changes nothing: no schema is made, no setting is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from crawler.errors import Misconfigured
from crawler.store import sqlite_path
from crawler.store.sqlite.look import look_at_file


async def look_at(url: str) -> Mapping[str, Any]:
    """What stands at ``url``, by name: ``backend`` and ``id`` (None: no schema of ours) always, the
    rest as `look_at_file` and `look_at_server` say. Raises `NotFound`, `StoreUnavailable`,
    `Misconfigured`."""
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return await asyncio.to_thread(look_at_file, sqlite_path(url))
    if scheme in {"postgresql", "postgres"}:
        from crawler.store.postgres.look import look_at_server  # psycopg takes a while to load

        return await look_at_server(url)
    raise Misconfigured(f"--store: a URL of scheme {scheme!r} is no store of ours")
