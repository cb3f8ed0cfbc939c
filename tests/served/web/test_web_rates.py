"""Callers that ask too often: each by itself, at both doors, told when to come back."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import grpc
import pytest

from crawler.access import Access, Role, line_of, new_token
from crawler.clock import SystemClock
from crawler.errors import Exhausted
from crawler.rates import Rate, Rates
from crawler.rpc.errors import from_rpc_error
from crawler.rpc.pb import control_pb2, control_pb2_grpc
from tests.fakes.api import serve_api


class Hands(SystemClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 7.0

    def elapsed(self) -> float:
        return self.now


def taken(rates: Rates, name: str, asked: int = 100) -> int:
    for count in range(asked):
        try:
            rates.take(name)
        except Exhausted:
            return count
    return asked


def test_a_bucket_empties_and_fills_to_its_brim() -> None:
    clock = Hands()
    rates = Rates(clock, Rate(per_s=2, burst=5))
    assert taken(rates, "a") == 5
    clock.now += 1.0
    assert taken(rates, "a") == 2
    clock.now += 0.4
    assert taken(rates, "a") == 0
    clock.now += 0.1
    assert taken(rates, "a") == 1
    clock.now += 3600
    assert taken(rates, "a") == 5


def test_callers_do_not_pay_for_each_other() -> None:
    rates = Rates(Hands(), Rate(per_s=1, burst=3))
    assert [taken(rates, "a"), taken(rates, "b"), taken(rates, "a")] == [3, 3, 0]


def test_nobody_is_counted_where_nobody_is_asked_who_it_is() -> None:
    assert taken(Rates(Hands(), Rate(per_s=1, burst=3)), "") == 100


async def test_one_request_too_many_is_told_when_to_come_back(tmp_path: Path) -> None:
    greedy, modest = new_token(), new_token()
    file = tmp_path / "tokens"
    lines = (line_of(greedy, "greedy", Role.OPERATE), line_of(modest, "modest", Role.READ))
    file.write_text("\n".join(lines))
    clock = Hands()
    rates = Rates(clock, Rate(per_s=1, burst=2))
    async with (
        serve_api(access=Access(file), rates=rates) as cluster,
        aiohttp.ClientSession(cluster.url) as http,
    ):

        async def get(token: str, path: str = "/crawler/node") -> aiohttp.ClientResponse:
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(path, headers=headers) as response:
                await response.read()
                return response

        assert [(await get(greedy)).status for _ in range(3)] == [200, 200, 429]
        refused = await get(greedy)
        assert refused.headers["Retry-After"] == "1"
        assert (await refused.json())["message"].startswith("greedy sends more than 1 request")
        assert (await get(modest)).status == 200
        assert (await get(new_token())).status == 401
        async with http.get("/readyz") as probed:
            assert probed.status == 200
        clock.now += float(refused.headers["Retry-After"])
        assert [(await get(greedy)).status for _ in range(2)] == [200, 429]
    assert cluster.master.calls.count("ListNodes") == 4


async def test_both_doors_take_from_one_bucket(tmp_path: Path) -> None:
    """And no mark that a caller makes up lets it pass by."""
    token, file = new_token(), tmp_path / "tokens"
    file.write_text(line_of(token, "greedy", Role.OPERATE))
    header = f"Bearer {token}"
    rates = Rates(Hands(), Rate(per_s=1, burst=4))
    async with (
        serve_api(access=Access(file), rates=rates) as cluster,
        aiohttp.ClientSession(cluster.url, headers={"Authorization": header}) as http,
        grpc.aio.insecure_channel(cluster.rpc) as channel,
    ):
        control = control_pb2_grpc.CrawlerControlStub(channel)
        async with http.get("/crawler/node") as response:
            assert response.status == 200
        for more in ((), (("crawler-hop", "1"),), (("crawler-mark", "made up"),)):
            await control.ListNodes(
                control_pb2.NodesRequest(), metadata=(("authorization", header), *more)
            )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await control.ListNodes(
                control_pb2.NodesRequest(), metadata=(("authorization", header),)
            )
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert isinstance(from_rpc_error(caught.value), Exhausted)
        async with http.get("/crawler/node") as response:
            assert response.status == 429
    assert cluster.master.calls.count("ListNodes") == 4


def test_the_default_is_generous() -> None:
    clock = Hands()
    rates = Rates(clock)
    assert 1000 <= taken(rates, "loader", 10_000) < 10_000
    clock.now += 1.0
    assert taken(rates, "loader", 10_000) >= 100
