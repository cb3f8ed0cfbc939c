"""Watches on a real etcd: no event is missed or told twice, whatever happens to the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings, WatchEvent, absent, delete, fetch, put
from crawler.errors import Compacted, EtcdUnavailable, Misconfigured, OutcomeUnknown
from tests.etcd_server import EtcdServer

Batch = tuple[WatchEvent, ...]


class Listener:
    """Collects batches, and lets a test wait for what it expects."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._news = asyncio.Event()

    def hear(self, batch: Batch) -> None:
        self.batches.append(batch)
        self._news.set()

    @property
    def events(self) -> list[WatchEvent]:
        return [event for batch in self.batches for event in batch]

    @property
    def keys(self) -> list[str]:
        return [event.kv.key for event in self.events]

    async def until(self, count: int, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while len(self.events) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening(client: Etcd, start_revision: int, end: str = "/w0") -> AsyncIterator[Listener]:
    listener = Listener()

    async def listen() -> None:
        async with aclosing(client.watch("/w/", end, start_revision)) as batches:
            async for batch in batches:
                listener.hear(batch)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(listen())
        yield listener
        task.cancel()


async def write(client: Etcd, key: str, value: bytes = b"") -> int:
    """Create the key, once for certain, though an answer is lost; its revision."""
    async with asyncio.timeout(20):
        while True:
            try:
                made = await client.txn([absent(key)], [put(key, value)], [fetch(key)])
            except (EtcdUnavailable, OutcomeUnknown):
                continue
            if made.succeeded:
                return made.revision
            ((kv,),) = made.responses
            return kv.create_revision


async def test_the_events_of_a_transaction_arrive_together(client: Etcd) -> None:
    first = await write(client, "/w/old")
    async with listening(client, first) as heard:
        await heard.until(1)
        done = await client.txn([], [put("/w/a", b"1"), delete("/w/old"), put("/x", b"")])
        await client.txn([], [put("/w/b", b"2")])
        await heard.until(4)
    batch = next(batch for batch in heard.batches if len(batch) > 1)
    assert [(e.kv.key, e.deleted, e.kv.mod_revision) for e in batch[:2]] == [
        ("/w/a", False, done.revision),
        ("/w/old", True, done.revision),
    ]


async def test_revision_zero_means_from_now(client: Etcd, etcd: EtcdServer) -> None:
    await write(client, "/w/before")
    async with listening(client, 0) as heard:
        # Only a restart shows that the starting point was kept: the stream saw no event yet.
        marks = 0
        while not heard.events:
            await write(client, f"/w/{marks}")
            marks += 1
            await asyncio.sleep(0.01)
        await asyncio.to_thread(etcd.stop)
        await asyncio.to_thread(etcd.start)
        await write(client, "/w/after")
        await heard.until(marks + 1 - int(heard.keys[0].removeprefix("/w/")))
    assert "/w/before" not in heard.keys
    assert heard.keys[-1] == "/w/after"


async def test_a_restart_loses_no_event_and_tells_none_twice(
    client: Etcd, etcd: EtcdServer
) -> None:
    start = await write(client, "/w/first")
    expected = ["/w/first"]
    async with listening(client, start) as heard:
        await heard.until(1)
        for turn in range(2):
            await asyncio.to_thread(etcd.kill)
            await asyncio.to_thread(etcd.start)
            # Written through another connection, before the watch has come back.
            etcd.ctl("put", f"/w/{turn}/early", "")
            await write(client, f"/w/{turn}/late")
            expected += [f"/w/{turn}/early", f"/w/{turn}/late"]
        await heard.until(len(expected))
    assert heard.keys == expected


async def test_compacted_history_is_an_error_with_its_revision(
    client: Etcd, etcd: EtcdServer
) -> None:
    first = await write(client, "/w/a")
    last = [await write(client, f"/w/{n}") for n in range(5)][-1]
    etcd.ctl("compaction", str(last))
    with pytest.raises(Compacted) as failure:
        await anext(client.watch("/w/", "/w0", first))
    assert failure.value.revision == last


async def test_history_compacted_while_away_is_an_error(client: Etcd, etcd: EtcdServer) -> None:
    start = await write(client, "/w/a")
    async with aclosing(client.watch("/w/", "/w0", start)) as batches:
        assert [event.kv.key for event in await anext(batches)] == ["/w/a"]
        # The watch comes back only when it is asked for more.
        await asyncio.to_thread(etcd.kill)
        await asyncio.to_thread(etcd.start)
        etcd.ctl("put", "/w/b", "")
        last = await write(client, "/w/c")
        etcd.ctl("compaction", str(last))
        with pytest.raises(Compacted):
            await asyncio.wait_for(anext(batches), 10)


async def test_big_answers_come_in_fragments_and_are_joined(client: Etcd) -> None:
    start = await write(client, "/w/00", bytes(200_000))
    for n in range(1, 40):
        await write(client, f"/w/{n:02}", bytes(200_000))
    async with listening(client, start) as heard:
        await heard.until(40)
    assert heard.keys == [f"/w/{n:02}" for n in range(40)]
    # More than etcd puts into one message: what arrives here was joined.
    assert max(sum(len(event.kv.value) for event in batch) for batch in heard.batches) > 2_000_000


async def test_a_slow_listener_misses_nothing(client: Etcd) -> None:
    start = await write(client, "/w/0000")
    heard: list[str] = []
    async with aclosing(client.watch("/w/", "/w0", start)) as batches:
        heard += [event.kv.key for event in await anext(batches)]
        for n in range(1, 2_000, 100):
            await client.txn([], [put(f"/w/{m:04}", bytes(500)) for m in range(n, n + 100)])
        while len(heard) < 2_001:
            heard += [event.kv.key for event in await anext(batches)]
    assert sorted(heard) == [f"/w/{n:04}" for n in range(2_001)]


async def test_a_hung_member_is_left(trio: EtcdServer) -> None:
    clients = [Etcd(EtcdSettings(trio.endpoints), SystemClock()) for _ in range(4)]
    start = await write(clients[0], "/w/a")
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(hear_two(client, start)) for client in clients]
        member = (trio.leader() + 1) % 3
        trio.pause(member)
        async with asyncio.timeout(15):
            await write(clients[0], "/w/b")
            assert [await task for task in waiting] == [["/w/a", "/w/b"]] * 4
        trio.resume(member)
    for client in clients:
        await client.close()


