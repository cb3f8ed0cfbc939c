"""A small server behind a door: HTTP and gRPC, registered as a master is, in a process of its own:
the one by the name of its host, the other by its address.

Its arguments: id, port of HTTP, port of gRPC, time to live in seconds, addresses of etcd. On
SIGTERM it deregisters, goes on for a moment, as balancers hear of that, and ends what is under way.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from aiohttp import web
from grpc import aio

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings
from crawler.coordination.registry import deregister, native_metadata, node_id, register
from crawler.coordination.session import open_session
from crawler.model import MASTER_SERVICE, Node
from crawler.rpc.pb import greeter_pb2, greeter_pb2_grpc
from crawler.tasks import on_signals

WORK_S = 0.02
LINGER_S = 1.0


class Greeter(greeter_pb2_grpc.GreeterServicer):
    """Says who answered."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def Hello(  # noqa: N802 -- the wire's name
        self, request: greeter_pb2.Request, context: object
    ) -> greeter_pb2.Response:
        await asyncio.sleep(WORK_S)
        return greeter_pb2.Response(greeting=self._name)


async def main(name: str, http: int, grpc: int, ttl_s: int, endpoints: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(WORK_S)
        return web.Response(text=name)

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    site = web.Application()
    site.router.add_get("/healthz", healthy)
    site.router.add_route("*", "/{path:.*}", answer)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(on_signals(stop))
        runner = web.AppRunner(site, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", http).start()
        server = aio.server(options=[("grpc.so_reuseport", 0)])
        greeter_pb2_grpc.add_GreeterServicer_to_server(Greeter(name), server)
        server.add_insecure_port(f"127.0.0.1:{grpc}")
        await server.start()
        stack.push_async_callback(server.stop, 2.0)
        etcd = Etcd(EtcdSettings(tuple(endpoints.split(","))), SystemClock())
        stack.push_async_callback(etcd.close)
        session = await stack.enter_async_context(open_session(etcd, ttl_s, SystemClock()))
        keeping = asyncio.create_task(session.run(), name="keepalive")
        metadata = native_metadata("test", http=f"localhost:{http}")
        node = Node(node_id(MASTER_SERVICE, name), MASTER_SERVICE, f"127.0.0.1:{grpc}", metadata)
        node = await register(etcd, session, node)
        await stop.wait()
        await deregister(etcd, node)
        await asyncio.sleep(LINGER_S)
        keeping.cancel()


if __name__ == "__main__":
    name, http, grpc, ttl, endpoints = sys.argv[1:]
    asyncio.run(main(name, int(http), int(grpc), int(ttl), endpoints))
