"""Runs that build on the run before: what is asked, what is sent, and what is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from crawler.definition.recrawl import Recrawl
from crawler.engine.extract import Extractor
from crawler.engine.fetch import Page
from crawler.engine.recrawl import digest_of, interval_after
from crawler.engine.settings import EngineSettings
from crawler.model import PageState
from tests.fakes.frontier import MemoryRun
from tests.unit.engine.cuts import Cut, Killed
from tests.unit.engine.site import Answer, Site, page, redirect, status
from tests.unit.engine.virtual import run
from tests.unit.engine.world import FAST, A, World, definition


def tagged(answers: Mapping[str, Answer | list[Answer]]) -> dict[str, Answer | list[Answer]]:
    """The pages with an ETag each, that says what is on them."""
    return {
        url: replace(each, etag=f'"{digest_of(each).hex()}"') if isinstance(each, Page) else each
        for url, each in answers.items()
    }


SHOP: dict[str, Answer | list[Answer]] = {
    f"{A}/": page(f"{A}/", f"{A}/list", f"{A}/old", items=[{"id": "start"}]),
    f"{A}/list": page(f"{A}/list", f"{A}/1", f"{A}/2"),
    f"{A}/old": redirect(f"{A}/old", f"{A}/3"),
    **{f"{A}/{n}": page(f"{A}/{n}", items=[{"id": f"{n}"}]) for n in (1, 2, 3)},
}
PAGES = {url for url, answer in SHOP.items() if isinstance(answer, Page) and answer.body}


class Runs:
    """A world that is crawled run after run, each building on the one before."""

    def __init__(self, site: Mapping[str, Answer | list[Answer]], **settings: Any) -> None:
        self.world = World(site, **FAST, **settings)
        self.arguments: dict[str, Any] = {}

    async def crawl(self, site: Mapping[str, Answer | list[Answer]] | None = None) -> MemoryRun:
        """Another run, of a site that may have changed."""
        world = self.world
        if site is not None:
            world.site = Site(world.clock, site)
        world.site.log.clear()
        world.site.bodies.clear()
        before = world.run
        world.run = MemoryRun(world.clock, before if before.finished else None)
        assert await world.crawl(**self.arguments).run() == "finished"
        return world.run


def reasons(made: MemoryRun) -> dict[str, str]:
    return {row.request.url.removeprefix(A): row.reason for row in made.rows.values()}


def test_many_links_of_an_unchanged_page_are_taken_over_wherever_that_is_cut() -> None:
    urls = [f"{A}/{n}" for n in range(25)]
    site = tagged({f"{A}/": page(f"{A}/", *urls), **{url: page(url) for url in urls}})
    few = EngineSettings(batch_links=10)

    def cut_at(at: int) -> int:
        async def scenario() -> int:
            runs = Runs(site)
            first = await runs.crawl()
            world = runs.world
            world.run = MemoryRun(world.clock, first)

            def kill() -> None:
                raise Killed

            cut = Cut(at, kill)
            crawl = world.crawl(world.run.claim(step=cut.step), settings=few)
            await asyncio.gather(asyncio.create_task(crawl.run()), return_exceptions=True)
            assert await world.crawl(settings=few).run() == "finished"
            assert world.run.progress().known == first.progress().known == 26
            assert world.run.progress().unchanged == 26
            assert set(world.run.completions.values()) == {1}
            return cut.count

        return run(scenario())

    steps = cut_at(0)
    assert steps > 2 * 4, "the links came in one commit"
    for at in range(1, min(steps, 20) + 1):
        cut_at(at)


@pytest.mark.parametrize("says_so", [True, False], ids=["304", "the same body"])
def test_an_unchanged_site_keeps_every_item(says_so: bool) -> None:
    async def scenario() -> None:
        site = tagged(SHOP) if says_so else SHOP
        runs = Runs(site)
        first = await runs.crawl()
        assert set(runs.world.site.bodies) == PAGES
        second = await runs.crawl()
        assert set(runs.world.site.bodies) == (set() if says_so else PAGES)
        assert sorted(runs.world.site.fetched()) == sorted(SHOP), "each is asked once"
        assert second.items == first.items
        assert second.progress().unchanged == len(PAGES)
        assert second.progress().known == first.progress().known
        assert {row.request.parent for row in second.rows.values()} == {
            row.request.parent for row in first.rows.values()
        }

    run(scenario())


def test_a_page_that_changed_is_read_and_the_rest_is_not() -> None:
    async def scenario() -> None:
        runs = Runs(tagged(SHOP))
        await runs.crawl()
        changed = tagged(
            {
                **SHOP,
                f"{A}/list": page(f"{A}/list", f"{A}/2", f"{A}/4"),
                f"{A}/2": page(f"{A}/2", items=[{"id": "2, new"}]),
                f"{A}/4": page(f"{A}/4", items=[{"id": "4"}]),
            }
        )
        second = await runs.crawl(changed)
        assert sorted(runs.world.site.bodies) == [f"{A}/2", f"{A}/4", f"{A}/list"]
        # Nobody leads to 1 any more, and it still answers.
        assert set(runs.world.items()) == {"start", "1", "2, new", "3", "4"}
        assert reasons(second)["/1"] == "unchanged"
        third = await runs.crawl()
        assert runs.world.site.bodies == []
        assert third.items == second.items

    run(scenario())


def test_a_page_that_is_gone_takes_its_items_with_it() -> None:
    async def scenario() -> None:
        runs = Runs(tagged(SHOP))
        await runs.crawl()
        site = tagged({**SHOP, f"{A}/1": status(f"{A}/1", 404)})
        second = await runs.crawl(site)
        assert set(runs.world.items()) == {"start", "2", "3"}
        assert reasons(second)["/1"] == "http 404"
        third = await runs.crawl(site)
        assert reasons(third)["/1"] == "http 404", "an unchanged page still leads there"
        back = await runs.crawl(tagged(SHOP))
        assert set(runs.world.items()) == {"start", "1", "2", "3"}
        assert back.progress().unchanged == len(PAGES) - 1

    run(scenario())


def test_carried_values_that_changed_have_the_page_read_again() -> None:
    async def scenario() -> None:
        def site(shelf: str) -> dict[str, Answer | list[Answer]]:
            start = page(f"{A}/")
            link = {"url": f"{A}/1", "carry": {"shelf": shelf}}
            body = start.body.replace(b'"links": []', f'"links": [{json.dumps(link)}]'.encode())
            return tagged({f"{A}/": replace(start, body=body), f"{A}/1": SHOP[f"{A}/1"]})

        runs = Runs(site("new"))
        await runs.crawl()
        await runs.crawl(site("old"))
        assert runs.world.site.bodies == [f"{A}/", f"{A}/1"]
        (items,) = runs.world.run.items.values()
        assert [each.fields for each in items] == [{"id": "1", "shelf": "old"}]

    run(scenario())


@pytest.mark.parametrize(
    ("before_s", "unchanged", "expected_s"),
    [
        (0.0, False, 600.0),
        (0.0, True, 600.0),
        (600.0, True, 1200.0),
        (1200.0, False, 600.0),
        (600.0, False, 600.0),
        (2000.0, True, 3600.0),
        (9999.0, True, 3600.0),
    ],
)
def test_intervals_double_and_halve_within_bounds(
    before_s: float, unchanged: bool, expected_s: float
) -> None:
    pace = Recrawl(min_interval="10m", max_interval="1h")
    assert interval_after(before_s, pace, unchanged=unchanged) == expected_s
    assert interval_after(before_s, Recrawl(), unchanged=unchanged) == 0.0


def test_pages_that_are_not_due_are_not_asked_and_keep_their_items() -> None:
    async def scenario() -> None:
        runs = Runs(tagged(SHOP), recrawl={"min_interval": "1h", "max_interval": "4h"})
        first = await runs.crawl()
        await runs.world.clock.sleep(1800)
        second = await runs.crawl()
        # Redirects have nothing that could be compared.
        assert runs.world.site.fetched() == [f"{A}/old"]
        assert second.items == first.items
        assert reasons(second)["/1"].startswith("not asked before 2023-11-14T23:13:")
        assert second.progress().unchanged == len(PAGES)
        await runs.world.clock.sleep(1900)
        third = await runs.crawl()
        assert sorted(runs.world.site.fetched()) == sorted(SHOP)
        assert runs.world.site.bodies == []
        assert third.items == first.items
        await runs.world.clock.sleep(7100)  # twice an hour
        await runs.crawl()
        assert runs.world.site.fetched() == [f"{A}/old"]
        await runs.world.clock.sleep(200)
        await runs.crawl()
        assert sorted(runs.world.site.fetched()) == sorted(SHOP)

    run(scenario())


@pytest.mark.parametrize("later", [{}, {"min_interval": "1m", "max_interval": "30m"}])
def test_an_interval_that_is_not_allowed_any_more_is_over(later: dict[str, str]) -> None:
    async def scenario() -> None:
        runs = Runs(tagged(SHOP), recrawl={"min_interval": "1h"})
        await runs.crawl()
        runs.world.definition = definition(**FAST, recrawl=later)
        await runs.crawl()
        assert sorted(runs.world.site.fetched()) == sorted(SHOP)
        assert runs.world.site.bodies == []

    run(scenario())


def test_an_unchanged_sitemap_is_not_sent_again() -> None:
    listed = "".join(f"<url><loc>{A}/{n}</loc></url>" for n in (1, 2))
    text = f"<urlset>{listed}</urlset>".encode()
    site = tagged({**SHOP, f"{A}/map.xml": Page(f"{A}/map.xml", 200, text, "text/xml")})

    async def scenario() -> None:
        runs = Runs(site, sitemaps=[f"{A}/map.xml"])
        first = await runs.crawl()
        assert f"{A}/map.xml" in runs.world.site.bodies
        second = await runs.crawl()
        assert runs.world.site.bodies == []
        assert second.items == first.items
        assert second.progress().known == first.progress().known

    run(scenario())


def test_a_limit_of_depth_has_pages_read_that_are_found_at_another_depth() -> None:
    async def scenario(**settings: Any) -> list[str]:
        deep = {
            f"{A}/": page(f"{A}/", f"{A}/1"),
            f"{A}/1": page(f"{A}/1", f"{A}/2"),
            f"{A}/2": page(f"{A}/2", f"{A}/3"),
            f"{A}/3": page(f"{A}/3", items=[{"id": "3"}]),
        }
        runs = Runs(tagged(deep), **settings)
        await runs.crawl()
        await runs.crawl(tagged({**deep, f"{A}/": page(f"{A}/", f"{A}/1", f"{A}/2")}))
        return runs.world.site.bodies

    assert run(scenario()) == [f"{A}/"]
    assert run(scenario(depth_limit=2)) == [f"{A}/", f"{A}/2", f"{A}/3"]


def test_an_item_that_goes_on_is_read_anew_in_every_run() -> None:
    """What is on one of its pages may change without the others."""
    rules = [
        {
            "match": f"{A}/",
            "next": {"css": "a.next", "join": True},
            "follow": ["a.more"],
            "item": {"title": "h1::text", "parts": {"css": "p::text", "many": True}},
        },
        {"match": f"{A}/more", "item": {"title": "h1::text"}},
    ]

    def site(*parts: str) -> dict[str, Answer | list[Answer]]:
        def html(url: str, text: str) -> Page:
            return Page(url, 200, text.encode(), "text/html")

        last = len(parts) - 1
        return tagged(
            {
                f"{A}/more": html(f"{A}/more", "<h1>more</h1>"),
                **{
                    (url := f"{A}/{at or ''}"): html(
                        url,
                        "<h1>long</h1><a class=more href=/more>m</a>"
                        f"<p>{text}</p>"
                        + (f"<a class=next href=/{at + 1}>n</a>" if at < last else ""),
                    )
                    for at, text in enumerate(parts)
                },
            }
        )

    async def scenario() -> None:
        runs = Runs(site("one", "two", "three"), rules=rules)
        runs.arguments = {"extractor": Extractor(runs.world.definition)}
        await runs.crawl()
        for parts in (("one", "two", "three"), ("one", "two, new", "three"), ("one",)):
            made = await runs.crawl(site(*parts))
            items = [item.fields for each in made.items.values() for item in each]
            found = [item["parts"] for item in items if item["title"] == "long"]
            assert found == [list(parts)]
            assert reasons(made)["/more"] == "unchanged"
            assert f"{A}/more" not in runs.world.site.bodies
            assert all(not row.reason for row in made.rows.values() if row.request.bound)

    run(scenario())


def test_a_304_that_nobody_asked_for_is_a_failure() -> None:
    async def scenario() -> None:
        runs = Runs({f"{A}/": page(f"{A}/", f"{A}/1"), f"{A}/1": status(f"{A}/1", 304)})
        first = await runs.crawl()
        assert first.urls(PageState.FAILED) == {f"{A}/1"}

    run(scenario())


@pytest.mark.parametrize("cut", range(1, 40))
def test_whoever_dies_in_a_recrawl_loses_nothing(cut: int) -> None:
    """Each step of the store is cut in turn; a successor goes on."""

    class Dead(Exception):
        pass

    async def scenario() -> None:
        runs = Runs(tagged(SHOP))
        first = await runs.crawl()
        changed = tagged({**SHOP, f"{A}/list": page(f"{A}/list", f"{A}/2")})
        world = runs.world
        world.site = Site(world.clock, changed)
        world.run = MemoryRun(world.clock, first)
        left = [cut]

        async def step(_: str) -> None:
            left[0] -= 1
            if not left[0]:
                raise Dead

        with suppress(Dead):
            await world.crawl(world.run.claim(step=step)).run()
        assert await world.crawl(world.run.claim()).run()
        assert world.run.finished
        assert world.run.items == first.items
        assert max(world.run.completions.values()) == 1
        assert world.run.progress().known == first.progress().known

    run(scenario())
