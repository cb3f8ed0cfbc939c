"""The catalog on a real etcd: complete, current, and never undone by what comes late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from crawler.clock import SystemClock
from crawler.coordination.catalog import (
    Catalog,
    Cluster,
    Decision,
    Load,
    Status,
    Wish,
    decision_key,
    definition_key,
    drain_key,
    encode_cluster,
    encode_decision,
    encode_load,
    encode_resource,
    encode_status,
    encode_wish,
    load_key,
    read_entry,
    read_view,
    resource_key,
    state_of,
    status_key,
    wish_key,
)
from crawler.coordination.election import DEFAULT_PREFIX, Election
from crawler.coordination.etcd import Etcd, KeyValue, Op, delete, put
from crawler.coordination.keys import CLUSTER_KEY, STATUSES, given_key
from crawler.coordination.registry import native_metadata, node_id, register, registry_key
from crawler.coordination.scope import EVERYTHING, Scope, scope_of
from crawler.coordination.session import open_session
from crawler.coordination.statuses import write_statuses
from crawler.errors import Misconfigured, SessionLost
from crawler.model import WORKER_SERVICE, Assignment, Desired, Node, Resource, State
from tests.etcd_server import EtcdServer

WORKER = Node(node_id(WORKER_SERVICE, "1"), WORKER_SERVICE, "127.0.0.1:1", native_metadata("0.1.0"))


@asynccontextmanager
async def following(
    client: Etcd, relist_s: float = 60.0, scope: Scope = EVERYTHING
) -> AsyncIterator[Catalog]:
    """A catalog that runs until the block ends."""
    catalog = Catalog(client, SystemClock(), relist_s=relist_s, scope=scope)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(catalog.run())
        await asyncio.wait_for(catalog.synced(), 10)
        yield catalog
        task.cancel()


async def until(catalog: Catalog, holds: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait, by the catalog's own news, until something holds."""
    async with asyncio.timeout(limit_s):
        version = catalog.version
        while not holds():
            version = await catalog.changed(version)


def resource(name: str, identity: str = "7") -> Resource:
    return Resource(identity, name, Assignment(WORKER.id, WORKER.address), 1)


def put_resource(name: str) -> Op:
    return put(resource_key(name), encode_resource(resource(name)))


def given(name: str) -> list[Op]:
    """What a leader writes, as far as a worker needs it."""
    return [put_resource(name), put(given_key(WORKER.id, name), b"")]


def put_elsewhere(name: str) -> Op:
    home = Assignment("go.micro.server.worker-2", "127.0.0.1:2")
    return put(resource_key(name), encode_resource(replace(resource(name), assignment=home)))


def put_wanted(name: str, state: Desired = Desired.RUNNING) -> Op:
    return put(wish_key(name), encode_wish(Wish(state, 1, "7")))


async def test_everything_is_listed_and_then_followed(client: Etcd) -> None:
    await client.txn([], [put_resource("old"), put(definition_key("old"), b"{}")])
    async with open_session(client, 60, SystemClock()) as session, following(client) as catalog:
        assert catalog.entries["old"].resource is not None
        assert catalog.entries["old"].definition == "{}"
        node = await register(client, session, WORKER)
        term = await Election(client, session, DEFAULT_PREFIX, "master1-127.0.0.1:9091").campaign()
        await client.txn(
            [term.holds()],
            [
                put_resource("new"),
                put(load_key(node.id), encode_load(Load(1, 1)), session.lease),
                put(drain_key(node.id), b""),
                put(CLUSTER_KEY, encode_cluster(Cluster("u", "s"))),
                delete(resource_key("old")),
                delete(definition_key("old")),
            ],
        )
        await until(catalog, lambda: "new" in catalog.entries)
        # One transaction: whoever sees one part of it sees all.
        assert set(catalog.entries) == {"new"}
        assert catalog.workers == {node.id: node}
        assert catalog.loads == {node.id: Load(1, 1)}
        assert catalog.drained == {node.id}
        assert catalog.cluster == Cluster("u", "s")
        assert catalog.leader is not None
        assert (catalog.leader.id, catalog.leader.address) == ("1", "127.0.0.1:9091")
        assert catalog.leader.revision == term.revision
        view = await read_view(client)
        assert view.entries == catalog.entries
        assert (view.workers, view.leader, view.cluster) == (
            catalog.workers,
            catalog.leader,
            catalog.cluster,
        )
        await client.revoke(session.lease)
        await until(catalog, lambda: not catalog.workers and catalog.leader is None)
        assert catalog.loads == {}


