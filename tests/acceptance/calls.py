"""Adds through the API, one by one or one after the other, and what their answers may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.acceptance.cluster import Cluster, request

RESOURCE = "/crawler/resource"
ANSWER_S = 5.5  # the longest that a call may take, 5 s, and what noise there is
PATIENCE_TTLS = 10  # more than any bound that a test asserts
GOOD = {200, 202}
CLEAR = {503, 504}  # without effect, or unknown and said so


async def add(cluster: Cluster, master: str, name: str) -> int:
    """The status of an Add through that master; -1 where it does not answer at all."""
    try:
        url = cluster.url(master) + RESOURCE
        return (await request("POST", url, {"name": name}, timeout_s=2 * ANSWER_S))[0]
    except (TimeoutError, aiohttp.ClientError):
        return -1


async def until_added(cluster: Cluster, master: str, name: str, since: float) -> float:
    """Add until it is done, each answer being good or clear; seconds since then on the clock of
    `time.monotonic`. Where it is not done in patience, fails with what the masters said."""
    began, deadline = time.time(), time.monotonic() + PATIENCE_TTLS * cluster.ttl_s
    while (status := await add(cluster, master, name)) not in GOOD:
        assert status in CLEAR, status
        assert time.monotonic() < deadline, cluster.story(began, cluster.masters.values())
        await asyncio.sleep(0.02)
    return time.monotonic() - since


@dataclass
class Calls:
    """Adds through one master, one after the other, each of a name of its own."""

    answers: list[tuple[float, float, str, int]] = field(default_factory=list)

    @property
    def acknowledged(self) -> set[str]:
        """The names that are there now, by what was answered."""
        return {name for *_, name, status in self.answers if status in GOOD}

    def first_good(self, since: float) -> float:
        """When the first call that was begun since then and went well was answered."""
        return min(
            end for begin, end, _, status in self.answers if begin >= since and status in GOOD
        )

    def check(self) -> None:
        assert {status for *_, status in self.answers} <= GOOD | CLEAR
        assert max(end - begin for begin, end, *_ in self.answers) < ANSWER_S


@asynccontextmanager
async def calling(cluster: Cluster, master: str, prefix: str) -> AsyncIterator[Calls]:
    calls = Calls()

    async def call() -> None:
        number = 0
        while True:
            number, begin = number + 1, time.monotonic()
            name = f"{prefix}-{number}"
            status = await add(cluster, master, name)
            calls.answers.append((begin, time.monotonic(), name, status))
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(call())
        yield calls
        task.cancel()


async def stored(cluster: Cluster) -> set[str]:
    """The names of all resources in etcd."""
    async with cluster.client() as etcd:
        kvs = (await etcd.range("/resources/")).kvs
    return {kv.key.removeprefix("/resources/") for kv in kvs}
