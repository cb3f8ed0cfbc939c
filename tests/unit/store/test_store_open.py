"""The door: which URLs and files are taken, with which rights, and what is said otherwise."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.errors import Misconfigured
from crawler.model import Event
from crawler.store import open_store, statements
from crawler.store.sqlite import schema

CLOCK = SystemClock()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://user:se%cret@host/db", "percent-encoded"),
        ("mysql://host/db", "mysql"),
        ("/path/store.db", "sqlite:///path"),
        ("sqlite://store.db", "absolute path"),
        ("sqlite://host/store.db", "absolute path"),
        ("sqlite:///", "absolute path"),
        ("sqlite:///tmp/", "absolute path"),
        ("sqlite:///a%00b", "absolute path"),
        ("", "sqlite:///path"),
    ],
)
async def test_urls_that_name_no_file_are_refused(url: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        await open_store(url, CLOCK)


@pytest.mark.threat(27)
async def test_files_belong_to_their_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dir" / "a store.db"
    store = await open_store(f"sqlite://{tmp_path}/new/dir/a%20store.db", CLOCK)
    await store.open_epoch("c", 1)
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes.pop("a store.db-claims", 0o700) == 0o700
    assert modes == dict.fromkeys(["a store.db", "a store.db-wal", "a store.db-shm"], 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await store.close()


@pytest.mark.threat(27)
async def test_rights_of_others_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(0o644)
    os.chmod(path, 0o644)
    await (await open_store(f"sqlite://{path}", CLOCK)).close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_foreign_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but somebody's notes " * 100)
    text.chmod(0o644)
    with pytest.raises(Misconfigured, match=r"notes\.txt.*not a database"):
        await open_store(f"sqlite://{text}", CLOCK)
    assert text.stat().st_mode & 0o777 == 0o644
    assert text.read_text().startswith("not a database, but")
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    foreign.chmod(0o644)
    before = foreign.read_bytes()
    with pytest.raises(Misconfigured, match="another program"):
        await open_store(f"sqlite://{foreign}", CLOCK)
    assert foreign.stat().st_mode & 0o777 == 0o644
    assert foreign.read_bytes() == before


async def test_a_newer_schema_serves_those_who_can_use_it(tmp_path: Path) -> None:
    """First one to which something was added, then one that something was taken from."""
    file = tmp_path / "store.db"
    first = await open_store(f"sqlite://{file}", CLOCK)
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE events ADD COLUMN later TEXT NOT NULL DEFAULT ''")
        connection.execute(f"UPDATE store SET reached = {schema.VERSION + 7}")
    older = await open_store(f"sqlite://{file}", CLOCK)
    assert (await older.check())["schema"] == schema.VERSION + 7
    for store in (first, older):
        await store.note([("1", Event(0, 1.0, "moved", "", "w"))])
        await store.close()
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(Misconfigured, match="newer program"):
        await open_store(f"sqlite://{file}", CLOCK)


@pytest.mark.parametrize("left", [2, 3])
async def test_a_schema_that_does_not_say_how_far_it_is_is_brought_forward(
    tmp_path: Path, left: int
) -> None:
    """As the programs before this rule left it, who can use it afterwards, too."""
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as connection:
        for version in range(1, left + 1):
            schema.run_script(connection, statements.migrations("sqlite")[version].script)
        connection.execute("INSERT INTO store (id) VALUES ('u')")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {left}")
    store = await open_store(f"sqlite://{file}", CLOCK)
    assert (await store.check())["schema"] == schema.VERSION
    await store.close()
    assert connection.execute("PRAGMA user_version").fetchone()[0] == left
    connection.close()


async def test_directories_and_impossible_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "store.db"):
        with pytest.raises(Misconfigured):
            await open_store(f"sqlite://{path}", CLOCK)


async def test_opened_together_and_again_it_is_one_store(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/store.db"
    stores = await asyncio.gather(*(open_store(url, CLOCK) for _ in range(4)))
    again = await open_store(url, CLOCK)
    assert len({store.id for store in (*stores, again)}) == 1
    for store in (*stores, again):
        await store.close()


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    store = await open_store(f"sqlite://{tmp_path}/store.db", CLOCK)
    assert (await store.check())["schema"] == schema.VERSION
    await store.close()


async def test_settings_are_durable_ones(tmp_path: Path) -> None:
    store = await open_store(f"sqlite://{tmp_path}/store.db", CLOCK)
    writer = store._writer  # type: ignore[attr-defined]
    names = ("journal_mode", "synchronous", "wal_autocheckpoint")
    found = await writer.read(
        lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    )
    assert found == ["wal", 2, 0]
    await store.close()
