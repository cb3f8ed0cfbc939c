"""Everything is lost, and comes back from a backup: the drill of the documents, word for word."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.calls import GOOD, add
from tests.acceptance.cluster import Cluster, Site
from tests.acceptance.reader import Reader, blocks
from tests.acceptance.truth import (
    check_shop,
    show,
    start_shop,
    unstored,
    wait_done,
    wait_finished,
)
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

HOWTO = Path(__file__).parents[2] / "etc" / "docs" / "pages" / "howto" / "backup.md"
DELAY_S = 0.02
PRODUCTS = 120
BEFORE, AFTER = 40, 30  # pages


@pytest.fixture(params=["sqlite", "postgresql"])
def cluster(etcd: EtcdServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    server = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        assert isinstance(server, PostgresServer)
    running = Cluster(tmp_path, etcd, postgres=server)
    yield running
    running.stop()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, PRODUCTS)
    yield site
    site.process.kill_group()


@pytest.fixture
def reader(cluster: Cluster, tmp_path: Path) -> Reader:
    where = {"CRAWLER_ETCD": ",".join(cluster.endpoints), "CRAWLER_STORE": cluster.store}
    return Reader(tmp_path, {}, **where)


async def test_the_drill_of_the_documents(
    cluster: Cluster, shop: Site, reader: Reader, tmp_path: Path
) -> None:
    save, restore = (block for block in blocks(HOWTO) if block.mark == "run")
    await start(cluster)
    assert await add(cluster, "1", "early") in GOOD
    await start_shop(cluster, "1", shop, delay_s=DELAY_S)
    then = await wait_done(cluster, "1", BEFORE, 30)
    await asyncio.to_thread(reader.type, save)
    assert await wait_done(cluster, "1", then + AFTER, 30) > then

    await asyncio.to_thread(lose_everything, cluster)
    fetched = shop.hits()
    await asyncio.to_thread(reader.type, restore)
    kept, epochs = known(cluster)
    assert len(kept) >= then

    (tmp_path / "etcd-restored").rename(cluster.etcd.directory / "member-0")
    await asyncio.to_thread(cluster.etcd.start)
    await start(cluster)
    await wait_finished(cluster, "1")
    check_shop(cluster, shop, sum(fetched.values()) - len(kept) + unstored(2, DELAY_S))
    again = [path for path in kept if shop.hits()[path] > fetched[path]]
    assert not again, "what the backup knew was fetched once more"
    assert known(cluster)[1] == epochs + 1
    assert (await show(cluster, "1", "early"))["name"] == "early"


async def start(cluster: Cluster) -> None:
    cluster.start_master("1")
    cluster.start_worker("1")
    await cluster.wait_ready("1")
    await cluster.wait_workers(1)


def lose_everything(cluster: Cluster) -> None:
    """The nodes, etcd, and the database."""
    for node in (*cluster.masters.values(), *cluster.workers.values()):
        node.kill_group()
    cluster.etcd.kill()
    cluster.etcd.wipe()
    if cluster.postgres is not None:
        (schema,) = cluster.postgres.sql(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'test_%' ORDER BY oid DESC LIMIT 1"
        ).split()
        cluster.postgres.sql(f"DROP SCHEMA {schema} CASCADE")
        return
    for file in cluster.database.parent.glob(f"{cluster.database.name}*"):
        file.unlink() if file.is_file() else shutil.rmtree(file)


def known(cluster: Cluster) -> tuple[set[str], int]:
    """Paths of the pages that are done, as the database has them, and how many epochs there are."""
    with cluster.sql() as sql:
        urls = sql.execute("SELECT url FROM pages WHERE state = 'done'")
        paths = {"/" + row[0].split("/", 3)[3] for row in urls}
        return paths, int(sql.execute("SELECT count(*) FROM epochs").fetchone()[0])
