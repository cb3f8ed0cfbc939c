"""What crawls of the bundled shop came to, by the sites' own logs and the database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from crawler.local.site import pages, products
from tests.acceptance.cluster import Cluster, Site
from tests.acceptance.truth import repeated


@dataclass(frozen=True, slots=True)
class Account:
    """``lost``: pages that were never answered or whose item is not there. ``doubled``: items that
    stand there once more. ``undone``: pages that are recorded, but not as done. ``again``: answers
    that were of no use, as the site had given them before."""

    lost: int
    doubled: int
    undone: int
    again: int


def account(cluster: Cluster, sites: Mapping[str, Site]) -> Account:
    """Of all crawls; ``sites`` by the names of their resources."""
    lost = doubled = undone = 0
    for name, site in sites.items():
        skus, states = _stored(cluster, name)
        expected = {each.sku for each in products(site.products)}
        lost += len(expected - set(skus)) + len(set(pages(site.products)) - set(site.hits()))
        doubled += sum(count - 1 for count in skus.values())
        undone += sum(count for state, count in states.items() if state != "done")
    return Account(lost, doubled, undone, sum(map(repeated, sites.values())))


def longest_pause(site: Site) -> float:
    """Between two answers of a site, in seconds."""
    times = [float(json.loads(line)["time"]) for line in site.log.read_text().splitlines()]
    return max(later - before for before, later in pairwise(times))


def _stored(cluster: Cluster, name: str) -> tuple[Counter[str], Counter[str]]:
    """How often each product stands there, and how many pages are in which state."""
    runs = (
        "(SELECT id FROM runs WHERE resource_id IN "
        f"(SELECT id FROM resources WHERE name = '{name}'))"
    )
    with cluster.sql() as sql:
        texts = sql.execute(f"SELECT CAST(fields AS TEXT) FROM items WHERE run_id IN {runs}")
        skus = Counter(str(json.loads(row[0])["sku"]) for row in texts)
        rows = sql.execute(f"SELECT state FROM pages WHERE run_id IN {runs}")
        return skus, Counter(str(row[0]) for row in rows)
