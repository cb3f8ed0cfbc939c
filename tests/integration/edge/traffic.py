"""Clients of an entry: so many requests a second, each counted by who answered it, or why none did.

HTTP connections are kept, and a POST is never sent twice by the client. gRPC calls follow the
service config that the starting configuration asks for.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from grpc import aio

from crawler.rpc.pb import greeter_pb2, greeter_pb2_grpc

RETRY = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
_LIMIT_S = 15.0


class Traffic:
    """What became of the requests so far: ``answers`` by server, and ``failures`` by reason."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.sent = 0

    def since(self, before: Counter[str]) -> set[str]:
        """Who has answered since then."""
        return set(self.answers - before)

    async def ask(self, call: Callable[[], Awaitable[str]]) -> None:
        self.sent += 1
        try:
            self.answers[await call()] += 1
        except (aiohttp.ClientError, aio.AioRpcError, TimeoutError, OSError) as error:
            self.failures[f"{type(error).__name__}: {str(error)[:300]}"] += 1


@asynccontextmanager
async def flowing(
    url: str, grpc: str, *, per_s: int = 200, calls_per_s: int = 50, fresh: bool = False
) -> AsyncIterator[tuple[Traffic, Traffic]]:
    """Requests, half of them POST, and gRPC calls while the block lasts, and until the last is
    answered. ``fresh``: each request on a connection of its own."""
    http, calls = Traffic(), Traffic()
    stop = asyncio.Event()
    limit = aiohttp.ClientTimeout(total=_LIMIT_S)
    connector = aiohttp.TCPConnector(limit=64, force_close=fresh)
    async with (
        aiohttp.ClientSession(timeout=limit, connector=connector) as session,
        aio.insecure_channel(
            grpc, options=[("grpc.service_config", RETRY), ("grpc.enable_retries", 1)]
        ) as channel,
    ):
        stub = greeter_pb2_grpc.GreeterStub(channel)

        async def request() -> str:
            method = "POST" if http.sent % 2 else "GET"
            data = b"x" * 200 if method == "POST" else None
            async with session.request(method, url, data=data) as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise aiohttp.ClientError(f"{method}: {answer.status} {text[:80]}")
                return text

        async def call() -> str:
            response = await stub.Hello(greeter_pb2.Request(name="x"), timeout=_LIMIT_S)
            return str(response.greeting)

        async with asyncio.TaskGroup() as group:
            group.create_task(_steadily(per_s, lambda: http.ask(request), stop))
            if calls_per_s:
                group.create_task(_steadily(calls_per_s, lambda: calls.ask(call), stop))
            try:
                yield http, calls
            finally:
                stop.set()


async def _steadily(per_s: int, step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Begin so many a second, whatever becomes of those before."""
    loop = asyncio.get_running_loop()
    begun, started = 0, loop.time()
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(step())  # type: ignore[arg-type]
            begun += 1
            await asyncio.sleep(max(0.0, started + begun / per_s - loop.time()))
