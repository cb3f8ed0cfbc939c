"""The registry is listed, then watched from there, and listed again when it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import KeyValue, Snapshot, WatchEvent
from crawler.edge.follow import Prefix, Registry
from crawler.errors import Compacted, EtcdUnavailable, Misconfigured

PREFIX = "/work/ips/"


def kv(name: str, revision: int) -> KeyValue:
    return KeyValue(PREFIX + name, b"", revision, revision, 0)


class Etcd:
    """What lists give, one after the other (an error is raised, the last one stays), and what the
    watch of each tells before it waits, or ends with an error."""

    rewinds = 0

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self._lists = lists
        self._watches = watches
        self.watched_from: list[int] = []
        self.away = False

    async def range(self, prefix: str) -> Snapshot:
        assert prefix == PREFIX
        found = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(found, Exception):
            raise found
        return cast("Snapshot", found)

    async def get(self, key: str) -> None:
        if self.away:
            raise EtcdUnavailable("away")

    async def watch(
        self, start: str, end: str, revision: int
    ) -> AsyncGenerator[tuple[WatchEvent, ...], None]:
        assert (start, end) == (PREFIX, "/work/ips0")
        self.watched_from.append(revision)
        for each in self._watches.pop(0) if self._watches else []:
            if isinstance(each, Exception):
                raise each
            yield (each,)
        await asyncio.Event().wait()


def follow(etcd: Etcd) -> Registry:
    return Registry(cast("Any", etcd), SystemClock(), [PREFIX], 60.0, pulse_s=0.01)


async def until_keys(registry: Registry, *names: str) -> None:
    async with asyncio.timeout(5.0):
        while {each.key for each in registry.below(PREFIX)} != {PREFIX + name for name in names}:
            await registry.changed(registry.version)


async def test_events_follow_on_the_list_and_a_compaction_lists_again() -> None:
    etcd = Etcd(
        [Snapshot((kv("a", 3),), 7), EtcdUnavailable("away"), Snapshot((kv("c", 20),), 30)],
        [[WatchEvent(kv("b", 8), False), WatchEvent(kv("a", 9), True), Compacted(20)]],
    )
    registry = follow(etcd)
    running = asyncio.create_task(registry.run())
    await until_keys(registry, "c")
    assert etcd.watched_from == [8, 31]
    assert registry.revision == 30
    running.cancel()


async def test_a_registry_that_is_away_is_known_to_be_and_read_anew_when_it_is_back() -> None:
    etcd = Etcd([Snapshot((kv("a", 3),), 7), Snapshot((), 8)], [])
    registry = follow(etcd)
    running = asyncio.create_task(registry.run())
    await until_keys(registry, "a")
    etcd.away = True
    async with asyncio.timeout(5.0):
        while not lost(registry):
            await registry.changed(registry.version)
    assert [each.key for each in registry.below(PREFIX)] == [f"{PREFIX}a"]
    etcd.away = False
    await until_keys(registry)
    assert not lost(registry)
    running.cancel()


async def test_a_wish_to_list_again_may_come_while_a_watch_is_ending() -> None:
    ending, let, news = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(Etcd):
        async def watch(
            self, start: str, end: str, revision: int
        ) -> AsyncGenerator[tuple[WatchEvent, ...], None]:
            try:
                async for each in super().watch(start, end, revision):
                    yield each
            finally:
                ending.set()
                await let.wait()

    lists = [Snapshot((), 7), Snapshot((kv("a", 8),), 8)]
    prefix = Prefix(cast("Any", Slow(lists, [])), SystemClock(), PREFIX, news.set, 0.01)
    running = asyncio.create_task(prefix.run())
    async with asyncio.timeout(5.0):
        await ending.wait()
        prefix.list_again()
        let.set()
        while not prefix.kvs:
            await news.wait()
            news.clear()
    running.cancel()


def lost(registry: Registry) -> bool:
    return registry.lost_at is not None


async def test_a_refusal_at_the_beginning_ends_it_and_later_does_not() -> None:
    news = asyncio.Event()

    def prefix(etcd: Etcd) -> Prefix:
        return Prefix(cast("Any", etcd), SystemClock(), PREFIX, news.set, 60.0)

    with pytest.raises(Misconfigured):
        await prefix(Etcd([Misconfigured("no such user")], [])).run()
    lists = [Snapshot((), 7), Misconfigured("no such user"), Snapshot((kv("a", 9),), 9)]
    etcd = Etcd(lists, [[Compacted(8)]])
    later = prefix(etcd)
    running = asyncio.create_task(later.run())
    async with asyncio.timeout(5.0):
        while not later.kvs:
            await news.wait()
            news.clear()
    running.cancel()
