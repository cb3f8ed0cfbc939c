"""Crawling in one's own process: run after run, in any directory, with its failures told."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from crawler.app import here, trial
from crawler.app.kept import exported, kept_export, kept_items, open_kept
from crawler.cli.main import run_command
from crawler.config import sqlite_url
from crawler.definition import Definition, from_data, load_text
from crawler.errors import FetchFailed, InvalidInput, NotFound
from crawler.local.site import serve_shop
from crawler.local.verdict import judge, read_items
from tests.integration.app.alone import hits_so_far, wait_hits, write_shop

DIRECTORIES = (
    "plain",
    "50% off",
    "%41%2F",
    "what?",
    "a#b",
    "sp  ace",
    "über 数据",
    "semi;colon&x=y",
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[str]:
    async with serve_shop(0, tmp_path / "access.jsonl", 40) as url:
        yield url


def crawl_of(site: str, *paths: str, max_pages: int = 0) -> Definition:
    urls = [f"{site}{path}" for path in paths or ("/category/lamps",)]
    rules = [{"name": "any", "match": f"{site}/**", "item": {"title": "h1"}}]
    return from_data(
        {"start_urls": urls, "download_delay": 0.0, "max_pages": max_pages, "rules": rules}
    )


def names_in(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


def host(site: str) -> tuple[str, ...]:
    return (site.removeprefix("http://"),)


@pytest.mark.parametrize("name", DIRECTORIES)
async def test_any_directory_will_do(name: str, site: str, tmp_path: Path) -> None:
    home = tmp_path / name
    home.mkdir()
    await here.crawl_here(crawl_of(site), home, hosts=host(site))
    assert (home / "crawl.db").is_file()
    assert [item.url async for item in here.export_here(home)] == [f"{site}/category/lamps"]
    assert names_in(tmp_path) == {name, "access.jsonl"}


def test_a_directory_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        here.local_url(Path("/tmp/\udcff"))


async def test_a_look_tells_the_latest_run(site: str, tmp_path: Path) -> None:
    assert await here.look_here(tmp_path) is None
    assert not (tmp_path / "crawl.db").exists()
    first = crawl_of(site)
    await here.crawl_here(first, tmp_path, hosts=host(site))
    look = await here.look_here(tmp_path)
    assert look is not None
    assert (look.run, look.progress.done, look.definition) == (1, 1, first.canonical())
    assert look.progress.finished
    assert look.finished_at > 1_600_000_000
    second = crawl_of(site, "/category/rugs", "/")
    await here.crawl_here(second, tmp_path, run=2, hosts=host(site))
    again = await here.look_here(tmp_path)
    assert again is not None
    assert (again.run, again.progress.done, again.definition) == (2, 2, second.canonical())
    assert again.finished_at >= look.finished_at


async def test_failures_are_kept_with_their_reasons(site: str, tmp_path: Path) -> None:
    progress = await here.crawl_here(crawl_of(site, "/no", "/"), tmp_path, hosts=host(site))
    assert (progress.failed, progress.done) == (1, 1)
    failed = [(page.url, page.status) async for page in here.failed_here(tmp_path)]
    assert failed == [(f"{site}/no", 404)]


async def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no crawl is kept there"):
        await anext(kept_items(sqlite_url(tmp_path / "none.db"), "shop"))
    assert not names_in(tmp_path)


async def test_a_name_that_is_not_there_is_told_with_those_that_are(
    site: str, tmp_path: Path
) -> None:
    await here.crawl_here(crawl_of(site), tmp_path, hosts=host(site))
    with pytest.raises(NotFound, match=r"shp: no such crawl in that store; there is: local"):
        await anext(kept_items(here.local_url(tmp_path), "shp"))


async def test_a_proposal_reads_the_page_by_its_rules(site: str) -> None:
    text = await trial.propose(f"{site}/category/lamps", host(site))
    definition = load_text(text)
    found = await trial.try_page(definition, f"{site}/category/lamps", hosts=host(site))
    assert found.rule == "list"
    assert found.links


@pytest.mark.parametrize(
    ("path", "said"), [("/nothing", r"/nothing: HTTP 404"), ("/robots.txt", "is no HTML")]
)
async def test_a_page_that_proposes_nothing_is_told(path: str, said: str, site: str) -> None:
    with pytest.raises((FetchFailed, InvalidInput), match=said):
        await trial.propose(f"{site}{path}", host(site))


async def test_a_private_address_is_refused_with_the_way_out(site: str) -> None:
    with pytest.raises(FetchFailed, match=r"address refused .*--allow-private"):
        await trial.propose(f"{site}/")
    assert await trial.propose(f"{site}/", allow_private=["127.0.0.0/8"])


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command, in a thread: it has a loop of its own, and the site has ours."""

    async def run_one(*arguments: str) -> Ended:
        code = await asyncio.to_thread(run_command, arguments)
        return Ended(code, *capsys.readouterr())

    return run_one


def definition_file(tmp_path: Path, definition: Definition) -> str:
    path = tmp_path / "shop.json"
    path.write_text(definition.canonical())
    return str(path)


