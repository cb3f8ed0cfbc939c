"""Adding, changing, steering, draining and deleting under one leader."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from crawler.coordination.keys import decision_key, resource_key, wish_key
from crawler.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown, Unavailable
from crawler.master.fence import Memo
from crawler.master.wishes import Action
from crawler.model import Desired, State
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import a_master, a_worker, definition, entry_of, home_of


async def test_an_add_writes_what_the_wire_facts_say(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd, 2) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("douban_book_list", definition())
        assert (placed.node_id, placed.address) == (worker.node.id, worker.node.address)
        kv = await master.etcd.get(resource_key("douban_book_list"))
        assert kv is not None
        record = json.loads(kv.value)
        assert list(record) == ["ID", "Name", "AssignedNode", "CreationTime"]
        assert record["AssignedNode"] == "go.micro.server.worker-2|10.0.0.2:9090"
        assert record["ID"] == placed.resource_id
        entry = await entry_of(master.etcd, "douban_book_list")
        assert entry.wish is not None
        assert (entry.wish.state, entry.wish.run) == (Desired.RUNNING, 1)
        assert entry.definition == definition()
        assert entry.decision is not None
        assert "least loaded" in entry.decision.reason
        assert master.catalog.entries["douban_book_list"].resource == entry.resource


async def test_without_a_worker_it_is_kept_and_placed_when_one_joins(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a")
        assert (placed.node_id, placed.address, placed.created) == ("", "", True)
        assert b'"AssignedNode":""' in (await master.etcd.range(resource_key("a"))).kvs[0].value
        async with a_worker(etcd) as worker:
            await master.sees(lambda c: home_of(c.entries.get("a")) == worker.node.id)


async def test_the_same_again_gives_the_same_and_another_definition_is_refused(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        first = await leader.resources.add("a", definition())
        for text in (definition(), None):
            again = await leader.resources.add("a", text)
            assert (again.resource_id, again.node_id) == (first.resource_id, first.node_id)
            assert not again.created
        with pytest.raises(Conflict, match="another definition"):
            await leader.resources.add("a", definition("other.example"))
        with pytest.raises(InvalidInput):
            await leader.resources.add("a/b")


async def test_a_thousand_adds_at_once_are_each_done_once_and_spread(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with (
        a_worker(etcd, 1),
        a_worker(etcd, 2),
        a_worker(etcd, 3),
        a_master(etcd, fence) as master,
    ):
        leader = await master.leads()
        names = [f"r{n}" for n in range(500)] * 2
        placed = await asyncio.gather(*(leader.resources.add(name) for name in names))
        assert sum(each.created for each in placed) == 500
        assert len({each.resource_id for each in placed}) == 500
        assert len((await master.etcd.range("/resources/r")).kvs) == 500
        assert [p.resource_id for p in placed[:500]] == [p.resource_id for p in placed[500:]]
        homes = Counter(each.node_id for each in placed[:500])
        assert max(homes.values()) - min(homes.values()) <= 1


async def test_a_put_creates_changes_or_leaves(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        created = await leader.resources.put("a", definition())
        assert (created.created, created.changed) == (True, False)
        before = await entry_of(master.etcd, "a")
        same = await leader.resources.put("a", definition())
        assert (same.created, same.changed) == (False, False)
        assert await entry_of(master.etcd, "a") == before
        changed = await leader.resources.put("a", definition("other.example"))
        assert (changed.created, changed.changed) == (False, True)
        after = await entry_of(master.etcd, "a")
        assert before.resource is not None
        assert after.resource is not None
        assert after.resource.id == before.resource.id
        assert after.resource.assignment == before.resource.assignment
        assert after.resource.revision == after.definition_revision > before.resource.revision


async def test_a_changed_definition_ends_an_error(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.put("a", definition())
        await worker.report("a", State.ERROR)
        with pytest.raises(Conflict, match="a is error: start begins its next run"):
            await leader.wishes.desire("a", Action.PAUSE)
        await leader.resources.put("a", definition("other.example"))
        await leader.wishes.desire("a", Action.PAUSE)


async def test_a_delete_is_final_and_a_new_one_begins_clean(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        with pytest.raises(NotFound):
            await leader.resources.delete("a")
        first = await leader.resources.add("a", definition())
        await leader.resources.delete("a")
        assert fence.buried == {first.resource_id}
        left = (await master.etcd.span(("/crawler/", "/resources/a"))).kvs
        assert not [kv.key for kv in left if kv.key.endswith("/a")]
        with pytest.raises(NotFound):
            await leader.resources.delete("a")
        second = await leader.resources.add("a")
        assert int(second.resource_id) > int(first.resource_id)
        assert (await entry_of(master.etcd, "a")).definition is None


async def test_an_unreadable_record_can_be_deleted_or_overwritten(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    etcd.ctl("put", "/resources/a", "{")
    etcd.ctl("put", "/resources/b", "[]")
    async with a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.delete("a")
        assert await master.etcd.get(resource_key("a")) is None
        assert (await leader.resources.add("b")).created


async def test_pause_and_resume_keep_the_run(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition())
        for _ in range(2):  # the second time it is so already
            await leader.wishes.desire("a", Action.PAUSE)
            entry = await entry_of(master.etcd, "a")
            assert entry.resource is not None
            assert entry.resource.assignment is None
            assert entry.wish is not None
            assert (entry.wish.state, entry.wish.run) == (Desired.PAUSED, 1)
            assert fence.fenced(placed.resource_id, entry.resource.revision)
            assert not fence.fenced(placed.resource_id, entry.resource.revision + 1)
            assert fence.memos[placed.resource_id].desired == "paused"
        with pytest.raises(Conflict, match="a is paused: resume it, or stop it first"):
            await leader.wishes.desire("a", Action.START)
        for _ in range(2):
            await leader.wishes.desire("a", Action.RESUME)
        entry = await entry_of(master.etcd, "a")
        assert home_of(entry) == worker.node.id
        assert entry.wish is not None
        assert (entry.wish.state, entry.wish.run) == (Desired.RUNNING, 1)


async def test_start_begins_the_next_run(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        with pytest.raises(NotFound):
            await leader.wishes.desire("a", Action.START)
        await leader.resources.add("a", definition())
        await leader.wishes.desire("a", Action.START)  # it runs already
        await leader.wishes.desire("a", Action.STOP)
        for action in (Action.PAUSE, Action.RESUME):
            with pytest.raises(Conflict, match="a is stopped: start begins its next run"):
                await leader.wishes.desire("a", action)
        await leader.wishes.desire("a", Action.START)
        entry = await entry_of(master.etcd, "a")
        assert home_of(entry) == worker.node.id
        assert entry.wish is not None
        assert (entry.wish.state, entry.wish.run) == (Desired.RUNNING, 2)
        await worker.report("a", State.FINISHED, run=2)
        await leader.wishes.desire("a", Action.STOP)  # it is over already
        with pytest.raises(Conflict, match="a is finished: start"):
            await leader.wishes.desire("a", Action.RESUME)
        await leader.wishes.desire("a", Action.START)
        wish = (await entry_of(master.etcd, "a")).wish
        assert wish is not None
        assert wish.run == 3


async def test_while_the_database_is_away_the_outcome_is_unknown_and_mended_later(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        paused = await leader.resources.add("a", definition())
        deleted = await leader.resources.add("b", definition())
        fence.down = True
        with pytest.raises(OutcomeUnknown, match="try again"):
            await leader.wishes.desire("a", Action.PAUSE)
        with pytest.raises(OutcomeUnknown, match="marked deleted"):
            await leader.resources.delete("b")
        with pytest.raises(Unavailable, match="being deleted"):
            await leader.resources.add("b", definition())
        with pytest.raises(Unavailable, match="being deleted"):
            await leader.wishes.desire("b", Action.STOP)
        fence.down = False
        await master.sees(lambda c: "b" not in c.entries)
        assert deleted.resource_id in fence.buried
        async with asyncio.timeout(10):
            await fence.until(lambda: (paused.resource_id, 0) in fence.fences)


async def test_the_mirror_follows_every_change(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition())
        await leader.wishes.desire("a", Action.PAUSE)
        await leader.wishes.desire("a", Action.RESUME)
        known = Memo(
            placed.resource_id,
            "a",
            fence.memos[placed.resource_id].created_ns,
            definition(),
            "running",
            1,
        )
        async with asyncio.timeout(10):
            await fence.until(lambda: fence.memos.get(placed.resource_id) == known)


async def test_a_drained_worker_is_emptied_until_that_is_undone(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1) as one, a_worker(etcd, 2) as two, a_master(etcd, fence) as master:
        leader = await master.leads()
        for name in "abcd":
            await leader.resources.add(name)
        await leader.resources.drain("worker-1")
        await master.sees(
            lambda c: all(home_of(c.entries.get(name)) == two.node.id for name in "abcd")
        )
        entry = master.catalog.entries["a"]
        assert entry.decision is not None
        assert (await leader.resources.add("e")).node_id == two.node.id
        await leader.resources.drain(one.node.id, undo=True)
        await master.sees(lambda c: not c.drained)
        assert (await leader.resources.add("f")).node_id in (one.node.id, two.node.id)
        with pytest.raises(NotFound, match="no worker worker-9"):
            await leader.resources.drain("worker-9")


async def test_a_worker_that_is_gone_in_etcd_but_not_in_the_catalog_is_passed_over(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1) as one, a_worker(etcd, 2) as two, a_master(etcd, fence) as master:
        leader = await master.leads()
        await one.vanish()
        placed = await asyncio.gather(*(leader.resources.add(f"r{n}") for n in range(8)))
        assert {p.node_id for p in placed} == {two.node.id}
        assert await master.etcd.get(wish_key("r0")) is not None
        assert await master.etcd.get(decision_key("r0")) is not None


async def test_what_the_leader_did_is_told_and_goes_with_the_resource(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        placed = await leader.resources.add("a", definition())
        await leader.wishes.desire("a", Action.PAUSE)
        await fence.until(lambda: len(fence.events) == 2)
        (owner, first), (_, second) = fence.events
        assert owner == placed.resource_id
        assert (first.kind, first.node) == ("assigned", worker.node.id)
        assert (second.kind, second.detail) == ("pause", "run 1")
        await leader.resources.delete("a")
        await fence.until(lambda: fence.events == [])
