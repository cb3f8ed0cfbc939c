"""Calls over real sockets: names, errors, deadlines, and what is said of a call's effect."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from crawler.clock import Backoff
from crawler.errors import (
    Conflict,
    Hindered,
    InvalidInput,
    Misconfigured,
    NoLeader,
    NotFound,
    OutcomeUnknown,
    TooLarge,
    Unavailable,
)
from crawler.rpc.calls import CallSettings, Channels, MasterCalls
from crawler.rpc.errors import from_rpc_error
from crawler.rpc.greeting import Greeter
from crawler.rpc.limits import MAX_REQUEST_BYTES
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb import crawler_pb2 as crawler
from crawler.rpc.pb import crawler_pb2_grpc, greeter_pb2
from crawler.rpc.server import serve
from crawler.rpc.services import greeter
from tests.fakes.clock import SleepClock
from tests.fakes.control import FakeMaster

NAME = "go.micro.server.worker-2"


@asynccontextmanager
async def calls_to(
    master: FakeMaster,
    settings: CallSettings | None = None,
    hop: int = 0,
    clock: SleepClock | None = None,
) -> AsyncIterator[MasterCalls]:
    channels = Channels()
    async with serve("127.0.0.1:0", master.services, grace_s=0.2) as listening:
        yield MasterCalls(channels, listening.address, settings=settings, hop=hop, clock=clock)
        await channels.close()


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that refuses connections: bound, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_add_answers_the_node() -> None:
    async with calls_to(FakeMaster()) as calls:
        spec = await calls.add_resource(crawler.ResourceSpec(id="zjx", name="task-test-4"))
    assert (spec.id, spec.Address) == (NAME, "192.168.0.107:9089")


async def test_every_call_reaches_its_method() -> None:
    master = FakeMaster()
    async with calls_to(master) as calls:
        await calls.put_resource(control.PutRequest(name="a", definition_json="{}"))
        await calls.set_desired(control.DesireRequest(name="a", action="pause"))
        assert (await calls.get_resource(control.NameRequest(name="a"))).state == "paused"
        assert [view.name for view in (await calls.list_resources()).resources] == ["a"]
        assert [node.leader for node in (await calls.list_nodes()).nodes] == [True, False]
        await calls.retry_pages(control.RetryRequest(name="a"))
        await calls.drain_node(control.DrainRequest(node=NAME))
        await calls.delete_resource(crawler.ResourceSpec(name="a"))
    assert master.calls == [
        "PutResource",
        "SetDesired",
        "GetResource",
        "ListResources",
        "ListNodes",
        "RetryPages",
        "DrainNode",
        "DeleteResource",
    ]
    assert master.nodes[1].drained
    assert not master.resources


@pytest.mark.parametrize("prefix", ["", "go.micro.server.master."])
async def test_both_names_of_the_master_are_served(prefix: str) -> None:
    async with (
        serve("127.0.0.1:0", FakeMaster().services) as listening,
        grpc.aio.insecure_channel(listening.address) as channel,
    ):
        add = channel.unary_unary(
            f"/{prefix}CrawlerMaster/AddResource",
            request_serializer=crawler.ResourceSpec.SerializeToString,
            response_deserializer=crawler.NodeSpec.FromString,
        )
        assert (await add(crawler.ResourceSpec(name="a"), timeout=5)).id == NAME


@pytest.mark.parametrize("prefix", ["", "go.micro.server.worker."])
async def test_both_names_of_the_greeter_are_served(prefix: str) -> None:
    async with (
        serve("127.0.0.1:0", [greeter(Greeter())]) as listening,
        grpc.aio.insecure_channel(listening.address) as channel,
    ):
        hello = channel.unary_unary(
            f"/{prefix}Greeter/Hello",
            request_serializer=greeter_pb2.Request.SerializeToString,
            response_deserializer=greeter_pb2.Response.FromString,
        )
        answer = await hello(greeter_pb2.Request(name="wörld"), timeout=5)
    assert answer.greeting == "Hello wörld"


async def test_health_and_reflection_answer() -> None:
    async with (
        serve("127.0.0.1:0", FakeMaster().services) as listening,
        grpc.aio.insecure_channel(listening.address) as channel,
    ):
        check = health_pb2_grpc.HealthStub(channel).Check
        for service in ("", "CrawlerMaster", "go.micro.server.master.CrawlerMaster"):
            told = await check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert told.status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([ask]), timeout=5
        )
        answers = [answer async for answer in stream]
    named = {service.name for service in answers[0].list_services_response.service}
    assert {"CrawlerMaster", "CrawlerControl", "grpc.health.v1.Health"} <= named


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("start_urls[0]: no URL \u2713\n", field="start_urls[0]"),
        NotFound("no such task"),
        Conflict("a exists with another definition"),
        NoLeader("no master leads"),
        TooLarge("definition: more than 256 kB"),
        OutcomeUnknown("etcd did not say"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_errors_arrive_as_they_were_raised(error: Exception) -> None:
    async with calls_to(FakeMaster(fail_next=[error])) as calls:
        with pytest.raises(type(error)) as caught:
            await calls.list_nodes()
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "field", "") == getattr(error, "field", "")


@pytest.mark.threat(2, 23)
async def test_bytes_that_are_no_request_are_refused_for_certain() -> None:
    master = FakeMaster()
    async with (
        serve("127.0.0.1:0", master.services, grace_s=0.1) as at,
        grpc.aio.insecure_channel(at.address) as channel,
    ):
        for method in ("CrawlerMaster/AddResource", "CrawlerControl/PutResource"):
            for sent in (b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(f"/{method}", bytes, bytes)(sent)
                assert isinstance(from_rpc_error(caught.value), InvalidInput)
                assert "the request is no" in str(caught.value.details())
    assert master.calls == []


async def test_a_fault_tells_nothing_of_its_insides() -> None:
    async with calls_to(FakeMaster(fail_next=[ValueError("secret")])) as calls:
        with pytest.raises(OutcomeUnknown, match="internal error") as caught:
            await calls.list_nodes()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["x", "é", "\n", "%", "\u2713", "\U0001f577", "\ud800"])
async def test_an_endless_message_arrives_cut(text: str) -> None:
    endless = [InvalidInput(text * 100_000, field=text * 100_000) for _ in range(20)]
    async with calls_to(FakeMaster(fail_next=list(endless))) as calls:
        for _ in endless:  # gRPC drops trailers above a soft limit at random
            with pytest.raises(InvalidInput) as caught:
                await calls.list_nodes()
            expected = "?" if text == "\ud800" else text
            assert set(str(caught.value)) == set(expected)
            assert set(caught.value.field) == set(expected)


async def test_nobody_there_is_definitely_without_effect(dead_port: int) -> None:
    channels = Channels()
    with pytest.raises(Unavailable):
        await MasterCalls(channels, f"127.0.0.1:{dead_port}").list_nodes()
    await channels.close()


async def test_a_connection_that_never_comes_is_without_effect_within_its_bound() -> None:
    with socket.socket() as silent:  # accepts, and never speaks HTTP/2
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        channels = Channels()
        calls = MasterCalls(
            channels,
            f"127.0.0.1:{silent.getsockname()[1]}",
            settings=CallSettings(timeout_s=5.0, connect_s=0.3),
        )
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await calls.list_nodes()
        assert time.monotonic() - began < 2.0
        await channels.close()


async def test_a_deadline_passed_leaves_the_outcome_unknown() -> None:
    master = FakeMaster(hold=asyncio.Event())
    async with calls_to(master, CallSettings(timeout_s=0.3)) as calls:
        with pytest.raises(OutcomeUnknown):
            await calls.add_resource(crawler.ResourceSpec(name="a"))
    assert master.calls == ["AddResource"]


async def test_a_stream_broken_in_mid_call_leaves_the_outcome_unknown() -> None:
    received = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An HTTP/2 server that takes settings and the request, then drops the connection."""
        writer.write(bytes.fromhex("000000040000000000000000040100000000"))
        taken = b""
        while b"task" not in taken:
            taken += await reader.read(4096)
        received.set()
        writer.transport.abort()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    channels = Channels()
    async with server:
        port = server.sockets[0].getsockname()[1]
        calls = MasterCalls(channels, f"127.0.0.1:{port}")
        with pytest.raises(OutcomeUnknown):
            await calls.add_resource(crawler.ResourceSpec(name="task"))
        assert received.is_set()
        await channels.close()


