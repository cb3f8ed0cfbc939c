"""`crawler worker --cluster=false`: a real process, a real site, a real kill."""

from __future__ import annotations

from pathlib import Path

from crawler.local.site import pages, products, serve_shop
from crawler.local.verdict import judge, read_items
from tests.integration.app.alone import ENDED, hits_so_far, run_alone, wait_hits, write_shop

COUNT = 120


async def test_a_crawl_outlives_kill_9(tmp_path: Path) -> None:
    access_log, database = tmp_path / "access.jsonl", tmp_path / "crawl.db"
    async with serve_shop(0, access_log, COUNT) as url:
        shop = write_shop(tmp_path / "shop.json", url, download_delay=0.01)
        async with run_alone(database, [shop]) as first:
            await wait_hits(access_log, COUNT // 2)
            await first.kill()
        before = len(hits_so_far(access_log))
        assert before < len(list(pages(COUNT))), "it was killed too late to show anything"
        async with run_alone(database, [shop]) as second:
            ended = await second.wait_line(ENDED)
            assert ended["finished"] == ["shop"]
            status, told = await second.ready()
            assert (status, told["ok"]) == (200, True)
            assert "shop finished" in told["checks"]["crawls"]["words"]
            assert await second.stop() == 0
    verdict = judge(COUNT, read_items(database, "shop"), hits_so_far(access_log))
    assert verdict.clean, verdict
    # In flight at the kill, or fetched and not committed within the half second before it.
    assert verdict.refetched < COUNT // 2 + sum(each.moved for each in products(COUNT))
    assert len(hits_so_far(access_log)) < before + len(list(pages(COUNT)))


async def test_what_is_finished_is_not_crawled_again_before_it_changes(tmp_path: Path) -> None:
    access_log, database = tmp_path / "access.jsonl", tmp_path / "crawl.db"
    async with serve_shop(0, access_log, 40) as url:
        settings = {"download_delay": 0.0, "max_items": 3}
        shop = write_shop(tmp_path / "shop.json", url, **settings)
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED)
            assert await worker.stop() == 0
        once = len(hits_so_far(access_log))
        assert once
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED)
            assert await worker.stop() == 0
        assert len(hits_so_far(access_log)) == once
        write_shop(shop, url, **{**settings, "max_items": 4})
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED)
            assert await worker.stop() == 0
        assert len(hits_so_far(access_log)) > once


async def test_a_second_worker_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with serve_shop(0, tmp_path / "access.jsonl", 40) as url:
        shop = write_shop(tmp_path / "shop.json", url, download_delay=0.0)
        async with run_alone(tmp_path / "crawl.db", [shop]) as first:
            await first.wait_line("crawling without a cluster")
            async with run_alone(tmp_path / "crawl.db", [shop]) as second:
                _, said = await second.process.communicate()
                assert second.process.returncode == 5
                assert b"another worker with --cluster=false crawls in" in said.splitlines()[-1]
            await first.wait_line(ENDED)
            assert await first.stop() == 0
