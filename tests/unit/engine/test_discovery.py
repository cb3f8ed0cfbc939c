"""How pages are found: by sitemaps, by links that may be followed, and each page once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crawler.engine.settings import EngineSettings
from crawler.model import PageState, Visit
from tests.fakes.frontier import MemoryFrontier
from tests.unit.engine.cuts import Cut, Killed
from tests.unit.engine.site import Answer, Extraction, JsonExtractor, page, status
from tests.unit.engine.test_sitemaps import index, urlset
from tests.unit.engine.virtual import run
from tests.unit.engine.world import FAST, A, World, done, text

MAP = f"{A}/sitemap.xml"


def listed(site: dict[str, Answer | list[Answer]], **settings: Any) -> World:
    return World(site, **{**FAST, "start_urls": [], "sitemaps": [MAP], **settings})


def reasons(world: World) -> dict[str, str]:
    return {row.request.url: row.reason for row in world.run.rows.values() if row.reason}


def test_a_crawl_may_begin_with_sitemaps_alone() -> None:
    world = listed(
        {
            MAP: text(MAP, index(f"{A}/1.xml", "https://elsewhere.example/2.xml")),
            f"{A}/1.xml": text(f"{A}/1.xml", urlset(f"{A}/a", "https://elsewhere.example/b")),
            f"{A}/a": page(f"{A}/a", f"{A}/c"),
            f"{A}/c": page(f"{A}/c", f"{A}/d"),
        },
        depth_limit=1,
    )
    assert run(world.crawl().run()) == "finished"
    assert done(world) == {MAP, f"{A}/1.xml", f"{A}/a", f"{A}/c"}
    depths = {row.request.url: row.request.depth for row in world.run.rows.values()}
    assert (depths[f"{A}/a"], depths[f"{A}/c"]) == (0, 1)
    assert world.run.urls(PageState.EXCLUDED) == {f"{A}/d"}
    assert len(world.run.rows) == 5


def test_sitemaps_and_start_urls_go_together() -> None:
    site = {f"{A}/": page(f"{A}/"), MAP: text(MAP, urlset(f"{A}/a")), f"{A}/a": page(f"{A}/a")}
    world = World(site, **FAST, sitemaps=[MAP])
    run(world.crawl().run())
    assert done(world) == set(site)


def test_sitemaps_that_robots_txt_names_are_found_where_asked_for() -> None:
    robots = f"{A}/robots.txt"
    site = {
        f"{A}/": page(f"{A}/"),
        robots: text(robots, f"User-agent: *\nDisallow: /secret\nSitemap: {MAP}"),
        MAP: text(MAP, urlset(f"{A}/a", f"{A}/secret")),
        f"{A}/a": page(f"{A}/a"),
    }
    settings = {**FAST, "robotstxt_obey": True}
    world = World(site, **settings, sitemaps_from_robots=True)
    run(world.crawl().run())
    assert done(world) == set(site)
    assert reasons(world) == {f"{A}/secret": "robots.txt"}
    without = World(site, **settings)
    run(without.crawl().run())
    assert done(without) == {f"{A}/"}


def test_only_entries_that_a_rule_takes_are_fetched() -> None:
    rules = [{"match": f"{A}/p/*", "item": {"name": "h1"}}]
    world = listed(
        {MAP: text(MAP, urlset(f"{A}/p/1?utm_source=x", f"{A}/q")), f"{A}/p/1": page(f"{A}/p/1")},
        rules=rules,
        drop_query=["tracking"],
    )
    run(world.crawl().run())
    assert done(world) == {MAP, f"{A}/p/1"}
    assert reasons(world)[MAP] == "1 entries left alone, because no rule takes them"


def test_a_sitemap_that_is_none_is_a_failed_page() -> None:
    world = listed({MAP: text(MAP, "<html><body>gone</body></html>")})
    assert run(world.crawl().run()) == "every page failed: not a sitemap: <html>"
    missing = listed({MAP: status(MAP, 404)})
    assert run(missing.crawl().run()).startswith("every page failed")


@pytest.mark.threat(13)
def test_traps_are_excluded_with_a_reason_and_counted() -> None:
    world = World(
        {
            f"{A}/": page(f"{A}/", f"{A}/xy/xy/xy/", f"{A}/calendar/2099/01", f"{A}/ok"),
            f"{A}/ok": page(f"{A}/ok"),
        },
        **FAST,
    )
    run(world.crawl().run())
    assert done(world) == {f"{A}/", f"{A}/ok"}
    assert reasons(world)[f"{A}/xy/xy/xy/"] == "trap: the path repeats itself 3 times"
    assert reasons(world)[f"{A}/calendar/2099/01"] == "trap: an endless calendar"
    progress = world.run.progress()
    assert progress.known == progress.done + progress.excluded
    off = World({f"{A}/": page(f"{A}/", f"{A}/xy/xy/xy/")}, **FAST, traps=False)
    run(off.crawl().run())
    assert f"{A}/xy/xy/xy/" in off.site.fetched()


def test_one_page_under_many_spellings_is_fetched_once() -> None:
    world = World(
        {
            f"{A}/": page(
                f"{A}/", f"{A}/a?y=2&x=1&ref=1", f"{A}/a?x=1&y=2&fbclid=3", f"{A}/a?x=1&y=2"
            ),
            f"{A}/a?x=1&y=2": page(f"{A}/a?x=1&y=2"),
        },
        **FAST,
        sort_query=True,
        drop_query=["tracking", "ref"],
    )
    run(world.crawl().run())
    assert world.site.fetched() == [f"{A}/", f"{A}/a?x=1&y=2"]


@pytest.mark.parametrize(
    ("header", "settings", "followed"),
    [
        ("noindex", {}, True),
        ("noindex, nofollow", {}, False),
        ("NONE", {}, False),
        ("otherbot: nofollow", {}, True),
        ("otherbot: noindex, nofollow", {}, True),
        ("otherbot: noindex\nnofollow", {}, False),
        ("Crawler-Cluster: nofollow", {}, False),
        ("Crawler-Cluster: nofollow", {"user_agents": ["One/1", "Two/2"]}, True),
        ("one: nofollow", {"user_agents": ["One/1", "Two/2"]}, False),
        ("max-snippet: 5, nofollow", {}, False),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow", {}, False),
        ("nofollow", {"nofollow": "ignore"}, True),
    ],
)
def test_a_header_that_says_nofollow_is_obeyed(
    header: str, settings: dict[str, Any], followed: bool
) -> None:
    answer = replace(page(f"{A}/", f"{A}/a", items=[{"id": "1"}]), robots_tag=header)
    world = World({f"{A}/": answer, f"{A}/a": page(f"{A}/a")}, **FAST, **settings)
    run(world.crawl().run())
    assert (f"{A}/a" in done(world)) is followed
    assert world.items() == {"1": 1}
    assert reasons(world) == (
        {} if followed else {f"{A}/": "links left alone: the page says nofollow"}
    )


class Canonical(JsonExtractor):
    """Every page says that this is its canonical URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def extract(self, *arguments: Any, **values: Any) -> Extraction:
        return replace(super().extract(*arguments, **values), canonical=self._url)


