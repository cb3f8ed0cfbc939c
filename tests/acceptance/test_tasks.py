"""The first reference system's way: tasks by its own gRPC methods, through leader and follower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from aiohttp import web

from crawler.rpc.pb import communicate_pb2 as pb
from crawler.rpc.pb import communicate_pb2_grpc
from tests.acceptance.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(120)

PAGE = "<title>Grüße</title><a href='/json'>more</a>"


@asynccontextmanager
async def a_site() -> AsyncIterator[str]:
    """Pages of several kinds, and one that never comes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow":
            await asyncio.sleep(600)
        if request.path == "/json":
            return web.json_response({"a": 1})
        if request.path == "/picture":
            return web.Response(body=b"\x89PNG\0\0", content_type="image/png")
        if request.path == "/":
            return web.Response(body=PAGE.encode("latin-1"), headers={
                "Content-Type": "text/html; charset=iso-8859-1"})  # fmt: skip
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tasks_of(
    cluster: Cluster, master: str
) -> AsyncIterator[communicate_pb2_grpc.TasksAsyncStub]:
    """The master's service, as any client generated from the proto calls it."""
    address = f"127.0.0.1:{cluster.grpc_port(master)}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield communicate_pb2_grpc.TasksStub(channel)


def becomes(
    tasks: communicate_pb2_grpc.TasksAsyncStub, id_: str, state: int
) -> Callable[[], Awaitable[pb.Task | None]]:
    async def look() -> pb.Task | None:
        task = await tasks.GetTask(pb.ID(id=[id_]))
        return task if task.state == state else None

    return look


async def code_of(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_tasks_are_created_watched_killed_and_deleted(cluster: Cluster) -> None:
    cluster.start_master("1")
    await cluster.wait_leader()
    cluster.start_master("2")
    await cluster.wait_ready("1", "2")
    async with (
        a_site() as site,
        tasks_of(cluster, "1") as leader,
        tasks_of(cluster, "2") as follower,
    ):
        wanted = pb.Task(id="t1", name="front", target=f"{site}/", type="html")
        assert dict((await follower.CreateTask(wanted)).succeed) == {"t1": True}
        assert dict((await leader.CreateTask(wanted)).succeed) == {"t1": True}
        task = await leader.GetTask(pb.ID(id=["t1"]))
        assert (task.name, task.target, task.type) == ("front", f"{site}/", "html")
        assert task.state == pb.Task.WAITING
        code, said = await code_of(leader.GetTaskResult(pb.ID(id=["t1"])))
        assert (code, "no live worker" in said) == (grpc.StatusCode.NOT_FOUND, True)

        cluster.start_worker("1")
        task = await eventually(becomes(follower, "t1", pb.Task.SUCCEED), "the page", 30)
        assert [each.code for each in task.results] == [PAGE]
        assert (await leader.GetTaskResult(pb.ID(id=["t1"]))).code == PAGE

        for path in ("json", "picture", "missing"):
            await follower.CreateTask(pb.Task(id=path, name=path, target=f"{site}/{path}"))
        await eventually(becomes(leader, "json", pb.Task.SUCCEED), "JSON", 30)
        assert (await leader.GetTaskResult(pb.ID(id=["json"]))).code == '{"a": 1}'
        await eventually(becomes(leader, "picture", pb.Task.SUCCEED), "picture", 30)
        code, said = await code_of(leader.GetTaskResult(pb.ID(id=["picture"])))
        assert (code, "binary" in said) == (grpc.StatusCode.NOT_FOUND, True)
        await eventually(becomes(leader, "missing", pb.Task.RUNTIME_ERROR), "its failure", 30)
        code, said = await code_of(leader.GetTaskResult(pb.ID(id=["missing"])))
        assert (code, "404" in said) == (grpc.StatusCode.NOT_FOUND, True)

        # Only now: while it is under way, nobody else may ask its host.
        await follower.CreateTask(pb.Task(id="slow", name="slow", target=f"{site}/slow"))
        await eventually(becomes(leader, "slow", pb.Task.RUNNING), "its run", 30)
        listed = await follower.ListTask(pb.Query(state=[pb.Task.RUNNING, pb.Task.RUNTIME_ERROR]))
        assert list(listed.id) == ["missing", "slow"]
        killed = await follower.KillTask(pb.ID(id=["slow", "t1", "none"]))
        assert dict(killed.succeed) == {"slow": True, "t1": False, "none": False}
        assert (await follower.GetTask(pb.ID(id=["slow"]))).state == pb.Task.KILLED

        (issued,) = (await leader.CreateTask(pb.Task(name="x", target=f"{site}/"))).succeed
        everything = ["json", "missing", "picture", "slow", "t1", issued]
        assert sorted((await follower.ListTask(pb.Query())).id) == sorted(everything)
        gone = await follower.DelTask(pb.ID(id=[*everything, "none"]))
        assert dict(gone.succeed) == {**dict.fromkeys(everything, True), "none": False}
        assert not (await leader.ListTask(pb.Query())).id
