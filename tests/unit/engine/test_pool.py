"""Proxies take turns, those that fail are left alone for longer and longer, and crawls wait."""

from __future__ import annotations

import asyncio
import itertools

from crawler.engine.fetch.pool import Health, Pool, after_failure
from tests.unit.engine.virtual import run
from tests.unit.engine.world import World, tree


def test_proxies_take_turns() -> None:
    pool = Pool(3, sticky=False)
    assert [pool.pick("a.example", 0.0) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_a_host_keeps_its_proxy_until_that_is_banned() -> None:
    pool = Pool(5, sticky=True)
    hosts = [f"h{n}.example" for n in range(50)]
    first = {host: pool.pick(host, 0.0) for host in hosts}
    assert {host: pool.pick(host, 9.0) for host in hosts} == first
    assert len(set(first.values())) == 5
    lost = first["h0.example"]
    assert lost is not None
    for _ in range(3):
        pool.failed(lost, 10.0)
    now = {host: pool.pick(host, 11.0) for host in hosts}
    assert lost not in now.values()
    assert all(now[host] == first[host] for host in hosts if first[host] != lost)
    assert pool.pick("h0.example", 40.0) == lost


def test_three_failures_in_a_row_are_a_ban_and_a_success_forgives() -> None:
    pool = Pool(1, sticky=False)
    for _ in range(5):
        assert not pool.failed(0, 0.0)
        assert not pool.failed(0, 0.0)
        pool.succeeded(0)
    assert [pool.failed(0, 1.0) for _ in range(3)] == [False, False, True]
    assert pool.pick("a.example", 30.9) is None
    assert pool.free_at() == 31.0
    assert pool.pick("a.example", 31.0) == 0


def test_each_ban_is_twice_as_long_up_to_an_hour() -> None:
    health, now, bans = Health(2), 0.0, []
    for _ in range(10):
        health = after_failure(health, now)
        bans.append(health.banned_until - now)
        now = health.banned_until
    assert bans[:3] == [30.0, 60.0, 120.0]
    assert all(later == min(2 * sooner, 3600.0) for sooner, later in itertools.pairwise(bans))
    assert bans[-1] == 3600.0


def test_a_crawl_whose_proxies_are_all_banned_waits_and_says_so() -> None:
    world = World(tree(3), robotstxt_obey=False)
    world.site.blocked = (20.0, "every proxy of the pool p is banned for its failures")
    assert run(world.crawl().run()) == "finished"
    assert world.site.starts("a.example")[0] >= 20.0
    assert any(live.waiting.endswith("because " + world.site.blocked[1]) for live in world.lives)


def test_a_crawl_whose_proxies_are_banned_does_not_keep_others_from_the_host() -> None:
    banned, free = World(tree(3), robotstxt_obey=False), World(tree(20), robotstxt_obey=False)
    free.book, free.holders = banned.book, 100
    banned.site.blocked = (300.0, "every proxy of the pool p is banned for its failures")

    async def both() -> float:
        waiting = asyncio.create_task(banned.crawl().run())
        await free.crawl().run()
        seconds = free.clock.elapsed()
        await waiting
        return seconds

    assert run(both()) < 30.0
    assert banned.site.starts("a.example")[0] >= 300.0
