"""Every door, with no token, with one that may only read, and with one that may operate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from crawler.access import Access, Role, line_of
from crawler.rpc.pb import control_pb2, control_pb2_grpc, crawler_pb2, crawler_pb2_grpc
from crawler.telemetry.health import Health
from crawler.web.app import build_worker_app
from crawler.web.server import serve
from tests.fakes.api import FakeCluster, serve_api

TOKENS = {role: f"crw_{role}" + "x" * 30 for role in Role}
NOBODY, STRANGER = None, "crw_stranger" + "x" * 30
OPEN = {"/healthz", "/readyz"}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[FakeCluster]:
    file = tmp_path / "tokens"
    file.write_text("\n".join(line_of(token, role, role) for role, token in TOKENS.items()))
    async with serve_api(access=Access(file)) as serving:
        serving.master.put("a", "{}")
        yield serving


async def status(cluster: FakeCluster, method: str, path: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = cluster.url + path.replace("{name}", "a").replace("{node}", "x")
    body = {"name": "a"} if path == "/crawler/resource" and method != "GET" else None
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=body) as response,
    ):
        if response.status == 401:
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        return response.status


async def routes(cluster: FakeCluster) -> list[tuple[str, str]]:
    """Every method and path there is, from the server's own table."""
    headers = {"Authorization": f"Bearer {TOKENS[Role.READ]}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{cluster.url}/openapi.json") as response,
    ):
        document = await response.json()
    described = [
        (method.upper(), path) for path, each in document["paths"].items() for method in each
    ]
    return [*described, ("GET", "/openapi.json"), ("GET", "/metrics"), ("GET", "/nothing")]


async def test_without_a_token_every_door_is_shut(cluster: FakeCluster) -> None:
    found = await routes(cluster)
    assert len(found) > 20
    for method, path in found:
        for token in (NOBODY, STRANGER):
            expected = 200 if path in OPEN and token is NOBODY else 401
            assert await status(cluster, method, path, token) == expected, (method, path)
    assert cluster.master.calls == []


async def test_a_reader_changes_nothing(cluster: FakeCluster) -> None:
    for method, path in await routes(cluster):
        answered = await status(cluster, method, path, TOKENS[Role.READ])
        if method == "GET" or path == "/greeter/hello":
            assert answered in {200, 404}, (method, path)
        else:
            assert answered == 403, (method, path)
    changing = {"AddResource", "PutResource", "SetDesired", "DeleteResource", "DrainNode"}
    assert not changing & set(cluster.master.calls)


async def test_an_operator_passes_both_doors(cluster: FakeCluster) -> None:
    """HTTP's own, and that of gRPC behind it, to which the same token is shown."""
    for path in ("/crawler/resource/a/pause", "/crawler/resource/a/resume"):
        assert await status(cluster, "POST", path, TOKENS[Role.OPERATE]) == 200
    assert await status(cluster, "GET", "/crawler/resource", TOKENS[Role.OPERATE]) == 200


async def test_a_workers_doors_are_shut_too(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(line_of(TOKENS[Role.READ], "r", Role.READ))
    app = build_worker_app(Health(), loopback=True, access=Access(file))
    async with serve(app, "127.0.0.1", 0, grace_s=0.1) as port:
        worker = FakeCluster(url=f"http://127.0.0.1:{port}")
        found = await routes(worker)
        assert len(found) > 4
        for method, path in found:
            for token in (NOBODY, STRANGER):
                expected = 200 if path in OPEN and token is NOBODY else 401
                assert await status(worker, method, path, token) == expected, (method, path)


async def test_probes_tell_strangers_no_more_than_whether_it_is_ready(
    cluster: FakeCluster,
) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{cluster.url}/readyz") as response:
            assert (await response.json())["checks"] == {}
        headers = {"Authorization": f"Bearer {TOKENS[Role.READ]}"}
        cluster.health.add("figure", _fine)
        async with session.get(f"{cluster.url}/readyz", headers=headers) as response:
            assert "figure" in (await response.json())["checks"]


async def _fine() -> str:
    return "fine"


def metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


@pytest.mark.parametrize("token", [NOBODY, STRANGER])
async def test_every_rpc_asks(cluster: FakeCluster, token: str | None) -> None:
    calls = [
        ("CrawlerMaster", method.name)
        for method in crawler_pb2.DESCRIPTOR.services_by_name["CrawlerMaster"].methods
    ]
    calls += [
        ("CrawlerControl", method.name)
        for method in control_pb2.DESCRIPTOR.services_by_name["CrawlerControl"].methods
    ]
    calls += [("go.micro.server.master.CrawlerMaster", "AddResource"), ("Nothing", "AtAll")]
    async with grpc.aio.insecure_channel(cluster.rpc) as channel:
        for service, method in calls:
            call = channel.unary_unary(f"/{service}/{method}", bytes, bytes)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", metadata=metadata(token))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, method
        reflecting = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = reflecting.ServerReflectionInfo(iter([request]), metadata=metadata(token))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [each async for each in stream]
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == 1
    assert cluster.master.calls == []


async def test_a_readers_rpc_reads_only(cluster: FakeCluster) -> None:
    mine = metadata(TOKENS[Role.READ])
    async with grpc.aio.insecure_channel(cluster.rpc) as channel:
        control = control_pb2_grpc.CrawlerControlStub(channel)
        listed = await control.ListResources(Empty(), metadata=mine)
        assert [each.name for each in listed.resources] == ["a"]
        master = crawler_pb2_grpc.CrawlerMasterStub(channel)
        for call in (
            master.AddResource(crawler_pb2.ResourceSpec(name="b"), metadata=mine),
            control.DrainNode(control_pb2.DrainRequest(node="x"), metadata=mine),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        theirs = metadata(TOKENS[Role.OPERATE])
        await master.AddResource(crawler_pb2.ResourceSpec(name="b"), metadata=theirs)
