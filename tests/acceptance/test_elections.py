"""Elections on request, and a secret that is replaced while everything runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from crawler.access import Role, line_of, new_token
from crawler.clock import SystemClock
from crawler.rpc.pb import communicate_pb2 as pb
from crawler.rpc.pb import communicate_pb2_grpc
from tests.acceptance.cluster import Cluster, eventually, request

pytestmark = pytest.mark.timeout(120)

MASTER = "go.micro.server.master"
WORKER = "go.micro.server.worker"


class Caller:
    """The services of one master, called with one token or none."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._elections = communicate_pb2_grpc.ElectionsStub(channel)
        self._beats = communicate_pb2_grpc.HeartBeatsStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def elect(self, secret: str = "") -> dict[str, bool]:
        return await self._result(self._elections.RequestElection, pb.Secret(sec_code=secret))

    async def verify(self, name: str, **more: str) -> dict[str, bool]:
        return await self._result(self._elections.VerifyNode, pb.Node(name=name, **more))

    async def update(self, token: str = "", name: str = "") -> dict[str, bool]:
        return await self._result(self._elections.UpdateSecret, pb.Node(name=name, token=token))

    async def alive(self, who: str) -> bool:
        beat = pb.HeartBeat(alive=True, who=who)
        return (await self._beats.IsAlive(beat, metadata=self._metadata)).ok

    async def ask(self, name: str = "", **more: str) -> bool:
        node = pb.Node(name=name, **more)
        return (await self._beats.AskAlive(node, metadata=self._metadata)).ok

    async def _result(self, method: Any, message: Any) -> dict[str, bool]:
        return dict((await method(message, metadata=self._metadata)).succeed)


@asynccontextmanager
async def calling(cluster: Cluster, master: str, token: str = "") -> AsyncIterator[Caller]:
    address = f"127.0.0.1:{cluster.grpc_port(master)}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield Caller(channel, token)


def refused(code: grpc.StatusCode) -> Any:
    return pytest.raises(grpc.aio.AioRpcError, match=code.name)


@pytest.fixture
def secrets(cluster: Cluster) -> dict[str, Path]:
    """The file of each node, all with one secret."""
    first = new_token()
    files = {node: cluster.folder / f"secret-{node}" for node in ("m1", "m2", "w1")}
    for file in files.values():
        file.write_text(first)
    return files


