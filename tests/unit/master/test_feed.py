"""What is told of a cluster, to whom, from where on: on a catalog that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from crawler.coordination.election import Leader
from crawler.coordination.entries import Entries
from crawler.coordination.etcd import KeyValue
from crawler.coordination.keys import definition_key, resource_key, status_key, wish_key
from crawler.coordination.records import (
    Cluster,
    Status,
    Wish,
    encode_resource,
    encode_status,
    encode_wish,
)
from crawler.errors import Exhausted, InvalidInput, Unavailable
from crawler.master import feed as feeds
from crawler.master.feed import Feed
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Assignment, Desired, Node, Resource, State
from crawler.rpc.pb.control_pb2 import Notice
from tests.fakes.clock import SleepClock

WORKER = Node(f"{WORKER_SERVICE}-1", WORKER_SERVICE, "10.0.0.1:9090", revision=3)
MASTER = Node(f"{MASTER_SERVICE}-1", MASTER_SERVICE, "10.0.0.2:9091", revision=2)


class Stage:
    """What a `Catalog` shows of the cluster."""

    def __init__(self) -> None:
        self.entries = Entries()
        self.workers = {WORKER.id: WORKER}
        self.masters = {MASTER.id: MASTER}
        self.leader: Leader | None = Leader("master1-10.0.0.2:9091", "/e/1", 2)
        self.cluster = Cluster("0a1b", "s")
        self.revision = 10

    def changed_since(self, change: int) -> tuple[Sequence[str], int]:
        return self.entries.changed_since(change)

    def assigned(self, node_id: str) -> set[str]:
        return set(self.entries.assigned(node_id))

    def put(self, name: str, key: str, value: bytes) -> None:
        self.revision += 1
        self.entries.put(name, KeyValue(key, value, self.revision, self.revision, 0))

    def add(self, name: str) -> None:
        resource = Resource("7", name, Assignment(WORKER.id, WORKER.address), 1)
        self.put(name, resource_key(name), encode_resource(resource))
        self.put(name, definition_key(name), b"{}")

    def report(self, name: str, state: State, run: int = 1) -> None:
        resource = self.entries[name].resource
        assert resource is not None
        wish = Wish(Desired.RUNNING, run, "7")
        self.put(name, wish_key(name), encode_wish(wish))
        status = Status(state, "", run, "7", resource.revision, WORKER.id, 1.0)
        self.put(name, status_key(name), encode_status(status))

    def delete(self, name: str) -> None:
        self.revision += 1
        for key in list(self.entries.keys_of(name)):
            self.entries.drop(name, key)


class World:
    def __init__(self, **settings: Any) -> None:
        self.stage = Stage()
        self.feed = Feed(cast("Any", self.stage), SleepClock(), **{"heartbeat_s": 0.02, **settings})
        self.feed.look()

    def told(self, cursor: str) -> AsyncIterator[Notice]:
        return self.feed.follow(cursor)

    async def since(self, cursor: str) -> list[tuple[str, str, str]]:
        """All that is told until a heartbeat that is not the first notice."""
        found: list[tuple[str, str, str]] = []
        async for notice in self.feed.follow(cursor):
            if notice.kind == Notice.HEARTBEAT and found:
                return found[1:]
            found.append((Notice.Kind.Name(notice.kind), notice.name, notice.state))
        raise AssertionError("it ended")


@pytest.fixture
def world() -> World:
    return World()


async def test_only_what_happens_from_now_on_is_told(world: World) -> None:
    world.stage.add("early")
    world.feed.look()
    first = await anext(world.told(""))
    assert (first.kind, first.cursor) == (Notice.HEARTBEAT, "0a1b.12")
    assert await world.since("") == []


async def test_states_runs_and_the_end(world: World) -> None:
    steps: tuple[Callable[[], None], ...] = (
        lambda: world.stage.add("shop"),
        lambda: world.stage.report("shop", State.RUNNING),
        lambda: world.stage.report("shop", State.RUNNING),
        lambda: world.stage.report("shop", State.FINISHED),
        lambda: world.stage.report("shop", State.FINISHED, run=2),
        lambda: world.stage.delete("shop"),
    )
    for step in steps:
        step()
        world.feed.look()
    assert await world.since("0a1b.10") == [
        ("RESOURCE_CHANGED", "shop", "assigned"),
        ("RESOURCE_CHANGED", "shop", "running"),
        ("TASK_FINISHED", "shop", "finished"),
        ("TASK_FINISHED", "shop", "finished"),
        ("RESOURCE_DELETED", "shop", ""),
    ]


async def test_nodes_and_leaders(world: World) -> None:
    world.stage.add("shop")
    world.feed.look()
    world.stage.workers, world.stage.leader = {}, None
    world.stage.revision += 1
    world.feed.look()
    back = Node(WORKER.id, WORKER_SERVICE, WORKER.address, revision=15)
    world.stage.workers = {back.id: back}
    world.stage.leader = Leader("master2-10.0.0.3:9091", "/e/2", 9)
    world.stage.revision += 1
    world.feed.look()
    again = Node(WORKER.id, WORKER_SERVICE, WORKER.address, revision=19)
    world.stage.workers = {again.id: again}
    world.stage.revision += 1
    world.feed.look()
    assert await world.since("0a1b.12") == [
        ("NODE_LOST", WORKER.id, ""),
        ("LEADER_CHANGED", "", ""),
        ("RESOURCE_CHANGED", "shop", "pending"),
        ("NODE_JOINED", WORKER.id, ""),
        ("LEADER_CHANGED", "2", ""),
        ("RESOURCE_CHANGED", "shop", "assigned"),
        ("NODE_JOINED", WORKER.id, ""),
    ]


async def test_a_cursor_stands_at_the_end_of_a_group_only(world: World) -> None:
    for name in ("a", "b", "c"):
        world.stage.add(name)
    world.feed.look()
    notices = world.told("0a1b.10")
    assert (await anext(notices)).cursor == "0a1b.10"
    cursors = [(await anext(notices)).cursor for _ in range(3)]
    assert cursors == ["", "", "0a1b.16"]


async def test_another_master_goes_on_with_the_cursor(world: World) -> None:
    other = World()
    other.stage = world.stage
    other.feed = Feed(cast("Any", world.stage), SleepClock(), heartbeat_s=0.02)
    other.feed.look()
    world.stage.add("a")
    world.feed.look()
    cursor = [notice async for notice in _two(world.told("0a1b.10"))][-1].cursor
    world.stage.add("b")
    other.feed.look()  # sees both at once
    assert ("RESOURCE_CHANGED", "b", "assigned") in await other.since(cursor)
    assert (await anext(other.told("0a1b.9"))).kind == Notice.RESET


async def _two(notices: AsyncIterator[Notice]) -> AsyncIterator[Notice]:
    yield await anext(notices)
    yield await anext(notices)


@pytest.mark.parametrize("cursor", ["0a1b.9", "0a1b.11", "ffff.10", ".10"])
async def test_a_cursor_that_means_nothing_here_resets(world: World, cursor: str) -> None:
    notices = world.told(cursor)
    first = await anext(notices)
    assert (first.kind, first.cursor) == (Notice.RESET, "0a1b.10")
    world.stage.add("a")
    world.feed.look()
    assert (await anext(notices)).name == "a"


@pytest.mark.parametrize("cursor", ["x", "0a1b", "0a1b.-1", "0a1b.1\n", "0a1b." + "9" * 19])
async def test_garbage_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await anext(world.told(cursor))
    assert caught.value.field == "cursor"


async def test_the_slow_are_told_so() -> None:
    world = World(kept=5)
    notices = world.told("")
    await anext(notices)
    for number in range(8):
        world.stage.add(f"r{number}")
        world.feed.look()
    with pytest.raises(Exhausted, match="too slow"):
        await anext(notices)
    assert len(await world.since("0a1b.20")) == 3
    assert (await anext(world.told("0a1b.12"))).kind == Notice.RESET


async def test_nothing_is_lost_that_comes_while_something_is_told(world: World) -> None:
    world.stage.add("a")
    world.feed.look()
    notices = world.told("0a1b.10")
    await anext(notices)
    assert (await anext(notices)).name == "a"
    world.stage.add("b")
    world.feed.look()
    assert (await anext(notices)).name == "b"


async def test_another_etcd_resets_everybody(world: World) -> None:
    notices = world.told("")
    await anext(notices)
    world.stage.cluster, world.stage.revision = Cluster("0a1c", "s"), 3
    world.feed.look()
    reset = await anext(notices)
    assert (reset.kind, reset.cursor) == (Notice.RESET, "0a1c.3")


async def test_a_master_that_stops_sends_all_away(world: World) -> None:
    notices = world.told("")
    await anext(notices)
    coming = asyncio.ensure_future(anext(notices))
    await asyncio.sleep(0)
    world.feed.close()
    with pytest.raises(Unavailable):
        await coming


async def test_streams_end_by_themselves_and_are_limited() -> None:
    world = World(longest_s=0.0)
    assert len([notice async for notice in world.told("")]) == 1
    held = [world.told("") for _ in range(feeds.FOLLOWERS)]
    for each in held:
        await anext(each)
    with pytest.raises(Exhausted, match="follow this master already"):
        await anext(world.told(""))
    with pytest.raises(StopAsyncIteration):
        await anext(held[0])
    await anext(world.told(""))
