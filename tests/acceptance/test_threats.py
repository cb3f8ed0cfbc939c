"""A cluster among strangers: rubbish in etcd, forged nodes, callers without a token or with too
many wishes. It works on, and gives them nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import grpc
import pytest

from crawler.access import Role, line_of, new_token
from crawler.coordination.etcd import Etcd, put
from crawler.coordination.registry import native_metadata, node_record, registry_key
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node
from tests.acceptance.cluster import Cluster, eventually
from tests.doors import each_refuses, offered_rpcs, routes_of

pytestmark = pytest.mark.timeout(120)

WORKERS = f"/micro/registry/{WORKER_SERVICE}/"
OPEN = {"/healthz", "/readyz"}
# Signing in without a token, which makes no sense, and signing out, which tells nothing.
SIGNING = {("POST", "/console/session"): 400, ("DELETE", "/console/session"): 200}
VALUES = (
    b"", b"}{", b"null", b"7", b"[]", b'"text"', b"{}", b"\xff\xfe\x00", b"[" * 50_000,
    b'{"ID":7,"Name":[],"AssignedNode":{},"CreationTime":"now"}',
    b'{"state":1,"run":"one","resource_id":null}',
    b'{"name":"' + b"x" * 1_000_000 + b'"}',
    b'{"nodes":[{"id":1,"address":[],"metadata":7}],"name":null}',
)  # fmt: skip
PLACES = (
    "/resources/", "/crawler/definitions/", "/crawler/desired/", "/crawler/status/",
    "/crawler/decisions/", "/crawler/owners/", "/crawler/load/", "/crawler/parts/", WORKERS,
    f"/micro/registry/{MASTER_SERVICE}/",
)  # fmt: skip


async def litter(etcd: Etcd, mark: str) -> None:
    """Rubbish of every kind in every place where the cluster looks."""
    for place in PLACES:
        for number, value in enumerate(VALUES):
            await etcd.txn([], [put(f"{place}{mark}{number}", value)])
        await etcd.txn([], [put(f"{place}{mark}\udcff", b"{}"), put(f"{place}{mark}/x/y", b"{}")])


async def send(
    method: str, url: str, token: str = "", body: object = None
) -> tuple[int, Mapping[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=body) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text) if text.startswith("{") else {}


async def start(cluster: Cluster, token: str) -> None:
    secret, tokens = cluster.folder / "secret", cluster.folder / "tokens"
    secret.write_text(new_token())
    tokens.write_text(line_of(token, "modest", Role.OPERATE, 2))
    setting = {"CRAWLER_SECRET": str(secret), "CRAWLER_TOKENS": str(tokens)}
    for master in "12":
        cluster.start_master(master, **setting)
    cluster.start_worker("1", **setting)
    await cluster.wait_ready("1", "2")


@pytest.mark.threat(1, 2, 26)
async def test_a_cluster_among_strangers(cluster: Cluster) -> None:
    token = new_token()
    forged = Node(
        f"{WORKER_SERVICE}-9", WORKER_SERVICE, "127.0.0.1:9", native_metadata("1"), native=True
    )
    async with cluster.client() as etcd:
        await litter(etcd, "before")
        await start(cluster, token)
        await etcd.txn([], [put(registry_key(forged), node_record(forged))])
        await litter(etcd, "after")
    await strangers_get_nothing(cluster, token)
    leader = await cluster.leader()
    follower = "1" if leader == "2" else "2"
    resources = f"{cluster.url(follower)}/crawler/resource"
    for name in ("one", "two"):
        assert (await send("POST", resources, token, {"name": name}))[0] in (200, 202)
    status, answer = await send("POST", resources, token, {"name": "three"})
    assert (status, answer["code"]) == (429, 8)
    assert "modest may have 2 resources" in answer["message"]

    async def placed() -> bool | None:
        found = [(await send("GET", f"{resources}/{name}", token))[1] for name in ("one", "two")]
        assert {each["owner"] for each in found} == {"modest"}
        return {each["assigned_node"] for each in found} == {f"{WORKER_SERVICE}-1"} or None

    await eventually(placed, "work for the true worker, and for no other", 10 * cluster.ttl_s)
    for master in "12":
        _, listed = await send("GET", f"{cluster.url(master)}/crawler/node", token)
        unsigned = {each["id"]: each["unsigned"] for each in listed["nodes"]}
        assert unsigned == {
            f"{MASTER_SERVICE}-1": False,
            f"{MASTER_SERVICE}-2": False,
            f"{WORKER_SERVICE}-1": False,
            forged.id: True,
        }
    assert leader is not None
    assert "node record is not signed by this cluster" in cluster.masters[leader].text()
    for process in (*cluster.masters.values(), *cluster.workers.values()):
        assert process.running
        assert "Traceback" not in process.text()


async def strangers_get_nothing(cluster: Cluster, token: str) -> None:
    """Every route and every RPC of the leader, the follower and the worker."""
    bases, addresses = cluster.doors
    for base in bases:
        for method, path in await routes_of(base, token):
            for wrong in ("", new_token()):
                shut = 200 if path in OPEN and not wrong else 401
                expected = SIGNING.get((method, path), shut)
                url = base + path.replace("{name}", "one").replace("{id}", "worker-1")
                assert (await send(method, url, wrong))[0] == expected, (method, url)
    for address in addresses:
        async with grpc.aio.insecure_channel(address) as channel:
            offered = await offered_rpcs(channel, token)
            assert any("Greeter/Hello" in name for name in offered)
            for stranger in (None, new_token()):
                await each_refuses(channel, offered, stranger)
