"""A copy that is put back meets whoever worked with what came after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.errors import Fenced, StoreUnavailable
from crawler.store import open_store
from crawler.store.copies import restore_copy, save_copy
from tests.contract.rows import done, job, request, seeded, stamp, urls
from tests.postgres_server import PostgresServer

PAGE, LINK = request(""), request("a")


async def test_nobody_of_before_writes_into_what_was_restored(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.fresh_url()
    store = await open_store(url, SystemClock())
    try:
        old = await seeded(store, PAGE)
        copy = await save_copy(url, tmp_path)
        await old.commit([done(PAGE, LINK)])  # the copy knows nothing of the link
        lose = f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE"
        postgres.sql(lose)

        whole = copy.read_bytes()
        copy.write_bytes(whole[: len(whole) * 3 // 4])
        with pytest.raises(StoreUnavailable, match="pg_restore failed: "):
            await restore_copy(copy, url)
        copy.write_bytes(whole)
        await restore_copy(copy, url)  # nothing was left of the half one

        with pytest.raises(Fenced):
            await old.commit([done(LINK)])
        for revision in (10, 11):
            with pytest.raises(Fenced):
                await store.claim(stamp(revision), job())
        await store.open_epoch("fresh", 1)
        new = await store.claim(stamp(2, cluster="fresh"), job())
        assert await urls(new) == [PAGE.url]
    finally:
        await store.close()
