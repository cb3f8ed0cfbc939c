"""Tasks over HTTP: resources under what their creators call them, the latest first."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from crawler.model import Progress
from tests.fakes.api import FakeCluster

TARGET = "https://a.example/"


def create(cluster: FakeCluster, name: str) -> str:
    """A task; returns the resource's ID."""
    definition = json.dumps({"start_urls": [TARGET], "task": {"name": name.upper(), "type": "t"}})
    view, _, _ = cluster.master.put(name, definition)
    cluster.results.task_definitions.append((view.id, name, definition))
    return view.id


async def ask(http: aiohttp.ClientSession, **query: str) -> Any:
    async with http.get("/crawler/task", params=query) as response:
        assert response.status == 200
        return await response.json()


async def test_tasks_come_with_their_state(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    create(cluster, "a")
    id_ = create(cluster, "b")
    cluster.master.put("plain", "{}")
    cluster.master.resources["b"].state = "finished"
    cluster.results.counters[id_] = (1, Progress(known=1, done=1, finished="done"))
    listed = await ask(http)
    assert [(each["id"], each["name"], each["state"]) for each in listed["tasks"]] == [
        ("b", "B", "finished"),
        ("a", "A", "running"),
    ]
    first = listed["tasks"][0]
    assert (first["target"], first["type"], first["progress"]["done"]) == (TARGET, "t", 1)
    assert listed["next"] == ""


async def test_a_list_goes_on(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    for name in ("a", "b", "c"):
        create(cluster, name)
    first = await ask(http, limit="2")
    rest = await ask(http, limit="2", cursor=first["next"])
    assert [each["id"] for each in (*first["tasks"], *rest["tasks"])] == ["c", "b", "a"]


async def test_one_that_was_deleted_meanwhile_is_left_out(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    create(cluster, "a")
    create(cluster, "b")
    del cluster.master.resources["a"]
    assert [each["id"] for each in (await ask(http))["tasks"]] == ["b"]
