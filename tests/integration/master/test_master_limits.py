"""What one token may cost: so many requests, so many resources."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crawler.access import ANYBODY, Access, Role, acting_for, line_of, new_token
from crawler.coordination.registry import (
    marked,
    native_metadata,
    register,
)
from crawler.definition import MAX_DEFINITION_BYTES
from crawler.errors import Exhausted, TooLarge
from crawler.model import MASTER_SERVICE, Node
from crawler.rates import Rate, Rates
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.pb.control_pb2 import NameRequest, PutRequest
from crawler.rpc.pb.crawler_pb2 import ResourceSpec
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import CLOCK, Running, a_master, definition, entry_of

pytestmark = pytest.mark.threat(26)


async def enlist(master: Running, mark: str) -> None:
    """Register a master as its process does."""
    node = Node(f"{MASTER_SERVICE}-2", MASTER_SERVICE, master.address, native_metadata("1"))
    await register(master.etcd, master.session, marked(node, mark))


async def test_a_call_is_counted_where_it_comes_in(
    etcd: EtcdServer, fence: MemoryFence, tmp_path: Path
) -> None:
    token, file = new_token(), tmp_path / "tokens"
    file.write_text(line_of(token, "loader", Role.OPERATE))
    slow = Rate(per_s=0.001, burst=4)
    async with (
        a_master(etcd, fence, 1, access=Access(file), rates=Rates(CLOCK, slow)) as leader,
        a_master(
            etcd, fence, 2, access=Access(file), rates=Rates(CLOCK, slow), mark="two"
        ) as follower,
    ):
        await leader.leads()
        await enlist(follower, "two")
        await leader.sees(lambda c: c.masters)
        await follower.sees(lambda c: c.leader is not None)
        acting_for.set(f"Bearer {token}")
        for number in range(4):
            await follower.calls.add_resource(ResourceSpec(name=f"r{number}"))
        with pytest.raises(Exhausted, match="loader sends more than"):
            await follower.calls.add_resource(ResourceSpec(name="r4"))
        # The leader counted none of those; what comes to it is counted whatever it pretends to be.
        channels = Channels()
        forged = MasterCalls(channels, leader.address, hop=1, mark="three")
        for _ in range(4):
            await forged.add_resource(ResourceSpec(name="r0"))
        with pytest.raises(Exhausted):
            await forged.add_resource(ResourceSpec(name="r0"))
        await channels.close()


async def test_a_token_has_no_more_resources_than_its_line_says(
    etcd: EtcdServer, fence: MemoryFence, tmp_path: Path
) -> None:
    modest, other, file = new_token(), new_token(), tmp_path / "tokens"
    lines = [line_of(modest, "modest", Role.OPERATE, 3), line_of(other, "other", Role.OPERATE)]
    file.write_text("\n".join(lines))
    async with (
        a_master(etcd, fence, 1, access=Access(file)) as leader,
        a_master(etcd, fence, 2, access=Access(file)) as follower,
    ):
        await leader.leads()
        await follower.sees(lambda c: c.leader is not None)
        acting_for.set(f"Bearer {modest}")
        answers = await asyncio.gather(
            *(
                master.calls.add_resource(ResourceSpec(name=f"r{number}"))
                for number in range(10)
                for master in (leader, follower)
            ),
            return_exceptions=True,
        )
        refused = [each for each in answers if isinstance(each, Exhausted)]
        assert len(refused) == 2 * (10 - 3), answers
        assert "modest may have 3 resources" in str(refused[0])
        kept = list(leader.catalog.entries)
        assert len(kept) == 3
        # What is there may be repeated and changed, by whoever it is; room comes with a delete.
        await follower.calls.put_resource(PutRequest(name=kept[0], definition_json=definition()))
        with pytest.raises(Exhausted):
            await follower.calls.put_resource(PutRequest(name="x", definition_json=definition()))
        acting_for.set(f"Bearer {other}")
        await follower.calls.put_resource(PutRequest(name="x", definition_json=definition()))
        view = await leader.calls.get_resource(NameRequest(name=kept[0]))
        assert view.owner == "modest"
        await leader.calls.delete_resource(ResourceSpec(name=kept[0]))
        assert (await entry_of(leader.etcd, kept[0])).owner == ""
        acting_for.set(f"Bearer {modest}")
        await follower.calls.add_resource(ResourceSpec(name="y"))
        with pytest.raises(Exhausted):
            await leader.calls.add_resource(ResourceSpec(name="z"))
        # The next leader counts what it finds.
        await leader.stop()
        await follower.leads()
        with pytest.raises(Exhausted):
            await follower.calls.add_resource(ResourceSpec(name="z"))


async def test_where_nobody_is_asked_nobody_owns(etcd: EtcdServer, fence: MemoryFence) -> None:
    etcd.ctl("put", "/crawler/owners/a", "somebody")
    async with a_master(etcd, fence) as master:
        leader = await master.leads()
        await leader.resources.add("a", None, ANYBODY)
        assert (await entry_of(master.etcd, "a")).owner == ""


@pytest.mark.threat(23)
async def test_a_definition_has_one_limit_on_this_door_too(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with a_master(etcd, fence) as master:
        await master.leads()
        for size, refused in ((0, False), (1, True)):
            text = definition().ljust(MAX_DEFINITION_BYTES + size)
            calls = (
                master.calls.add_resource(ResourceSpec(name=f"a{size}", definition_json=text)),
                master.calls.put_resource(PutRequest(name=f"p{size}", definition_json=text)),
            )
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, TooLarge) is refused, answer
        assert set(master.catalog.entries) == {"a0", "p0"}
