"""A start that was sent with a key begins one run, whatever becomes of the masters meanwhile."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.truth import shop_definition

pytestmark = pytest.mark.timeout(120)


async def start(cluster: Cluster, master: str, key: str) -> tuple[int, dict[str, Any]]:
    url = f"{cluster.url(master)}/crawler/resource/shop/start"
    async with (
        aiohttp.ClientSession(headers={"Idempotency-Key": key}) as http,
        http.post(url) as response,
    ):
        return response.status, json.loads(await response.read())


@pytest.mark.parametrize("place", ["master.before_reply=kill@2", "store.in_answered=kill"])
async def test_the_leader_dies_between_the_run_and_the_answer(
    cluster: Cluster, small_shop: Site, place: str
) -> None:
    cluster.start_master("1", CRAWLER_FAILPOINTS=place)
    assert await cluster.wait_leader() == "1"
    await cluster.complete(["1", "2"], ["1"])
    crawl = {**shop_definition(small_shop), "max_pages": 2}
    await request("PUT", f"{cluster.url('1')}/crawler/resource/shop", crawl)

    async def over() -> bool | None:
        _, shown = await request("GET", f"{cluster.url('2')}/crawler/resource/shop")
        return shown["state"] == "finished" or None

    await eventually(over, "the end of run 1", 30)
    with pytest.raises(aiohttp.ClientError):
        await start(cluster, "1", "k")
    assert cluster.masters["1"].wait() != 0
    answers: list[dict[str, Any]] = []

    async def answered() -> bool | None:
        status, answer = await start(cluster, "2", "k")
        answers.append(answer)
        return status == 200 or None

    await eventually(answered, "an answer of the other master", 30)
    assert answers[-1] == {"changed": True, "run": 2}
    await eventually(over, "the end of run 2", 30)
    assert await start(cluster, "2", "k") == (200, answers[-1])
    _, runs = await request("GET", f"{cluster.url('2')}/crawler/resource/shop/runs")
    assert [each["run"] for each in runs["runs"]] == [1, 2]
    assert await start(cluster, "2", "l") == (200, {"changed": True, "run": 3})
