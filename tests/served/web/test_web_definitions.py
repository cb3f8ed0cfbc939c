"""Writing a definition over HTTP: problems by line, and pages that a worker looks at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from crawler.errors import Exhausted, InvalidInput
from crawler.model import WORKER_SERVICE
from crawler.rpc.lives import Lives
from crawler.rpc.pb import control_pb2
from crawler.rpc.server import serve as serve_grpc
from crawler.rpc.services import crawler_worker
from tests.fakes.api import FakeCluster
from tests.fakes.trials import FakeTrials

GOOD = 'start_urls = ["https://shop.example/"]\n'
URL = "https://shop.example/p/1"


@pytest.fixture
async def trials(cluster: FakeCluster) -> AsyncIterator[FakeTrials]:
    """What the only worker that is up does."""
    trials = FakeTrials()
    services = (crawler_worker(Lives(lambda _: None, trials)),)
    async with serve_grpc("127.0.0.1:0", services, grace_s=0.1) as listening:
        cluster.master.nodes = [worker(1, listening.address)]
        yield trials


def worker(number: int, address: str, **told: Any) -> control_pb2.NodeView:
    return control_pb2.NodeView(
        id=f"{WORKER_SERVICE}-{number}",
        service=WORKER_SERVICE,
        address=address,
        native=True,
        **told,
    )


async def post(http: aiohttp.ClientSession, path: str, **body: str) -> tuple[int, Any]:
    async with http.post(f"/crawler/{path}", json=body) as response:
        return response.status, await response.json()


async def test_a_good_definition_is_told_as_it_would_be_stored(
    http: aiohttp.ClientSession,
) -> None:
    status, verdict = await post(http, "check", text=GOOD)
    assert (status, verdict["ok"], verdict["problems"]) == (200, True, [])
    assert verdict["definition"] == {"start_urls": ["https://shop.example/"]}


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        (GOOD + "download_delay = true\n", "download_delay", 2),
        (GOOD + "\n[[rules]]\nnaem = 1\n", "rules[0].naem", 4),
        ("start_urls = [", "", 1),
        ('{"start_urls": 3}', "start_urls", 1),
    ],
)
async def test_problems_are_told_by_field_and_line(
    http: aiohttp.ClientSession, text: str, field: str, line: int
) -> None:
    status, verdict = await post(http, "check", text=text)
    assert (status, verdict["ok"], verdict["definition"]) == (200, False, None)
    problem = verdict["problems"][0]
    assert (problem["field"], problem["line"]) == (field, line)
    assert problem["message"]


async def test_what_is_hardly_meant_is_told_too(http: aiohttp.ClientSession) -> None:
    _, verdict = await post(http, "check", text=GOOD + 'allowed_domains = ["other.example"]\n')
    assert verdict["ok"]
    assert any("allowed_domains" in doubt for doubt in verdict["doubts"])


async def test_a_page_is_tried_by_a_worker(http: aiohttp.ClientSession, trials: FakeTrials) -> None:
    status, found = await post(http, "try", text=GOOD, url=URL, rule="product")
    assert (status, found["rule"], found["items"]) == (200, "product", [])
    assert trials.asked == [("try", '{"start_urls":["https://shop.example/"]}', URL, "product")]


async def test_a_starter_comes_from_a_worker(
    http: aiohttp.ClientSession, trials: FakeTrials
) -> None:
    status, starter = await post(http, "starter", url=URL)
    assert (status, starter) == (200, {"text": f'start_urls = ["{URL}"]\n'})


async def test_what_is_refused_says_why(http: aiohttp.ClientSession, trials: FakeTrials) -> None:
    status, _ = await post(http, "try", text="nonsense", url=URL)
    assert (status, trials.asked) == (400, [])
    trials.fail_next = [InvalidInput(f"{URL}: HTTP 404"), Exhausted("other pages")]
    status, answer = await post(http, "try", text=GOOD, url=URL)
    assert (status, answer["message"]) == (400, f"{URL}: HTTP 404")
    status, _ = await post(http, "starter", url=URL)
    assert status == 429


async def test_one_that_cannot_be_reached_is_passed_over(
    cluster: FakeCluster, http: aiohttp.ClientSession, trials: FakeTrials
) -> None:
    [there] = cluster.master.nodes
    there.active = 9
    cluster.master.nodes = [worker(2, "127.0.0.1:1"), there]
    status, _ = await post(http, "starter", url=URL)
    assert (status, len(trials.asked)) == (200, 1)


async def test_without_a_worker_it_says_so(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.nodes = [worker(2, "127.0.0.1:1", unsigned=True)]
    status, answer = await post(http, "starter", url=URL)
    assert status == 503
    assert "no worker is up" in answer["message"]
