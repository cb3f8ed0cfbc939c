"""What is recorded of a real etcd and a real PostgreSQL, and that it shows what it must show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings, delete, put
from crawler.errors import Compacted
from crawler.model import Item
from crawler.store import open_store
from crawler.store.contract import Store
from tests.acceptance.chaos.history import Commit, EtcdWrite, ItemRow, PageRow
from tests.acceptance.chaos.ownership import check_tokens
from tests.acceptance.chaos.recorders import (
    EtcdRecorder,
    install_log,
    read_commits,
    read_items,
    read_pages,
)
from tests.contract.rows import RESOURCE, claimed, done, request
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

ONE, TWO = "worker-1", "worker-2"
LIMIT_S = 15.0


@pytest.fixture
async def client(etcd: EtcdServer) -> AsyncIterator[Etcd]:
    opened = Etcd(EtcdSettings(etcd.endpoints), SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh_url()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[tuple[Store, Store]]:
    """The store as two workers have it, with the log."""
    opened = [await open_store(url, SystemClock(), name=name) for name in (ONE, TWO)]
    install_log(url)
    yield opened[0], opened[1]
    for store in opened:
        await store.close()


async def recorded(
    recorder: EtcdRecorder, run: asyncio.Task[tuple[EtcdWrite, ...]]
) -> list[EtcdWrite]:
    await recorder.end()
    return list(await asyncio.wait_for(run, LIMIT_S))


def shapes(writes: list[EtcdWrite]) -> list[tuple[int, str, bytes | None, int]]:
    return [(each.revision, each.key, each.value, each.create_revision) for each in writes]


async def test_every_write_is_heard_during_a_run_and_once_more_after_it(
    etcd: EtcdServer, client: Etcd
) -> None:
    recorder = EtcdRecorder(client)
    running = asyncio.create_task(recorder.run())
    first = await client.txn([], [put("/resources/a", b"1"), put("/crawler/decisions/a", b"2")])
    await client.txn([], [put("/elsewhere", b"")])
    etcd.kill()
    await asyncio.to_thread(etcd.start)
    second = await client.txn([], [put("/resources/a", b"3")])
    third = await client.txn([], [delete("/resources/a"), put("/micro/registry/x", b"4")])
    during = await recorded(recorder, running)
    again = EtcdRecorder(client)
    after = await recorded(again, asyncio.create_task(again.run()))
    created = first.revision
    assert sorted(shapes(during)) == [
        (created, "/crawler/decisions/a", b"2", created),
        (created, "/resources/a", b"1", created),
        (second.revision, "/resources/a", b"3", created),
        (third.revision, "/micro/registry/x", b"4", third.revision),
        (third.revision, "/resources/a", None, 0),
    ]
    assert shapes(after) == shapes(during)
    times = [each.at for each in during]
    assert times == sorted(times)
    assert after[0].at > times[-1]


async def test_a_history_that_was_compacted_is_not_given_for_whole(
    etcd: EtcdServer, client: Etcd
) -> None:
    await client.txn([], [put("/resources/a", b"")])
    last = await client.txn([], [put("/resources/a", b"")])
    etcd.ctl("compact", str(last.revision))
    with pytest.raises(Compacted):
        await asyncio.wait_for(EtcdRecorder(client).run(), LIMIT_S)


async def test_commits_are_logged_with_the_fence_they_stood_under(
    url: str, stores: tuple[Store, Store]
) -> None:
    one, two = stores
    pages = [request("a"), request("b"), request("c")]
    first = await claimed(one, 10, node=ONE)
    await first.seed(pages[:2])
    await first.commit([done(pages[0], pages[2], items=(Item("r", {"b": 1, "a": "é"}),))])
    second = await claimed(two, 12, node=TWO)
    await second.commit([done(pages[1]), done(pages[2])])
    commits = read_commits(url)
    assert [(each.url[-1], each.node, each.revision, each.state) for each in commits] == [
        ("a", ONE, 10, "done"),
        ("b", TWO, 12, "done"),
        ("c", TWO, 12, "done"),
    ]
    assert {(each.resource_id, each.part, each.run, each.epoch) for each in commits} == {
        (RESOURCE, 0, 1, 1)
    }
    assert [each.fence_node for each in commits] == [each.node for each in commits]
    assert check_tokens(commits, None).violations == ()
    assert read_pages(url) == tuple(PageRow(RESOURCE, 1, each.url, "done") for each in pages)
    assert read_items(url) == (ItemRow(RESOURCE, 1, pages[0].url, 0, '{"a": "é", "b": 1}'),)


async def test_a_commit_past_the_fence_is_seen(url: str, stores: tuple[Store, Store]) -> None:
    """Somebody who looked at the fence without a lock, before a newer claim, commits after it."""
    one, two = stores
    page = request("a")
    frontier = await claimed(one, 10, node=ONE)
    await frontier.seed([page])
    async with await psycopg.AsyncConnection.connect(url, application_name=ONE) as zombie:
        await zombie.execute(b"UPDATE pages SET state = 'done'")
        await claimed(two, 12, node=TWO)
    (commit,) = read_commits(url)
    assert (commit.node, commit.fence_node, commit.revision) == (ONE, TWO, 12)
    assert len(check_tokens([commit], None).violations) == 1


async def test_a_commit_past_a_fence_of_nobody_is_seen(
    url: str, stores: tuple[Store, Store]
) -> None:
    one, _ = stores
    frontier = await claimed(one, 10, node=ONE)
    await frontier.seed([request("a"), request("b")])
    await one.bury(RESOURCE)
    for statement in (
        b"UPDATE pages SET state = 'done' WHERE url LIKE '%a'",
        b"DELETE FROM fences",
        b"UPDATE pages SET state = 'done' WHERE url LIKE '%b'",
    ):
        async with await psycopg.AsyncConnection.connect(url, application_name=ONE) as zombie:
            await zombie.execute(statement)
    commits: tuple[Commit, ...] = read_commits(url)
    assert [(each.open, each.revision) for each in commits] == [(False, 10), (False, 0)]
    assert len(check_tokens(commits[:1], None).violations) == 1
    assert check_tokens(commits[1:], None).violations
