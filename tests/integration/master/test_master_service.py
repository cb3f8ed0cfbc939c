"""The services over gRPC: any master will do, and each call goes to the leader once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crawler.access import Access, Role, acting_for, line_of, new_token
from crawler.coordination.operations import put as put_op
from crawler.errors import (
    Conflict,
    CrawlerError,
    InvalidInput,
    NoLeader,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unauthenticated,
    Unavailable,
)
from crawler.model import Progress
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.pb.control_pb2 import (
    DesireRequest,
    DrainRequest,
    ListRequest,
    NameRequest,
    NodesRequest,
    Notice,
    PutRequest,
    RetryRequest,
    WatchRequest,
)
from crawler.rpc.pb.crawler_pb2 import NodeSpec, ResourceSpec
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import (
    CLOCK,
    Running,
    Worker,
    a_master,
    a_worker,
    definition,
    entry_of,
)


@asynccontextmanager
async def pair(
    etcd: EtcdServer, fence: MemoryFence
) -> AsyncIterator[tuple[Running, Running, Worker]]:
    """A leader, a follower, a worker."""
    async with (
        a_worker(etcd) as worker,
        a_master(etcd, fence, 1) as leader,
        a_master(etcd, fence, 2) as follower,
    ):
        await leader.leads()
        await follower.sees(lambda c: c.leader is not None)
        yield leader, follower, worker


async def test_a_follower_forwards_and_both_say_so(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with pair(etcd, fence) as (_, follower, worker):
        with capture_logs() as logs:
            answer = await follower.calls.add_resource(ResourceSpec(id="zjx", name="task-test-4"))
        assert (answer.id, answer.Address) == (worker.node.id, worker.node.address)
        received = [line for line in logs if line["event"] == "receive request"]
        assert [(line["method"], line["hop"]) for line in received] == [
            ("CrawlerMaster.AddResource", 0),
            ("CrawlerMaster.AddResource", 1),
        ]
        (added,) = (line for line in logs if line["event"] == "add resource")
        assert list(added["specs"]) == ["ID", "Name", "AssignedNode", "CreationTime"]
        assert added["specs"]["AssignedNode"] == f"{worker.node.id}|{worker.node.address}"


async def test_every_write_through_a_follower(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with pair(etcd, fence) as (leader, follower, worker):
        calls = follower.calls
        put = await calls.put_resource(PutRequest(name="a", definition_json=definition()))
        assert (put.created, put.node_id) == (True, worker.node.id)
        await calls.set_desired(DesireRequest(name="a", action="pause"))
        view = await calls.get_resource(NameRequest(name="a"))
        assert (view.id, view.state, view.assigned_node) == (put.resource_id, "paused", "")
        await calls.set_desired(DesireRequest(name="a", action="resume"))
        view = await leader.calls.get_resource(NameRequest(name="a"))
        assert (view.state, view.assigned_node, view.run) == ("assigned", worker.node.id, 1)
        assert (view.definition_json, view.address) == (definition(), worker.node.address)
        assert view.decision
        assert view.decided_at == pytest.approx(CLOCK.wall(), abs=60)
        fence.counters[put.resource_id] = 1, Progress(known=3, failed=3, seeded=True)
        retried = await calls.retry_pages(RetryRequest(name="a", status="5xx"))
        assert (retried.run, retried.pages, retried.next) == (1, 3, 0)
        await calls.drain_node(DrainRequest(node=worker.node.id))
        (node,) = (await calls.list_nodes()).nodes
        assert (node.id, node.drained, node.native) == (worker.node.id, True, True)
        await calls.drain_node(DrainRequest(node=worker.node.id, undo=True))
        assert [r.name for r in (await calls.list_resources()).resources] == ["a"]
        await calls.delete_resource(ResourceSpec(name="a"))
        assert not (await calls.list_resources()).resources


async def test_a_list_holds_what_was_answered_before_whichever_master_is_asked(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with pair(etcd, fence) as (leader, follower, _worker):
        for number in range(6):
            name = f"r{number}"
            await leader.calls.add_resource(ResourceSpec(name=name))
            if number == 3:  # somebody else's, which no watch of ours tells of
                await leader.etcd.txn([], [put_op("/zzz", b"")])
            cursor, found = "", []
            while True:
                page = await follower.calls.list_resources(ListRequest(limit=2, cursor=cursor))
                found += [view.name for view in page.resources]
                assert dict(page.totals) == {"assigned": number + 1}
                if not page.next:
                    break
                cursor = page.next
            assert found == [f"r{n}" for n in range(number + 1)]
        await leader.calls.delete_resource(ResourceSpec(name="r1"))
        request = ListRequest(prefix="r", contains="R1", state="assigned")
        assert not (await follower.calls.list_resources(request)).resources
        with pytest.raises(InvalidInput, match="state: one of"):
            await follower.calls.list_resources(ListRequest(state="busy"))
        nodes = await follower.calls.list_nodes(NodesRequest(limit=1))
        assert [node.id for node in nodes.nodes] == ["go.micro.server.worker-1"]


async def test_a_watch_goes_on_at_another_master(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with pair(etcd, fence) as (leader, follower, worker), asyncio.timeout(20):
        told = follower.calls.watch(WatchRequest())
        assert (await anext(told)).kind == Notice.HEARTBEAT
        await leader.calls.add_resource(ResourceSpec(name="a"))
        notice = await anext(told)
        assert (notice.kind, notice.name, notice.state) == (
            Notice.RESOURCE_CHANGED,
            "a",
            "assigned",
        )
        await told.aclose()
        await follower.calls.add_resource(ResourceSpec(name="b"))
        told = leader.calls.watch(WatchRequest(cursor=notice.cursor))
        assert (await anext(told)).kind == Notice.HEARTBEAT
        assert (await anext(told)).name == "b"
        await worker.vanish()
        assert (await anext(told)).kind == Notice.NODE_LOST
        await told.aclose()
        with pytest.raises(InvalidInput) as caught:
            await anext(follower.calls.watch(WatchRequest(cursor="7")))
        assert caught.value.field == "cursor"
        for number in range(210):
            await leader.calls.add_resource(ResourceSpec(name=f"r{number}"))
        told = leader.calls.watch(WatchRequest(cursor=notice.cursor))
        assert (await anext(told)).kind == Notice.RESET
        await told.aclose()


@pytest.mark.threat(3, 24)
async def test_credentials_are_kept_but_not_shown(etcd: EtcdServer, fence: MemoryFence) -> None:
    sent = {**json.loads(definition()), "cookies": {"session": "q7"}}
    async with pair(etcd, fence) as (leader, follower, _):
        put = PutRequest(name="a", definition_json=json.dumps(sent))
        assert (await follower.calls.put_resource(put)).created
        for master in (leader, follower):
            view = await master.calls.get_resource(NameRequest(name="a"))
            assert json.loads(view.definition_json)["cookies"] == {"session": "***"}
        assert not (await follower.calls.put_resource(put)).changed
        for garbage in ("{", "7", "[" * 100_000):
            await leader.etcd.txn([], [put_op("/crawler/definitions/a", garbage.encode())])
            view = await follower.calls.get_resource(NameRequest(name="a"))
            assert view.definition_json == ""


async def test_errors_pass_through_a_follower(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with pair(etcd, fence) as (_, follower, _worker):
        calls = follower.calls
        with pytest.raises(NotFound):
            await calls.delete_resource(ResourceSpec(name="none"))
        with pytest.raises(NotFound):
            await calls.get_resource(NameRequest(name="none"))
        await calls.add_resource(ResourceSpec(name="a"))
        with pytest.raises(Conflict):
            await calls.add_resource(ResourceSpec(name="a", definition_json=definition()))
        text = '{"start_urls": ["https://shop.example/"], "x": 1}'
        with pytest.raises(InvalidInput, match="name") as caught:
            await calls.add_resource(ResourceSpec(name="a/b"))
        assert caught.value.field == "name"
        with pytest.raises(InvalidInput) as caught:
            await calls.add_resource(ResourceSpec(name="b", definition_json=text))
        assert caught.value.field == "x"
        with pytest.raises(InvalidInput, match="definition_json"):
            await calls.put_resource(PutRequest(name="b"))
        with pytest.raises(InvalidInput, match="pause, resume, stop, start"):
            await calls.set_desired(DesireRequest(name="a", action="fly"))


@pytest.mark.threat(5)
async def test_a_forwarded_call_goes_no_further(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with pair(etcd, fence) as (_, follower, _worker):
        channels = Channels()
        forwarded = MasterCalls(channels, follower.address, hop=1)
        with pytest.raises(NoLeader):
            await forwarded.add_resource(ResourceSpec(name="a"))
        await channels.close()
        assert await follower.etcd.get("/resources/a") is None


@pytest.mark.threat(5)
async def test_the_leader_asks_again_who_is_calling(
    etcd: EtcdServer, fence: MemoryFence, tmp_path: Path
) -> None:
    """A follower that is too kind, or whose tokens are old, opens nothing."""
    known, demoted, gone = new_token(), new_token(), new_token()
    leaders, followers = tmp_path / "leader", tmp_path / "follower"
    lines = [line_of(known, "known", Role.OPERATE)]
    leaders.write_text("\n".join([*lines, line_of(demoted, "demoted", Role.READ)]))
    lines += [line_of(each, "old", Role.OPERATE) for each in (demoted, gone)]
    followers.write_text("\n".join(lines))
    async with (
        a_master(etcd, fence, 1, access=Access(leaders)) as leader,
        a_master(etcd, fence, 2, access=Access(followers)) as follower,
        a_master(etcd, fence, 3) as careless,
    ):
        await leader.leads()
        channels = Channels()
        for master, token, error in (
            (follower, demoted, Refused),
            (follower, gone, Unauthenticated),
            (careless, known, Unauthenticated),  # it asks nobody, and so calls for nobody
        ):
            await master.sees(lambda c: c.leader is not None)
            acting_for.set(f"Bearer {token}")
            with pytest.raises(error):
                await master.calls.add_resource(ResourceSpec(name="a"))
        acting_for.set("")
        for hop in (0, 1, 2):
            with pytest.raises(Unauthenticated):
                await MasterCalls(channels, leader.address, hop=hop).add_resource(
                    ResourceSpec(name="a")
                )
        assert (await entry_of(leader.etcd, "a")).resource is None
        acting_for.set(f"Bearer {known}")
        await follower.calls.add_resource(ResourceSpec(name="a"))
        assert (await entry_of(leader.etcd, "a")).resource is not None
        await channels.close()


@pytest.mark.threat(5)
async def test_two_followers_of_a_leader_that_is_none_do_not_send_calls_round(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with pair(etcd, fence) as (_, follower, _worker):
        impostor = Channels()
        with capture_logs() as logs:
            for hop in (1, 2, 999):
                with pytest.raises(NoLeader):
                    await MasterCalls(impostor, follower.address, hop=hop).delete_resource(
                        ResourceSpec(name="a")
                    )
        assert len([line for line in logs if line["event"] == "receive request"]) == 3
        await impostor.close()


async def test_without_a_leader_a_call_waits_a_little_and_says_so(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    fence.down = True  # nobody can take over
    async with a_master(etcd, fence) as master:
        started = CLOCK.elapsed()
        with pytest.raises(NoLeader):
            await master.calls.add_resource(ResourceSpec(name="a"))
        assert 0.8 < CLOCK.elapsed() - started < 2.0


async def test_a_call_waits_for_an_election_to_end(etcd: EtcdServer, fence: MemoryFence) -> None:
    async with a_master(etcd, fence) as master:
        await master.calls.add_resource(ResourceSpec(name="a"))


async def test_a_leader_that_does_not_answer_is_told_as_no_effect(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    # Its port is closed, its lease lives: as after a kill -9.
    etcd.ctl("put", "/resources/election/1", "master9-127.0.0.1:1")
    async with a_master(etcd, fence) as follower:
        with pytest.raises(Unavailable, match="cannot connect"):
            await follower.calls.add_resource(ResourceSpec(name="a"))


async def test_a_leader_lost_under_load_leaves_every_answer_true(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with pair(etcd, fence) as (leader, follower, worker):
        names = [f"r{number}" for number in range(300)]
        answered = 0

        async def add(name: str) -> NodeSpec | CrawlerError:
            nonlocal answered
            try:
                answer = await follower.calls.add_resource(ResourceSpec(name=name))
            except CrawlerError as error:
                return error
            answered += 1
            if answered == 50:
                await etcd_of.revoke(leader.session.lease)
            return answer

        etcd_of = follower.etcd
        first = await asyncio.gather(*map(add, names))
        written = {
            kv.key.removeprefix("/resources/") for kv in (await etcd_of.range("/resources/r")).kvs
        }
        for name, outcome in zip(names, first, strict=True):
            if isinstance(outcome, CrawlerError):
                assert isinstance(outcome, Unavailable | OutcomeUnknown)
                assert isinstance(outcome, OutcomeUnknown) or name not in written
            else:
                assert outcome.id == worker.node.id
                assert name in written
        await follower.leads()
        again = await asyncio.gather(*map(add, names))
        assert {each.id for each in again if isinstance(each, NodeSpec)} == {worker.node.id}
        assert not [each for each in again if isinstance(each, CrawlerError)]
        records = [json.loads(kv.value) for kv in (await etcd_of.range("/resources/r")).kvs]
        assert len(records) == len({record["ID"] for record in records}) == len(names)