async def test_definite_refusals_are_repeated_until_one_call_gets_through() -> None:
    master = FakeMaster(fail_next=[NoLeader("no master leads"), NoLeader("no master leads")])
    settings = CallSettings(repeat=Backoff(base_s=0.01, cap_s=0.05))
    async with calls_to(master, settings) as calls:
        await calls.add_resource(crawler.ResourceSpec(name="a"))
    assert master.calls == ["AddResource"] * 3


async def test_unknown_outcomes_are_not_repeated() -> None:
    master = FakeMaster(fail_next=[OutcomeUnknown("?")])
    async with calls_to(master, CallSettings(repeat=Backoff())) as calls:
        with pytest.raises(OutcomeUnknown):
            await calls.add_resource(crawler.ResourceSpec(name="a"))
    assert master.calls == ["AddResource"]


async def test_repeating_ends_at_the_deadline() -> None:
    master = FakeMaster(fail_next=[NoLeader("no master leads")] * 1000)
    settings = CallSettings(timeout_s=10.0, connect_s=10.0, repeat=Backoff(base_s=1.0, cap_s=1.0))
    clock = SleepClock()
    async with calls_to(master, settings, clock=clock) as calls:
        with pytest.raises(NoLeader):
            await calls.list_nodes()
    assert 9.0 <= clock.elapsed() < 10.0