async def test_a_worker_knows_all_of_its_own_and_nothing_of_others(client: Etcd) -> None:
    await client.txn([], [*given("mine"), put(definition_key("mine"), b"{}"), put_wanted("mine")])
    await client.txn([], [put_elsewhere("other"), put(definition_key("other"), b"{}")])
    async with following(client, scope=scope_of(WORKER)) as catalog:
        entries = catalog.entries
        assert (entries["mine"].definition, entries["mine"].wish is None) == ("{}", False)
        assert (set(entries), catalog.assigned(WORKER.id)) == ({"mine"}, {"mine"})

        # What it is given comes with what was written of it long before.
        await client.txn([], given("other"))
        await until(catalog, lambda: "other" in entries and entries["other"].definition == "{}")
        assert catalog.assigned(WORKER.id) == {"mine", "other"}

        idle = put(
            resource_key("mine"), encode_resource(replace(resource("mine"), assignment=None))
        )
        taken = delete(given_key(WORKER.id, "mine"))
        await client.txn([], [idle, taken, put_wanted("mine", Desired.PAUSED)])
        await until(catalog, lambda: catalog.assigned(WORKER.id) == {"other"})
        assert entries["mine"].wish == Wish(Desired.PAUSED, 1, "7")

        part = replace(resource("divided"), part=1)
        divided = put(definition_key("divided"), b'{"partitions":2}')
        part_key = put(resource_key("divided", 1), encode_resource(part))
        hint = put(given_key(WORKER.id, "divided", 1), b"")
        await client.txn([], [put_elsewhere("divided"), divided, part_key, hint])
        await until(catalog, lambda: "divided" in catalog.assigned(WORKER.id))
        assert (entries["divided"].partitions, set(entries["divided"].parts)) == (2, {1})

        await client.txn([], [put(CLUSTER_KEY, encode_cluster(Cluster("u", "s")))])
        await until(catalog, lambda: catalog.cluster == Cluster("u", "s"))
        keys = (resource_key("other"), definition_key("other"), given_key(WORKER.id, "other"))
        await client.txn([], [delete(key) for key in keys])
        await until(catalog, lambda: "other" not in entries)


async def test_a_hint_that_is_left_behind_gives_nothing(client: Etcd) -> None:
    gone, elsewhere = (put(given_key(WORKER.id, name), b"") for name in ("gone", "elsewhere"))
    await client.txn([], [gone, elsewhere, put_elsewhere("elsewhere"), *given("mine")])
    async with following(client, scope=scope_of(WORKER)) as catalog:
        assert catalog.assigned(WORKER.id) == {"mine"}
        assert "gone" not in catalog.entries


async def test_a_worker_is_not_woken_by_what_others_do(client: Etcd) -> None:
    async with following(client, scope=scope_of(WORKER)) as catalog:
        version = catalog.version
        status = Status(State.RUNNING, "", 1, "7", 5, "w", 1.0)
        await client.txn([], [put(status_key("other"), encode_status(status))])
        await client.txn([], [put(load_key("w"), encode_load(Load(1, 1)))])
        await client.txn([], [put(decision_key("other"), encode_decision(Decision("w", "", 1.0)))])
        await client.txn([], [put(drain_key("w"), b"{}"), put(definition_key("other"), b"{}")])
        await client.txn([], [put_elsewhere("other"), put(given_key("w", "other"), b"")])
        await client.txn([], [put(given_key(f"{WORKER.id}0", "other"), b""), *given("mine")])
        await until(catalog, lambda: "mine" in catalog.entries)
        assert catalog.version == version + 1
        assert set(catalog.entries) == {"mine"}


async def test_after_a_registration_a_worker_knows_what_was_before_it(client: Etcd) -> None:
    async with following(client, scope=scope_of(WORKER)) as catalog:
        await client.txn([], given("mine"))
        registered = await client.txn([], [put(registry_key(WORKER), b"{}")])
        await until(catalog, lambda: catalog.revision >= registered.revision)
        assert catalog.assigned(WORKER.id) == {"mine"}


