"""Which requests of browsers are refused."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from crawler.address import names_loopback
from crawler.errors import Hindered
from crawler.telemetry.health import Health
from crawler.web.app import build_worker_app
from crawler.web.guard import refusal
from crawler.web.server import serve
from tests.fakes.api import FakeCluster, serve_api

pytestmark = pytest.mark.threat(1)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:8081", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("LOCALHOST:8081", True),
        ("x.localhost:1", True),
        ("[::1]:8081", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8081", False),
        ("localhost.evil.example", False),
        ("evil.example@127.0.0.1", True),  # what matters is where it leads
        ("127.0.0.1@evil.example", False),
        ("192.168.0.107:8081", False),
        ("0.0.0.0:8081", False),
        ("2130706433", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_which_hosts_name_loopback(host: str, own: bool) -> None:
    assert names_loopback(host) is own


@pytest.mark.parametrize(
    ("method", "headers", "passes"),
    [
        ("POST", {}, True),
        ("POST", {"Host": "localhost:8081"}, True),
        ("GET", {"Host": "evil.example"}, False),
        ("GET", {"Host": "localhost", "Origin": "https://evil.example"}, True),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, True),
        ("POST", {"Host": "localhost:1", "Origin": "http://localhost:1"}, True),
        ("POST", {"Host": "localhost:1", "Origin": "http://localhost:2"}, False),
        ("POST", {"Host": "localhost:1", "Origin": "https://evil.example"}, False),
        ("POST", {"Host": "localhost:1", "Origin": "null"}, False),
        ("POST", {"Host": "localhost:1", "Origin": ""}, False),
        ("POST", {"Host": "localhost:1", "Origin": "http://[::1"}, False),
        ("POST", {"Host": "localhost:1", "Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Host": "localhost:1", "Sec-Fetch-Site": "none"}, True),
        ("POST", {"Host": "localhost:1", "Sec-Fetch-Site": "same-site"}, False),
        ("DELETE", {"Host": "localhost:1", "Sec-Fetch-Site": "cross-site"}, False),
        ("PUT", {"Host": "localhost:1", "Sec-Fetch-Site": ""}, False),
    ],
)
def test_which_requests_pass(method: str, headers: dict[str, str], passes: bool) -> None:
    assert (not refusal(method, headers, loopback=True)) is passes


def test_beyond_loopback_any_host_is_right() -> None:
    assert not refusal("GET", {"Host": "crawler.example"}, loopback=False)
    assert refusal("POST", {"Host": "a", "Origin": "https://b"}, loopback=False)


async def test_a_rebound_name_is_refused_over_the_wire(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    async with http.get("/crawler/node", headers={"Host": "evil.example"}) as response:
        assert response.status == 403
        assert (await response.json())["code"] == 7
    forged = {"Origin": "https://evil.example"}
    async with http.post("/crawler/resource", data='{"name":"a"}', headers=forged) as response:
        assert response.status == 403
    assert not cluster.master.calls


async def test_beyond_loopback_any_host_is_answered() -> None:
    async with (
        serve_api(loopback=False) as cluster,
        aiohttp.ClientSession(cluster.url) as http,
        http.get("/crawler/node", headers={"Host": "crawler.example"}) as response,
    ):
        assert response.status == 200


async def test_a_request_without_host_is_answered(cluster: FakeCluster) -> None:
    port = int(cluster.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 200")
    writer.close()
    await writer.wait_closed()


async def test_a_taken_port_is_named_with_its_flag() -> None:
    async with serve(build_worker_app(Health(), loopback=True), "127.0.0.1", 0) as port:
        with pytest.raises(Hindered, match=f"--http=127.0.0.1:{port}.*in use"):
            async with serve(build_worker_app(Health(), loopback=True), "127.0.0.1", port):
                pass


async def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(Hindered, match=r"--http=192\.0\.2\.1:0: .*assign"):
        async with serve(build_worker_app(Health(), loopback=True), "192.0.2.1", 0):
            pass