async def hear_two(client: Etcd, start: int) -> list[str]:
    keys: list[str] = []
    async with aclosing(client.watch("/w/", "/w0", start)) as batches:
        async for batch in batches:
            keys += [event.kv.key for event in batch]
            if len(keys) >= 2:
                break
    return keys


async def test_a_watch_logs_in_again(etcd: EtcdServer) -> None:
    etcd.enable_auth("crawler", "secret")
    client = Etcd(EtcdSettings(etcd.endpoints, "crawler", "secret"), SystemClock())
    start = await write(client, "/w/a")
    async with listening(client, start) as heard:
        await heard.until(1)
        for turn in range(2):
            await asyncio.to_thread(etcd.stop)
            await asyncio.to_thread(etcd.start)
            await asyncio.sleep(0.3)
            await write(client, f"/w/{turn}")
        await heard.until(3)
    assert heard.keys == ["/w/a", "/w/0", "/w/1"]
    await client.close()


async def test_a_watch_that_is_not_allowed_says_so(etcd: EtcdServer) -> None:
    etcd.ctl("role", "add", "narrow")
    etcd.ctl("role", "grant-permission", "narrow", "--prefix=true", "readwrite", "/mine/")
    etcd.ctl("user", "add", "guest:guest")
    etcd.ctl("user", "grant-role", "guest", "narrow")
    etcd.enable_auth("crawler", "secret")
    client = Etcd(EtcdSettings(etcd.endpoints, "guest", "guest"), SystemClock())
    with pytest.raises(Misconfigured, match="permission denied"):
        await asyncio.wait_for(anext(client.watch("/w/", "/w0", 0)), 10)
    await client.close()


async def test_a_watch_from_the_future_of_a_wiped_etcd_ends(client: Etcd, etcd: EtcdServer) -> None:
    start = [await write(client, f"/w/{n}") for n in range(10)][-1]
    async with aclosing(client.watch("/w/", "/w0", start)) as batches:
        await anext(batches)
        etcd.kill()
        etcd.wipe()
        await asyncio.to_thread(etcd.start)
        with pytest.raises(Compacted):
            await asyncio.wait_for(anext(batches), 10)


async def test_progress_of_this_watch_moves_the_point_to_resume_from() -> None:
    quick = ("--experimental-watch-progress-notify-interval=1s",)
    with EtcdServer(extra=quick) as server:
        client = Etcd(EtcdSettings(server.endpoints), SystemClock())
        start = await write(client, "/w/a")
        async with listening(client, start) as heard:
            await heard.until(1)
            last = [await write(client, f"/elsewhere/{n}") for n in range(10)][-1]
            await asyncio.sleep(2.5)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            server.ctl("compaction", str(last))
            await write(client, "/w/b")
            # Had the watch resumed behind the compaction, it would have ended.
            await heard.until(2)
        assert heard.keys == ["/w/a", "/w/b"]
        await client.close()
