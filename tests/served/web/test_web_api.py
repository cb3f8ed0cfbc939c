"""The API as its callers see it, byte for byte where others depend on it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
import structlog

from crawler.errors import Conflict, CrawlerError, NoLeader, OutcomeUnknown, StoreUnavailable
from crawler.model import Event, PageState, Progress, RunRecord, SinkRecord, Stats
from crawler.rpc.pb import control_pb2 as control
from crawler.telemetry.health import Health
from crawler.web.app import build_worker_app
from crawler.web.server import serve
from tests.fakes.api import FakeCluster, serve_api
from tests.fakes.control import FIRST_ID
from tests.fakes.results import item, page

RESOURCE = "/crawler/resource"
SHOP = {"start_urls": ["https://shop.example/"]}


async def answer(response: aiohttp.ClientResponse) -> tuple[int, Any]:
    return response.status, json.loads(await response.read())


async def test_adding_answers_as_the_reference_does(http: aiohttp.ClientSession) -> None:
    sent = '{"id":"zjx","name": "task-test-4"}'
    async with http.post(RESOURCE, data=sent) as response:
        assert response.status == 200
        expected = '{"id":"go.micro.server.worker-2","Address":"192.168.0.107:9089"}'
        assert await response.text() == expected
        assert response.content_type == "application/json"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data"],
)
async def test_the_content_type_does_not_matter(
    http: aiohttp.ClientSession, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    async with http.post(RESOURCE, data=b'{"name":"a"}', headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "a", "assigned_node": "x", "creation_time": 1675470192274320000},
        {"name": "a", "assignedNode": "x", "creationTime": "1675470192274320000"},
        {"name": "a", "id": None, "definition": None, "creation_time": None},
        {"name": "a", "definition": SHOP},
    ],
)
async def test_both_spellings_are_taken(http: aiohttp.ClientSession, sent: dict[str, Any]) -> None:
    async with http.post(RESOURCE, json=sent) as response:
        assert response.status == 200


async def test_without_a_worker_it_is_accepted(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.worker = None
    async with http.post(RESOURCE, json={"name": "a"}) as response:
        assert await answer(response) == (202, {"id": "", "Address": ""})
    async with http.put(f"{RESOURCE}/b", json=SHOP) as response:
        status, body = await answer(response)
    assert (status, body["created"], body["assigned_node"]) == (202, True, "")


async def test_deleting_with_a_body_answers_an_empty_object(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("2", "")
    async with http.delete(RESOURCE, data='{"id":"2","name": "2"}') as response:
        assert (response.status, await response.text()) == (200, "{}")
    async with http.delete(RESOURCE, data='{"id":"2","name": "2"}') as response:
        assert response.status == 404
        assert await response.text() == '{"code":5,"message":"no such task","details":[]}'


async def test_deleting_by_path(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    cluster.master.put("a", "")
    async with http.delete(f"{RESOURCE}/a") as response:
        assert await answer(response) == (200, {})
    assert not cluster.master.resources


async def test_another_definition_is_a_conflict(http: aiohttp.ClientSession) -> None:
    for _ in range(2):
        async with http.post(RESOURCE, json={"name": "a", "definition": SHOP}) as response:
            assert response.status == 200
    async with http.post(RESOURCE, json={"name": "a", "definition": {}}) as response:
        status, body = await answer(response)
    assert (status, body["code"]) == (409, 6)


async def test_put_tells_what_it_did(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    told = []
    for definition in (SHOP, SHOP, {}):
        headers = {"X-Request-Id": "k-1"}
        async with http.put(f"{RESOURCE}/a", json=definition, headers=headers) as response:
            status, body = await answer(response)
            assert (status, body["id"], body["name"]) == (200, str(FIRST_ID), "a")
            assert body["assigned_node"] == "go.micro.server.worker-2"
            assert body["address"] == "192.168.0.107:9089"
            told.append((body["created"], body["changed"]))
            assert response.headers["X-Request-Id"] == "k-1"
    assert told == [(True, False), (False, False), (False, True)]
    assert cluster.master.request_ids == ["k-1"] * 3


async def test_show_joins_state_and_progress(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("büch", json.dumps(SHOP))
    progress = Progress(known=10, done=4, failed=1, excluded=2, items=7, seeded=True)
    cluster.results.counters[str(FIRST_ID)] = (1, progress)
    async with http.get(f"{RESOURCE}/büch") as response:
        status, body = await answer(response)
    assert status == 200
    assert body == {
        "id": str(FIRST_ID),
        "name": "büch",
        "assigned_node": "go.micro.server.worker-2",
        "address": "192.168.0.107:9089",
        "creation_time": "1675470192274320000",
        "state": "running",
        "reason": "",
        "run": 1,
        "revision": 1,
        "definition_revision": 7,
        "decision": "least loaded",
        "decided_at": 1675470192.5,
        "progress": {
            "run": 1, "known": 10, "done": 4, "failed": 1, "pending": 3, "excluded": 2,
            "items": 7, "incomplete_items": 0, "fetched_bytes": 0, "seeded": True, "finished": "",
            "unchanged": 0,
        },
        "progress_error": "",
        "next_due": None,
        "parts": [],
        "owner": "",
        "definition": SHOP,
    }  # fmt: skip


async def test_show_without_store_tells_the_state_still(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("a", "")
    cluster.results.away = "the database does not answer"
    async with http.get(f"{RESOURCE}/a") as response:
        status, body = await answer(response)
    assert (status, body["state"], body["reason"]) == (200, "pending", "no definition")
    assert (body["progress"], body["definition"]) == (None, None)
    assert body["progress_error"] == "the database does not answer"
    async with http.get(f"{RESOURCE}/a/items") as response:
        status, body = await answer(response)
    assert (status, body["code"]) == (503, 14)
    assert body["details"][0]["reason"] == "STORE_UNAVAILABLE"


async def test_lists_go_by_cursor_and_filter(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    for name in ("c", "a", "b", "d"):
        cluster.master.put(name, "{}")
    cluster.master.resources["b"].state = "paused"
    seen, after = [], ""
    while True:
        params = {"limit": "3", "cursor": after}
        async with http.get(RESOURCE, params=params) as response:
            _, body = await answer(response)
        seen += [each["name"] for each in body["resources"]]
        after = body["next"]
        if not after:
            break
    assert seen == ["a", "b", "c", "d"]
    async with http.get(RESOURCE, params={"state": "paused"}) as response:
        _, body = await answer(response)
    assert [each["name"] for each in body["resources"]] == ["b"]


async def test_items_go_by_cursor(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    cluster.master.put("a", "{}")
    cluster.results.item_records[str(FIRST_ID)] = [item(n, name=f"é{n}") for n in range(1, 6)]
    async with http.get(f"{RESOURCE}/a/items", params={"limit": "3"}) as response:
        _, first = await answer(response)
    async with http.get(f"{RESOURCE}/a/items", params={"cursor": first["next"]}) as response:
        _, second = await answer(response)
    assert [each["seq"] for each in first["items"] + second["items"]] == [1, 2, 3, 4, 5]
    assert first["items"][0]["fields"] == {"name": "é1"}
    assert second["next"] == ""


async def test_an_export_is_a_plan_and_a_cursor(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("a", "{}")
    cluster.results.item_records[str(FIRST_ID)] = [item(n) for n in range(1, 6)]
    async with http.get(f"{RESOURCE}/a/export", params={"since": "1:2"}) as response:
        status, plan = await answer(response)
    assert (status, plan["cursor"]) == (200, "1:5")
    [stretch] = plan["stretches"]
    assert stretch == {"run": 1, "after": 2, "until": 5}
    cluster.results.item_records[str(FIRST_ID)].append(item(6))
    async with http.get(f"{RESOURCE}/a/items", params=stretch) as response:
        _, body = await answer(response)
    assert [each["seq"] for each in body["items"]] == [3, 4, 5]
    async with http.get(f"{RESOURCE}/a/export", params={"since": "never"}) as response:
        status, error = await answer(response)
    assert status == 400
    assert error["message"].startswith("since: ")


async def test_sinks_say_how_far_they_are(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("a", "{}")
    sink = SinkRecord("hook", 2, 900, 90, "worker-1", "HTTP 503", 3, 1.5)
    cluster.results.sink_records[str(FIRST_ID)] = [sink]
    async with http.get(f"{RESOURCE}/a/sinks") as response:
        assert await answer(response) == (200, {"sinks": [asdict(sink)]})


async def test_a_run_is_told_in_figures(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    cluster.master.put("a", "{}")
    figures: Stats = {"item_scraped_count": 7, "elapsed_time_seconds": 1.5, "finish_reason": "x"}
    cluster.results.figures[str(FIRST_ID)] = figures
    async with http.get(f"{RESOURCE}/a/stats") as response:
        assert await answer(response) == (200, {"stats": figures})
    async with http.get(f"{RESOURCE}/a/stats?run=0") as response:
        assert response.status == 400


async def test_large_items_come_in_smaller_answers(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("a", "{}")
    large = [item(n, html="x" * 5_000_000) for n in range(1, 4)]
    cluster.results.item_records[str(FIRST_ID)] = large
    seen, after = [], "0"
    while after:
        async with http.get(f"{RESOURCE}/a/items", params={"cursor": after}) as response:
            _, body = await answer(response)
        assert len(body["items"]) == 1
        seen += [each["seq"] for each in body["items"]]
        after = body["next"]
    assert seen == [1, 2, 3]


async def test_odd_values_in_items_are_told_as_json(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.put("a", "{}")
    odd = [item(1, price=float("nan")), item(2, text="\ud800", path=b"\xff")]
    cluster.results.item_records[str(FIRST_ID)] = odd
    async with http.get(f"{RESOURCE}/a/items") as response:
        status, body = await answer(response)
    assert (status, len(body["items"])) == (200, 2)


async def test_pages_are_filtered(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    cluster.master.put("a", "{}")
    cluster.results.page_records[str(FIRST_ID)] = [
        page(1), page(2, PageState.FAILED, 404), page(3, PageState.FAILED, 500),
    ]  # fmt: skip
    async with http.get(f"{RESOURCE}/a/pages", params={"state": "failed"}) as response:
        _, failed = await answer(response)
    async with http.get(f"{RESOURCE}/a/pages", params={"status": "404"}) as response:
        _, missing = await answer(response)
    async with http.get(f"{RESOURCE}/a/pages", params={"limit": "1"}) as response:
        _, first = await answer(response)
    assert [each["status"] for each in failed["pages"]] == [404, 500]
    assert [each["status"] for each in missing["pages"]] == [404]
    assert first["next"] == first["pages"][0]["url"]


async def test_events(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    cluster.master.put("a", "{}")
    event = Event(seq=1, at=1.5, kind="claimed", detail="", node="go.micro.server.worker-2")
    cluster.results.event_records[str(FIRST_ID)] = [event]
    async with http.get(f"{RESOURCE}/a/events") as response:
        _, body = await answer(response)
    assert [each["kind"] for each in body["events"]] == ["claimed"]


async def test_steering(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    cluster.master.put("a", "{}")
    states = []
    for action, run in (("pause", 1), ("resume", 1), ("stop", 1), ("start", 2)):
        for changed in (True, False) if action != "resume" else (True,):
            async with http.post(f"{RESOURCE}/a/{action}") as response:
                assert await answer(response) == (200, {"changed": changed, "run": run})
        states.append(cluster.master.resources["a"].state)
    assert states == ["paused", "running", "stopped", "running"]
    async with http.post(f"{RESOURCE}/a/resume") as response:
        assert response.status == 409
    async with http.post(f"{RESOURCE}/a/explode") as response:
        assert response.status == 404


async def test_nodes_and_drain(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    drain = "/crawler/node/go.micro.server.worker-2/drain"
    async with http.post(drain) as response:
        assert await answer(response) == (200, {})
    assert cluster.master.nodes[1].drained
    async with http.post(drain, json={"undo": True}) as response:
        assert await answer(response) == (200, {})
    async with http.get("/crawler/node") as response:
        _, listed = await answer(response)
    assert [node["drained"] for node in listed["nodes"]] == [False, False]
    assert listed["nodes"][0] == {
        "id": "go.micro.server.master-1",
        "service": "go.micro.server.master",
        "address": "192.168.0.107:9091",
        "leader": True,
        "active": 0,
        "resources": 0,
        "drained": False,
        "native": True,
        "uptime_s": 12.5,
        "version": "",
        "unsigned": False,
        "trouble": "",
        "proxy": None,
    }


@pytest.mark.parametrize(
    ("error", "status", "code", "reason"),
    [
        (NoLeader("no master leads"), 503, 14, "NO_LEADER"),
        (StoreUnavailable("away"), 503, 14, "STORE_UNAVAILABLE"),
        (Conflict("x"), 409, 6, ""),
        (OutcomeUnknown("x"), 504, 4, ""),
    ],
)
async def test_failures_keep_their_kind(
    cluster: FakeCluster,
    http: aiohttp.ClientSession,
    error: CrawlerError,
    status: int,
    code: int,
    reason: str,
) -> None:
    cluster.master.fail_next.append(error)
    async with http.post(RESOURCE, json={"name": "a"}) as response:
        got, body = await answer(response)
        assert ("Retry-After" in response.headers) == (status == 503)
    assert (got, body["code"]) == (status, code)
    assert [each["reason"] for each in body["details"]] == ([reason] if reason else [])
    cluster.master.fail_next.append(error)
    async with http.put(f"{RESOURCE}/a", json={}) as response:
        got, body = await answer(response)
    *others, way = body["details"]
    assert (got, len(others)) == (status, 1 if reason else 0)
    assert way == {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": type(error).help, "url": "/docs"}],
    }


async def test_a_master_that_hangs_is_an_unknown_outcome() -> None:
    async with serve_api(timeout_s=0.3) as cluster, aiohttp.ClientSession(cluster.url) as http:
        cluster.master.hold = asyncio.Event()
        async with http.post(RESOURCE, json={"name": "a"}) as response:
            assert response.status == 504


async def test_probes(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    async def well() -> str:
        return "3 members"

    async def unwell() -> str:
        raise StoreUnavailable("disk is full")

    cluster.health.add("etcd", well)
    async with http.get("/healthz") as response:
        assert await answer(response) == (200, {"ok": True})
    async with http.get("/readyz") as response:
        assert response.status == 200
    cluster.health.add("store", unwell)
    async with http.get("/readyz") as response:
        status, body = await answer(response)
    assert status == 503
    assert body["checks"]["store"] == {"ok": False, "words": "disk is full"}
    cluster.health.note("crawls", unwell, "crawler show NAME")
    async with http.get("/readyz") as response:
        assert "crawls" not in (await response.json())["checks"]
    async with http.get("/health") as response:
        assert (response.status, response.content_type) == (503, "text/plain")
        assert (await response.text()).splitlines() == [
            "not well, for 2 reason(s)",
            "",
            "WRONG  store: disk is full",
            "WRONG  crawls: disk is full",
            "       crawler show NAME",
            "ok     etcd: 3 members",
        ]
    cluster.health.remove("store")
    async with http.get("/health") as response:
        assert response.status == 200
    async with http.get("/metrics") as response:
        assert 'route="/readyz"' in await response.text()


async def test_the_worker_greets() -> None:
    app = build_worker_app(Health(), loopback=True)
    async with serve(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}/greeter/hello"
        async with http.post(url, data='{"name":"zjx"}') as response:
            assert (response.status, await response.text()) == (200, '{"greeting":"Hello zjx"}')
        async with http.post(url, data='{"nam":"zjx"}') as response:
            assert response.status == 400


@pytest.mark.threat(19)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_every_answer_is_guarded(http: aiohttp.ClientSession, method: str) -> None:
    for path in (RESOURCE, "/nowhere", "/metrics", "/openapi.json"):
        async with http.request(method, path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Server"] == "crawler"


async def test_unknown_paths_and_methods_are_answered_in_shape(
    http: aiohttp.ClientSession,
) -> None:
    async with http.get("/nowhere") as response:
        status, body = await answer(response)
    assert (status, body["code"], len(body["details"])) == (404, 5, 1)
    async with http.patch(RESOURCE) as response:
        status, body = await answer(response)
        assert response.headers["Allow"] == "DELETE, GET, HEAD, POST"
    assert (status, body["code"]) == (405, 12)


async def test_a_request_is_logged_once(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    with structlog.testing.capture_logs() as lines:
        async with http.post(RESOURCE, json={"name": "a"}) as response:
            assert response.status == 200
    events = [(line["event"], line.get("method")) for line in lines]
    assert events == [("receive request", "CrawlerMaster.AddResource"), ("http request", "POST")]


async def test_a_fault_is_a_500_that_tells_nothing(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.resources["a"] = control.ResourceView(name="a", definition_json="{broken")
    async with http.get(f"{RESOURCE}/a") as response:
        status, body = await answer(response)
    assert (status, body["code"]) == (500, 13)
    assert "Expecting" not in body["message"]


async def test_runs_come_with_their_times_and_the_next_due_time(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    schedule = {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}
    async with http.put(f"{RESOURCE}/a", json={**SHOP, "schedule": schedule}) as response:
        assert response.status == 200
    record = RunRecord(2, 1795993200, 1795993201.5, 0.0, Progress(known=3, done=1))
    cluster.results.run_records[str(FIRST_ID)] = [record]
    async with http.get(f"{RESOURCE}/a/runs") as response:
        status, body = await answer(response)
    assert status == 200
    (run,) = body["runs"]
    times = {"run": 2, "due_at": 1795993200, "started_at": 1795993201.5, "finished_at": 0.0}
    assert run == {**run, **times, "known": 3, "pending": 2, "finished": ""}
    assert body["timezone"] == "Europe/Berlin"
    due = datetime.fromtimestamp(body["next_due"], ZoneInfo("Europe/Berlin"))
    assert (due.hour, due.minute, due.second) == (6, 0, 0)
    assert 0 < body["next_due"] - time.time() <= 25 * 3600
    await http.post(f"{RESOURCE}/a/pause")
    async with http.get(f"{RESOURCE}/a/runs") as response:
        assert (await answer(response))[1]["next_due"] is None
    await http.put(f"{RESOURCE}/a", json=SHOP)
    async with http.get(f"{RESOURCE}/a/runs") as response:
        found = (await answer(response))[1]
    assert (found["next_due"], found["timezone"]) == (None, "")


async def test_a_retry_says_how_many_pages_and_where_to_go_on(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    await http.put(f"{RESOURCE}/a", json={})
    cluster.master.failed["a"] = [503] * 4 + [404]
    async with http.post(f"{RESOURCE}/a/retry", json={"status": "5xx", "dryRun": True}) as response:
        assert await response.json() == {"run": 1, "pages": 3, "next": 3}
    assert cluster.master.retried == []
    async with http.post(f"{RESOURCE}/a/retry", json={"status": 503, "after": 3}) as response:
        assert await response.json() == {"run": 1, "pages": 1, "next": 0}
    async with http.post(f"{RESOURCE}/a/retry") as response:
        assert (await response.json())["pages"] == 3
    async with http.post(f"{RESOURCE}/b/retry") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "6"}, "status"),
        ({"status": -1}, "status"),
        ({"status": True}, "status"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": 5}, "reason"),
        ({"run": 0}, "run"),
        ({"after": -1}, "after"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"state": "failed"}, "state"),
    ],
)
async def test_a_retry_that_cannot_be_meant_names_the_field(
    cluster: FakeCluster, http: aiohttp.ClientSession, body: dict[str, Any], field: str
) -> None:
    await http.put(f"{RESOURCE}/a", json={})
    cluster.master.failed["a"] = [503]
    async with http.post(f"{RESOURCE}/a/retry", json=body) as response:
        answer = await response.json()
    assert response.status == 400
    assert answer["message"].startswith(f"{field}")
    assert cluster.master.retried == []
