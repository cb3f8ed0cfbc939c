"""Crawls by a spider: what its callbacks yield, how they fail, and what lasts."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crawler.definition import from_data
from crawler.engine.fetch import Page as Answer
from crawler.engine.files import keep_file, sweep_drafts
from crawler.errors import InvalidInput
from crawler.model import Item, PageState
from crawler.spider import DropItem, Page, Request, Spider
from crawler.spider.loading import merged
from crawler.spider.reading import SpiderReader
from tests.contract.rows import NOON
from tests.unit.engine.site import redirect
from tests.unit.engine.virtual import run
from tests.unit.engine.world import FAST, A, World


def html(url: str, body: str, **values: Any) -> Answer:
    return Answer(url, 200, body.encode(), "text/html", **values)


def site(**bodies: str) -> dict[str, Any]:
    """``index`` is at the root."""
    urls = {f"{A}/{'' if name == 'index' else name}": body for name, body in bodies.items()}
    return {url: html(url, body) for url, body in urls.items()}


def crawl(
    kind: type[Spider], answers: dict[str, Any], files: Path = Path("/nowhere"), **settings: Any
) -> World:
    """What a whole crawl by a spider comes to."""
    world = World(answers)
    whole = merged(kind, from_data({"spider": "shop", "start_urls": [f"{A}/"], **FAST, **settings}))
    run(world.crawl(definition=whole, spider=SpiderReader(kind, whole, files)).run())
    return world


def items(world: World) -> list[Item]:
    return [item for found in world.run.items.values() for item in found]


def fields(world: World) -> list[Any]:
    return [dict(item.fields) for item in items(world)]


def reasons(world: World, state: PageState = PageState.FAILED) -> dict[str, str]:
    return {row.request.url: row.reason for row in world.run.rows.values() if row.state is state}


class Shop(Spider):
    name = "shop"

    def parse(self, page: Page) -> Iterator[Any]:
        for rank, link in enumerate(page.css(".card a"), 1):
            yield page.follow(link, self.parse_product, meta={"rank": rank, "tags": ["a", None]})
        yield from page.follow_all("a[rel=next]")

    def parse_product(self, page: Page) -> Iterator[Any]:
        yield {"name": page.css("h1::text").get(), "rank": page.meta["rank"], **page.meta}


SHOP = site(
    index="<p class=card><a href=/a>A</a><p class=card><a href=b>B</a><p><a rel=next href='?p=2'>",
    a="<h1>An A</h1>",
    b="<h1>A B</h1>",
)
SHOP[f"{A}/?p=2"] = html(f"{A}/?p=2", "<p class=card><a href=/c>C</a>")
SHOP[f"{A}/c"] = redirect(f"{A}/c", f"{A}/d", 301)
SHOP[f"{A}/d"] = html(f"{A}/d", "<h1>A D</h1>")


def test_requests_go_to_their_callbacks_with_what_they_carry() -> None:
    world = crawl(Shop, SHOP)
    assert sorted((each["name"], each["rank"]) for each in fields(world)) == [
        ("A B", 2),
        ("A D", 1),  # by a redirect
        ("An A", 1),
    ]
    assert all(each["tags"] == ["a", None] for each in fields(world))
    assert {item.rule for item in items(world)} == {"parse_product"}
    rows = {row.request.url: row.request for row in world.run.rows.values()}
    assert (rows[f"{A}/"].rule, rows[f"{A}/a"].rule) == (None, "parse_product")
    assert (rows[f"{A}/?p=2"].rule, rows[f"{A}/?p=2"].depth) == (None, 1)


def test_links_of_spiders_obey_what_those_of_rules_do() -> None:
    class Wide(Spider):
        def parse(self, page: Page) -> Iterator[Any]:
            yield page.follow("https://elsewhere.example/")
            yield page.follow("mailto:me@a.example")
            yield page.follow("/deep", meta={"n": 1})
            yield page.follow("/one/two/one/two/one/two/x")
            yield page.follow(f"{page.url}x")

    world = crawl(Wide, site(index="<p>", deep="<a>"), depth_limit=1)
    assert set(reasons(world, PageState.DONE)) == {f"{A}/", f"{A}/deep"}
    assert set(reasons(world)) == {f"{A}/x"}
    assert reasons(world, PageState.EXCLUDED) == {
        f"{A}/deepx": "depth_limit",
        f"{A}/one/two/one/two/one/two/x": "trap: the path repeats itself 3 times",
    }
    assert not any("elsewhere" in row.request.url for row in world.run.rows.values())


@pytest.mark.parametrize(("nofollow", "count"), [("obey", 1), ("ignore", 4)])
def test_pages_that_say_nofollow_are_obeyed(nofollow: str, count: int) -> None:
    answers = {
        **SHOP,
        f"{A}/": html(f"{A}/", f"<meta name=robots content=nofollow>{SHOP[f'{A}/'].body.decode()}"),
    }
    world = crawl(Shop, answers, nofollow=nofollow)
    assert len(reasons(world, PageState.DONE)) >= count
    said = reasons(world, PageState.DONE)[f"{A}/"]
    assert said == ("links left alone: the page says nofollow" if count == 1 else "")


def test_method_and_body_are_part_of_the_request() -> None:
    class Searching(Spider):
        def start(self) -> Iterator[Request]:
            yield Request(f"{A}/search", "found", json={"q": "b", "page": 1}, priority=3)
            yield Request(f"{A}/search", "found", json={"page": 1, "q": "b"})  # the same
            yield Request(f"{A}/search", self.found, form={"q": "ä"}, meta={"form": True})
            yield Request(f"{A}/search", self.found, method="PUT", body="[1]")

        def found(self, page: Page) -> dict[str, Any]:
            return {"method": page.method, **page.meta}

    world = crawl(Searching, site(search="{}"))
    sent = {(row.request.method, row.request.body) for row in world.run.rows.values()}
    assert sent == {
        ("POST", b'{"page":1,"q":"b"}'),
        ("POST", b"q=%C3%A4"),
        ("PUT", b"[1]"),
    }
    assert {row.request.priority for row in world.run.rows.values()} == {3, 0}
    assert sorted(map(str, fields(world))) == [
        "{'method': 'POST', 'form': True}",
        "{'method': 'POST'}",
        "{'method': 'PUT'}",
    ]


def test_a_start_beyond_the_start_urls_widens_the_scope() -> None:
    class Begins(Spider):
        def start(self) -> Iterator[Request]:
            yield Request("https://b.example/x")

        def parse(self, page: Page) -> Iterator[Any]:
            yield page.follow("/y", "other")

        def other(self, page: Page) -> dict[str, Any]:
            return {"at": page.url}

    b = "https://b.example"
    world = World({f"{b}/x": html(f"{b}/x", ""), f"{b}/y": html(f"{b}/y", "")})
    whole = merged(Begins, from_data({"spider": "shop", **FAST}))
    spider = SpiderReader(Begins, whole, Path("/nowhere"))
    assert spider.hosts() == ("b.example",)
    run(world.crawl(definition=whole, spider=spider).run())
    assert fields(world) == [{"at": f"{b}/y"}]


def boom(page: Page) -> Any:
    return {"price": page.meta["price"]}


async def parse_later(page: Page) -> Any:
    return {}


async def yield_later(page: Page) -> Any:
    yield {}


def leave(page: Page) -> Any:
    sys.exit(3)


def cancelled(page: Page) -> Any:
    raise asyncio.CancelledError


def half(page: Page) -> Iterator[Any]:
    yield {"n": 1}
    yield page.follow("/a")
    raise RuntimeError


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (boom, "parse: KeyError: 'price' (test_spider_crawl.py:"),
        (half, "parse: RuntimeError (test_spider_crawl.py:"),
        (leave, "parse: SystemExit: 3 (test_spider_crawl.py:"),
        (cancelled, "parse: CancelledError (test_spider_crawl.py:"),
        (parse_later, "parse: parse is async: write it without"),
        (yield_later, "parse: parse is async: write it without"),
        (lambda page: "text", "parse: returns items (a dict or a dataclass) and Requests, one or"),
        (lambda page: [3], "parse: yields items (a dict or a dataclass) and Requests (got int)"),
        (lambda page: {"n": {1, 2}}, "parse: item['n']: set cannot be kept; of JSON there are"),
        (lambda page: {"n": [float("nan")]}, "parse: item['n'][0]: nan is no number in JSON"),
        (lambda page: {"_url": 1}, "parse: item['_url']: names that begin with _"),
        (lambda page: {3: 1}, "parse: item: names are strings (got 3)"),
        (lambda page: page.follow("/a", "no_such"), "parse: there is no such callback"),
        (lambda page: page.follow("/a", "boomer"), "there is no such callback, did you mean boom"),
        (lambda page: page.follow("/a", boom), "parse: callback: must be a method of the spider"),
        (lambda page: page.follow("/a", meta={"x": date}), "meta['x']: type cannot be kept"),
        (lambda page: page.css("a["), "parse: InvalidInput: 'a[' is not a CSS selector"),
        (lambda page: page.json(), "parse: ValueError: the body is not JSON"),
        (lambda page: page.follow(page.css("q")), "follow: the selection holds no link"),
        (lambda page: Request("/a"), "ValueError: url: must be absolute, like"),
    ],
)
def test_what_goes_wrong_in_a_callback_fails_its_page_alone(
    callback: Callable[[Page], Any], said: str
) -> None:
    class Wrong(Spider):
        def start(self) -> Iterator[Request]:
            yield Request(f"{A}/")
            yield Request(f"{A}/a", self.boom)

        def parse(self, page: Page) -> Any:
            return callback(page)

        def boom(self, page: Page) -> Any:
            return {"fine": True}

    world = crawl(Wrong, SHOP)
    failed = reasons(world)
    assert set(failed) == {f"{A}/"}
    assert said in failed[f"{A}/"]
    assert fields(world) == [{"fine": True}]
    assert world.run.progress().done == 1


def test_a_callback_that_is_gone_is_told() -> None:
    world = World(SHOP)
    whole = merged(Shop, from_data({"spider": "shop", "start_urls": [f"{A}/"], **FAST}))
    first = world.crawl(
        definition=whole.model_copy(update={"max_pages": 1}),
        spider=SpiderReader(Shop, whole, Path("/nowhere")),
    )
    run(first.run())

    class Newer(Spider):
        def parse(self, page: Page) -> None:
            return

    world.run.finished = ""
    run(world.crawl(definition=whole, spider=SpiderReader(Newer, whole, Path("/nowhere"))).run())
    assert "parse_product: there is no such callback" in reasons(world).values()


def test_items_are_kept_as_json() -> None:
    @dataclass
    class Price:
        amount: Decimal
        since: date

    class Typed(Spider):
        def parse(self, page: Page) -> Any:
            return [
                {"price": Decimal("1E+2"), "tags": ("x", "y\0"), "none": None, "big": 10**30},
                Price(Decimal("3.50"), date(2024, 2, 29)),
            ]

    assert fields(crawl(Typed, site(index=""))) == [
        {"price": "100", "tags": ["x", "y\ufffd"], "none": None, "big": 10**30},
        {"amount": "3.50", "since": "2024-02-29"},
    ]


def rounded(item: Any, page: Page) -> Any:
    return {**item, "price": round(item["price"]), "at": page.url}


class Check:
    """A step as Scrapy has them."""

    def process_item(self, item: Any, page: Page) -> Any:
        if item["price"] > 8:
            raise DropItem("too dear")
        return None if item["price"] == 0 else item


def test_items_go_through_the_pipelines_and_dropped_ones_are_told() -> None:
    class Priced(Spider):
        pipelines: ClassVar = [rounded, Check]

        def parse(self, page: Page) -> Any:
            return ({"price": price + 0.2} for price in (9, 1, 0, 10))

    world = crawl(Priced, site(index=""))
    assert fields(world) == [{"price": 1, "at": f"{A}/"}]
    told = "2 items dropped by Check: too dear"
    assert reasons(world, PageState.DONE) == {f"{A}/": told}


def test_a_pipeline_that_fails_fails_the_page() -> None:
    class Priced(Spider):
        pipelines: ClassVar = [rounded]

        def parse(self, page: Page) -> Any:
            return {}

    assert reasons(crawl(Priced, site(index="")))[f"{A}/"].startswith(
        "parse: KeyError: 'price' (test_spider_crawl.py:"
    )


def test_what_a_page_yields_is_bounded_and_the_rest_told() -> None:
    class Endless(Spider):
        def parse(self, page: Page) -> Iterator[Any]:
            while True:
                yield {"n": 1}

    world = crawl(Endless, site(index=""))
    assert len(items(world)) == 20_000
    assert "what is beyond 20,000 items and requests" in reasons(world, PageState.DONE)[f"{A}/"]


def test_a_saved_body_is_a_file_by_its_hash(tmp_path: Path) -> None:
    class Saving(Spider):
        def start(self) -> Iterator[Request]:
            yield Request(f"{A}/")
            yield Request(f"{A}/same")

        def parse(self, page: Page) -> Any:
            return {"file": page.save()}

    world = crawl(Saving, site(index="<p>bytes", same="<p>bytes"), tmp_path)
    first, second = (each["file"] for each in fields(world))
    assert first["url"] != second["url"]
    assert first["path"] == second["path"] == f"{first['sha256'][:2]}/{first['sha256']}.html"
    assert (tmp_path / first["path"]).read_bytes() == b"<p>bytes"
    assert first["bytes"] == len(b"<p>bytes")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_what_a_killed_process_was_writing_is_swept_up_later(tmp_path: Path) -> None:
    keep_file(tmp_path, b"a", "text/plain")
    drafts = tmp_path / ".drafts"
    for age_s in (60, 7200):
        (drafts / f"{age_s}").touch()
        os.utime(drafts / f"{age_s}", times=(NOON - age_s, NOON - age_s))
    sweep_drafts(tmp_path, NOON)
    sweep_drafts(tmp_path / "nowhere", NOON)
    assert [each.name for each in drafts.iterdir()] == ["60"]
    assert len(list(tmp_path.glob("??/*"))) == 1


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("not a directory")

    class Saving(Spider):
        def parse(self, page: Page) -> Any:
            return {"file": page.save()}

    world = crawl(Saving, site(index="x"), tmp_path / "files", retry_times=1)
    assert len(world.site.fetched()) == 2
    assert reasons(world) == {f"{A}/": "file not written: Not a directory"}


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"pipelines": ["x"]}, "spider shop: pipelines[0]: must be a function of item and page"),
        ({"start": lambda self: [{}]}, "spider shop: start: yields Requests (got dict)"),
        ({"start": lambda self: [Request("mailto:x")]}, "spider shop: not an http(s) URL"),
        ({"start": lambda self: 1 // 0}, "ZeroDivisionError: integer division or modulo by zero ("),
        ({"start": lambda self: ()}, "spider shop: start_urls: is missing"),
    ],
)
def test_a_spider_that_cannot_begin_says_why(attributes: dict[str, Any], said: str) -> None:
    assert said in refusal_of(attributes)


def test_a_spider_begins_with_a_bounded_number_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.spider.reading.MAX_STARTS", 2)
    assert "start: yields more than 2 Request" in refusal_of({"start": lambda _: [Request(A)] * 3})


def refusal_of(attributes: dict[str, Any]) -> str:
    kind = type("Shop", (Spider,), attributes)
    whole = merged(kind, from_data({"spider": "shop"}))
    with pytest.raises(InvalidInput) as raised:
        SpiderReader(kind, whole, Path("/nowhere"))
    return str(raised.value)
