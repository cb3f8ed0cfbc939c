"""The cluster at a glance: figures that add up, and what is wrong in words."""

from __future__ import annotations

from typing import Any

import aiohttp

from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Progress
from crawler.rpc.calls import Channels, MasterCalls
from crawler.web.models import Nothing
from crawler.web.overview import KEPT_S, Overview
from crawler.web.route import Asked
from tests.fakes.api import FakeCluster
from tests.fakes.clock import SleepClock

LEADER, WORKER = f"{MASTER_SERVICE}-1", f"{WORKER_SERVICE}-2"


async def look(http: aiohttp.ClientSession) -> Any:
    async with http.get("/crawler/overview") as response:
        assert response.status == 200
        return await response.json()


async def test_figures_are_sums_over_all_resources(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    for number, name in enumerate(("a", "b")):
        view, _, _ = cluster.master.put(name, '{"start_urls":[]}')
        counted = Progress(known=10, done=5, failed=number, excluded=1, items=4)
        cluster.results.counters[view.id] = (1, counted)
        cluster.results.names[view.id] = name
    cluster.master.put("c", "")
    seen = await look(http)
    assert (seen["leader"], seen["masters"], seen["workers"]) == (LEADER, 1, 1)
    assert seen["states"] == {"running": 2, "pending": 1}
    assert seen["totals"] == {
        "known": 20, "done": 10, "failed": 1, "pending": 7, "excluded": 2, "items": 8,
        "fetched_bytes": 0,
    }  # fmt: skip
    assert seen["failing"] == [{"name": "b", "failed": 1, "known": 10}]
    [waits] = seen["wrong"]
    assert (waits["weight"], waits["name"], waits["words"]) == ("warning", "c", "no definition")


async def test_an_idle_cluster_has_nothing_wrong(http: aiohttp.ClientSession) -> None:
    seen = await look(http)
    assert (seen["wrong"], seen["failing"], seen["states"]) == ([], [], {})


async def test_what_is_wrong_is_said_in_words_the_worst_first(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    master, worker = cluster.master.nodes
    master.leader, worker.drained, worker.trouble = False, True, "the store is away"
    for name in ("a", "b", "c"):
        cluster.master.put(name, '{"start_urls":[]}')
        cluster.master.resources[name].state = "error"
        cluster.master.resources[name].reason = "robots.txt forbids all"
    cluster.results.away = "the database is away"
    seen = await look(http)
    told = [(each["weight"], each["about"], each["words"], each["more"]) for each in seen["wrong"]]
    assert told == [
        ("error", "cluster", "no master leads just now, so that nothing can be changed", 0),
        ("error", "node", "the store is away", 0),
        ("error", "resource", "robots.txt forbids all", 2),
        ("error", "cluster", "the database is away", 0),
        ("note", "node", "it is drained: it has no work and gets none until that is undone", 0),
    ]
    assert seen["totals"] is None


async def test_without_workers_it_says_what_to_start(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    del cluster.master.nodes[1]
    [wrong] = (await look(http))["wrong"]
    assert wrong["words"].endswith("start one: crawler worker")


async def test_one_look_is_for_all_who_ask_meanwhile(cluster: FakeCluster) -> None:
    clock, channels = SleepClock(), Channels()
    calls = MasterCalls(channels, cluster.rpc)
    overview = Overview(calls, cluster.results, cluster.health, clock)
    asked = Asked("", Nothing(), Nothing(), "")
    first = await overview.show(asked)
    cluster.master.put("a", "")
    assert (await overview.show(asked)).content == first.content
    await clock.sleep(KEPT_S + 0.1)
    assert (await overview.show(asked)).content != first.content
    await channels.close()
