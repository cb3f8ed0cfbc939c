"""Every door, with no token, with one that may only read, and with one that may operate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc
import pytest
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crawler.access import Access, Role, line_of
from crawler.engine.urls import page_key
from crawler.model import MASTER_SERVICE, WORKER_SERVICE
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.greeting import Greeter
from crawler.rpc.lives import Lives
from crawler.rpc.pb import control_pb2, control_pb2_grpc, crawler_pb2, crawler_pb2_grpc
from crawler.rpc.server import serve as serve_grpc
from crawler.rpc.services import crawler_worker, greeter
from crawler.telemetry.health import Health
from crawler.web.app import build_app, build_worker_app
from crawler.web.server import serve
from tests.doors import ask, each_refuses, metadata, offered_rpcs, routes_of
from tests.fakes.api import FakeCluster, serve_api
from tests.fakes.trials import FakeTrials

pytestmark = pytest.mark.threat(1)

TOKENS = {role: f"crw_{role}" + "x" * 30 for role in Role}
NOBODY, STRANGER = None, "crw_stranger" + "x" * 30
OPEN = {"/healthz", "/readyz"}
READ = ("/ListResources", "/ListNodes", "/Watch")
PAGE = {("GET", "/"), ("GET", "/console/{file}")}  # what is shown before anybody has signed in
READING = {"/greeter/hello", "/crawler/check"}  # by POST, and yet nothing changes
SIGNING = {("POST", "/console/session"), ("DELETE", "/console/session")}
DECLARED = {
    f"{prefix}{service}/{method.name}"
    for file, service in ((crawler_pb2, "CrawlerMaster"), (control_pb2, "CrawlerControl"))
    for method in file.DESCRIPTOR.services_by_name[service].methods
    for prefix in ("", f"{MASTER_SERVICE}.", f"{WORKER_SERVICE}.")
}


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


async def test_no_route_is_outside_of_these(cluster: FakeCluster) -> None:
    """What the routers know and what the tests below ask are the same."""
    access = Access()
    worker = build_worker_app(cluster.health, loopback=True, access=access)
    calls = MasterCalls(Channels(), cluster.rpc)
    master = build_app(
        calls, cluster.results, cluster.health, fingerprint=page_key, loopback=True, access=access
    )
    described = set(await routes(cluster)) - {("GET", "/nothing")}
    assert known_to(master) - PAGE == described
    assert known_to(worker) < described


def known_to(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


async def routes(cluster: FakeCluster) -> list[tuple[str, str]]:
    return [*await routes_of(cluster.url, TOKENS[Role.READ]), ("GET", "/nothing")]


async def test_without_a_token_every_door_is_shut(cluster: FakeCluster) -> None:
    found = await routes(cluster)
    assert len(found) > 20
    for method, path in set(found) - SIGNING:
        for token in (NOBODY, STRANGER):
            expected = 200 if path in OPEN and token is NOBODY else 401
            assert await status(cluster, method, path, token) == expected, (method, path)
    assert cluster.master.calls == []


async def test_a_reader_changes_nothing(cluster: FakeCluster) -> None:
    for method, path in set(await routes(cluster)) - SIGNING:
        answered = await status(cluster, method, path, TOKENS[Role.READ])
        if method == "GET" or path in READING:
            assert answered in {200, 400, 404}, (method, path)
        else:
            assert answered == 403, (method, path)
    changing = {"AddResource", "PutResource", "SetDesired", "DeleteResource", "DrainNode"}
    changing |= {"RetryPages"}
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


@pytest.mark.parametrize("token", [NOBODY, STRANGER])
async def test_every_rpc_asks(cluster: FakeCluster, token: str | None) -> None:
    async with grpc.aio.insecure_channel(cluster.rpc) as channel:
        offered = await offered_rpcs(channel, TOKENS[Role.READ])
        assert {name for name in offered if "Crawler" in name} == DECLARED
        await each_refuses(channel, [*offered, "Nothing/AtAll"], token)
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == 1
    assert cluster.master.calls == []


async def test_a_workers_rpcs_ask_too(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(line_of(TOKENS[Role.READ], "r", Role.READ))
    services = (greeter(Greeter()), crawler_worker(Lives(lambda _: None, FakeTrials())))
    async with (
        serve_grpc("127.0.0.1:0", services, access=Access(file), grace_s=0.1) as at,
        grpc.aio.insecure_channel(at.address) as channel,
    ):
        offered = await offered_rpcs(channel, TOKENS[Role.READ])
        assert {"Greeter/Hello", f"{WORKER_SERVICE}.Greeter/Hello"} <= set(offered)
        assert "CrawlerWorker/GetLive" in offered
        for token in (NOBODY, STRANGER):
            await each_refuses(channel, offered, token)


async def test_a_readers_rpc_reads_only(cluster: FakeCluster) -> None:
    mine = metadata(TOKENS[Role.READ])
    async with grpc.aio.insecure_channel(cluster.rpc) as channel:
        control = control_pb2_grpc.CrawlerControlStub(channel)
        listed = await control.ListResources(control_pb2.ListRequest(), metadata=mine)
        assert [each.name for each in listed.resources] == ["a"]
        offered = await offered_rpcs(channel, TOKENS[Role.READ])
        writing = [name for name in offered if "Crawler" in name and "/Get" not in name]
        for name in (each for each in writing if not each.endswith(READ)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, name, TOKENS[Role.READ])
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED, name
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
