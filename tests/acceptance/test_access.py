"""A cluster that asks callers who they are, through followers too."""

from __future__ import annotations

from functools import partial

import aiohttp
import pytest

from crawler.access import Role, line_of, new_token
from crawler.client import Client
from crawler.errors import Unauthenticated
from crawler.ops.certificates import make_authority, make_node
from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.truth import shop_definition

pytestmark = pytest.mark.timeout(90)


async def send(method: str, url: str, token: str = "", body: object = None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=body) as response,
    ):
        await response.read()
        return response.status


async def test_leader_and_followers_ask_for_the_same_tokens(cluster: Cluster) -> None:
    reader, operator = new_token(), new_token()
    tokens = cluster.folder / "tokens"
    lines = (line_of(reader, "r", Role.READ), line_of(operator, "o", Role.OPERATE))
    tokens.write_text("\n".join(lines))
    for master in "12":
        cluster.start_master(master, CRAWLER_TOKENS=str(tokens))
    cluster.start_worker("1", CRAWLER_TOKENS=str(tokens))
    await cluster.wait_ready("1", "2")
    await cluster.wait_workers(1)
    for number, master in enumerate("12"):
        url = f"{cluster.url(master)}/crawler/resource"
        body = {"name": f"r{number}"}
        assert await send("POST", url, body=body) == 401
        assert await send("POST", url, new_token(), body) == 401
        assert await send("POST", url, reader, body) == 403
        assert await send("POST", url, operator, body) == 200
        assert await send("GET", f"{url}/r{number}", reader) == 200
        assert await send("GET", f"{url}/r{number}") == 401
    assert (await request("GET", f"{cluster.url('1')}/healthz"))[0] == 200
    # A token that is taken out of the file is worth nothing a moment later.
    tokens.write_text(line_of(reader, "r", Role.READ))

    async def refused() -> bool | None:
        return await send("GET", f"{cluster.url('1')}/crawler/node", operator) == 401 or None

    await eventually(refused, "refusal of the old token", 10)
    for process in (*cluster.masters.values(), *cluster.workers.values()):
        assert operator not in process.text()
        assert reader not in process.text()


async def test_a_cluster_over_tls_forwards_and_crawls(cluster: Cluster, small_shop: Site) -> None:
    operator, folder = new_token(), cluster.folder / "tls"
    (cluster.folder / "tokens").write_text(line_of(operator, "o", Role.OPERATE))
    (cluster.folder / "secret").write_text(new_token())
    make_authority(folder)
    for node in ("m1", "m2", "w1"):
        make_node(folder, node, ())

    def environment(node: str) -> dict[str, str]:
        return {
            "CRAWLER_TOKENS": str(cluster.folder / "tokens"),
            "CRAWLER_SECRET": str(cluster.folder / "secret"),
            "CRAWLER_TLS_CA": f"{folder}/ca.pem",
            "CRAWLER_TLS_CERT": f"{folder}/{node}.pem",
            "CRAWLER_TLS_KEY": f"{folder}/{node}.key",
        }

    for master in "12":
        cluster.start_master(master, **environment(f"m{master}"))
    cluster.start_worker("1", **environment("w1"))
    for master in "12":
        url = cluster.url(master).replace("http:", "https:")
        async with Client(url, token=operator, authority=f"{folder}/ca.pem") as client:
            change = await client.put(f"shop{master}", shop_definition(small_shop))
            assert change.created
            assert {node.id for node in await client.nodes()} >= {"go.micro.server.master-1"}
            async with Client(url, authority=f"{folder}/ca.pem", retry_for_s=0) as nobody:
                with pytest.raises(Unauthenticated):
                    await nobody.nodes()

            async def crawled(name: str, client: Client = client) -> bool | None:
                progress = (await client.resource(name)).progress
                return (progress is not None and progress.items > 10) or None

            await eventually(partial(crawled, f"shop{master}"), "items", 30)
