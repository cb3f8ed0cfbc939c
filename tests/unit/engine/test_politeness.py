"""Limits, latency and addresses slow a crawl down, whoever crawls, and say that they do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from crawler.engine.fetch import Page
from crawler.engine.lanes import Lane, Lanes
from crawler.engine.settings import EngineSettings
from crawler.engine.throttle import AutoThrottle, HostPace, Limit, Turn, next_start
from crawler.errors import FetchFailed
from crawler.model import HostGrant
from tests.fakes.turns import MemoryTurns
from tests.unit.engine.cuts import Killed
from tests.unit.engine.site import Answer, page, status
from tests.unit.engine.test_links import request
from tests.unit.engine.virtual import run
from tests.unit.engine.world import A, World, done, shortest_gap, tree

EPSILON = 1e-6
HOST = "a.example"


def exceeded(starts: list[float], limit: Limit) -> bool:
    """Whether in some span of time more was sent than a token bucket lets through."""
    return any(
        last - first + 1 > limit.burst + (starts[last] - starts[first]) / limit.interval_s + EPSILON
        for first in range(len(starts))
        for last in range(first, len(starts))
    )


def test_the_strictest_limit_is_named() -> None:
    pace = HostPace(
        turn=Turn(0.0, 110.0),
        last_start=99.0,
        download_delay_s=0.5,
        limits=(Limit(10, 1.0, 10), Limit(1, 2.0)),
        full_at=(99.1, 101.0),
    )
    wait = next_start(pace, 100.0)
    assert (wait.at, wait.reason) == (101.0, "limits[1]: 1 per 2 s")
    assert wait.sentence(100.0) == "next in 1.0 s, because limits[1]: 1 per 2 s"
    assert pace.earliest == 101.0


def test_no_delay_is_due_for_what_comes_out_of_a_cache() -> None:
    """And what it took to come tells nothing of the host."""
    urls = [f"{A}/{n}" for n in range(20)]
    site = {url: replace(page(url), kept=n % 5 > 0) for n, url in enumerate(urls)}
    world = World(
        {f"{A}/": page(f"{A}/", *urls), **site},
        download_delay=10.0,
        limits=[{"events": 1, "per": 10, "burst": 1}],
        autothrottle_enabled=True,
        autothrottle_start_delay=20.0,
        robotstxt_obey=False,
    )
    run(world.crawl().run())
    assert done(world) == {f"{A}/", *urls}
    asked = [at for at, url in world.site.log if not (url in site and site[url].kept)]
    assert len(asked) == 5
    assert shortest_gap(asked) >= 10.0 - EPSILON
    assert world.site.log[-1][0] < 6 * 20.0


def test_a_request_since_is_not_excused() -> None:
    lanes = Lanes(2, 1.0)
    lanes.add([request(f"{A}/1"), request(f"{A}/2")], 0.0)
    lane = lanes.get(HOST)
    assert lane is not None
    before = lane.pace
    lanes.start(lane, 5.0)
    lanes.start(lane, 6.0)
    lanes.excuse(lane, before, 6.5)
    assert lane.pace.earliest == 7.0


def test_a_crawl_keeps_all_of_its_limits() -> None:
    world = World(
        tree(12),
        download_delay=0.0,
        limits=[{"events": 1, "per": 2, "burst": 3}, {"events": 5, "per": 60.0, "burst": 5}],
    )
    run(world.crawl().run())
    starts = world.site.starts(HOST)
    assert len(starts) == 13  # robots.txt counts
    assert not exceeded(starts, Limit(1, 2.0, 3))
    assert not exceeded(starts, Limit(5, 60.0, 5))
    assert starts[2] < 1.0, "a burst is allowed on a host that nobody has asked before"
    assert any("because limits[1]: 5 per 60 s" in live.waiting for live in world.lives)


def test_a_crawl_does_not_blame_others_for_what_it_told_the_store_itself() -> None:
    class Slow(MemoryTurns):
        async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
            await asyncio.sleep(0.05)
            grants = await super().reserve(hosts)
            await asyncio.sleep(0.05)
            return grants

    world = World(tree(6), limits=[{"per": 4.0}])
    run(world.crawl(turns=Slow(world.book, "one")).run())
    reasons = {live.waiting.partition("because ")[2] for live in world.lives}
    assert "limits[0]: 1 per 4 s" in reasons
    assert not any("another crawl" in reason for reason in reasons)


def test_crawls_that_share_a_host_do_not_exceed_a_limit_together() -> None:
    settings: dict[str, Any] = {
        "download_delay": 0.0,
        "robotstxt_obey": False,
        "limits": [{"events": 2, "per": 1.0, "burst": 6}],
    }
    left, right = World(tree(40), **settings), World(tree(40), **settings)
    right.book, right.site, right.holders = left.book, left.site, 100

    async def both() -> None:
        await asyncio.gather(left.crawl().run(), right.crawl().run())

    run(both())
    assert done(left) == done(right) == set(tree(40))
    assert not exceeded(left.site.starts(HOST), Limit(2, 1.0, 6))


@pytest.mark.parametrize("quiet_s", [0.0, 4.0, 30.0])
@pytest.mark.parametrize(
    "settings",
    [
        {"download_delay": 0.0, "limits": [{"events": 1, "per": 3.0, "burst": 4}]},
        {"download_delay": 7.0},
    ],
)
def test_a_worker_that_dies_in_its_turn_leaves_no_room_for_more(
    settings: dict[str, Any], quiet_s: float
) -> None:
    """Its successor has the turn by the same name, and knows nothing of what was sent in it."""
    world = World(tree(30), **settings)

    async def killed(after: int) -> None:
        turns = world.book.budgets("part 0")
        count = 0

        async def step(_: str) -> None:
            nonlocal count
            count += 1
            if count == after:
                turns.dead = True
                raise Killed

        world.site.step = step
        crawl = world.crawl(world.run.claim(step=step), turns=turns)
        await asyncio.gather(crawl.run(), return_exceptions=True)

    async def relay() -> None:
        for after in range(3, 20):
            await killed(after)
            await asyncio.sleep(quiet_s)

    run(relay())
    starts = world.site.starts(HOST)
    assert len(starts) > 17
    if "limits" in settings:
        assert not exceeded(starts, Limit(1, 3.0, 4))
    else:
        assert shortest_gap(starts) >= 7.0 - EPSILON


def test_a_redirect_that_is_followed_at_once_takes_a_token() -> None:
    wall = Page(f"{A}/", 302, location=f"{A}/home", sets_cookie=True)
    links = [f"{A}/{n}" for n in range(4)]
    world = World(
        {f"{A}/": wall, f"{A}/home": page(f"{A}/home", *links)},
        cookies={"own": "1"},
        robotstxt_obey=False,
        download_delay=0.0,
        concurrent_requests_per_domain=4,
        limits=[{"events": 1, "per": 5.0, "burst": 2}],
    )
    run(world.crawl().run())
    starts = world.site.starts(HOST)
    assert len(starts) == 7  # what a redirect led to is a page of its own
    assert not exceeded(starts, Limit(1, 5.0, 2))


def test_a_random_delay_is_never_shorter_than_the_delay() -> None:
    world = World(tree(40), randomize_download_delay=True, robotstxt_obey=False)
    run(world.crawl(chance=random.Random(3)).run())
    gaps = [later - sooner for sooner, later in pairwise(world.site.starts(HOST))]
    assert min(gaps) >= 1.0
    assert max(gaps) <= 1.5 + EPSILON
    assert max(gaps) - min(gaps) > 0.2


@pytest.mark.parametrize(
    ("delay_s", "latency_s", "good", "expected"),
    [
        (5.0, 1.0, True, 3.0),  # half of the way down
        (1.0, 4.0, True, 4.0),  # up at once
        (5.0, 0.1, False, 5.0),  # an error is quickly said
        (1.0, 4.0, False, 4.0),
        (0.7, 0.0, True, 0.5),  # not below download_delay
        (9.0, 99.0, True, 20.0),  # not above autothrottle_max_delay
    ],
)
def test_the_delay_follows_the_latency(
    delay_s: float, latency_s: float, good: bool, expected: float
) -> None:
    rule = AutoThrottle(5.0, least_s=0.5, most_s=20.0)
    assert rule.adapted(delay_s, latency_s, good=good) == pytest.approx(expected)


def test_more_concurrency_is_a_shorter_delay_and_download_delay_beats_the_maximum() -> None:
    assert AutoThrottle(5.0, 0.0, 60.0, concurrency=4.0).adapted(1.0, 8.0, good=True) == 2.0
    assert AutoThrottle(5.0, 9.0, 3.0).clamped(5.0) == 9.0


def test_autothrottle_slows_down_as_the_host_does_and_says_so() -> None:
    world = World(tree(40), autothrottle_enabled=True, download_delay=0.2, robotstxt_obey=False)
    world.site.latency_s = 0.5

    async def slower() -> None:
        crawl = asyncio.create_task(world.crawl().run())
        await asyncio.sleep(15.0)
        world.site.latency_s = 3.0
        await crawl

    run(slower())
    gaps = [later - sooner for sooner, later in pairwise(world.site.starts(HOST))]
    assert gaps[0] >= 2.75  # half of the way from 5 s to the latency
    assert min(gaps) == pytest.approx(0.5, abs=0.1)
    assert gaps[-1] >= 3.0
    assert any("because autothrottle" in live.waiting for live in world.lives)


def test_errors_do_not_make_autothrottle_faster() -> None:
    pages = {f"{A}/": page(f"{A}/", *(f"{A}/{n}" for n in range(8)))}
    missing = {f"{A}/{n}": status(f"{A}/{n}", 404) for n in range(8)}
    world = World({**pages, **missing}, autothrottle_enabled=True, robotstxt_obey=False)
    run(world.crawl().run())
    gaps = [later - sooner for sooner, later in pairwise(world.site.starts(HOST))]
    assert min(gaps) >= 2.55


class Hosts:
    """Lanes of many hosts, all with a turn."""

    def __init__(self, per_address: int, *names: str) -> None:
        self.lanes = Lanes(4, 0.0, per_address=per_address)
        self.lanes.add([request(f"https://{name}/{n}") for name in names for n in range(4)], 0.0)
        for lane in self.lanes:
            self.lanes.grant(lane, Turn(0.0, 100.0), 0.0)

    def __getitem__(self, name: str) -> Lane:
        lane = self.lanes.get(name)
        assert lane is not None
        return lane

    def start_all(self, now: float) -> list[str]:
        started = []
        while (lane := self.lanes.ready(now)) is not None:
            self.lanes.take(lane)
            self.lanes.start(lane, now)
            started.append(lane.host)
        return started


def test_hosts_at_one_address_share_what_it_may_have() -> None:
    hosts = Hosts(2, "x.example", "y.example", "z.example")
    for name in ("x.example", "y.example"):
        hosts.lanes.locate(hosts[name], "192.0.2.1")
    hosts.lanes.locate(hosts["z.example"], "192.0.2.2")
    started = hosts.start_all(1.0)
    assert len([name for name in started if name != "z.example"]) == 2
    assert started.count("z.example") == 2
    assert "concurrent_requests_per_ip" in hosts["x.example"].wait.reason
    for _ in range(12):
        for lane in list(hosts.lanes):
            if lane.pace.active:
                hosts.lanes.end(lane, 2.0)
                more = hosts.start_all(2.0)
                assert len(more) <= 1
    assert hosts.lanes.waiting == 0
    assert hosts.lanes.active == 0


def test_requests_under_way_count_at_the_address_that_an_answer_came_from() -> None:
    hosts = Hosts(1, "x.example", "y.example")
    assert len(hosts.start_all(1.0)) == 8  # nobody knows where they are
    for name in ("x.example", "y.example"):
        hosts.lanes.locate(hosts[name], "192.0.2.1")
        hosts.lanes.add([request(f"https://{name}/more")], 1.0)
    for name in ("x.example", "y.example"):
        for _ in range(4):
            assert hosts.start_all(2.0) == []
            hosts.lanes.end(hosts[name], 2.0)
    assert len(hosts.start_all(3.0)) == 1


def test_a_crawl_with_names_for_one_address_asks_it_one_by_one() -> None:
    names = [f"h{n}.example" for n in range(5)]
    site: dict[str, Any] = {}
    for name in names:
        start = f"https://{name}/"
        site[start] = page(start, *(f"{start}{n}" for n in range(3)))
        site.update({f"{start}{n}": page(f"{start}{n}") for n in range(3)})
    world = World(
        site,
        start_urls=[f"https://{name}/" for name in names],
        concurrent_requests_per_ip=1,
        download_delay=0.0,
    )
    world.site.addresses = dict.fromkeys(names, "192.0.2.1")
    run(world.crawl().run())
    assert len(done(world)) == 20
    starts = sorted(at for at, url in world.site.log if not url.endswith("robots.txt"))
    assert shortest_gap(starts) >= world.site.latency_s - EPSILON


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        ("/robots.txt", FetchFailed("connection failed", retry=True), "robots.txt: connection"),
        ("/robots.txt", status(f"{A}/robots.txt", 503), "robots.txt unavailable"),
        ("/1", status(f"{A}/1", 503), "http 503"),
        ("/1", status(f"{A}/1", 503, 30.0), "Retry-After"),
    ],
)
def test_a_host_that_is_left_alone_is_said_to_ask_for_it_only_where_it_does(
    path: str, answer: Answer, why: str
) -> None:
    world = World({**tree(6), f"{A}{path}": answer})
    run(world.crawl(settings=EngineSettings(report_s=0.3)).run())
    reasons = {live.waiting.partition("because ")[2] for live in world.lives}
    assert any(reason.startswith(why) for reason in reasons)
    assert why == "Retry-After" or "Retry-After" not in reasons


def test_live_reports_say_for_each_host_why_it_waits() -> None:
    site = tree(6)
    other = "https://b.example/"
    site[other] = page(other, *(f"{other}{n}" for n in range(9)))
    world = World(site, start_urls=[f"{A}/", other], robotstxt_obey=False)
    run(world.crawl(settings=EngineSettings(report_s=0.3)).run())
    told = {wait.host: wait for live in world.lives for wait in live.hosts if wait.reason}
    assert set(told) == {"a.example", "b.example"}
    assert all(wait.reason.endswith("because download_delay") for wait in told.values())
    longest = [live.hosts[0] for live in world.lives if live.hosts]
    assert any(wait.host == "b.example" and wait.queued > 4 for wait in longest)