async def test_a_leader_hands_over_when_it_is_asked(
    cluster: Cluster, secrets: dict[str, Path]
) -> None:
    reader, operator = new_token(), new_token()
    tokens = cluster.folder / "tokens"
    lines = (line_of(reader, "r", Role.READ), line_of(operator, "o", Role.OPERATE))
    tokens.write_text("\n".join(lines))

    def setting(node: str) -> dict[str, str]:
        return {"CRAWLER_TOKENS": str(tokens), "CRAWLER_SECRET": str(secrets[node])}

    cluster.start_master("1", **setting("m1"))
    await cluster.wait_leader()
    async with calling(cluster, "1", operator) as alone:

        async def says_why() -> bool | None:
            with refused(grpc.StatusCode.ALREADY_EXISTS) as caught:
                await alone.elect()
            return "no other master" in (caught.value.details() or "") or None

        await eventually(says_why, "the refusal of the only master", 10)
    cluster.start_master("2", **setting("m2"))
    worker = cluster.start_worker("1", **setting("w1"))
    await cluster.wait_ready("1", "2")
    await cluster.wait_workers(1)
    secret, clock = secrets["m1"].read_text(), SystemClock()
    async with (
        calling(cluster, "2", operator) as follower,
        calling(cluster, "2", reader) as looking,
        calling(cluster, "1") as stranger,
    ):
        for caller, given, code in (
            (looking, "", grpc.StatusCode.PERMISSION_DENIED),
            (stranger, "", grpc.StatusCode.UNAUTHENTICATED),
            (stranger, new_token(), grpc.StatusCode.PERMISSION_DENIED),
            (follower, "wrong", grpc.StatusCode.PERMISSION_DENIED),
        ):
            with refused(code):
                await caller.elect(given)
        assert await cluster.leader() == "1"
        began = clock.elapsed()
        assert await follower.elect() == {f"{MASTER}-2": True}
        assert clock.elapsed() - began < 2.5
        assert await cluster.leader() == "2"
        with refused(grpc.StatusCode.ALREADY_EXISTS):  # the same call once more
            await follower.elect()

        async def handed_back() -> bool | None:
            try:
                return await stranger.elect(secret) == {f"{MASTER}-1": True}
            except grpc.aio.AioRpcError as error:
                return None if "ask again in a moment" in (error.details() or "") else False

        assert await eventually(handed_back, "the way back", 20)
        assert await cluster.leader() == "1"

        assert await looking.alive("worker-1")
        assert await looking.ask("worker-1")
        assert await looking.ask()
        assert await looking.verify("worker-1") == {f"{WORKER}-1": True}
        assert await looking.verify("worker-1", host="192.0.2.1") == {f"{WORKER}-1": False}
        assert await looking.verify("worker-1", token="0" * 64) == {f"{WORKER}-1": False}
        for strange in ("worker-9", "nobody"):
            with refused(grpc.StatusCode.PERMISSION_DENIED):
                await looking.alive(strange)
            with refused(grpc.StatusCode.PERMISSION_DENIED):
                await looking.ask(strange)
        with refused(grpc.StatusCode.UNAUTHENTICATED):
            await stranger.alive("worker-1")
        worker.pause()
        assert not await looking.ask("worker-1")
        worker.resume()
    for process in (*cluster.masters.values(), worker):
        assert secret not in process.text()


async def test_a_secret_is_replaced_without_a_restart(
    cluster: Cluster, secrets: dict[str, Path]
) -> None:
    cluster.start_master("1", CRAWLER_SECRET=str(secrets["m1"]))
    cluster.start_master("2", CRAWLER_SECRET=str(secrets["m2"]))
    cluster.start_worker("1", CRAWLER_SECRET=str(secrets["w1"]))
    await cluster.wait_ready("1", "2")
    await cluster.wait_workers(1)
    nodes = (f"{MASTER}-1", f"{MASTER}-2", f"{WORKER}-1")
    old, new = secrets["m1"].read_text(), new_token()
    await request("POST", f"{cluster.url('1')}/crawler/resource", {"name": "kept"})
    _, before = await request("GET", f"{cluster.url('1')}/crawler/resource/kept")
    async with calling(cluster, "1") as caller, calling(cluster, "2") as other:
        assert await caller.update() == dict.fromkeys(nodes, True)
        secrets["m1"].write_text(f"{new}\n{old}")
        secrets["w1"].write_text(f"{new}\n{old}")
        told = await caller.update(new)
        assert told == {nodes[0]: True, nodes[1]: False, nodes[2]: True}
        secrets["m2"].write_text(f"{new}\n{old}")
        assert await caller.update(old) == dict.fromkeys(nodes, True)
        for file in secrets.values():
            file.write_text(new)
            assert all((await caller.update(new)).values())
            assert all((await other.update()).values())

        async def forgotten() -> bool | None:
            try:
                await other.update(old)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.PERMISSION_DENIED or None
            return None

        await eventually(forgotten, "the end of the old secret", 10)
        for name in ("master-1", "master-2", "worker-1"):
            assert list((await other.verify(name)).values()) == [True]
        secrets["m1"].write_text("short")
        with refused(grpc.StatusCode.ALREADY_EXISTS):
            await caller.update(new)
    _, after = await request("GET", f"{cluster.url('2')}/crawler/resource/kept")
    assert after == before
    assert all(
        process.running for process in (*cluster.masters.values(), *cluster.workers.values())
    )