async def test_a_worker_sees_definition_and_token_rise_together(client: Etcd) -> None:
    seen = set()

    async def write() -> None:
        for n in range(200):
            await client.txn([], [put(definition_key("mine"), b"%d" % n), *given("mine")])

    async with following(client, relist_s=0.1, scope=scope_of(WORKER)) as catalog:

        def told() -> bool:
            entry = catalog.entries.get("mine")
            if entry is None:
                return False
            seen.add((entry.definition_revision, entry.resource_revision))
            return entry.definition == "199"

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(until(catalog, told))
    assert all(definition == token for definition, token in seen)


async def test_own_writes_are_seen_at_once_and_stay(client: Etcd) -> None:
    async with following(client) as catalog:
        for n in range(50):
            value = b"%d" % n
            done = await client.txn([], [put(definition_key("shop"), value)])
            kv = KeyValue(definition_key("shop"), value, 0, done.revision, 0)
            catalog.observe([kv], revision=done.revision)
            assert catalog.entries["shop"].definition == str(n)
            await asyncio.sleep(0)
            assert catalog.entries["shop"].definition == str(n)
        done = await client.txn([], [delete(definition_key("shop"))])
        catalog.observe([], [definition_key("shop")], revision=done.revision)
        await client.txn([], [put(definition_key("mark"), b"")])
        await until(catalog, lambda: "mark" in catalog.entries)
        assert set(catalog.entries) == {"mark"}


@pytest.mark.fault(16)
async def test_restarts_and_compactions_lose_nothing(client: Etcd, etcd: EtcdServer) -> None:
    async with following(client) as catalog:
        for turn in range(2):
            await client.txn([], [put_resource(f"gone-{turn}")])
            await until(catalog, lambda turn=turn: f"gone-{turn}" in catalog.entries)  # type: ignore[misc]
            await asyncio.to_thread(etcd.kill)
            await asyncio.to_thread(etcd.start)
            # While the watch is away, history happens and is compacted.
            etcd.ctl("del", resource_key(f"gone-{turn}"))
            etcd.ctl("put", definition_key(f"kept-{turn}"), "{}")
            etcd.ctl("compaction", str((await client.range("/resources/")).revision))
            await until(
                catalog,
                lambda turn=turn: (
                    f"kept-{turn}" in catalog.entries  # type: ignore[misc]
                    and f"gone-{turn}" not in catalog.entries
                ),
                limit_s=5.0,
            )
        assert set(catalog.entries) == {"kept-0", "kept-1"}
        assert (await read_view(client)).entries == catalog.entries


async def test_a_relist_repairs_what_was_missed(client: Etcd) -> None:
    async with following(client, relist_s=0.5) as catalog:
        await client.txn([], [put_resource("here")])
        done = await client.txn([], [put("/crawler/other", b"")])
        # As if events had been lost: the catalog is told of things that never were.
        catalog.observe([], [resource_key("here")], revision=done.revision)
        wrong = KeyValue(definition_key("never"), b"{}", 0, done.revision, 0)
        catalog.observe([wrong], revision=done.revision)
        assert set(catalog.entries) == {"never"}
        await until(catalog, lambda: set(catalog.entries) == {"here"})


async def test_an_outage_is_waited_through(client: Etcd, etcd: EtcdServer) -> None:
    await client.txn([], [put_resource("here")])
    await asyncio.to_thread(etcd.stop)
    catalog = Catalog(client, SystemClock(), relist_s=0.5)
    running = asyncio.create_task(catalog.run())
    await asyncio.to_thread(etcd.start)
    await asyncio.wait_for(catalog.synced(), 10)
    await asyncio.to_thread(etcd.stop)
    await asyncio.sleep(4.0)
    assert not running.done()
    assert set(catalog.entries) == {"here"}
    await asyncio.to_thread(etcd.start)
    etcd.ctl("put", definition_key("back"), "{}")
    await until(catalog, lambda: "back" in catalog.entries)
    running.cancel()


async def test_an_etcd_that_went_back_is_a_lost_session(client: Etcd, etcd: EtcdServer) -> None:
    for n in range(5):
        await client.txn([], [put(definition_key("a"), b"%d" % n)])
    catalog = Catalog(client, SystemClock())
    running = asyncio.create_task(catalog.run())
    await catalog.synced()
    etcd.kill()
    etcd.wipe()
    await asyncio.to_thread(etcd.start)
    with pytest.raises(SessionLost, match="back"):
        await asyncio.wait_for(running, 15)


