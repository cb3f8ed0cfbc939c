"""Hosts that are registered by name: what may be one, and the address that a door goes by."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from crawler.clock import SystemClock
from crawler.coordination.etcd import KeyValue, Snapshot
from crawler.edge.desired import Desired
from crawler.edge.figures import Figures, watch_edge
from crawler.edge.follow import Registry
from crawler.edge.keeper import select_pools
from crawler.edge.memory import Memory
from crawler.edge.names import Names, host_name, look_up
from crawler.edge.settings import Pace, Pool
from crawler.errors import OutOfStep
from crawler.telemetry.health import Health
from tests.fakes.clock import SleepClock

PREFIX = "/web/"
GONE = "Name or service not known"


@pytest.mark.parametrize(
    "text",
    ["master-1", "a", "Web_1.Example.", "1a", "xn--bcher-kva.example", "7.example", "a" * 63],
)
def test_names(text: str) -> None:
    assert host_name(text) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "-a", "a-", "a b", "a;b", "a{", 'a"', "a#", "a\n", "a/b", "a:80", "a%b"),
        *("bücher", "\u212aa", "a" * 64, f"{'a.' * 127}a", "$host", "[a]", "a\\b", "a'b", "a@b"),
        # Numbers to a resolver.
        *("1", "10.1", "1.2.3.4", "0x7f000001", "127.0x1", "a.1", "a.0X1."),
    ],
)
def test_what_is_no_name(text: str) -> None:
    assert host_name(text) is None


def test_this_system_is_asked() -> None:
    assert look_up("localhost")[0] == "127.0.0.1"


class NameService:
    """Says what it is told to; a name that it does not know is an error."""

    def __init__(self, **known: str) -> None:
        self.known = dict(known)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        if name not in self.known:
            raise OSError(-2, GONE)
        return self.known[name].split()


class News:
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0
        self._came = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._came.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        """Wait for the piece of news after which it is so."""
        async with asyncio.timeout(10.0):
            while not seen():
                await self._came.wait()
                self._came.clear()


async def test_the_last_good_address_stays_until_there_is_another() -> None:
    service, news = NameService(a="10.0.0.1 10.0.0.2"), News()
    names = Names({}, 10.0, SleepClock(), news, service)
    await names.settle({"a": 1, "b": 1})
    assert (names.address("a"), names.address("b")) == ("10.0.0.1", "")
    assert names.failing == {"b": GONE}
    running = asyncio.create_task(names.run())
    del service.known["a"]
    await news.until(lambda: "a" in names.failing)
    assert names.address("a") == "10.0.0.1"
    # Of several, the one that was there before.
    service.known |= {"a": "10.0.0.9 10.0.0.1", "b": "10.0.0.3"}
    await news.until(lambda: not names.failing)
    assert (names.address("a"), names.address("b")) == ("10.0.0.1", "10.0.0.3")
    news.count = 0
    service.known["a"] = "10.0.0.9"
    await news.until(lambda: names.address("a") == "10.0.0.9")
    assert news.count == 1
    running.cancel()


async def test_a_record_that_is_written_anew_has_its_name_looked_up_anew() -> None:
    service = NameService(a="10.0.0.1", b="10.0.0.2")
    names = Names({}, 10.0, SystemClock(), News(), service)
    await names.settle({"a": 1, "b": 1})
    service.known = {"a": "10.0.0.3", "b": "10.0.0.4"}
    await names.settle({"a": 1, "b": 2})
    assert (names.address("a"), names.address("b")) == ("10.0.0.1", "10.0.0.4")
    # Who has gone is forgotten: its address may be another's by now.
    await names.settle({"a": 1})
    assert names.address("b") == ""


async def test_news_do_not_wait_for_a_name_service_that_hangs() -> None:
    done, news = threading.Event(), News()

    def hang(name: str) -> list[str]:
        if name == "b":
            done.wait(10.0)
        return ["10.0.0.1"]

    names = Names({"b": "10.0.0.8"}, 10.0, SystemClock(), news, hang, patience_s=0.05)
    many = {f"m{number}": 1 for number in range(100)}  # more than are looked up at once
    await names.settle({"b": 1, **many})
    assert names.address("b") == "10.0.0.8"
    assert names.failing["b"] == "no answer within 0.05 s"
    await news.until(lambda: all(names.address(each) for each in many))
    done.set()
    await news.until(lambda: names.address("b") == "10.0.0.1")
    assert not names.failing


class Etcd:
    """Lists what there is."""

    rewinds = 0

    def __init__(self) -> None:
        self.kvs: dict[str, KeyValue] = {}

    def put(self, name: str, value: str, revision: int = 1) -> None:
        self.kvs[name] = KeyValue(PREFIX + name, value.encode(), revision, revision, 0)

    async def range(self, prefix: str) -> Snapshot:
        assert prefix == PREFIX
        return Snapshot(tuple(self.kvs.values()), 9)


class Edge:
    """What is desired by a registry and a name service."""

    def __init__(self, folder: Path, etcd: Etcd, service: NameService) -> None:
        self.clock = SystemClock()
        self.registry = Registry(cast("Any", etcd), self.clock, [PREFIX], 60.0)
        pools, memory = {"web": Pool(prefix=PREFIX)}, Memory(folder)
        self.desired = Desired(
            *(self.registry, pools, Pace(), memory, self.clock, "/e", service), patience_s=0.01
        )

    async def members(self) -> dict[str, str]:
        """Addresses by id, as of now."""
        await self.registry.read()
        await self.desired.judge()
        return self.shown()

    def shown(self) -> dict[str, str]:
        pools = self.desired.pools
        assert pools is not None
        return {each.id: each.address for each in pools["web"].members}


async def test_who_cannot_be_resolved_is_left_out_and_told_of(tmp_path: Path) -> None:
    etcd, service = Etcd(), NameService(a="10.0.0.1")
    for name in ("a", "b"):
        etcd.put(name, f"{name}:80")
    edge = Edge(tmp_path, etcd, service)
    assert await edge.members() == {"a": "10.0.0.1:80"}
    metrics, health = CollectorRegistry(), Health()
    metrics.register(Figures(edge.registry, edge.desired, [], edge.clock))
    assert b"crawler_edge_unresolved 1.0" in generate_latest(metrics)
    watch_edge(health, edge.registry, edge.desired, [], edge.clock)
    told = {each.name: each for each in (await health.report(everything=True)).checks}
    assert told["names"].words == f"b: {GONE}, left out"
    service.known["b"] = "fd00::2"
    etcd.put("b", "b:81", revision=2)
    assert await edge.members() == {"a": "10.0.0.1:80", "b": "[fd00::2]:81"}


async def test_an_address_outlives_a_restart_while_the_name_service_is_away(tmp_path: Path) -> None:
    etcd = Etcd()
    etcd.put("a", "a:80")
    assert await Edge(tmp_path, etcd, NameService(a="10.0.0.1")).members() == {"a": "10.0.0.1:80"}
    assert await Edge(tmp_path, etcd, NameService()).members() == {"a": "10.0.0.1:80"}
    # Where etcd is away as well, a name that can be resolved counts more than what is remembered.
    edge = Edge(tmp_path, etcd, NameService(a="10.0.0.2"))
    running = asyncio.create_task(edge.desired.run())
    await edge.desired.changed(0, 10.0)
    assert edge.shown() == {"a": "10.0.0.2:80"}
    running.cancel()


async def test_a_door_to_names_that_nobody_knows_is_not_made(tmp_path: Path) -> None:
    etcd = Etcd()
    etcd.put("a", "a:80")
    edge = Edge(tmp_path, etcd, NameService())
    assert await edge.members() == {}
    assert edge.desired.pools is not None
    with pytest.raises(OutOfStep, match="nobody of web can be reached: a cannot be resolved here"):
        select_pools(edge.desired.pools, ())
