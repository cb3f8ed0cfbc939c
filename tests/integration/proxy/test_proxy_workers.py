"""Workers' proxies find each other through the registry, and the cluster keeps each page once."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path

from aiohttp import web

from crawler.access import Role, line_of, new_token
from crawler.coordination.etcd import Etcd
from crawler.proxy.peers import owner_of
from tests.acceptance.cluster import Cluster, eventually
from tests.etcd_server import EtcdServer
from tests.integration.engine.servers import serving
from tests.integration.proxy.stage import Answer, ask
from tests.ports import free_port

NODE = "go.micro.server.worker-"


class Fleet:
    """Workers with proxies around one etcd, and how often their origin was asked for what."""

    def __init__(self, folder: Path, etcd: EtcdServer) -> None:
        self.cluster = Cluster(folder, etcd)
        self.folder = folder
        self.ports: dict[str, int] = {}
        self.hits: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        self.hits[request.path] += 1
        return web.Response(text=request.path, headers={"Cache-Control": "max-age=600"})

    def start(self, node: str, **environment: str) -> None:
        port = self.ports.setdefault(node, free_port())
        kept = str(self.folder / "kept")
        named = {"CRAWLER_PROXY": f":{port}", "CRAWLER_PROXY_DATA": kept, **environment}
        self.cluster.start_worker(node, **named)

    async def announced(self, *nodes: str) -> None:
        """Return once exactly those stand in the registry, each with its proxy."""

        async def they_are() -> bool | None:
            async with self.cluster.client() as etcd:
                return await _announced(etcd) == {NODE + node for node in nodes} or None

        await eventually(they_are, f"registration of {nodes}", 10 * self.cluster.ttl_s)

    async def get(self, node: str, url: str) -> Answer:
        return await ask(self.ports[node], url)

    async def asks(self, node: str, url: str, token: str = "") -> None:
        """Return once the node asks another worker for this URL."""

        async def passed_two() -> bool | None:
            answer = await ask(
                self.ports[node], url, Proxy_Authorization=token, Cache_Control="no-cache"
            )
            assert answer.status == 200
            return answer.fields["via"].count("crawler-") == 2 or None

        await eventually(passed_two, f"worker {node} to ask another", 10 * self.cluster.ttl_s)

    def owned(self, origin: str, by: str, among: str, count: int) -> list[str]:
        """URLs of the origin that one of the nodes keeps."""
        ids = [NODE + node for node in among]
        urls = (f"{origin}/{number}" for number in range(1000))
        return [url for url in urls if owner_of(url, ids) == NODE + by][:count]


async def _announced(etcd: Etcd) -> set[str]:
    found = await etcd.range(f"/micro/registry/{NODE[:-1]}/")
    nodes = (node for kv in found.kvs for node in json.loads(kv.value)["nodes"])
    return {node["id"] for node in nodes if "proxy" in node["metadata"]}


async def test_a_page_is_fetched_once_for_the_cluster_whoever_dies(
    tmp_path: Path, etcd: EtcdServer
) -> None:
    fleet = Fleet(tmp_path, etcd)
    async with serving(fleet.handle) as origin:
        try:
            for node in "123":
                fleet.start(node)
            await fleet.announced(*"123")
            urls = fleet.owned(origin, "2", "123", 10)
            await fleet.asks("1", urls.pop())
            await fleet.asks("3", urls.pop())
            answers = [await fleet.get(node, url) for url in urls for node in "123"]
            assert {answer.status for answer in answers} == {200}
            assert {fleet.hits[url.removeprefix(origin)] for url in urls} == {1}

            fleet.cluster.workers["2"].kill_group()
            began = time.monotonic()
            answer = await fleet.get("1", urls[0])
            assert (answer.status, answer.body.decode()) == (200, urls[0].removeprefix(origin))
            assert time.monotonic() - began < fleet.cluster.ttl_s
            await fleet.announced(*"13")

            moved = [url for url in fleet.owned(origin, "3", "13", 1000) if url in urls[1:]]
            await fleet.asks("1", moved.pop())
            answers = [await fleet.get(node, url) for url in moved for node in "131"]
            assert {answer.status for answer in answers} == {200}
            assert {fleet.hits[url.removeprefix(origin)] for url in moved} <= {2}

            fleet.start("2")
            await fleet.announced(*"123")
            kept = await fleet.get("2", urls[1])
            assert kept.cached.startswith("hit")
            assert fleet.cluster.workers["2"].text().count("begun anew") == 0
        finally:
            fleet.cluster.stop()


async def test_workers_that_ask_for_tokens_know_each_other_by_the_secret(
    tmp_path: Path, etcd: EtcdServer
) -> None:
    token = new_token()
    (tmp_path / "tokens").write_text(f"{line_of(token, 'ann', Role.OPERATE)}\n")
    (tmp_path / "secret").write_text("s" * 64)
    named = {
        "CRAWLER_TOKENS": str(tmp_path / "tokens"),
        "CRAWLER_SECRET": str(tmp_path / "secret"),
    }
    known = f"Basic {b64encode(f'any:{token}'.encode()).decode()}"
    fleet = Fleet(tmp_path, etcd)
    async with serving(fleet.handle) as origin:
        try:
            for node in "12":
                fleet.start(node, **named)
            await fleet.announced(*"12")
            (url,) = fleet.owned(origin, "2", "12", 1)

            await fleet.asks("1", url, known)
            assert (await fleet.get("1", url)).status == 407
        finally:
            fleet.cluster.stop()
