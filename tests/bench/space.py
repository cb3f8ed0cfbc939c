"""What a page takes on the disk: ``python -m tests.bench.space [--pages N]``.

Through the store's own calls, so many pages are found and half of them done, with an item of six
fields each, on a PostgreSQL server of its own. Printed are bytes per row of each table, its indexes
counted in.
"""

from __future__ import annotations

import argparse
import asyncio

import psycopg

from crawler.clock import SystemClock
from crawler.model import Item, Request
from crawler.store import open_store
from tests.bench.interrupt import unwind_on_sigterm
from tests.contract.rows import CLUSTER, done, job, request, stamp
from tests.postgres_server import PostgresServer

BATCH = 64
HOSTS = 100
_SIZES = """
SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
WHERE relkind = 'r' AND relname IN ('pages', 'items')
    AND relnamespace = current_schema()::regnamespace
ORDER BY relname DESC"""


def found(first: int, count: int) -> list[Request]:
    """URLs of the usual length."""
    return [
        request(f"catalogue/category-{n % 50}/product-{n:09d}.html", f"shop-{n % HOSTS}.example")
        for n in range(first, first + count)
    ]


def item(page: Request) -> Item:
    """Some 300 bytes of JSON."""
    return Item(
        "product",
        {
            "url": page.url,
            "name": "A thing of some use, in blue",
            "price": "19.90",
            "sku": page.url[-14:-5],
            "stock": 12,
            "text": "It does what it is made for. " * 3,
        },
    )


async def work(url: str, pages: int) -> None:
    """Half of the pages are done, each having told of two."""
    store = await open_store(url, SystemClock())
    await store.open_epoch(CLUSTER, 1)
    frontier = await store.claim(stamp(10), job())
    known = BATCH
    await frontier.seed(found(0, BATCH))
    finished = 0
    while known < pages:
        window = (await frontier.window(BATCH, BATCH, frozenset())).requests
        visits = []
        for page in window:
            visits.append(
                done(page, *found(known, 2), items=(item(page),), content_type="text/html")
            )
            known += 2
        await frontier.commit(visits)
        finished += len(window)
    await store.close()
    print(f"{known:,} pages known, {finished:,} done with an item each")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM")
        for name, table, indexes in connection.execute(_SIZES.encode()):
            rows = known if name == "pages" else finished
            print(
                f"{name:6} {table / rows:6.0f} bytes a row, indexes {indexes / rows:6.0f}, "
                f"together {(table + indexes) / rows:6.0f}"
            )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.space")
    parser.add_argument("--pages", type=int, default=200_000)
    asked = parser.parse_args()
    unwind_on_sigterm()
    with PostgresServer() as server:
        asyncio.run(work(server.fresh_url(), asked.pages))


if __name__ == "__main__":
    main()
