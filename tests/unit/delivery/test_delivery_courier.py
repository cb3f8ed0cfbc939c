"""The courier on a real store, with receivers that do as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from crawler.definition import Sink, from_data
from crawler.delivery.courier import REFUSED_S, Courier
from crawler.delivery.records import Parcel
from crawler.errors import DeliveryFailed
from crawler.model import Desired, Item
from crawler.store import open_store
from crawler.store.contract import Frontier, Job, Mirrored, Store
from crawler.store.leases import HOLD_S
from crawler.telemetry.metrics import exposition
from tests.contract.rows import CLUSTER, RESOURCE, SetClock, done, request, stamp

HOOK = {"name": "hook", "kind": "webhook", "url": "https://in.example/", "batch": 2}
DISK = {"name": "disk", "kind": "file", "path": "items.jsonl"}


class Receivers:
    """Remembers what it is sent, by sink; fails those that it is told to."""

    def __init__(self) -> None:
        self.got: dict[str, list[list[str]]] = {}
        self.failing: dict[str, DeliveryFailed] = {}

    async def send(self, sink: Sink, parcel: Parcel) -> None:
        if sink.name in self.failing:
            raise self.failing[sink.name]
        names = [json.loads(line)["name"] for line in parcel.lines]
        self.got.setdefault(sink.name, []).append(names)

    def names(self, sink: str) -> list[str]:
        return [name for names in self.got.get(sink, []) for name in names]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(tmp_path: Path, clock: SetClock) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite://{tmp_path}/store.db", clock)
    yield store
    await store.close()


@pytest.fixture
def receivers() -> Receivers:
    return Receivers()


@pytest.fixture
def courier(store: Store, receivers: Receivers, clock: SetClock) -> Courier:
    return Courier(store.outbox("w1"), receivers, clock)


async def crawling(store: Store, *sinks: Mapping[str, object], revision: int = 10) -> Frontier:
    """A run whose definition names these sinks, with a hundred pages pending."""
    await store.open_epoch(CLUSTER, revision)
    text = from_data({"start_urls": ["https://shop.example/"], "sinks": list(sinks)}).canonical()
    names = tuple(str(sink["name"]) for sink in sinks)
    frontier = await store.claim(
        stamp(revision), Job("shop", 1, text, revision, "worker-1", sinks=names)
    )
    await store.mirror([Mirrored(RESOURCE, "shop", 1, text, Desired.RUNNING, 1)])
    await frontier.seed([request(f"p{n}") for n in range(100)])
    return frontier


async def found(frontier: Frontier, *numbers: int) -> list[str]:
    visits = [done(request(f"p{n}"), items=(Item("r", {"name": f"p{n}"}),)) for n in numbers]
    await frontier.commit(visits)
    return [f"p{n}" for n in numbers]


async def test_every_sink_gets_every_item_in_order_and_in_its_batches(
    store: Store, courier: Courier, receivers: Receivers
) -> None:
    frontier = await crawling(store, HOOK, DISK)
    names = await found(frontier, 3, 1, 2)
    await courier.drain()
    assert receivers.got == {"hook": [names[:2], names[2:]], "disk": [names]}
    names += await found(frontier, 0)
    await courier.drain()
    assert receivers.names("hook") == receivers.names("disk") == names


async def test_a_sink_that_is_down_holds_up_no_other_and_loses_nothing(
    store: Store, courier: Courier, receivers: Receivers, clock: SetClock
) -> None:
    frontier = await crawling(store, HOOK, DISK)
    receivers.failing["hook"] = DeliveryFailed("connection failed")
    names = []
    for number in range(60):  # an hour
        names += await found(frontier, number)
        await courier.drain()
        assert receivers.names("disk") == names
        clock.now += 60
    [_, hook] = await store.sinks(RESOURCE)
    assert (hook.lag, hook.trouble) == (60, "connection failed")
    assert hook.failures > 5
    del receivers.failing["hook"]
    clock.now += 300
    await courier.drain()
    assert receivers.names("hook") == names


async def test_a_refusal_is_told_and_tried_again_by_the_hour_or_at_a_claim(
    store: Store, courier: Courier, receivers: Receivers, clock: SetClock
) -> None:
    names = await found(await crawling(store, HOOK), 1, 2, 3)
    receivers.failing["hook"] = DeliveryFailed("HTTP 403", refused=True)
    await courier.drain()
    [told] = await store.sinks(RESOURCE)
    assert (told.lag, told.trouble, told.failures) == (3, "HTTP 403", 1)
    del receivers.failing["hook"]
    clock.now += REFUSED_S - 1
    await courier.drain()
    assert receivers.got == {}
    await crawling(store, HOOK, revision=20)
    await courier.drain()
    assert receivers.names("hook") == names


async def test_sinks_that_were_put_off_are_asked_once_where_somebody_wants_to_know_now(
    store: Store, courier: Courier, receivers: Receivers
) -> None:
    names = await found(await crawling(store, HOOK), 1, 2, 3)
    receivers.failing["hook"] = DeliveryFailed("address refused", refused=True)
    for failures in (1, 2):
        await courier.drain(early=True)
        [told] = await store.sinks(RESOURCE)
        assert (told.lag, told.failures) == (3, failures)
    del receivers.failing["hook"]
    await courier.drain(early=True)
    assert receivers.names("hook") == names


async def test_another_url_under_the_same_name_goes_on_where_the_first_was(
    store: Store, courier: Courier, receivers: Receivers
) -> None:
    frontier = await crawling(store, HOOK)
    names = await found(frontier, 1, 2)
    await courier.drain()
    frontier = await crawling(store, {**HOOK, "url": "https://other.example/"}, revision=20)
    names += await found(frontier, 3)
    await courier.drain()
    assert receivers.names("hook") == names


async def test_a_sink_that_the_definition_lost_meanwhile_says_so(
    store: Store, courier: Courier, receivers: Receivers
) -> None:
    await found(await crawling(store, HOOK), 1)
    text = '{"start_urls":["https://shop.example/"]}'
    await store.mirror([Mirrored(RESOURCE, "shop", 1, text, Desired.RUNNING, 1)])
    await courier.drain()
    [told] = await store.sinks(RESOURCE)
    assert "does not name it" in told.trouble
    assert receivers.got == {}


async def test_a_mistake_of_ours_stops_one_sink_and_says_so(store: Store, clock: SetClock) -> None:
    class Broken(Receivers):
        async def send(self, sink: Sink, parcel: Parcel) -> None:
            if sink.name == "hook":
                raise KeyError("nobody foresaw this")
            await super().send(sink, parcel)

    receivers = Broken()
    names = await found(await crawling(store, HOOK, DISK), 1, 2)
    await Courier(store.outbox("w1"), receivers, clock).drain()
    assert receivers.names("disk") == names
    [_, hook] = await store.sinks(RESOURCE)
    assert (hook.lag, hook.holder) == (2, "")
    assert hook.trouble == "internal error: KeyError"


async def test_a_courier_that_is_stopped_gives_its_leases_back(
    store: Store, clock: SetClock
) -> None:
    sending = asyncio.Event()

    class Slow(Receivers):
        async def send(self, sink: Sink, parcel: Parcel) -> None:
            sending.set()
            await asyncio.Event().wait()

    await found(await crawling(store, DISK), 1)
    running = asyncio.create_task(Courier(store.outbox("w1"), Slow(), clock).run())
    await sending.wait()
    assert await store.outbox("w2").take(9, frozenset()) == ()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(await store.outbox("w2").take(9, frozenset())) == 1


async def test_the_metric_tells_how_far_sinks_are_behind(
    store: Store, courier: Courier, receivers: Receivers
) -> None:
    receivers.failing["hook"] = DeliveryFailed("connection failed")
    await found(await crawling(store, HOOK), 1, 2, 3)
    running = asyncio.create_task(courier.run())
    line = b'crawler_sink_lag_items{resource="shop",sink="hook"} 3.0'
    async with asyncio.timeout(30):
        while line not in exposition()[0]:  # noqa: ASYNC110 - a gauge calls nobody
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})


async def test_whoever_was_replaced_while_it_sent_moves_nothing(
    store: Store, courier: Courier, receivers: Receivers, clock: SetClock
) -> None:
    names = await found(await crawling(store, DISK), 1, 2)
    successor = Courier(store.outbox("w2"), receivers, clock)

    class Paused(Receivers):
        async def send(self, sink: Sink, parcel: Parcel) -> None:
            clock.now += HOLD_S + 1
            await successor.drain()
            await super().send(sink, parcel)

    paused = Paused()
    await Courier(store.outbox("w1"), paused, clock).drain()
    assert paused.names("disk") == receivers.names("disk") == names
    [told] = await store.sinks(RESOURCE)
    assert (told.delivered, told.lag) == (2, 0)
