"""Spiders in real processes: run from a file, or installed for a worker; killed, and killing."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from crawler.app import here
from crawler.app.kept import kept_pages
from crawler.cli.main import run_command
from crawler.config import sqlite_url
from crawler.local.site import pages, products, serve_shop
from crawler.local.verdict import judge, read_items
from crawler.model import PageState
from tests.integration.app.alone import ENDED, hits_so_far, run_alone, wait_hits
from tests.spiders import example_spider, install_spider

COUNT = 120
FAST = {"download_delay": 0.0, "concurrent_requests_per_domain": 4}


async def crawl(arguments: list[str]) -> asyncio.subprocess.Process:
    """``crawler run``, in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "crawler", "run", *arguments), stderr=asyncio.subprocess.PIPE
    )


async def test_the_example_of_the_readme_outlives_kill_9(tmp_path: Path) -> None:
    access_log, home, output = (tmp_path / name for name in ("access.jsonl", "home", "items.jsonl"))
    async with serve_shop(0, access_log, COUNT) as url:
        file = tmp_path / "shop.py"
        file.write_text(example_spider(url))
        arguments = [str(file), f"--data={home}", "-o", str(output), "-s", "download_delay=0.01"]
        first = await crawl(arguments)
        await wait_hits(access_log, COUNT // 2)
        first.kill()
        await first.communicate()
        before = len(hits_so_far(access_log))
        assert before < len(list(pages(COUNT))), "it was killed too late to show anything"
        second = await crawl(arguments)
        _, said = await second.communicate()
        assert second.returncode == 0, said
    verdict = judge(COUNT, read_items(home / "crawl.db", here.LOCAL), hits_so_far(access_log))
    assert verdict.clean, verdict
    assert len(hits_so_far(access_log)) < before + len(list(pages(COUNT)))
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert Counter(each["sku"] for each in records) == {each.sku: 1 for each in products(COUNT)}
    assert {each["_rule"] for each in records} == {"parse_product"}
    for each in records:
        assert (home / "files" / each["page"]["path"]).stat().st_size == each["page"]["bytes"]


async def test_an_installed_spider_is_crawled_by_a_worker_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access_log, database = tmp_path / "access.jsonl", tmp_path / "crawl.db"
    async with serve_shop(0, access_log, COUNT) as url:
        place = install_spider(tmp_path, "shop_of_ours", example_spider(url))
        monkeypatch.setenv("PYTHONPATH", str(place))
        shop, other = tmp_path / "shop.json", tmp_path / "other.json"
        shop.write_text(json.dumps({"spider": "shop", **FAST, "download_delay": 0.01}))
        other.write_text(json.dumps({"spider": "shops"}))
        arguments = (database, [shop, other], f"--files={tmp_path / 'files'}")
        async with run_alone(*arguments) as first:
            await wait_hits(access_log, COUNT // 2)
            await first.kill()
        async with run_alone(*arguments) as second:
            ended = await second.wait_line(ENDED)
            assert (ended["finished"], ended["failed"]) == (["shop"], ["other"])
            reasons = [line["reason"] for line in second.lines if line.get("state") == "error"]
            assert await second.stop() == 0
    (reason,) = reasons
    assert reason.startswith("spider: 'shops' is not installed where the crawl runs, did you mean")
    items = read_items(database, "shop")
    verdict = judge(COUNT, items, hits_so_far(access_log))
    assert verdict.clean, verdict
    assert all((tmp_path / "files" / each["page"]["path"]).is_file() for each in items)


_HOSTILE = """
import os, signal
from crawler.spider import Spider

class Shop(Spider):
    name = "shop"
    start_urls = ["{site}/"]

    def parse(self, page):
        for number, callback in enumerate([self.die, self.work], 1):
            yield page.follow(f"/product/{{number}}", callback)

    def die(self, page):
        os.kill(os.getpid(), signal.SIGKILL)

    def work(self, page):
        yield {{"at": page.url}}
"""


@pytest.mark.timeout(300)
async def test_a_callback_that_kills_its_process_fails_its_page_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "crawl.db"
    async with serve_shop(0, tmp_path / "access.jsonl", 40) as url:
        place = install_spider(tmp_path, "hostile", _HOSTILE.format(site=url))
        monkeypatch.setenv("PYTHONPATH", str(place))
        shop = tmp_path / "shop.json"
        shop.write_text(json.dumps({"spider": "shop", **FAST}))
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED, 240)
            assert await worker.stop() == 0
    found = {
        each.url.rpartition("/")[2]: (each.state, each.reason)
        async for each in kept_pages(sqlite_url(database), "shop")
    }
    assert found == {
        "": (PageState.DONE, ""),
        "1": (PageState.FAILED, "its process ended (SIGKILL)"),
        "2": (PageState.DONE, ""),
    }
    assert [each["at"] for each in read_items(database, "shop")] == [f"{url}/product/2"]


async def test_a_spider_is_checked_and_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serve_shop(0, tmp_path / "access.jsonl", 40) as url:
        file = tmp_path / "shop.py"
        code = example_spider(url)
        begin = "def parse(self, page):\n"
        file.write_text(code.replace(begin, f"{begin}        print('hello')\n"))
        assert await asyncio.to_thread(run_command, ["check", str(file)]) == 0
        assert "fine (1 start URLs, spider shop)" in capsys.readouterr().err
        command = ["try", str(file), f"{url}/", "--json"]
        assert await asyncio.to_thread(run_command, command) == 0
        out, err = capsys.readouterr()
        assert len(json.loads(out)["links"]) == 10
        assert "hello" in err
        command = ["try", str(file), f"{url}/product/3", "--rule=parse_product"]
        assert await asyncio.to_thread(run_command, command) == 1
        assert "crawler: parse_product: KeyError: 'category' (shop.py:" in capsys.readouterr().err
        command.append("--carry=category=lamps")
        assert await asyncio.to_thread(run_command, command) == 0
        assert "category: lamps" in capsys.readouterr().out
        command = ["try", str(file), f"{url}/product/3", "--rule=parse_produkt"]
        assert await asyncio.to_thread(run_command, command) == 2
        said = "rule: the spider has no callback 'parse_produkt', did you mean parse_product?"
        assert capsys.readouterr().err == f"crawler: {said}\n"
        assert await asyncio.to_thread(run_command, ["apply", str(file)]) == 2
        assert "code does not travel: install it on the workers" in capsys.readouterr().err


async def test_a_new_spider_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serve_shop(0, tmp_path / "access.jsonl", COUNT) as url:

        async def command(*arguments: str) -> int:
            return await asyncio.to_thread(run_command, arguments)

        assert await command("new", "lamps", "--spider", f"{url}/category/lamps") == 0
        assert capsys.readouterr().out.startswith("lamps.py is written; crawler run lamps.py")
        once = (tmp_path / "lamps.py").read_text()
        assert await command("new", "lamps.py", "--spider") == 5
        assert "lamps.py: is there already; choose another name" in capsys.readouterr().err
        assert (tmp_path / "lamps.py").read_text() == once
        arguments = ["lamps.py", "-o", "items.jsonl", "--data=home", "-s", "download_delay=0.0"]
        running = await crawl(arguments)
        _, said = await running.communicate()
        assert running.returncode == 0, said
    lines = (tmp_path / "items.jsonl").read_text().splitlines()
    names = {json.loads(line)["title"] for line in lines}
    assert names == {each.name for each in products(COUNT) if each.category == "lamps"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop"], "shop: expected a URL like"),
        (["shop", "https://shop.example/"], "is one argument too many; --spider writes a spider"),
        (["https://shop.example/", "--spider"], "the name comes first: crawler new NAME --spider"),
        (["../shop", "--spider"], "name: 1 to 128 characters, starting with a letter or digit"),
        (["я" * 128, "--spider"], ".py: File name too long"),
    ],
)
def test_a_spider_that_cannot_be_made_is_refused(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["new", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
