"""A crawl as a whole, on a web and a store in memory and on virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crawler.engine.fetch import Page
from crawler.engine.figures import REGISTRY
from crawler.engine.settings import EngineSettings
from crawler.errors import Fenced, FetchFailed, OutcomeUnknown, StoreUnavailable
from crawler.model import PageState
from crawler.telemetry.traces import record_spans
from tests.unit.engine.site import Answer, Link, page, redirect, status
from tests.unit.engine.virtual import VirtualClock, run
from tests.unit.engine.world import FAST, A, World, definition, done, shortest_gap, text, tree


def test_the_closure_of_a_site_is_crawled_once() -> None:
    world = World(tree(60), **FAST)
    assert run(world.crawl().run()) == "finished"
    assert done(world) == set(tree(60))
    assert Counter(world.site.fetched()) == Counter(list(tree(60)))
    assert world.items() == Counter(f"{i}.{k}" for i in range(60) for k in range(2))
    progress = world.run.progress()
    assert (progress.known, progress.done, progress.items) == (60, 60, 120)


def test_pages_are_named_while_they_are_parsed() -> None:
    world = World(tree(3), **FAST)
    run(world.crawl().run())
    assert len(world.parsed) == 6
    assert world.parsed[1::2] == [None] * 3
    assert set(world.parsed[::2]) == set(world.run.rows)


def test_pages_are_counted_and_recorded() -> None:
    counted = REGISTRY.get_sample_value("crawler_pages_total", {"state": "done"}) or 0.0
    exporter = InMemorySpanExporter()
    with record_spans(exporter, "crawler-worker", "1"):
        run(World(tree(3), **FAST).crawl().run())
    assert REGISTRY.get_sample_value("crawler_pages_total", {"state": "done"}) == counted + 3
    spans = exporter.get_finished_spans()
    pages = {each.context.span_id for each in spans if each.name == "page" and each.context}
    assert len(pages) == 3
    for name in ("fetch", "extract"):
        within = [each.parent for each in spans if each.name == name]
        assert {each.span_id for each in within if each} == pages
    assert "commit" in {each.name for each in spans}


def test_a_finished_run_is_not_crawled_again() -> None:
    world = World(tree(3), **FAST)
    run(world.crawl().run())
    fetched = len(world.site.log)
    assert run(world.crawl().run()) == "finished"
    assert len(world.site.log) == fetched


def test_one_request_per_host_at_a_time_and_a_second_between() -> None:
    world = World(tree(5))
    run(world.crawl().run())
    starts = world.site.starts("a.example")
    assert len(starts) == 6  # robots.txt counts
    assert shortest_gap(starts) >= 1.0
    assert world.site.most_active["a.example"] == 1
    assert starts[-1] < 7.5


def test_hosts_do_not_wait_for_each_other() -> None:
    hosts = [f"https://h{i}.example/" for i in range(10)]
    site = {url: page(url, *(f"{url}{n}" for n in range(3))) for url in hosts}
    world = World(site, start_urls=hosts, robotstxt_obey=False)

    async def timed() -> float:
        await world.crawl().run()
        return world.clock.elapsed()

    assert run(timed()) < 8


def test_hundreds_of_hosts_are_crawled_side_by_side() -> None:
    hosts = [f"https://h{i}.example/" for i in range(400)]
    pages = [f"{url}{name}" for url in hosts for name in ("", "a", "b", "c")]
    site = {url: page(url, *(f"{url.rpartition('/')[0]}/{n}" for n in "abc")) for url in pages}
    world = World(site, start_urls=hosts, concurrent_requests=100, robotstxt_obey=False)

    async def timed() -> float:
        await world.crawl().run()
        return world.clock.elapsed()

    assert run(timed()) < 20
    assert done(world) == set(site)
    assert set(world.site.most_active.values()) == {1}


class Ticking(VirtualClock):
    """Time passes from look to look, too."""

    ticks = 0

    def elapsed(self) -> float:
        self.ticks += 1
        return super().elapsed() + 1e-6 * self.ticks


def test_as_many_requests_as_may_start_at_once_where_no_delay_is_due() -> None:
    world = World(tree(60), **FAST)
    world.site.latency_s = 0.0
    run(world.crawl(clock=Ticking()).run())
    assert world.site.most_active["a.example"] == FAST["concurrent_requests_per_domain"]


def test_a_slow_host_does_not_starve_the_others() -> None:
    slow = [f"https://slow{i}.example/" for i in range(12)]
    site: dict[str, Answer | list[Answer]] = {}
    robots = "User-agent: *\nCrawl-delay: 60"
    for url in slow:
        site[url] = page(url, *(f"{url}{n}" for n in range(20)))
        site[f"{url}robots.txt"] = text(f"{url}robots.txt", robots)
    fast = "https://fast.example/"
    site[fast] = page(fast, *(f"{fast}{n}" for n in range(60)))
    world = World(site, start_urls=[*slow, fast], concurrent_requests=4)

    async def scenario() -> list[float]:
        job = asyncio.create_task(world.crawl().run())
        await asyncio.sleep(180)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        return world.site.starts("fast.example")

    assert len(run(scenario())) == 62


def test_crawl_delay_is_kept_and_named() -> None:
    site = tree(4)
    site[f"{A}/robots.txt"] = text(f"{A}/robots.txt", "User-agent: *\nCrawl-delay: 7")
    world = World(site)
    run(world.crawl().run())
    starts = world.site.starts("a.example")
    assert shortest_gap(starts) >= 7.0
    assert any("because Crawl-delay" in live.waiting for live in world.lives)


def test_robots_txt_excludes() -> None:
    site = tree(8)
    site[f"{A}/robots.txt"] = text(f"{A}/robots.txt", "User-agent: *\nDisallow: /3\n")
    world = World(site)
    run(world.crawl().run())
    assert world.run.urls(PageState.EXCLUDED) == {f"{A}/3"}
    assert {row.reason for row in world.run.rows.values()} == {"", "robots.txt"}
    assert f"{A}/3" not in world.site.fetched()


def test_robots_txt_that_cannot_be_had_stops_its_host_only() -> None:
    other = "https://b.example/"
    site = {other: page(other), **tree(2), f"{A}/robots.txt": status(f"{A}/robots.txt", 503)}
    world = World(site, start_urls=[f"{A}/", other])
    run(world.crawl().run())
    assert done(world) == {other}
    assert world.run.urls(PageState.FAILED) == {f"{A}/"}
    assert [url for _, url in world.site.log if url.startswith(A)] == [f"{A}/robots.txt"] * 3


def test_robots_txt_that_comes_back_lets_the_crawl_go_on() -> None:
    robots = f"{A}/robots.txt"
    site: dict[str, Answer | list[Answer]] = {
        **tree(2),
        robots: [FetchFailed("timeout", retry=True), status(robots, 404)],
    }
    world = World(site)
    run(world.crawl().run())
    assert done(world) == set(tree(2))


def test_failures_are_tried_again_and_then_given_up() -> None:
    site = tree(4)
    one = f"{A}/1"
    site[one] = [FetchFailed("timeout", retry=True), status(one, 503), page(one, f"{A}/3")]
    site[f"{A}/2"] = FetchFailed("connection failed", retry=True)
    world = World(site, **FAST)
    run(world.crawl().run())
    assert done(world) == {f"{A}/", f"{A}/1", f"{A}/3"}
    assert Counter(world.site.fetched())[f"{A}/1"] == 3
    assert Counter(world.site.fetched())[f"{A}/2"] == 3
    (failed,) = (row for row in world.run.rows.values() if row.state is PageState.FAILED)
    assert (failed.reason, failed.request.attempts) == ("connection failed", 3)


def test_a_run_in_which_every_page_failed_says_so() -> None:
    world = World({f"{A}/": FetchFailed("connection refused", retry=True)}, **FAST)
    assert run(world.crawl().run()) == "every page failed: connection refused"


def test_a_page_that_is_not_there_fails_at_once() -> None:
    world = World({f"{A}/": page(f"{A}/", f"{A}/gone")}, **FAST)
    run(world.crawl().run())
    (failed,) = (row for row in world.run.rows.values() if row.state is PageState.FAILED)
    assert (failed.request.url, failed.reason) == (f"{A}/gone", "http 404")
    assert Counter(world.site.fetched())[f"{A}/gone"] == 1


def test_retry_after_holds_for_the_whole_host() -> None:
    site = tree(6)
    site[f"{A}/1"] = [status(f"{A}/1", 429, 120.0), page(f"{A}/1", f"{A}/3", f"{A}/4")]
    world = World(site, **{**FAST, "concurrent_requests_per_domain": 1})
    run(world.crawl().run())
    at = next(at for at, url in world.site.log if url == f"{A}/1")
    later = [each for each in world.site.starts("a.example") if each > at]
    assert min(later) >= at + 120
    assert done(world) == set(tree(6))


def test_retry_after_holds_where_the_page_is_not_asked_again() -> None:
    site = {**tree(6), f"{A}/1": status(f"{A}/1", 429, 120.0)}
    world = World(site, **{**FAST, "concurrent_requests_per_domain": 1, "retry_times": 0})
    run(world.crawl().run())
    at = next(at for at, url in world.site.log if url == f"{A}/1")
    later = [each for each in world.site.starts("a.example") if each > at]
    assert min(later) >= at + 120


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_clock_before_the_commit_moves_no_retry(step_s: float) -> None:
    site = tree(6)
    site[f"{A}/1"] = [status(f"{A}/1", 503, 30.0), page(f"{A}/1", f"{A}/3", f"{A}/4")]
    world = World(site, **FAST)

    async def step(name: str) -> None:
        if name == "commit: before" and world.site.fetched().count(f"{A}/1") == 1:
            world.clock.ahead_s = step_s

    run(world.crawl(world.run.claim(step=step)).run())
    first, again = (at for at, url in world.site.log if url == f"{A}/1")
    assert 30.0 <= again - first < 32.0
    assert done(world) == set(tree(6))


@pytest.mark.threat(13)
def test_depth_limit_excludes_with_its_reason() -> None:
    world = World(tree(20), depth_limit=2, **FAST)
    run(world.crawl().run())
    assert done(world) == {f"{A}/", *(f"{A}/{i}" for i in (1, 2, 3, 4, 5, 6, 7, 14))}
    excluded = [row for row in world.run.rows.values() if row.state is PageState.EXCLUDED]
    assert excluded
    assert {row.reason for row in excluded} == {"depth_limit"}


def test_next_links_keep_depth_rule_and_carried_values() -> None:
    more = Link(f"{A}/2", is_next=True, carry={"size": 3})
    first = Link(f"{A}/1", to="list", carry={"colour": "red"})
    site = {
        f"{A}/": page(f"{A}/", first),
        f"{A}/1": page(f"{A}/1", more, items=[{"id": "x"}]),
        f"{A}/2": page(f"{A}/2", items=[{"id": "y"}]),
    }
    world = World(site, depth_limit=1, **FAST)
    run(world.crawl().run())
    rows = {row.request.url: row.request for row in world.run.rows.values()}
    second = rows[f"{A}/2"]
    assert (second.depth, second.rule, second.parent) == (1, "list", rows[f"{A}/1"].fingerprint)
    assert second.carry == {"colour": "red", "size": 3}


def test_pagination_ends_with_a_page_that_has_nothing_on_it() -> None:
    site = {
        f"{A}/?p={n}": page(
            f"{A}/?p={n}",
            Link(f"{A}/?p={n + 1}", is_next=True),
            items=[{"id": str(n)}] if n < 3 else [],
        )
        for n in range(100)
    }
    world = World(site, start_urls=[f"{A}/?p=0"], **FAST)
    run(world.crawl().run())
    assert len(world.run.rows) == 4


def test_links_out_of_scope_are_not_recorded() -> None:
    site = {f"{A}/": page(f"{A}/", "https://b.example/", "mailto:x@y.z", f"{A}:6379/", f"{A}/#x")}
    world = World(site, **FAST)
    run(world.crawl().run())
    assert [row.request.url for row in world.run.rows.values()] == [f"{A}/"]


def test_redirects_are_links_so_that_no_page_is_read_twice() -> None:
    site: dict[str, Answer | list[Answer]] = {
        f"{A}/": page(f"{A}/", f"{A}/old", f"{A}/new", f"{A}/self", f"{A}/out"),
        f"{A}/old": redirect(f"{A}/old", f"{A}/new", 301),
        f"{A}/new": page(f"{A}/new", items=[{"id": "new"}]),
        f"{A}/self": redirect(f"{A}/self", f"{A}/self"),
        f"{A}/out": redirect(f"{A}/out", "https://b.example/"),
    }
    world = World(site, **FAST)
    run(world.crawl().run())
    assert world.items() == Counter(["new"])
    assert Counter(world.site.fetched())[f"{A}/new"] == 1
    reasons = {row.request.url: row.reason for row in world.run.rows.values()}
    assert reasons == {
        f"{A}/": "",
        f"{A}/old": "redirect",
        f"{A}/new": "",
        f"{A}/self": "redirect loop",
        f"{A}/out": "redirect out of scope",
    }


def test_the_host_that_a_start_url_redirects_to_is_in_scope_also_after_a_restart() -> None:
    b, c = "https://b.example", "https://c.example"
    site = {
        f"{A}/": redirect(f"{A}/", f"{b}/"),
        f"{b}/": redirect(f"{b}/", f"{c}/"),
        f"{c}/": page(f"{c}/", f"{c}/1"),
        f"{c}/1": page(f"{c}/1", f"{c}/2", f"{b}/x", "https://d.example/"),
        f"{c}/2": page(f"{c}/2"),
        f"{b}/x": page(f"{b}/x"),
    }
    world = World(site, **FAST)
    run(world.crawl().run())
    assert done(world) == set(site)

    again = World(site, max_pages=3, **FAST)
    assert "max_pages" in run(again.crawl().run())
    again.run.finished = ""
    run(again.crawl(definition=definition(**FAST)).run())
    assert done(again) == set(site) - {f"{b}/x"} or done(again) == set(site)


def redirects(length: int) -> dict[str, Answer | list[Answer]]:
    """A start page, ``length`` redirects behind it, and the page that they lead to."""
    urls = [f"{A}/", *(f"{A}/r{n}" for n in range(length)), f"{A}/end"]
    site: dict[str, Answer | list[Answer]] = {
        url: redirect(url, target) for url, target in pairwise(urls[1:])
    }
    link = Link(urls[1], carry={"colour": "red"})
    return {**site, f"{A}/": page(f"{A}/", link), f"{A}/end": page(f"{A}/end", items=[{"id": "x"}])}


def test_ten_redirects_in_a_row_are_followed() -> None:
    world = World(redirects(10), **FAST)
    run(world.crawl().run())
    items = [dict(item.fields) for items in world.run.items.values() for item in items]
    assert items == [{"id": "x", "colour": "red"}]


def test_redirects_in_a_circle_are_a_loop_also_after_a_restart() -> None:
    circle = [f"{A}/r{n}" for n in range(3)]
    site = {url: redirect(url, target) for url, target in pairwise([*circle, circle[0]])}
    world = World({f"{A}/": page(f"{A}/", circle[0]), **site}, max_pages=3, **FAST)
    assert "max_pages" in run(world.crawl().run())
    world.run.finished = ""
    run(world.crawl(definition=definition(**FAST)).run())
    reasons = {row.request.url: row.reason for row in world.run.rows.values()}
    assert [reasons[url] for url in circle] == ["redirect", "redirect", "redirect loop"]


def test_a_loop_for_want_of_cookies_says_so() -> None:
    site = {f"{A}/": replace(redirect(f"{A}/", f"{A}/"), sets_cookie=True)}
    world = World(site, **FAST)
    run(world.crawl().run())
    (row,) = world.run.rows.values()
    assert row.reason == "redirect loop; the site sets cookies: try cookies_enabled = true"


@pytest.mark.threat(8)
def test_redirects_without_end_are_a_trap_also_after_a_restart() -> None:
    world = World(redirects(300), max_pages=5, **FAST)
    assert "max_pages" in run(world.crawl().run())
    world.run.finished = ""
    run(world.crawl(definition=definition(**FAST)).run())
    reasons = Counter(row.reason for row in world.run.rows.values())
    assert reasons == {"": 1, "redirect": 10, "too many redirects": 1}


def test_hosts_that_only_redirects_lead_to_are_adopted_by_start_urls_alone() -> None:
    b, c = "https://b.example", "https://c.example"
    site = {
        f"{A}/": page(f"{A}/", Link(f"{A}/2", is_next=True), items=[{"id": "1"}]),
        f"{A}/2": redirect(f"{A}/2", f"{A}/3"),
        f"{A}/3": redirect(f"{A}/3", f"{b}/"),
        f"{b}/": page(f"{b}/"),
        f"{A}/start": redirect(f"{A}/start", f"{A}/hop"),
        f"{A}/hop": redirect(f"{A}/hop", f"{c}/"),
        f"{c}/": page(f"{c}/"),
    }
    starts = [f"{A}/", f"{A}/start"]
    world = World(site, start_urls=starts, max_pages=3, **FAST)
    assert "max_pages" in run(world.crawl().run())
    world.run.finished = ""
    run(world.crawl(definition=definition(**{**FAST, "start_urls": starts})).run())
    assert done(world) == set(site) - {f"{b}/"}


def test_a_resumed_crawl_knows_the_hosts_that_were_adopted() -> None:
    """Nothing of the adopted host is pending at the cut, and a page left over links to it."""
    c = "https://c.example"
    site = {
        f"{A}/start": redirect(f"{A}/start", f"{A}/hop"),
        f"{A}/hop": redirect(f"{A}/hop", f"{c}/"),
        f"{c}/": page(f"{c}/", Link(f"{A}/late")),
        f"{A}/late": page(f"{A}/late", Link(f"{c}/more")),
        f"{c}/more": page(f"{c}/more"),
    }
    starts = [f"{A}/start"]
    world = World(site, start_urls=starts, max_pages=3, **FAST)
    assert "max_pages" in run(world.crawl().run())
    assert world.run.urls(PageState.PENDING) == {f"{A}/late"}
    world.run.finished = ""
    run(world.crawl(definition=definition(**{**FAST, "start_urls": starts})).run())
    assert done(world) == set(site)


@pytest.mark.threat(13)
def test_max_pages_is_exact() -> None:
    world = World(tree(60), max_pages=10, **FAST)
    assert run(world.crawl().run()) == "max_pages (10) reached"
    progress = world.run.progress()
    assert progress.done == 10
    assert progress.pending > 0
    assert len(world.site.fetched()) == 10


def test_max_items_and_max_seconds_end_the_run() -> None:
    world = World(tree(60), max_items=20, **FAST)
    assert run(world.crawl().run()) == "max_items (20) reached"
    assert world.run.progress().items <= 20 + 2 * 4  # two on each page that was under way
    world = World(tree(60), max_seconds=5.5)
    assert run(world.crawl().run()) == "max_seconds (5.5) reached"
    assert 4 <= world.run.progress().done <= 6


def test_two_crawls_share_a_host() -> None:
    left, right = World(tree(30), robotstxt_obey=False), World(tree(30), robotstxt_obey=False)
    right.book, right.site, right.holders = left.book, left.site, 100

    async def both() -> float:
        await asyncio.gather(left.crawl().run(), right.crawl().run())
        return left.clock.elapsed()

    seconds = run(both())
    assert done(left) == done(right) == set(tree(30))
    starts = left.site.starts("a.example")
    assert shortest_gap(starts) >= 1.0
    assert seconds < 100


def test_fenced_stops_at_once_and_is_raised() -> None:
    world = World(tree(60))

    async def overtaken() -> None:
        job = asyncio.create_task(world.crawl().run())
        await asyncio.sleep(5)
        world.run.claim()
        before = world.run.progress()
        with pytest.raises(Fenced):
            await job
        assert world.clock.elapsed() < 8
        assert world.run.progress() == before
        assert not any(host.holder for host in world.book.hosts.values())

    run(overtaken())


def test_cancelling_commits_what_is_complete_and_gives_hosts_back() -> None:
    world = World(tree(60), **FAST)
    settings = EngineSettings(batch_s=60.0)

    async def cancelled() -> None:
        job = asyncio.create_task(world.crawl(settings=settings).run())
        await asyncio.sleep(0.55)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert world.clock.elapsed() < 1.6

    run(cancelled())
    finished = {url for at, url in world.site.log if at < 0.44}
    assert finished <= done(world)
    assert not any(host.holder for host in world.book.hosts.values())


def test_cancelled_after_the_claim_was_taken_it_ends_quietly() -> None:
    world = World(tree(40), **FAST)
    settings = EngineSettings(batch_s=60.0, batch_visits=1000)  # something is left to commit

    async def cut() -> None:
        crawling = asyncio.create_task(world.crawl(settings=settings).run())
        while len(world.site.fetched()) < 5:
            await world.clock.sleep(0.1)
        world.run.claim()
        crawling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await crawling

    with structlog.testing.capture_logs() as said:
        run(cut())
    assert "not ours to commit" in str(said)
    assert "warning" not in str(said)


def test_a_store_that_hangs_does_not_keep_a_cancelled_crawl() -> None:
    world = World(tree(60), **FAST)

    async def hanging(name: str) -> None:
        if name == "commit: before":
            await asyncio.sleep(3600)

    async def cancelled() -> None:
        job = asyncio.create_task(world.crawl(world.run.claim(step=hanging)).run())
        await asyncio.sleep(3)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert world.clock.elapsed() < 4.1

    run(cancelled())


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OutcomeUnknown("lost")])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_that_fails_is_waited_for(error: Exception, when: str) -> None:
    world = World(tree(40), **FAST)
    down_s = 30.0

    async def outage(name: str) -> None:
        if 1.0 <= world.clock.elapsed() < 1.0 + down_s and name != f"commit: {when}":
            return
        if 1.0 <= world.clock.elapsed() < 1.0 + down_s:
            raise error

    run(world.crawl(world.run.claim(step=outage)).run())
    assert done(world) == set(tree(40))
    assert Counter(world.site.fetched()) == Counter(list(tree(40)))
    assert set(world.run.completions.values()) == {1}
    during = [at for at, _ in world.site.log if 2.5 < at < 1.0 + down_s - 5]
    assert not during  # nothing is fetched that may have to be fetched again
    assert any("takes no commits" in live.waiting for live in world.lives)


def test_the_whole_store_may_go_and_come_back() -> None:
    world = World(tree(40), **FAST)

    async def outage(_: str) -> None:
        if 0.5 <= world.clock.elapsed() < 20.0 or world.clock.elapsed() < 0.1:
            raise StoreUnavailable("down")

    run(world.crawl(world.run.claim(step=outage)).run())
    assert done(world) == set(tree(40))


def test_a_page_that_breaks_the_parser_fails_alone() -> None:
    site = tree(4)
    site[f"{A}/2"] = Page(f"{A}/2", 200, b"{", "text/html")
    world = World(site, **FAST)
    run(world.crawl().run())
    (failed,) = (row for row in world.run.rows.values() if row.state is PageState.FAILED)
    assert failed.reason == "not readable: JSONDecodeError"
    assert world.parsed[-1] is None


def test_live_reports_tell_rate_and_progress() -> None:
    world = World(tree(30))
    run(world.crawl(settings=EngineSettings(report_s=0.3)).run())
    assert world.lives[-1].progress == world.run.progress()
    assert world.lives[-1].active == 0
    assert any(0.5 < live.pages_per_s < 1.5 for live in world.lives)
    assert any(live.waiting.startswith("next in ") for live in world.lives)


def test_redirects_followed_for_a_cookie_are_polite() -> None:
    wall = Page(f"{A}/", 302, location=f"{A}/home", sets_cookie=True)
    pages = {f"{A}/home": page(f"{A}/home", f"{A}/x"), f"{A}/x": page(f"{A}/x")}
    world = World({f"{A}/": wall, **pages}, cookies={"own": "1"})
    run(world.crawl().run())
    assert world.site.fetched()[:2] == [f"{A}/", f"{A}/home"]
    assert shortest_gap(world.site.starts("a.example")) >= 1.0
