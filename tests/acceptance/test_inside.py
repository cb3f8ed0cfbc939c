"""What a running cluster shows of itself: its figures, one id from a request to the page, its
profiles and its log lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.cluster import Cluster, Process, Site, eventually, request
from tests.ports import free_port

DASHBOARD = Path(__file__).parents[2] / "etc" / "grafana" / "crawler.json"
UNITS = ("_seconds", "_bytes", "_items", "_info")


@pytest.fixture
def pprof() -> int:
    """The port of the worker's profiles."""
    return free_port()


@pytest.fixture
async def crawling(cluster: Cluster, small_shop: Site, pprof: int) -> Cluster:
    """Two masters and a worker, which has crawled some of a shop that takes long."""
    cluster.start_worker("1", CRAWLER_PPROF=f"127.0.0.1:{pprof}")
    await cluster.complete(("1", "2"), ("1",))
    definition = {
        "start_urls": [small_shop.url + "/"],
        "download_delay": 0.2,
        "rules": [
            {  # no h1 is a number, which is told of every page
                "match": small_shop.url + "/**",
                "follow": [{"css": "a"}],
                "item": {"n": {"css": "h1", "type": "int"}},
            }
        ],
    }
    status, answer = await request("PUT", cluster.url("1") + "/crawler/resource/shop", definition)
    assert status == 200, answer

    async def crawled() -> bool | None:
        found = await request("GET", cluster.url("1") + "/crawler/resource/shop")
        return (found[1].get("progress") or {}).get("done", 0) >= 2 or None

    await eventually(crawled, "page", 30)
    return cluster


def types_of(exposition: str) -> Mapping[str, str]:
    """Metrics and their types, each of which must be said once and explained."""
    said = re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE)
    explained = re.findall(r"^# HELP (\S+) \S", exposition, re.MULTILINE)
    assert len(said) == len(set(explained)) == len(dict(said))
    return dict(said)


async def figures(cluster: Cluster) -> Mapping[str, str]:
    """What /metrics of a master and of a worker hold."""
    found: dict[str, str] = {}
    async with aiohttp.ClientSession() as http:
        for base in cluster.doors[0]:
            async with http.get(base + "/metrics") as answer:
                assert answer.status == 200
                found |= types_of(await answer.text())
    return found


def named_by(dashboard: Any) -> set[str]:
    """Every metric in the queries of its panels, as its family is called."""
    text = " ".join(
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    )
    names = re.findall(r"\b((?:crawler|process)_[a-z_]+)", text)
    return {name.removesuffix("_bucket") for name in names}


def check_convention(name: str, kind: str) -> None:
    """https://prometheus.io/docs/practices/naming"""
    if kind == "counter":
        assert name.endswith("_total")
    if kind == "histogram":
        assert name.endswith(("_seconds", "_bytes"))
    if kind == "gauge" and not name.endswith(UNITS):
        assert not name.endswith(("_total", "_count", "_sum", "_ms", "_kb"))


async def check_profiles(base: str, child: int) -> None:
    """Of the child that crawls, too."""
    async with aiohttp.ClientSession(base) as http:

        async def fetch(path: str) -> str:
            async with http.get(f"/debug/{path}") as answer:
                assert answer.status == 200
                return await answer.text()

        assert str(child) in await fetch("")
        assert "== assignments" in await fetch("tasks")
        assert "== job shop" in await fetch(f"tasks?child={child}")
        assert "MainThread" in await fetch(f"stacks?child={child}")
        scope = json.loads(await fetch(f"cpu?seconds=0.5&format=speedscope&child={child}"))
        frames = {frame["name"] for frame in scope["shared"]["frames"]}
        assert "__main__.<module>" in frames
        assert "peak resident" in await fetch(f"heap?child={child}")
        assert "bytes were allocated" in await fetch(f"heap?seconds=0.5&child={child}")


async def test_a_running_crawl_is_seen_through(crawling: Cluster, pprof: int) -> None:
    (child,) = crawling.workers["1"].children()
    await check_profiles(f"http://127.0.0.1:{pprof}", child)

    for base in crawling.doors[0]:
        async with aiohttp.ClientSession() as http, http.get(base + "/health") as answer:
            assert answer.status == 200
            assert (await answer.text()).startswith(
                "all is well\n\nok     store: the store answers"
            )

    status, page = await request("GET", crawling.url("2") + "/crawler/resource/shop/logs")
    assert (status, page["trouble"]) == (200, [])
    said = {(each["node"].rpartition(".")[2], each["line"]["msg"]) for each in page["lines"]}
    assert {("worker-1", "started"), ("worker-1", "page read with errors")} <= said
    assert "decided" in {msg for node, msg in said if node.startswith("master")}

    async def told() -> Mapping[str, str] | None:
        found = await figures(crawling)
        return found if "crawler_pages_total" in found else None  # a child's come with its beats

    exported = await eventually(told, "figures of a child", 10)
    wanted = named_by(json.loads(DASHBOARD.read_text()))
    assert len(wanted) > 20
    assert wanted - exported.keys() == set()
    for name, kind in exported.items():
        if name.startswith("crawler_") and not name.endswith("_created"):
            check_convention(name, kind)


def lines_with(process: Process, request_id: str) -> list[Mapping[str, Any]]:
    lines = (json.loads(line) for line in process.text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("request_id") == request_id]


async def test_one_id_from_the_request_to_the_page(cluster: Cluster, small_shop: Site) -> None:
    await cluster.complete(("1", "2"), ("1",))
    leader = await cluster.wait_leader()
    follower = next(each for each in ("1", "2") if each != leader)
    # A page that is no page is told of by the child that reads it.
    definition = {"start_urls": [small_shop.url + "/"], "download_delay": 0, "rules": [
        {"match": "**", "item": {"n": {"css": "h1::text", "type": "int", "required": True}}}
    ]}  # fmt: skip
    async with (
        aiohttp.ClientSession(cluster.url(follower)) as http,
        http.put(
            "/crawler/resource/shop", json=definition, headers={"X-Request-Id": "order 66"}
        ) as answer,
    ):
        assert (answer.status, answer.headers["X-Request-Id"]) == (200, "order 66")

    async def read() -> set[str] | None:
        said = {line["msg"] for line in lines_with(cluster.workers["1"], "order 66")}
        return said if {"start", "started", "ended", "page read with errors"} <= said else None

    await eventually(read, "lines of the crawl", 20)
    for master in (leader, follower):
        received = lines_with(cluster.masters[master], "order 66")
        assert [line["hop"] for line in received if line["msg"] == "receive request"] == [
            int(master == leader)
        ]
    said = {line["msg"] for line in lines_with(cluster.masters[leader], "order 66")}
    assert {"add resource", "decided"} <= said
    async with cluster.client() as etcd:
        decision = await etcd.get("/crawler/decisions/shop")
    assert decision is not None
    assert json.loads(decision.value)["request_id"] == "order 66"

    async def noted() -> set[str] | None:
        _, page = await request("GET", cluster.url(follower) + "/crawler/resource/shop/events")
        kinds = {each["kind"] for each in page["events"] if each["request_id"] == "order 66"}
        return kinds if {"assigned", "claimed", "finished"} <= kinds else None

    await eventually(noted, "events of the crawl", 20)
