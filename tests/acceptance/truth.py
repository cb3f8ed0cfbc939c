"""What a crawl of the shop must have come to, read without any code of the crawler's own rooms."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from crawler.local.site import pages, products
from tests.acceptance.cluster import Cluster, Site, eventually, request

PER_HOST = 4  # concurrent_requests_per_domain
BATCH_S = 0.5  # how long a fetched page may wait for its commit


def shop_definition(site: Site, delay_s: float = 0.01) -> Mapping[str, Any]:
    """The definition of the shop's crawl, as JSON for the API."""
    return {
        "start_urls": [f"{site.url}/"],
        "download_delay": delay_s,
        "concurrent_requests_per_domain": PER_HOST,
        "rules": [
            {
                "name": "home",
                "match": f"{site.url}/",
                "follow": [{"css": "nav a.category", "to": "category"}],
            },
            {
                "name": "category",
                "next": "a[rel=next]",
                "follow": [{"css": ".card a", "to": "product"}],
            },
            {
                "name": "product",
                "follow": [{"css": ".related a", "to": "product"}],
                "item": {
                    "sku": {"css": ".sku::text", "required": True},
                    "price": {"css": ".price::text", "type": "decimal"},
                },
            },
        ],
    }


async def start_shop(
    cluster: Cluster,
    master: str,
    site: Site,
    name: str = "shop",
    delay_s: float = 0.01,
    token: str = "",
) -> None:
    """PUT the shop's definition through that master."""
    status, answer = await request(
        "PUT",
        f"{cluster.url(master)}/crawler/resource/{name}",
        shop_definition(site, delay_s),
        token=token,
    )
    assert status in (200, 202), answer


async def show(cluster: Cluster, master: str, name: str = "shop") -> Mapping[str, Any]:
    """GET the resource through that master; {} where the master does not answer."""
    try:
        status, answer = await request("GET", f"{cluster.url(master)}/crawler/resource/{name}")
    except OSError:
        return {}
    return answer if status == 200 else {}


async def wait_done(
    cluster: Cluster, master: str, at_least: int, timeout_s: float, name: str = "shop"
) -> int:
    """Wait until so many pages are done; returns how many are."""

    async def enough() -> int | None:
        progress = (await show(cluster, master, name)).get("progress") or {}
        done = int(progress.get("done", 0))
        return done if done >= at_least else None

    return await eventually(enough, f"{at_least} pages", timeout_s)


async def wait_finished(
    cluster: Cluster, master: str, timeout_s: float = 120.0, name: str = "shop"
) -> None:
    async def finished() -> bool | None:
        return (await show(cluster, master, name)).get("state") == "finished" or None

    await eventually(finished, "end of the crawl", timeout_s)


def unstored(incidents: int, delay_s: float) -> int:
    """How many pages may be fetched twice: those in flight at each incident, and those that waited
    for the commit of their batch."""
    return incidents * (PER_HOST + math.ceil(BATCH_S / delay_s) + 1)


def check_shop(cluster: Cluster, site: Site, at_most_twice: int, name: str = "shop") -> None:
    """Nothing lost, nothing stored twice; so many fetches repeated at the most."""
    resources = f"SELECT id FROM resources WHERE name = '{name}'"
    runs = f"(SELECT id FROM runs WHERE resource_id IN ({resources}))"
    with cluster.sql() as sql:
        texts = sql.execute(f"SELECT CAST(fields AS TEXT) FROM items WHERE run_id IN {runs}")
        found = Counter(json.loads(row[0])["sku"] for row in texts)
        states = Counter(
            row[0] for row in sql.execute(f"SELECT state FROM pages WHERE run_id IN {runs}")
        )
        if cluster.postgres is None:
            assert sql.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    expected = {each.sku for each in products(site.products)}
    assert set(found) == expected, f"lost: {sorted(expected - set(found))[:5]}"
    assert set(found.values()) == {1}, "an item stands twice"
    assert set(states) == {"done"}, states
    assert set(pages(site.products)) <= set(site.hits())
    again = repeated(site)
    assert again <= at_most_twice, f"{again} pages were fetched twice"


def repeated(site: Site) -> int:
    """How many answers of the site were of no use, as it had given them before. Some products
    answer only when they are asked again."""
    hesitant = {each.path for each in products(site.products) if each.hesitant}
    counts = site.hits().items()
    return sum(count - 1 - (path in hesitant) for path, count in counts if count > 1)
