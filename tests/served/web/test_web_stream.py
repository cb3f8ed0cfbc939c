"""Server-sent events: what stands in the stream, where it goes on, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from crawler.errors import Exhausted, NoLeader
from crawler.rpc.pb.control_pb2 import Notice
from crawler.web.stream import encode
from tests.fakes.api import FakeCluster, serve_api

EVENTS = "/crawler/events"


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with serve_api() as serving:
        serving.master.notices += [
            Notice(kind=Notice.NODE_LOST, name="go.micro.server.worker-2", address="1.2.3.4:5"),
            Notice(kind=Notice.TASK_FINISHED, cursor="x.2", name="shop", id="7", state="finished"),
        ]
        yield serving


async def read(cluster: FakeCluster, query: str = "", **headers: str) -> list[str]:
    """The blocks of a whole stream."""
    async with (
        aiohttp.ClientSession(cluster.url) as http,
        http.get(EVENTS + query, headers=headers) as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        text = await response.text()
    assert text.endswith("\n\n")
    return text[:-2].split("\n\n")


async def test_events_with_their_cursors(cluster: FakeCluster) -> None:
    first, lost, finished = await read(cluster)
    assert first == "retry: 1000\nid: x.0\n: heartbeat"
    head, data = lost.split("\n")
    assert head == "event: node_lost"
    assert json.loads(data.removeprefix("data: "))["address"] == "1.2.3.4:5"
    assert finished.startswith("id: x.2\nevent: task_finished\ndata: ")
    assert json.loads(finished.partition("data: ")[2]) == {
        "kind": "task_finished", "at": 0.0, "name": "shop", "id": "7", "state": "finished",
        "reason": "", "run": 0, "address": "",
    }  # fmt: skip


async def test_it_goes_on_where_the_browser_was(cluster: FakeCluster) -> None:
    assert len(await read(cluster, "?since=x.1")) == 2
    assert len(await read(cluster, "?since=x.1", **{"Last-Event-ID": "x.2"})) == 1


async def test_what_fails_at_once_is_an_ordinary_answer(cluster: FakeCluster) -> None:
    async with aiohttp.ClientSession(cluster.url) as http:
        for query, headers in (
            ("?since=" + "x" * 200, {}),
            ("?colour=red", {}),
            ("", {"Last-Event-ID": "x" * 200}),
        ):
            async with http.get(EVENTS + query, headers=headers) as response:
                assert response.status == 400
        cluster.master.fail_next.append(NoLeader("none"))
        async with http.get(EVENTS) as response:
            assert (response.status, response.content_type) == (503, "application/json")
        async with http.head(EVENTS) as response:
            assert response.status == 200


async def test_who_is_dropped_is_told_why(cluster: FakeCluster) -> None:
    cluster.master.watch_ends = Exhausted("too slow")
    *_, last = await read(cluster)
    head, data = last.split("\n")
    assert head == "event: dropped"
    assert json.loads(data.removeprefix("data: "))["message"] == "too slow"


async def test_a_server_that_stops_ends_its_streams() -> None:
    async with asyncio.timeout(10), aiohttp.ClientSession() as http:
        async with serve_api() as cluster:
            cluster.master.watch_ends = asyncio.Event()
            response = await http.get(cluster.url + EVENTS)
            assert await response.content.readline() == b"retry: 1000\n"
        assert (await response.read()).endswith(b": heartbeat\n\n")


def test_no_text_begins_an_event_of_its_own() -> None:
    name = "a\n\nevent: leader_changed\ndata: {}\r\n\u2028"
    block = encode(Notice(kind=Notice.RESOURCE_CHANGED, cursor="x.1", name=name)).decode()
    assert block.count("\n") == 4
    assert "\r" not in block
    assert json.loads(block.partition("data: ")[2])["name"] == name
