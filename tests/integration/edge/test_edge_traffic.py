"""A fourth server joins and gets requests, others go and get none; nobody who asks notices."""

from __future__ import annotations

import pytest

from tests.acceptance.cluster import eventually
from tests.integration.edge.stage import TTL_S, Stage
from tests.integration.edge.traffic import Traffic, flowing


async def answered_by(traffic: Traffic, *names: str) -> None:
    """Wait until exactly these answer."""

    async def they_do() -> bool | None:
        before = traffic.answers.copy()

        async def enough() -> bool | None:
            return sum((traffic.answers - before).values()) >= 20 or None

        await eventually(enough, "answers", 5 * TTL_S)
        return traffic.since(before) == set(names) or None

    await eventually(they_do, f"answers of {names} alone", 10 * TTL_S)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_servers_come_and_go_and_no_request_fails(
    kind: str, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(kind)
    for name in "abc":
        stage.start_server(name)
    stage.start_door()
    stage.start_edge()
    await stage.members("a", "b", "c")
    async with flowing(stage.url, stage.address) as (http, calls):
        await answered_by(http, "a", "b", "c")
        stage.start_server("d")
        await stage.members("a", "b", "c", "d")
        for traffic in (http, calls):
            await answered_by(traffic, "a", "b", "c", "d")
        stage.servers["a"].kill()
        await stage.members("b", "c", "d")
        await answered_by(http, "b", "c", "d")
        stage.servers["b"].terminate()
        await stage.members("c", "d")
        for traffic in (http, calls):
            await answered_by(traffic, "c", "d")
        stage.start_server("a")
        await stage.members("a", "c", "d")
        await answered_by(http, "a", "c", "d")
    assert not http.failures, http.failures
    assert not calls.failures, calls.failures
    if kind == "haproxy":
        assert await stage.figure('crawler_edge_changes_total{how="adjusted",target="haproxy"}')
        assert not await stage.figure('crawler_edge_changes_total{how="reloaded",target="haproxy"}')
