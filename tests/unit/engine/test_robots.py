"""robots.txt by RFC 9309."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from crawler.engine.fetch import Page, Robots, Rules, product_token
from crawler.engine.fetch.robots import MAX_BYTES
from crawler.errors import FetchFailed
from tests.unit.engine.site import Answer, Site, page, redirect, status
from tests.unit.engine.virtual import VirtualClock, run
from tests.unit.engine.world import A, World, shortest_gap, text

ROBOTS = f"{A}/robots.txt"


def at_once(_: str) -> float:
    """Nothing is to be waited for between two requests."""
    return 0.0


def asked(answers: dict[str, Answer | list[Answer]], times: int = 1) -> tuple[Rules, Site]:
    """The rules after asking ``times`` times, each when the last answer has run out."""

    async def ask() -> tuple[Rules, Site]:
        clock = VirtualClock()
        site = Site(clock, answers)
        robots = Robots(site, "crawler-cluster/0.1", 2, clock)
        rules = await robots.load(f"{A}/x", at_once)
        for _ in range(times - 1):
            assert robots.known(f"{A}/y") is rules
            await clock.sleep(rules.until - clock.elapsed())
            assert robots.known(f"{A}/y") is None
            rules = await robots.load(f"{A}/x", at_once)
        return rules, site

    return run(ask())


def rules_of(content: str) -> Rules:
    return asked({ROBOTS: text(ROBOTS, content)})[0]


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("crawler-cluster/0.1", "crawler-cluster"),
        ("Mozilla/5.0 (compatible; Foobot/2.1; +https://foo.example)", "Foobot"),
        ("my_bot", "my_bot"),
    ],
)
def test_product_tokens(agent: str, token: str) -> None:
    assert product_token(agent) == token


def test_groups_wildcards_and_the_longest_match() -> None:
    rules = rules_of(
        "\ufeffUser-agent: *\nDisallow: /\n\n"
        "User-agent: crawler-cluster\nDisallow: /a\nAllow: /a/b\nDisallow: /*.pdf$\n"
    )
    assert rules.allows(f"{A}/")
    assert not rules.allows(f"{A}/a/c")
    assert rules.allows(f"{A}/a/b/c")
    assert not rules.allows(f"{A}/x.pdf")
    assert rules.allows(f"{A}/x.pdfs")


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_unavailable_allows_everything(code: int) -> None:
    rules, _ = asked({ROBOTS: status(ROBOTS, code)})
    assert rules.allows(f"{A}/x")
    assert rules.failure is None


@pytest.mark.threat(18)
@pytest.mark.parametrize(
    "answer",
    [status(ROBOTS, 500), status(ROBOTS, 503), status(ROBOTS, 429), FetchFailed("t", retry=True)],
)
def test_unreachable_forbids_everything_and_is_asked_again(answer: Any) -> None:
    first, _ = asked({ROBOTS: answer})
    assert not first.allows(f"{A}/x")
    assert not first.final
    third, site = asked({ROBOTS: answer}, times=3)
    assert third.final
    assert [at for at, _ in site.log] == pytest.approx([0.0, 5.1, 15.2])
    back, _ = asked({ROBOTS: [answer, status(ROBOTS, 404)]}, times=2)
    assert back.allows(f"{A}/x")


def test_retry_after_of_robots_is_kept() -> None:
    _, site = asked({ROBOTS: status(ROBOTS, 503, 100.0)}, times=2)
    assert site.log[1][0] >= 100


def test_an_address_that_is_refused_is_not_asked_again() -> None:
    rules, _ = asked({ROBOTS: FetchFailed("address refused", retry=False)})
    assert rules.final
    assert rules.failure is not None
    assert rules.failure.reason == "address refused"


@pytest.mark.threat(18)
def test_redirects_are_followed_five_times() -> None:
    def chain(hops: int) -> dict[str, Answer | list[Answer]]:
        urls = [ROBOTS, *(f"https://r{n}.example/robots.txt" for n in range(hops))]
        site: dict[str, Answer | list[Answer]] = {
            url: redirect(url, target) for url, target in pairwise(urls)
        }
        site[urls[-1]] = text(urls[-1], "User-agent: *\nDisallow: /")
        return site

    assert not asked(chain(5))[0].allows(f"{A}/x")
    assert asked(chain(6))[0].allows(f"{A}/x")


@pytest.mark.parametrize("settings", [{"download_delay": 2.0}, {"limits": [{"per": 3.0}]}])
def test_redirects_of_robots_are_polite(settings: dict[str, Any]) -> None:
    site = {
        ROBOTS: redirect(ROBOTS, f"{A}/r"),
        f"{A}/r": text(f"{A}/r", ""),
        f"{A}/": page(f"{A}/"),
    }

    async def starts() -> list[float]:
        world = World(site, **settings)
        await world.crawl().run()
        return world.site.starts("a.example")

    times = run(starts())
    assert len(times) == 3
    assert shortest_gap(times) >= settings.get("download_delay", 3.0) - 1e-6


def test_a_host_that_many_robots_are_redirected_to_is_not_asked_more_often() -> None:
    common = "https://common.example"
    rules = f"{common}/robots.txt"
    hosts = [f"https://h{n}.example" for n in range(5)]
    site: dict[str, Answer | list[Answer]] = {
        rules: text(rules, "User-agent: *\nDisallow: /no"),
        **{f"{host}/robots.txt": redirect(f"{host}/robots.txt", rules) for host in hosts},
        **{f"{host}/": page(f"{host}/", f"{host}/no") for host in (*hosts, common)},
    }

    async def starts() -> list[float]:
        world = World(site, start_urls=[f"{host}/" for host in (common, *hosts)])
        await world.crawl().run()
        return world.site.starts("common.example")

    times = run(starts())
    assert len(times) == len(hosts) + 2
    assert shortest_gap(times) >= 1.0 - 1e-6


@pytest.mark.threat(18)
@pytest.mark.parametrize(
    ("content", "delay"),
    [
        ("User-agent: *\nCrawl-delay: 2.5", 2.5),
        ("User-agent: *\nCrawl-delay: 86400", 60.0),
        ("User-agent: *\nCrawl-delay: nan", 0.0),
        ("User-agent: *\nCrawl-delay: -1", 0.0),
        ("User-agent: *\nRequest-rate: 1/5", 5.0),
        ("User-agent: other\nCrawl-delay: 9", 0.0),
    ],
)
def test_delays_are_capped(content: str, delay: float) -> None:
    assert rules_of(content).delay_s == delay


@pytest.mark.threat(18)
def test_what_is_cut_off_does_not_become_another_rule() -> None:
    body = b"User-agent: *\n" + b"#" * (MAX_BYTES - 50) + b"\nDisallow: /a"
    body += b"/" * (MAX_BYTES - len(body))
    rules, _ = asked({ROBOTS: Page(ROBOTS, 200, body)})
    assert rules.allows(f"{A}/a/")


@pytest.mark.threat(18)
def test_rules_last_a_day_and_are_bounded_in_number() -> None:
    async def many() -> None:
        clock = VirtualClock()
        robots = Robots(Site(clock, {}, latency_s=0.0), "x", 2, clock)
        for n in range(2100):
            await robots.load(f"https://h{n}.example/", at_once)
        assert robots.known("https://h0.example/") is None
        assert robots.known("https://h2099.example/") is not None
        await clock.sleep(24 * 3600)
        assert robots.known("https://h2099.example/") is None

    run(many())