async def test_ten_thousand_resources_are_listed_and_followed_in_time(client: Etcd) -> None:
    wish, decision = Wish(Desired.RUNNING, 1, "7"), Decision(WORKER.id, "least loaded", 1.0)
    status = Status(State.RUNNING, "", 1, "7", 5, WORKER.id, 1.0)
    for start in range(0, 10_000, 25):
        ops = []
        for n in range(start, start + 25):
            name = f"shop-{n:05}"
            ops += [
                put_resource(name),
                put(definition_key(name), b'{"start_urls":["https://shop.example/"]}'),
                put(wish_key(name), encode_wish(wish)),
                put(status_key(name), encode_status(status)),
                put(decision_key(name), encode_decision(decision)),
            ]
        await client.txn([], ops)
    started = time.process_time()
    async with following(client, relist_s=0.5) as catalog:
        listed_s = time.process_time() - started
        assert len(catalog.entries) == 10_000
        version, waiting = catalog.version, asyncio.create_task(catalog.changed(catalog.version))
        started = time.process_time()
        await client.txn([], [put(definition_key("shop-00007"), b"changed")])
        await asyncio.wait_for(waiting, 30)
        heard_s = time.process_time() - started
        assert catalog.entries["shop-00007"].definition == "changed"
        # Relists find nothing new and so wake nobody.
        version = catalog.version
        await asyncio.sleep(1.5)
        assert catalog.version == version
    # Of this process's own time, which is what grows with the number; the aims are 1 s and some
    # milliseconds.
    assert listed_s < 5.0
    assert heard_s < 2.0


async def test_an_entry_is_read_past_all_caches(client: Etcd) -> None:
    assert (await read_entry(client, "shop")).resource is None
    done = await client.txn([], [put_resource("shop"), put(definition_key("shop"), b"{}")])
    await client.txn([], [put_resource("shop-2")])
    entry = await read_entry(client, "shop")
    assert entry.resource is not None
    assert (entry.resource.revision, entry.definition) == (done.revision, "{}")
    assert entry.wish is None


async def test_statuses_are_written_in_one_transaction_under_their_assignments_only(
    client: Etcd,
) -> None:
    done = await client.txn([], [put_resource("shop"), put_resource("news")])
    reports = [
        (
            replace(resource(name), revision=done.revision),
            Status(State.RUNNING, "", 1, "7", done.revision, WORKER.id, 1.0),
        )
        for name in ("shop", "news")
    ]
    assert await write_statuses(client, reports) == []
    shop, news = await read_entry(client, "shop"), await read_entry(client, "news")
    assert (shop.status, news.status) == (reports[0][1], reports[1][1])
    assert state_of(shop, {WORKER.id}) == (State.RUNNING, "")
    kvs = (await client.range(STATUSES)).kvs
    assert len({kv.mod_revision for kv in kvs}) == 1

    await client.txn([], [put_resource("shop")])
    later = [(each, replace(status, reason="later")) for each, status in reports]
    assert await write_statuses(client, later) == later[:1]
    shop, news = await read_entry(client, "shop"), await read_entry(client, "news")
    assert (shop.status, news.status) == (reports[0][1], later[1][1])
    await client.txn([], [delete(resource_key("news"))])
    assert await write_statuses(client, later) == later


async def test_garbage_stops_nobody(client: Etcd) -> None:
    async with following(client) as catalog:
        for key in (resource_key("bad"), wish_key("bad"), load_key("x"), CLUSTER_KEY):
            await client.txn([], [put(key, b"\xff\x00garbage")])
        await client.txn([], [put("/micro/registry/go.micro.server.worker/x", b"[[[")])
        await client.txn([], [put("/registry/of/somebody/else", bytes(1_000_000))])
        await client.txn([], [put_resource("good")])
        await until(catalog, lambda: "good" in catalog.entries)
        assert catalog.entries["bad"].resource is None
        assert catalog.entries["bad"].resource_revision > 0
        assert catalog.workers == {}


async def test_an_election_elsewhere_is_refused(client: Etcd) -> None:
    for prefix in ("/elsewhere/election", ""):
        with pytest.raises(Misconfigured, match="election"):
            Catalog(client, SystemClock(), prefix)
