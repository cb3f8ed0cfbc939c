"""Hostile requests: each refused with a 4xx that names what is wrong, nothing stored."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import structlog
from yarl import URL

from crawler.definition import MAX_DEFINITION_BYTES
from crawler.web.body import MAX_BYTES
from tests.fakes.api import FakeCluster

RESOURCE = "/crawler/resource"
DEEP = 100_000

BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "name"),
    "blank": (b" \n", "name"),
    "not json": (b"{", "body"),
    "trailing text": (b'{"name":"a"} x', "body"),
    "a form": (b"name=a", "body"),
    "not utf-8": (b'{"name":"\xff"}', "body"),
    "utf-16": ('{"name":"a"}'.encode("utf-16"), "body"),
    "array": (b"[]", "body"),
    "string": (b'"a"', "body"),
    "null": (b"null", "body"),
    "number": (b"7", "body"),
    "nan": (b'{"name":"a","definition":{"x":NaN}}', "body"),
    "endless number": (b'{"name":"a","creation_time":' + b"9" * 5000 + b"}", "body"),
    "name missing": (b'{"id":"a"}', "name"),
    "name null": (b'{"name":null}', "name"),
    "name empty": (b'{"name":""}', "name"),
    "name a number": (b'{"name":7}', "name"),
    "name an object": (b'{"name":{}}', "name"),
    "name a list": (b'{"name":["a"]}', "name"),
    "name twice": (b'{"name":"a","name":"b"}', "name"),
    "name with slash": (b'{"name":"a/b"}', "name"),
    "name a path": (b'{"name":"../election/x"}', "name"),
    "name ends in slash": (b'{"name":"r1/"}', "name"),
    "name with newline": (b'{"name":"a\\nlevel=error"}', "name"),
    "name ends in newline": (b'{"name":"a\\n"}', "name"),
    "name with nul": (b'{"name":"a\\u0000"}', "name"),
    "name half a character": (b'{"name":"a\\ud800"}', "name"),
    "name reserved": (b'{"name":"election"}', "name"),
    "name too long": (b'{"name":"' + b"a" * 129 + b'"}', "name"),
    "name of a megabyte": (b'{"name":"' + b"a" * 1_000_000 + b'"}', "name"),
    "id a number": (b'{"id":7,"name":"a"}', "id"),
    "unknown field": (b'{"name":"a","colour":"red"}', "colour"),
    "unknown empty field": (b'{"name":"a","":1}', "body"),
    "unknown odd field": (b'{"name":"a","x\\ny":1}', "x\\ny"),
    "both spellings": (b'{"name":"a","assigned_node":"b","assignedNode":"c"}', "assigned_node"),
    "time a word": (b'{"name":"a","creation_time":"now"}', "creation_time"),
    "time a boolean": (b'{"name":"a","creation_time":true}', "creation_time"),
    "time a fraction": (b'{"name":"a","creation_time":1.5}', "creation_time"),
    "time too large": (b'{"name":"a","creation_time":9223372036854775808}', "creation_time"),
    "time in other digits": ('{"name":"a","creation_time":"٣"}'.encode(), "creation_time"),
    "definition a string": (b'{"name":"a","definition":"x"}', "definition"),
    "definition a list": (b'{"name":"a","definition":[]}', "definition"),
    "definition half a character": (
        b'{"name":"a","definition":{"x":["\\udfff"]}}',
        "definition.x[0]",
    ),
    "definition refused by the leader": (
        b'{"name":"a","definition":{"start_urls":7}}',
        "start_urls",
    ),
    "deep list": (b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}", "body"),
    "deep object": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "body"),
    "a little deep": (b'{"name":"a","definition":' + b'{"a":' * 70 + b"1" + b"}" * 71, "body"),
    "never closed": (b"[" * 900_000, "body"),
}


async def refused(response: aiohttp.ClientResponse, status: int = 400) -> str:
    """Check the shape of a refusal and return the field that it names."""
    body: dict[str, Any] = json.loads(await response.read())
    assert response.status == status, body
    assert set(body) == {"code", "message", "details"}
    assert len(body["message"]) < 600
    assert body["message"].isprintable()
    violations = [each for each in body["details"] if "field_violations" in each]
    if not violations:
        return ""
    field: str = violations[0]["field_violations"][0]["field"]
    assert body["message"].startswith(field)
    return field


def spelled(field: str) -> str:
    return "".join(part.capitalize() if n else part for n, part in enumerate(field.split("_")))


@pytest.mark.parametrize(("sent", "field"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_bad_bodies_are_refused_by_field(
    cluster: FakeCluster, http: aiohttp.ClientSession, method: str, sent: bytes, field: str
) -> None:
    if method == "DELETE" and field == "start_urls":
        sent, field = b"{", "body"  # a delete does not look into definitions
    async with http.request(method, RESOURCE, data=sent) as response:
        assert await refused(response) in (field, spelled(field))
    assert not cluster.master.resources


@pytest.mark.parametrize(
    "sent", [b"{", b"[]", b"7", b"[" * DEEP, b'{"a":1,"a":2}', b'{"a":"\\ud800"}', b"\xff"]
)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_bad_bodies_of_the_other_doors(
    cluster: FakeCluster, http: aiohttp.ClientSession, method: str, sent: bytes
) -> None:
    path = f"{RESOURCE}/a" + ("/pause" if method == "POST" else "")
    async with http.request(method, path, data=sent) as response:
        assert await refused(response)
    assert not cluster.master.calls


@pytest.mark.threat(22)
@pytest.mark.parametrize(
    "name",
    ["a/b", "../x", "..%2f", "a\nb", "a\x00", "a b", "é" * 129, "-a", ".a", "election", "a?b#c"],
)
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/pause"), ("GET", "/items"),
        ("GET", "/pages"), ("GET", "/events"),
    ],
)  # fmt: skip
async def test_bad_names_in_the_path(
    cluster: FakeCluster, http: aiohttp.ClientSession, name: str, method: str, rest: str
) -> None:
    path = URL(f"{cluster.url}{RESOURCE}/{quote(name, safe='')}{rest}", encoded=True)
    async with http.request(method, path) as response:
        assert await refused(response) == "name"
    assert not cluster.master.calls


@pytest.mark.parametrize("node", ["a/b", "a\nb", "é", "x" * 129])
async def test_bad_node_ids(cluster: FakeCluster, http: aiohttp.ClientSession, node: str) -> None:
    path = URL(f"{cluster.url}/crawler/node/{quote(node, safe='')}/drain", encoded=True)
    async with http.post(path) as response:
        assert await refused(response) == "id"


@pytest.mark.threat(26)
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=x", "limit"),
        ("?limit=1&limit=2", "limit"),
        ("?state=flying", "state"),
        ("?colour=red", "colour"),
        (f"?cursor={'x' * 600}", "cursor"),
        ("/a?x=1", "x"),
        ("/a/items?after=-1", "after"),
        ("/a/items?cursor=x", "cursor"),
        ("/a/items?after=9223372036854775808", "after"),
        ("/a/events?cursor=1.5", "cursor"),
        ("/a/pages?status=x", "status"),
        ("/a/pages?status=1000", "status"),
        ("/a/pages?state=running", "state"),
        ("/a/pages?state=", "state"),
    ],
)
async def test_bad_queries(http: aiohttp.ClientSession, path: str, field: str) -> None:
    async with http.get(RESOURCE + path) as response:
        assert await refused(response) == field


@pytest.mark.parametrize("body", ['{"undo":"yes"}', '{"undo":1}', '{"do":true}'])
async def test_bad_drains(http: aiohttp.ClientSession, body: str) -> None:
    async with http.post("/crawler/node/go.micro.server.worker-2/drain", data=body) as response:
        assert await refused(response) in ("undo", "do")


@pytest.mark.threat(23)
@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 200), (MAX_BYTES + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_be_as_large_as_the_limit(
    cluster: FakeCluster, http: aiohttp.ClientSession, size: int, status: int, chunked: bool
) -> None:
    body = b'{"name":"a"}'.ljust(size)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 60_000):
            yield body[start : start + 60_000]

    async with http.post(RESOURCE, data=pieces() if chunked else io.BytesIO(body)) as response:
        assert response.status == status, await response.text()
    assert bool(cluster.master.resources) is (status == 200)


@pytest.mark.threat(23)
@pytest.mark.parametrize(("size", "status"), [(0, 200), (1, 413)])
async def test_a_definition_may_be_as_large_as_the_limit(
    cluster: FakeCluster, http: aiohttp.ClientSession, size: int, status: int
) -> None:
    empty = len(json.dumps({"start_urls": [""]}, separators=(",", ":")))
    definition = {"start_urls": ["x" * (MAX_DEFINITION_BYTES - empty + size)]}
    async with http.put(f"{RESOURCE}/a", json=definition) as response:
        assert response.status == status, await response.text()
    assert bool(cluster.master.calls) is (status == 200)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_that_is_not_what_its_coding_says(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture, coding: str
) -> None:
    headers = {"Content-Encoding": coding, "Connection": "close"}
    async with (
        aiohttp.ClientSession(cluster.url) as http,
        http.post(RESOURCE, data=b"not compressed", headers=headers) as response,
    ):
        assert await refused(response) == "body"
    reader, writer = await connect(cluster)
    head = f"POST {RESOURCE} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {coding}\r\n"
    writer.write(head.encode() + b"Content-Length: 14\r\n\r\nnot compressed")
    assert (await reader.read()).startswith(b"HTTP/1.1 400")  # it closes
    writer.close()
    assert not caplog.records


async def connect(cluster: FakeCluster) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(cluster.url.rpartition(":")[2]))


@pytest.mark.threat(26)
@pytest.mark.parametrize("rest", ["Content-Length: 20", "Transfer-Encoding: chunked"])
async def test_who_leaves_in_the_middle_of_a_body_makes_no_fault_of_ours(
    cluster: FakeCluster, rest: str
) -> None:
    head = f"POST {RESOURCE} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{rest}\r\n\r\n"
    with structlog.testing.capture_logs() as lines:
        reader, writer = await connect(cluster)
        writer.write(head.encode())
        assert b"100" in await reader.readline()  # it waits for the body
        writer.transport.abort()
        await told(lines)
    assert [(line["event"], line["status"]) for line in lines] == [("http request", 499)]


@pytest.mark.threat(26)
async def test_who_leaves_before_a_stream_begins_makes_no_fault_of_ours(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.hold = asyncio.Event()
    with structlog.testing.capture_logs() as lines:
        _, writer = await connect(cluster)
        writer.write(b"GET /crawler/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await cluster.master.entered.wait()
        writer.transport.abort()
        async with http.post("/greeter/hello", json={"name": "a"}) as response:
            assert response.status == 200
        cluster.master.hold.set()
        await told(lines)
    assert [line["status"] for line in lines if line["event"] == "http request"] == [200, 499]
    assert "http request failed" not in {line["event"] for line in lines}


async def told(lines: Sequence[Mapping[str, Any]]) -> None:
    """Wait until a request is logged whose caller left."""
    async with asyncio.timeout(10):
        while not any(line.get("status") in (499, 500) for line in lines):  # noqa: ASYNC110 - logs
            await asyncio.sleep(0.01)


@pytest.mark.threat(23)
async def test_a_definition_too_large_for_etcd_is_refused(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    large = {"start_urls": [f"https://shop.example/{n:0100}" for n in range(3000)]}
    async with http.put(f"{RESOURCE}/a", json=large) as response:
        await refused(response, 413)
    async with http.post(RESOURCE, json={"name": "a", "definition": large}) as response:
        await refused(response, 413)
    assert not cluster.master.calls


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"\x16\x03\x01 is how TLS begins\r\n\r\n",
        b"POST /crawler/resource HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_without_a_traceback(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    reader, writer = await connect(cluster)
    writer.write(sent)
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    await writer.wait_closed()
    assert not caplog.records


@pytest.mark.parametrize("key", ["x" * 129, "é"])
async def test_bad_request_ids(http: aiohttp.ClientSession, key: str) -> None:
    headers = {"X-Request-Id": key}
    async with http.put(f"{RESOURCE}/a", json={}, headers=headers) as response:
        assert await refused(response) == "X-Request-Id"