async def test_a_finished_crawl_says_so_and_goes_again(site: str, tmp_path: Path, run: Run) -> None:
    home, output = f"--data={tmp_path / 'kept'}", tmp_path / "items.jsonl"
    file = definition_file(tmp_path, crawl_of(site))
    first = await run("run", file, home)
    assert (first.code, first.out.count("\n")) == (0, 1)
    assert "\n  item_scraped_count: 1\n" in first.err
    assert "\n  finish_reason: finished\n" in first.err
    log = (tmp_path / "access.jsonl").read_text()
    second = await run("run", file, home, "-o", str(output))
    assert second.code == 0
    assert re.search(r"this crawl ended on \d{4}-\d\d-\d\d at .*1 items.*--again", second.err)
    assert json.loads(output.read_text())["title"] == "lamps"
    assert (tmp_path / "access.jsonl").read_text() == log, "something was fetched"
    settings = ("-s", "max_pages=1", "-s", "schedule=every 6h", "-s", "partitions=2")
    changed = await run("run", file, home, *settings)
    assert "--again crawls anew, by the changed definition" in changed.err
    assert "warning: schedule: run crawls once, now" in changed.err
    assert "warning: partitions: run crawls in one process" in changed.err
    third = await run("run", file, home, "--again", "-s", "max_pages=1")
    assert "max_pages (1) reached: 1 pages, 1 items" in third.err
    assert (tmp_path / "access.jsonl").read_text() != log
    look = await here.look_here(tmp_path / "kept")
    assert look is not None
    assert look.run == 2


async def test_again_goes_on_with_what_is_not_finished(site: str, tmp_path: Path, run: Run) -> None:
    home, file = tmp_path / "kept", write_shop(tmp_path / "shop.json", site, download_delay=0.05)
    definition = load_text(file.read_text())
    crawling = asyncio.create_task(here.crawl_here(definition, home, hosts=host(site)))
    await wait_hits(tmp_path / "access.jsonl", 5)
    crawling.cancel()
    await asyncio.gather(crawling, return_exceptions=True)
    ended = await run("run", str(file), f"--data={home}", "--again", "-s", "download_delay=0")
    assert (ended.code, ended.out.count("\n")) == (0, 40)
    look = await here.look_here(home)
    assert look is not None
    assert look.run == 1
    database = home / "crawl.db"
    verdict = judge(40, read_items(database, here.LOCAL), hits_so_far(tmp_path / "access.jsonl"))
    assert verdict.clean, verdict


async def test_what_sinks_have_yet_to_get_is_told_run_by_run(
    site: str, tmp_path: Path, run: Run
) -> None:
    hook = {"name": "hook", "kind": "webhook", "url": f"{site}/no"}
    table = {**json.loads(crawl_of(site).canonical()), "sinks": [hook]}
    file = definition_file(tmp_path, from_data({**table, "recrawl": {"conditional": False}}))
    first = await run("run", file, f"--data={tmp_path / 'kept'}")
    assert "\nsink hook, run 1: 0 items delivered, 1 to go; failed" in first.err
    again = await run("run", file, f"--data={tmp_path / 'kept'}", "--again")
    assert "\nsink hook, run 2: 0 items delivered, 1 to go" in again.err
    assert "\nsink hook, run 1: 0 items delivered, 1 to go" in again.err


async def test_failed_pages_are_shown_with_the_way_to_more(
    site: str, tmp_path: Path, run: Run
) -> None:
    file = definition_file(tmp_path, crawl_of(site, "/", *(f"/no{n}" for n in range(7))))
    ended = await run("run", file, f"--data={tmp_path / 'the kept'}")
    assert ended.code == 0
    assert ended.err.count("failed: http") == 5
    assert "/no0  http 404" in ended.err
    command = ended.err.rstrip().rpartition("and 2 more: crawler ")[2]
    pages = await run(*shlex.split(command))
    assert pages.code == 0
    expected = [f"{site}/no{n}\tfailed\t404\t1\thttp 404" for n in range(7)]
    assert pages.out.splitlines() == expected
    items = await run("items", "local", f"--store={here.local_url(tmp_path / 'the kept')}")
    assert json.loads(items.out)["_url"] == f"{site}/"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("items", "shop", "--store=/c.db"), 2, "--store: expected sqlite:///PATH"),
        (("pages", "shop", "--store=sqlite:///nowhere/c.db"), 3, "no crawl is kept there"),
    ],
)
async def test_wrong_stores_are_one_line(
    arguments: tuple[str, ...], code: int, said: str, run: Run
) -> None:
    ended = await run(*arguments)
    assert ended.code == code
    assert said in ended.err
    assert ended.err.count("\n") == 1


async def test_an_export_goes_on_into_the_next_run(site: str, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "crawl.db")

    async def urls(since: str) -> tuple[list[str], str]:
        kept = await kept_export(url, here.LOCAL, since, None)
        return [each.url async for each in exported(url, kept)], kept.cursor

    await here.crawl_here(crawl_of(site, "/category/lamps"), tmp_path, hosts=host(site))
    first, cursor = await urls("")
    assert first == [f"{site}/category/lamps"]
    assert await urls(cursor) == ([], cursor)
    await here.crawl_here(crawl_of(site, "/category/chairs"), tmp_path, run=2, hosts=host(site))
    later, end = await urls(cursor)
    assert later == [f"{site}/category/chairs"]
    assert await urls(end) == ([], end)
    assert (await urls(""))[0] == later


async def test_old_runs_go_here_too(site: str, tmp_path: Path) -> None:
    definition = crawl_of(site).model_copy(update={"keep_runs": 2, "keep_pages": 1})
    for run in (1, 2, 3):
        await here.crawl_here(definition, tmp_path, run=run, hosts=host(site))
    async with open_kept(here.local_url(tmp_path)) as store:
        assert list(await store.runs(here.LOCAL)) == [2, 3]
        pages, _ = await store.pages(here.LOCAL, run=3)
        assert len(pages) == 1
        with pytest.raises(NotFound, match="keep_pages"):
            await store.pages(here.LOCAL, run=2)
