"""What is kept on disk: found again, bounded, and noticed where it is spoilt."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.cache.answers import Stored
from crawler.cache.fields import Fields
from crawler.cache.shelf import Shelf, Space
from crawler.clock import SystemClock
from crawler.errors import Misconfigured

MIB = 1 << 20


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    opened = Shelf(Space(tmp_path, MIB), SystemClock())
    yield opened
    opened.close()


async def keep(shelf: Shelf, url: str, content: bytes, came_at: float = 1.0) -> Stored:
    spool = shelf.spool()
    await spool.feed(content)
    body = await spool.finish()
    assert body is not None
    stored = Stored(
        url, 200, Fields((("ETag", '"é"'),)), Fields(), came_at, came_at, body.hash, body.size
    )
    assert await shelf.put(stored, body)
    return stored


async def content_of(shelf: Shelf, url: str) -> bytes | None:
    stored = await shelf.find(url, Fields())
    pieces = None if stored is None else await shelf.open(stored)
    return None if pieces is None else b"".join([piece async for piece in pieces])


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "bodies").glob("**/*") if path.is_file()]


async def test_what_is_kept_is_found_again_by_another_process(tmp_path: Path) -> None:
    content = os.urandom(1 << 19)  # more than is held in memory
    space = Space(tmp_path, 4 * MIB)
    first, again = Shelf(space, SystemClock()), Shelf(space, SystemClock())
    stored = await keep(first, "http://a/", content)
    first.close()
    assert await again.find("http://a/", Fields()) == stored
    assert await content_of(again, "http://a/") == content
    again.close()


async def test_equal_bodies_are_kept_once(shelf: Shelf, tmp_path: Path) -> None:
    await keep(shelf, "http://a/", b"page" * 1000)
    await keep(shelf, "http://b/", b"page" * 1000)
    (only,) = files(tmp_path)
    assert only.stat().st_size < 200
    await shelf.drop(["http://a/"])
    assert await content_of(shelf, "http://b/") == b"page" * 1000
    await shelf.drop(["http://b/"])
    assert files(tmp_path) == []
    assert await shelf.size() == (0, 0)


async def test_equal_bodies_may_come_and_go_at_once(shelf: Shelf) -> None:
    async def come_and_go() -> None:
        for _ in range(15):
            await keep(shelf, "http://a/", b"page")
            await shelf.drop(["http://a/"])

    async def stay() -> None:
        for number in range(15):
            url = f"http://b/{number}"
            await keep(shelf, url, b"page")
            assert await content_of(shelf, url) == b"page"
            await shelf.drop([url])

    await asyncio.gather(come_and_go(), stay())
    assert await shelf.size() == (0, 0)


async def test_a_freshened_answer_keeps_its_body(shelf: Shelf) -> None:
    stored = await keep(shelf, "http://a/", b"page")
    before = await shelf.size()
    assert await shelf.put(stored)
    assert await shelf.size() == before
    assert await content_of(shelf, "http://a/") == b"page"


async def test_what_was_not_used_for_the_longest_time_goes_first(
    shelf: Shelf, tmp_path: Path
) -> None:
    for number in range(40):
        await keep(shelf, f"http://a/{number}", os.urandom(50_000))
    assert await shelf.find("http://a/0", Fields()) is None
    assert await content_of(shelf, "http://a/39") is not None
    answers, size = await shelf.size()
    assert size <= MIB
    assert len(files(tmp_path)) == answers < 40


async def test_no_more_goes_than_has_to(shelf: Shelf) -> None:
    for number in range(6):
        await keep(shelf, f"http://a/{number}", os.urandom(200_000))
    answers, _ = await shelf.size()
    assert answers == 5
    assert await content_of(shelf, "http://a/5") is not None


async def test_what_is_evicted_is_read_to_its_end(shelf: Shelf) -> None:
    content = os.urandom(200_000)
    pieces = await shelf.open(await keep(shelf, "http://a/", content))
    assert pieces is not None
    found = await anext(pieces)
    for number in range(6):
        await keep(shelf, f"http://b/{number}", os.urandom(200_000))
    assert await shelf.find("http://a/", Fields()) is None
    async for piece in pieces:
        found += piece
    assert found == content


async def test_a_body_does_not_stay_where_the_index_has_no_room(
    shelf: Shelf, tmp_path: Path
) -> None:
    """Once the body is there, writing down whose it is fails as on a full disk."""
    await keep(shelf, "http://a/", b"page")
    kept = files(tmp_path)
    with sqlite3.connect(tmp_path / "index.db") as other:
        other.execute("DROP TABLE total")
    other.close()
    for content in (b"page", b"another page"):
        spool = shelf.spool()
        await spool.feed(content)
        body = await spool.finish()
        assert body is not None
        stored = Stored("http://b/", 200, Fields(), Fields(), 1.0, 1.0, body.hash, body.size)
        assert not await shelf.put(stored, body)
        await spool.discard()
    assert files(tmp_path) == kept


async def test_writers_of_one_url_leave_one_answer(tmp_path: Path) -> None:
    """Also those of several processes."""
    space = Space(tmp_path, MIB)
    shelves = [Shelf(space, SystemClock()) for _ in range(2)]
    contents = [os.urandom(1000) for _ in range(20)]
    await asyncio.gather(
        *(keep(shelves[at % 2], "http://a/", each) for at, each in enumerate(contents))
    )
    assert await content_of(shelves[0], "http://a/") in contents
    assert (await shelves[1].size())[0] == len(files(tmp_path)) == 1
    for each in shelves:
        each.close()


async def test_what_is_too_large_is_not_kept(shelf: Shelf, tmp_path: Path) -> None:
    spool = shelf.spool()
    for _ in range(9):
        await spool.feed(os.urandom(100_000))
    assert await spool.finish() is None
    assert files(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "other"])
async def test_a_spoilt_body_is_a_miss(shelf: Shelf, tmp_path: Path, damage: str) -> None:
    await keep(shelf, "http://a/", os.urandom(1000))
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(whole[:-7])
    elif damage == "changed":
        path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    else:
        await keep(shelf, "http://b/", b"another page")
        other = next(each for each in files(tmp_path) if each != path)
        path.write_bytes(other.read_bytes())
    assert await content_of(shelf, "http://a/") is None
    assert await shelf.find("http://a/", Fields()) is None
    await keep(shelf, "http://a/", b"again")
    assert await content_of(shelf, "http://a/") == b"again"


async def test_a_spoilt_index_is_begun_anew(shelf: Shelf, tmp_path: Path) -> None:
    await keep(shelf, "http://a/", b"page")
    shelf.close()
    (tmp_path / "index.db").write_bytes(b"no database" * 1000)
    again = Shelf(Space(tmp_path, MIB), SystemClock())
    assert await again.find("http://a/", Fields()) is None
    await keep(again, "http://a/", b"page")
    assert await content_of(again, "http://a/") == b"page"
    again.close()


async def test_processes_go_on_with_the_same_index_where_one_begins_it_anew(
    tmp_path: Path,
) -> None:
    space = Space(tmp_path, MIB)
    one, other = Shelf(space, SystemClock()), Shelf(space, SystemClock())
    await keep(one, "http://a/", b"page")
    (tmp_path / "index.db").write_bytes(b"no database" * 1000)
    await one.size()  # by which it notices
    await keep(one, "http://b/", b"page")
    await keep(other, "http://c/", b"page")
    for shelf in (one, other):
        assert (await shelf.size())[0] == 2
        assert await content_of(shelf, "http://c/") == b"page"
        shelf.close()


async def test_who_is_served_waits_for_nobody_who_writes(shelf: Shelf, tmp_path: Path) -> None:
    await keep(shelf, "http://a/", b"page", SystemClock().wall())
    with sqlite3.connect(tmp_path / "index.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await content_of(shelf, "http://a/") == b"page"
        other.execute("ROLLBACK")
    other.close()


WRITING = """
import asyncio, os, sys
from pathlib import Path
from crawler.cache.shelf import Shelf, Space
from crawler.clock import SystemClock
sys.path.insert(0, str(Path(sys.argv[2])))
from test_cache_shelf import keep
async def run():
    shelf = Shelf(Space(Path(sys.argv[1]), 1 << 30), SystemClock())
    number = 0
    while True:
        await keep(shelf, f"http://a/{number}", os.urandom(400_000))
        number += 1
        print(number, flush=True)
asyncio.run(run())
"""


def write_until_killed(folder: Path, answers: int) -> None:
    arguments = [sys.executable, "-c", WRITING, str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        for _ in range(answers):
            assert writing.stdout.readline()
        writing.kill()


async def test_a_kill_in_the_middle_leaves_whole_answers_only(tmp_path: Path) -> None:
    await asyncio.to_thread(write_until_killed, tmp_path, 5)
    shelf = Shelf(Space(tmp_path, 1 << 30), SystemClock())
    for number in range(5):
        content = await content_of(shelf, f"http://a/{number}")
        assert content is not None
        assert len(content) == 400_000
    old = time.time() - 3600
    for path in files(tmp_path):
        os.utime(path, (old, old))
    await shelf.sweep()
    answers, _ = await shelf.size()
    assert len(files(tmp_path)) == answers
    shelf.close()


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="proxy_data"):
        Shelf(Space(tmp_path / "file", MIB), SystemClock())
