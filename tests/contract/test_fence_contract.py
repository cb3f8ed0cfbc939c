"""What masters need of the database, held by the real store and by the fake alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.errors import Conflict, Fenced
from crawler.master.fence import Fence, Memo
from crawler.master.refill import as_memo
from crawler.model import Failures, Keep, Retried, Stamp
from crawler.store import open_store
from tests.fakes.fence import MemoryFence

ONE = Memo("1", "a", 5, None, "running", 1)
TWO = Memo("2", "b", 6, '{"x":1}', "paused", 2)


@pytest.fixture(params=["memory", "sqlite"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fence]:
    if request.param == "memory":
        yield MemoryFence()
        return
    store = await open_store(f"sqlite:///{tmp_path / 'crawl.db'}", SystemClock())
    yield store
    await store.close()


async def remembered(fence: Fence) -> list[Memo]:
    return sorted(map(as_memo, await fence.mirrored()), key=lambda memo: memo.id)


async def test_an_epoch_is_opened_once_and_a_new_uuid_rises(opened: Fence) -> None:
    first = await opened.open_epoch("x", 10)
    assert await opened.open_epoch("x", 10) == first
    assert await opened.open_epoch("y", 3) > first
    assert opened.id


async def test_an_etcd_that_went_back_is_noticed(opened: Fence) -> None:
    await opened.open_epoch("x", 10)
    with pytest.raises(Conflict):
        await opened.open_epoch("x", 9)
    await opened.open_epoch("y", 3)
    with pytest.raises(Conflict):
        await opened.open_epoch("x", 11)


async def test_resources_are_remembered_as_last_told(opened: Fence) -> None:
    await opened.mirror((ONE, TWO))
    assert await remembered(opened) == [ONE, TWO]
    paused = Memo("1", "a", 5, "{}", "paused", 1)
    await opened.mirror((paused,))
    assert await remembered(opened) == [paused, TWO]
    await opened.mirror(())


async def test_what_is_buried_stays_buried(opened: Fence) -> None:
    await opened.mirror((ONE, TWO))
    await opened.bury("1")
    await opened.bury("1")
    await opened.mirror((ONE,))
    assert await remembered(opened) == [TWO]
    await opened.bury("never seen")


async def test_a_fence_may_be_raised_again_and_before_any_claim(opened: Fence) -> None:
    await opened.open_epoch("x", 10)
    for revision in (12, 12, 11):
        await opened.raise_fence(Stamp("x", "1", 0, revision))


async def test_nothing_is_tried_again_or_let_go_of_what_was_never_claimed(opened: Fence) -> None:
    await opened.open_epoch("x", 10)
    await opened.mirror((ONE,))
    assert await opened.progress(["1"]) == {}
    assert list(await opened.failed("1", 1, Failures())) == []
    assert await opened.retry(Stamp("x", "1", 0, 10), 1, []) == Retried(0, open=False)
    assert not await opened.trim("1", Keep(1, 1, 1), 100)


async def test_a_retry_under_an_older_word_is_fenced(opened: Fence) -> None:
    await opened.open_epoch("x", 10)
    await opened.mirror((ONE,))
    await opened.raise_fence(Stamp("x", "1", 0, 12))
    with pytest.raises(Fenced):
        await opened.retry(Stamp("x", "1", 0, 11), 1, [])
    assert (await opened.retry(Stamp("x", "1", 0, 12), 1, [])).pages == 0