@pytest.mark.parametrize("hop", [0, 1])
async def test_the_hop_mark_arrives(hop: int) -> None:
    master = FakeMaster()
    async with calls_to(master, hop=hop) as calls:
        await calls.list_nodes()
    assert master.hops == [hop]


async def test_an_unreadable_hop_mark_counts_as_one() -> None:
    master = FakeMaster()
    async with (
        serve("127.0.0.1:0", master.services) as listening,
        grpc.aio.insecure_channel(listening.address) as channel,
    ):
        call = channel.unary_unary(
            "/CrawlerControl/ListNodes",
            request_serializer=Empty.SerializeToString,
            response_deserializer=control.NodeList.FromString,
        )
        await call(Empty(), timeout=5, metadata=(("crawler-hop", "-x"),))
    assert master.hops == [1]


@pytest.mark.threat(23)
async def test_requests_are_bounded_and_long_lists_pass() -> None:
    master = FakeMaster()
    for number in range(8_000):
        view = control.ResourceView(id=str(number), name=f"n{number}", reason="x" * 700)
        master.resources[view.name] = view
    async with calls_to(master) as calls:
        assert len((await calls.list_resources()).resources) == 8_000
        with pytest.raises(TooLarge):
            await calls.add_resource(crawler.ResourceSpec(name="x" * 5_000_000))


@pytest.mark.threat(23)
@pytest.mark.parametrize("over", [0, 1])
async def test_a_request_may_be_as_large_as_the_limit(over: int) -> None:
    """The server refuses it, whatever the caller's own limits are."""
    master = FakeMaster()
    empty = crawler.ResourceSpec(name="a", definition_json=" " * MAX_REQUEST_BYTES)
    size = 2 * MAX_REQUEST_BYTES - empty.ByteSize() + over
    spec = crawler.ResourceSpec(name="a", definition_json="{}".ljust(size))
    assert spec.ByteSize() == MAX_REQUEST_BYTES + over
    async with (
        serve("127.0.0.1:0", master.services) as listening,
        grpc.aio.insecure_channel(listening.address) as channel,
    ):
        call = crawler_pb2_grpc.CrawlerMasterStub(channel).AddResource(spec, timeout=5)
        if over:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        else:
            assert (await call).id == NAME
    assert bool(master.calls) is not bool(over)


async def test_a_taken_port_is_named_with_its_flag() -> None:
    async with serve("127.0.0.1:0", FakeMaster().services) as first:
        with pytest.raises(Hindered, match=rf"--grpc=.*{first.port}: .*in use"):
            async with serve(first.address, FakeMaster().services):
                pass


@pytest.mark.parametrize("address", [":9091", "9091", "127.0.0.1:x", "192.0.2.1:9091", "x y:1"])
async def test_an_address_that_cannot_be_had_is_named(address: str) -> None:
    with pytest.raises(Misconfigured, match="--grpc="):
        async with serve(address, FakeMaster().services):
            pass


async def test_the_port_is_free_after_the_block() -> None:
    async with serve("127.0.0.1:0", FakeMaster().services, grace_s=0.1) as first:
        pass
    async with serve(first.address, FakeMaster().services, grace_s=0.1) as second:
        assert second.port == first.port


async def test_a_running_call_ends_before_the_server_does() -> None:
    master = FakeMaster(hold=asyncio.Event())
    channels = Channels()
    assert master.hold is not None
    async with serve("127.0.0.1:0", master.services, grace_s=5.0) as listening:
        running = asyncio.create_task(MasterCalls(channels, listening.address).list_nodes())
        await master.entered.wait()
        asyncio.get_running_loop().call_later(0.1, master.hold.set)
    assert len((await running).nodes) == 2
    await channels.close()


async def test_channels_are_kept_and_closed() -> None:
    channels = Channels()
    first = channels.to("127.0.0.1:1")
    assert channels.to("127.0.0.1:1") is first
    await channels.keep(set())
    assert channels.to("127.0.0.1:1") is not first
    await channels.close()
    await channels.close()


async def test_a_call_is_logged_once_with_its_request() -> None:
    with structlog.testing.capture_logs() as lines:
        async with calls_to(FakeMaster(), hop=1) as calls:
            await calls.add_resource(
                crawler.ResourceSpec(id="zjx", name="task", definition_json='{"a": "secret"}')
            )
    received = [line for line in lines if line["event"] == "receive request"]
    assert received == [
        {
            "event": "receive request",
            "log_level": "info",
            "method": "CrawlerMaster.AddResource",
            "service": "go.micro.server.master",
            "request": {"id": "zjx", "name": "task", "definition_json": "15 characters"},
            "hop": 1,
        }
    ]
