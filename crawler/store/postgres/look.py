"""What a server and its database are like, read on a connection that is not ours to work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

from crawler.store.postgres import schema, server
from crawler.store.postgres.faults import opening

_FACTS = (
    "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,"
    " current_setting('server_encoding'), current_setting('synchronous_commit'),"
    " current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',"
    " pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend'), current_setting('max_connections')::int,"
    " pg_database_size(current_database()), extract(epoch FROM clock_timestamp())::float8"
)
_NAMES = (
    "version", "major", "encoding", "synchronous_commit", "fsync", "full_page_writes",
    "standby", "connections", "max_connections", "size_bytes", "now",
)  # fmt: skip


async def look_at_server(url: str) -> Mapping[str, Any]:
    """Settings under their own names, besides ``version``, ``major``, ``encoding``, ``standby``
    (it is one), ``connections`` (those of clients now), ``now`` (its clock, Unix seconds),
    ``schema`` with ``since`` (the oldest version that can use it) and ``newest`` (the one that we
    know)."""
    with opening():
        connection = await AsyncConnection.connect(**server.parse_url(url), autocommit=True)
        async with connection, server.soon():
            row = await (await connection.execute(_FACTS.encode())).fetchone()
            assert row is not None
            await server.choose_schema(connection)
            found = await schema.standing(connection)
    known: dict[str, Any] = {"id": None, "schema": 0, "since": 0}
    if found is not None:
        known = {"id": found[0], "schema": found[1].reached, "since": found[1].since}
    about = {"backend": "postgresql", "newest": schema.VERSION, "oldest_major": server.OLDEST_MAJOR}
    return {**dict(zip(_NAMES, row, strict=True)), **known, **about}
