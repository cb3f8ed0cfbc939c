"""Workers' proxies find each other through the registry, and the cluster keeps each page once."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path

from aiohttp import web

from crawler.access import Role, line_of, new_token
from crawler.client.client import Client
from crawler.coordination.etcd import Etcd
from crawler.ops.certificates import make_authority, make_node
from crawler.proxy.peers import owner_of
from crawler.tls import client_context
from tests.acceptance.cluster import Cluster, eventually
from tests.etcd_server import EtcdServer
from tests.integration.engine.servers import serving
from tests.integration.proxy.stage import Answer, ask, until
from tests.ports import free_port

NODE, STALE = "go.micro.server.worker-", "/stale"


class Fleet:
    """Workers with proxies around one etcd, and how often their origin was asked for what."""

    def __init__(self, folder: Path, etcd: EtcdServer) -> None:
        self.cluster = Cluster(folder, etcd)
        self.folder = folder
        self.ports: dict[str, int] = {}
        self.hits: Counter[str] = Counter()
        self.known = ""  # what clients show
        make_authority(folder / "tls")
        for node in "12":
            make_node(folder / "tls", node, ())
        self.trusted = client_context(str(folder / "tls" / "ca.pem"))

    async def handle(self, request: web.Request) -> web.Response:
        self.hits[request.path] += 1
        seconds = 0 if request.path == STALE else 600
        return web.Response(text=request.path, headers={"Cache-Control": f"max-age={seconds}"})

    def known_as(self, node: str) -> dict[str, str]:
        tls = self.folder / "tls"
        return {
            "CRAWLER_TOKENS": str(self.folder / "tokens"),
            "CRAWLER_SECRET": str(self.folder / "secret"),
            "CRAWLER_TLS_CA": str(tls / "ca.pem"),
            "CRAWLER_TLS_CERT": str(tls / f"{node}.pem"),
            "CRAWLER_TLS_KEY": str(tls / f"{node}.key"),
        }

    def start(self, node: str) -> None:
        port = self.ports.setdefault(node, free_port())
        self.cluster.start_worker(
            node,
            CRAWLER_PROXY=f"127.0.0.1:{port}",
            CRAWLER_PROXY_DATA=str(self.folder / "kept"),
            **self.known_as(node),
        )

    async def crawl(self, token: str, urls: list[str], stale: str) -> None:
        """Return once two runs over these are over, by one of the workers."""
        self.cluster.start_master("1", **self.known_as("1"))
        base = self.cluster.url("1").replace("http:", "https:")
        definition = {
            "start_urls": [*urls, stale],
            "schedule": "every 1s",
            "download_delay": 0.01,
            "robotstxt_obey": False,
            "rules": [{"match": f"{stale.removesuffix(STALE)}/*"}],
        }
        authority = str(self.folder / "tls" / "ca.pem")
        async with Client(base, token=token, authority=authority) as client:
            await client.put("site", definition)
            await until(lambda: self.hits[STALE] >= 3)  # the third run has begun
            await client.stop("site")

    async def announced(self, *nodes: str) -> None:
        """Return once exactly those stand in the registry, each with its proxy."""

        async def they_are() -> bool | None:
            async with self.cluster.client() as etcd:
                return await _announced(etcd) == {NODE + node for node in nodes} or None

        await eventually(they_are, f"registration of {nodes}", 10 * self.cluster.ttl_s)

    async def get(self, node: str, url: str, **named: str) -> Answer:
        named.setdefault("Proxy_Authorization", self.known)
        return await ask(self.ports[node], url, "GET", b"", self.trusted, **named)

    async def asks(self, node: str, url: str) -> None:
        """Return once the node asks another worker for this URL."""

        async def passed_two() -> bool | None:
            answer = await self.get(node, url, Cache_Control="no-cache")
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
    """Over TLS; clients show a token, workers the secret."""
    token, fleet = new_token(), Fleet(tmp_path, etcd)
    (tmp_path / "tokens").write_text(f"{line_of(token, 'ann', Role.OPERATE)}\n")
    (tmp_path / "secret").write_text("s" * 64)
    fleet.known = f"Basic {b64encode(f'any:{token}'.encode()).decode()}"
    async with serving(fleet.handle) as origin:
        try:
            for node in "12":
                fleet.start(node)
            await fleet.announced(*"12")
            urls = fleet.owned(origin, "2", "12", 10)
            await fleet.asks("1", urls.pop())
            assert (await fleet.get("1", urls[0], Proxy_Authorization="")).status == 407
            crawled = urls[5:] + fleet.owned(origin, "1", "12", 5)
            await fleet.crawl(token, crawled, f"{origin}{STALE}")
            assert {fleet.hits[url.removeprefix(origin)] for url in crawled} == {1}
            for url in crawled:
                assert (await fleet.get("2" if url in urls else "1", url)).cached.startswith("hit")
            answers = [await fleet.get(node, url) for url in urls for node in "121"]
            assert {answer.status for answer in answers} == {200}
            assert {fleet.hits[url.removeprefix(origin)] for url in urls} == {1}

            fleet.cluster.workers["2"].pause()
            assert (await fleet.get("1", urls[2])).status == 200  # though its owner takes it, mute
            fleet.cluster.workers["2"].kill_group()
            began = time.monotonic()
            answer = await fleet.get("1", urls[0])
            assert (answer.status, answer.body.decode()) == (200, urls[0].removeprefix(origin))
            assert time.monotonic() - began < fleet.cluster.ttl_s
            assert (await fleet.get("1", urls[0])).cached.startswith("hit")
            await fleet.announced("1")

            fleet.start("2")
            await fleet.announced(*"12")
            kept = await fleet.get("2", urls[1])
            assert kept.cached.startswith("hit")
            assert "begun anew" not in fleet.cluster.workers["2"].text()
        finally:
            fleet.cluster.stop()