@pytest.mark.parametrize("url", [f"{A}/b#x", "https://elsewhere.example/", "http://[", f"{A}/"])
def test_a_canonical_link_elsewhere_is_told_and_items_are_kept(url: str) -> None:
    world = World({f"{A}/": page(f"{A}/", items=[{"id": "1"}])}, **FAST)
    run(world.crawl(extractor=Canonical(url)).run())
    told = {f"{A}/": f"canonical elsewhere: {A}/b"} if url == f"{A}/b#x" else {}
    assert reasons(world) == told
    assert world.items() == {"1": 1}
    assert done(world) == {f"{A}/"}


def test_a_canonical_link_is_followed_where_asked_for() -> None:
    site = {f"{A}/": page(f"{A}/", items=[{"id": "1"}]), f"{A}/b": page(f"{A}/b")}
    world = World(site, **FAST, canonical_links="follow", depth_limit=1)
    run(world.crawl(extractor=Canonical(f"{A}/b")).run())
    assert done(world) == set(site)
    assert {row.request.depth for row in world.run.rows.values()} == {0}


FEW = EngineSettings(batch_links=10)


def large() -> World:
    """A sitemap of more entries than one commit takes."""
    entries = [f"{A}/{n}" for n in range(25)]
    return listed({MAP: text(MAP, urlset(*entries))}, max_pages=1)


class Watched(MemoryFrontier):
    """Remembers how large commits are."""

    def __init__(self, inner: MemoryFrontier) -> None:
        self.__dict__.update(inner.__dict__)
        self.sizes: list[int] = []

    async def commit(self, visits: Any) -> Any:
        visits = list[Visit](visits)
        self.sizes.append(sum(len(visit.links) for visit in visits))
        return await super().commit(visits)


def test_a_large_sitemap_is_committed_in_bounded_parts() -> None:
    world = large()
    frontier = Watched(world.run.claim())
    run(world.crawl(frontier, settings=FEW).run())
    assert [size for size in frontier.sizes if size] == [10, 10, 5]
    assert world.run.progress().known == 26
    assert world.site.fetched() == [MAP]


@pytest.mark.parametrize("at", range(1, 7))
def test_a_large_sitemap_that_is_cut_between_its_commits_is_read_again(at: int) -> None:
    world = large()

    async def cut() -> None:
        def kill() -> None:
            raise Killed

        commits = Cut(at, kill)

        async def step(name: str) -> None:
            if name.startswith("commit"):
                await commits.step(name)

        try:
            await world.crawl(world.run.claim(step=step), settings=FEW).run()
        except BaseExceptionGroup:
            return
        except Killed:
            return
        raise AssertionError("was not cut")

    run(cut())
    assert run(world.crawl().run()).startswith("max_pages")
    assert world.run.progress().known == 26
    assert set(world.run.completions.values()) == {1}
