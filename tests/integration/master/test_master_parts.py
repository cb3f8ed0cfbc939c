"""A divided resource: its parts are given to different workers, and owned, moved and fenced one by
one."""

from __future__ import annotations

import json

import pytest

from crawler import failpoint
from crawler.coordination.catalog import Catalog, Entry, units_of
from crawler.errors import Conflict, OutcomeUnknown
from crawler.master.wishes import Action
from crawler.model import State
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import a_master, a_worker, definition, entry_of, home_of

FOUR = definition(partitions=4)


def homes(entry: Entry | None) -> list[str]:
    """Who has each part; nothing while one has nobody."""
    found = [home_of(unit) for unit in units_of(entry)] if entry is not None else []
    return found if all(found) else []


def placed(catalog: Catalog) -> list[str]:
    return homes(catalog.entries.get("a"))


def tokens(entry: Entry) -> list[int]:
    return [unit.resource.revision for unit in units_of(entry) if unit.resource is not None]


async def test_parts_go_to_different_workers(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with (
        a_worker(etcd, 1),
        a_worker(etcd, 2),
        a_worker(etcd, 3),
        a_worker(etcd, 4),
        a_master(etcd, fence) as master,
    ):
        leader = await master.leads()
        await leader.resources.add("a", FOUR)
        await master.sees(placed)
        entry = await entry_of(master.etcd, "a")
        assert len(set(homes(entry))) == 4
        kv = await master.etcd.get("/crawler/parts/a/3")
        assert kv is not None
        assert list(json.loads(kv.value)) == ["ID", "Name", "AssignedNode", "CreationTime"]
        assert entry.parts[3].resource is not None
        assert entry.parts[3].resource.revision == kv.mod_revision


async def test_a_part_moves_alone(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd, 1), a_worker(etcd, 2), a_master(etcd, fence) as master:
        leader = await master.leads()
        async with a_worker(etcd, 3) as leaving:
            await leader.resources.add("a", definition(partitions=3))
            await master.sees(placed)
            before = await entry_of(master.etcd, "a")
            await leaving.vanish()
            await master.sees(lambda c: leaving.node.id not in (placed(c) or [leaving.node.id]))
        after = await entry_of(master.etcd, "a")
        gone = homes(before).index(leaving.node.id)
        for part, (old, new) in enumerate(zip(tokens(before), tokens(after), strict=True)):
            assert (old != new) is (part == gone)


@pytest.mark.parametrize("cut", ["", "master.pause.after_txn", "master.pause.after_fence"])
async def test_a_pause_takes_and_fences_every_part(
    etcd: EtcdServer, fence: MemoryFence, cut: str
) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", FOUR)
        await master.sees(placed)
        before = await entry_of(master.etcd, "a")
        failpoint.arm(f"{cut}=fail@1" if cut else "")
        if cut:
            with pytest.raises(OutcomeUnknown):
                await leader.wishes.desire("a", Action.PAUSE)
        await leader.wishes.desire("a", Action.PAUSE)
        entry = await entry_of(master.etcd, "a")
        assert entry.resource is not None
        assert [home_of(unit) for unit in units_of(entry)] == [""] * 4
        for part, token in enumerate(tokens(before)):
            assert fence.fenced(entry.resource.id, token, part)
        await leader.wishes.desire("a", Action.RESUME)
        await master.sees(placed)
        for part, token in enumerate(tokens(await entry_of(master.etcd, "a"))):
            assert not fence.fenced(entry.resource.id, token, part)


async def test_another_definition_raises_every_token(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", FOUR)
        await master.sees(placed)
        before = tokens(await entry_of(master.etcd, "a"))
        await leader.resources.put("a", definition(partitions=4, download_delay=3))
        after = tokens(await entry_of(master.etcd, "a"))
        assert all(new > old for old, new in zip(before, after, strict=True))


async def test_a_resource_is_not_divided_anew(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a")
        await leader.resources.put("a", FOUR)
        await master.sees(placed)
        with pytest.raises(Conflict, match=r"partitions: a is divided into 4 for good, not 1"):
            await leader.resources.put("a", definition())


@pytest.mark.parametrize("cut", ["", "master.delete.after_mark", "master.delete.after_bury"])
async def test_a_delete_leaves_no_part(etcd: EtcdServer, fence: MemoryFence, cut: str) -> None:
    async with a_worker(etcd), a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", FOUR)
        await master.sees(placed)
        failpoint.arm(f"{cut}=fail@1" if cut else "")
        if cut:
            with pytest.raises(OutcomeUnknown):
                await leader.resources.delete("a")
            await master.sees(lambda c: "a" not in c.entries)
        else:
            await leader.resources.delete("a")
        for prefix in (
            "/resources/a",
            "/crawler/parts/",
            "/crawler/status/",
            "/crawler/decisions/",
        ):
            assert not (await master.etcd.range(prefix)).kvs
        again = await leader.resources.add("a", definition(partitions=2))
        assert again.created
        await master.sees(placed)


async def test_the_end_of_the_run_is_the_end_of_all_parts(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_worker(etcd, 1) as worker, a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", FOUR)
        await master.sees(placed)
        await worker.report("a", State.FINISHED)
        await master.sees(lambda c: c.entries["a"].status)
        before = tokens(await entry_of(master.etcd, "a"))
        async with a_worker(etcd, 2):
            await worker.vanish()
            # What is over needs nobody: no part goes to the other worker.
            await master.sees(lambda c: not any(map(home_of, units_of(c.entries["a"]))))
        after = tokens(await entry_of(master.etcd, "a"))
        assert all(new > old for old, new in zip(before, after, strict=True))
