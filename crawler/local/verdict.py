"""Did a crawl of the shop lose or double anything? Asked of witnesses that are not ours to bend.

The site's own access log says what was fetched; a bare reading of the database, in a process that
imports nothing of ours, says what was kept; `crawler.local.site` says what there is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any

from crawler.errors import StoreUnavailable
from crawler.local.site import Product, pages, products

# Run by a plain interpreter: arguments are the file and the resource's name, output JSON lines.
_READER = """
import json, sqlite3, sys
from urllib.parse import quote
database = sqlite3.connect("file:" + quote(sys.argv[1]) + "?mode=ro", uri=True, timeout=10)
rows = database.execute(
    "SELECT pages.url, items.fields FROM resources"
    " JOIN runs ON runs.resource_id = resources.id"
    " JOIN items ON items.run_id = runs.id"
    " JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint"
    " WHERE resources.name = ? ORDER BY items.seq", (sys.argv[2],))
for url, fields in rows:
    print(json.dumps([url, json.loads(fields)]))
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of the site; ``at`` in Unix seconds."""

    at: float
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was expected, found, lost and doubled. ``strange`` items are none of the shop's;
    ``unfetched`` pages never answered 200; ``refetched`` pages did so more than once."""

    expected: int
    found: int
    lost: int
    duplicated: int
    strange: int
    unfetched: int
    refetched: int

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.strange or self.unfetched)


def read_items(database: Path, name: str) -> list[Mapping[str, Any]]:
    """The fields of every item kept for a resource, over all its runs.

    Raises `StoreUnavailable` when the database cannot be read.
    """
    asked = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-I", "-c", _READER, str(database), name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if asked.returncode:
        raise StoreUnavailable(f"cannot read {database}: {asked.stderr.strip()[-300:]}")
    return [json.loads(line)[1] for line in asked.stdout.splitlines()]


def read_hits(log_path: Path) -> list[Hit]:
    """The access log, in the order of answers; robots.txt left out."""
    hits = []
    for line in log_path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["path"] != "/robots.txt":
            hits.append(Hit(entry["time"], entry["path"], entry["status"]))
    return hits


def judge(count: int, items: Iterable[Mapping[str, Any]], hits: Iterable[Hit]) -> Verdict:
    """The verdict on a crawl of a shop with ``count`` products."""
    truth = {_key(each) for each in products(count)}
    kept = Counter(_key_of(item) for item in items)
    answered = Counter(hit.path for hit in hits if hit.status == 200)
    found = sum(key in truth for key in kept)
    return Verdict(
        expected=len(truth),
        found=found,
        lost=len(truth) - found,
        duplicated=sum(times - 1 for times in kept.values()),
        strange=sum(key not in truth for key in kept),
        unfetched=sum(path not in answered for path in pages(count)),
        refetched=sum(times > 1 for times in answered.values()),
    )


def recovery_s(hits: Sequence[Hit], killed_at: float, within_s: float = 60.0) -> float:
    """Seconds from ``killed_at`` until pages were asked for again: the end of the longest silence
    that began around then. What was under way at the kill may still be answered just after."""
    times = sorted(hit.at for hit in hits)
    silences = [
        (after - before, after)
        for before, after in pairwise(times)
        if after > killed_at and before < killed_at + within_s
    ]
    return max(0.0, max(silences)[1] - killed_at) if silences else 0.0


def _key(product: Product) -> tuple[str, ...]:
    return product.sku, product.name, product.category, product.price


def _key_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        price = f"{Decimal(str(item.get('price'))):.2f}"
    except InvalidOperation:
        price = str(item.get("price"))
    return str(item.get("sku")), str(item.get("name")), str(item.get("category")), price
