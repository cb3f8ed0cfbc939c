"""Requests with a key: the same gets the same answer, and a start begins one run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from crawler.access import Access, Role, line_of, new_token
from crawler.errors import Conflict, NoLeader
from tests.fakes.api import FakeCluster, serve_api

RESOURCE = "/crawler/resource"


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with serve_api() as serving:
        serving.master.put("a", "{}")
        yield serving


async def send(
    cluster: FakeCluster, method: str, path: str, key: str, body: object = None, token: str = ""
) -> tuple[int, Any, bool]:
    headers = {"Idempotency-Key": key} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with (
        aiohttp.ClientSession(cluster.url) as http,
        http.request(method, path, json=body, headers=headers) as response,
    ):
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        return response.status, json.loads(await response.read()), replayed


async def test_the_same_request_gets_the_same_answer(cluster: FakeCluster) -> None:
    first = await send(cluster, "PUT", f"{RESOURCE}/b", "k", {"start_urls": []})
    assert (first[0], first[1]["created"], first[2]) == (200, True, False)
    again = await send(cluster, "PUT", f"{RESOURCE}/b", "k", {"start_urls": []})
    assert again == (*first[:2], True)
    other = await send(cluster, "PUT", f"{RESOURCE}/b", "other", {"start_urls": []})
    assert (other[1]["created"], other[2]) == (False, False)
    assert (await send(cluster, "DELETE", f"{RESOURCE}/b", "d"))[::2] == (200, False)
    assert (await send(cluster, "DELETE", f"{RESOURCE}/b", "d"))[::2] == (200, True)
    assert (await send(cluster, "DELETE", f"{RESOURCE}/b", "e"))[0] == 404
    cluster.master.put("b", "{}")
    assert (await send(cluster, "DELETE", f"{RESOURCE}/b", "e"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"{RESOURCE}/b", {"start_urls": ["x"]}),
        ("PUT", f"{RESOURCE}/c", {"start_urls": []}),
        ("DELETE", f"{RESOURCE}/b", None),
    ],
)
async def test_a_key_is_for_one_request(
    cluster: FakeCluster, method: str, path: str, body: object
) -> None:
    await send(cluster, "PUT", f"{RESOURCE}/b", "k", {"start_urls": []})
    calls = len(cluster.master.calls)
    status, answer, _ = await send(cluster, method, path, "k", body)
    assert (status, "Idempotency-Key" in answer["message"]) == (409, True)
    assert len(cluster.master.calls) == calls


async def test_a_start_that_comes_again_begins_no_other_run(cluster: FakeCluster) -> None:
    cluster.master.resources["a"].state = "finished"
    first = await send(cluster, "POST", f"{RESOURCE}/a/start", "k")
    assert first == (200, {"changed": True, "run": 2}, False)
    cluster.master.resources["a"].state = "finished"
    assert await send(cluster, "POST", f"{RESOURCE}/a/start", "k") == (*first[:2], True)
    assert (await send(cluster, "POST", f"{RESOURCE}/a/start", "l"))[1]["run"] == 3


async def test_a_start_whose_answer_was_lost_begins_no_other_run(cluster: FakeCluster) -> None:
    """The master carries it out, and dies before the answer is kept."""
    cluster.master.resources["a"].state = "finished"
    cluster.master.hold, cluster.master.entered = asyncio.Event(), asyncio.Event()
    starting = asyncio.ensure_future(send(cluster, "POST", f"{RESOURCE}/a/start", "k"))
    await cluster.master.entered.wait()
    cluster.master.entered.clear()
    cluster.master.hold.set()  # it has looked which run there is; next it begins another
    assert (await starting)[1]["run"] == 2
    (kept,) = cluster.results.answers.items()
    cluster.results.answers[kept[0]] = type(kept[1])(kept[1].digest, kept[1].plan)
    cluster.master.resources["a"].state = "finished"
    again = await send(cluster, "POST", f"{RESOURCE}/a/start", "k")
    assert again == (200, {"changed": True, "run": 2}, False)
    assert cluster.master.resources["a"].run == 2


async def test_what_had_no_effect_is_tried_again(cluster: FakeCluster) -> None:
    cluster.master.fail_next.append(NoLeader("none"))
    assert (await send(cluster, "POST", f"{RESOURCE}/a/pause", "k"))[0] == 503
    assert (await send(cluster, "POST", f"{RESOURCE}/a/pause", "k"))[0] == 200
    cluster.master.fail_next.append(Conflict("stands otherwise"))
    assert (await send(cluster, "POST", f"{RESOURCE}/a/resume", "c"))[0] == 409
    status, answer, _ = await send(cluster, "POST", f"{RESOURCE}/a/resume", "c")
    assert (status, answer["message"]) == (409, "stands otherwise")


async def test_without_a_store_nothing_is_begun(cluster: FakeCluster) -> None:
    cluster.results.away = "the database is down"
    calls = len(cluster.master.calls)
    assert (await send(cluster, "POST", f"{RESOURCE}/a/pause", "k"))[0] == 503
    assert len(cluster.master.calls) == calls


@pytest.mark.parametrize("key", ["x" * 129, "\xe9"])
async def test_bad_keys(cluster: FakeCluster, key: str) -> None:
    status, answer, _ = await send(cluster, "POST", f"{RESOURCE}/a/pause", key)
    assert (status, "Idempotency-Key" in answer["message"]) == (400, True)


async def test_keys_are_each_callers_own(tmp_path: Path) -> None:
    one, two = new_token(), new_token()
    file = tmp_path / "tokens"
    lines = [line_of(one, "one", Role.OPERATE), line_of(two, "two", Role.OPERATE)]
    file.write_text("\n".join(lines))
    async with serve_api(access=Access(file)) as cluster:
        for token, name in ((one, "a"), (two, "b")):
            path = f"{RESOURCE}/{name}"
            assert (await send(cluster, "PUT", path, "k", {}, token))[::2] == (200, False)
        assert (await send(cluster, "PUT", f"{RESOURCE}/a", "k", {}, one))[::2] == (200, True)
