"""Turns on hosts: one holder at a time, nobody starved, politeness survives its holder."""

from __future__ import annotations

import math

import pytest

from crawler.model import HostGrant
from crawler.store.contract import Budgets, Store
from crawler.store.turns import HOLD_S
from tests.contract.backends import EVERYWHERE, Opener
from tests.contract.rows import SetClock

pytestmark = EVERYWHERE

HOST = "shop.example"


async def ask(budgets: Budgets, wait_s: float = 0.0) -> HostGrant:
    return (await budgets.reserve({HOST: wait_s}))[HOST]


async def test_turns_are_exclusive(store: Store, open_another: Opener) -> None:
    mine, other = store.budgets("a"), (await open_another()).budgets("b")
    grant = await ask(mine)
    assert grant.held
    assert grant.left_s > 0.0
    assert not grant.wanted
    refused = await ask(other)
    assert not refused.held
    assert 0.0 < refused.left_s <= grant.left_s


async def test_hosts_are_apart(store: Store) -> None:
    grants = await store.budgets("a").reserve({"x": 0.0, "y": 0.0})
    assert all(grant.held for grant in grants.values())
    grants = await store.budgets("b").reserve({"x": 0.0, "z": 0.0})
    assert {host: grant.held for host, grant in grants.items()} == {"x": False, "z": True}
    assert await store.budgets("b").reserve({}) == {}


async def test_renewing_keeps_the_turn(store: Store, clock: SetClock) -> None:
    mine, other = store.budgets("a"), store.budgets("b")
    grant = await ask(mine)
    for _ in range(10):
        clock.now += grant.left_s - 0.1
        grant = await ask(mine)
        assert grant.held
        assert grant.left_s == HOLD_S
        assert not (await ask(other)).held


async def test_a_turn_that_is_not_renewed_ends(store: Store, clock: SetClock) -> None:
    clock.now += (await ask(store.budgets("a"))).left_s
    assert (await ask(store.budgets("b"))).held
    assert not (await ask(store.budgets("a"))).held


async def test_a_holder_learns_that_it_is_waited_for(store: Store, clock: SetClock) -> None:
    mine, other = store.budgets("a"), store.budgets("b")
    await ask(mine)
    await ask(other)
    assert (await ask(mine)).wanted
    clock.now += 4.0
    assert not (await ask(mine)).wanted, "who no longer asks is forgotten"


async def test_the_waiter_comes_before_the_former_holder(store: Store, clock: SetClock) -> None:
    mine, other = store.budgets("a"), store.budgets("b")
    await ask(mine)
    await ask(other)
    await mine.release({HOST: 0.0})
    refused = await ask(mine)
    assert not refused.held
    assert refused.left_s > 0.0
    grant = await ask(other)
    assert grant.held
    assert grant.wanted, "the former holder waits now"


async def test_a_waiter_that_died_holds_nobody_up(store: Store, clock: SetClock) -> None:
    mine = store.budgets("a")
    await ask(mine)
    await ask(store.budgets("dead"))
    await mine.release({HOST: 0.0})
    clock.now += 4.0
    assert (await ask(mine)).held


async def test_who_waits_longest_comes_first(store: Store, clock: SetClock) -> None:
    names = ["a", "b", "c", "d"]
    crawls = {name: store.budgets(name) for name in names}
    for name in names:
        await ask(crawls[name])
        clock.now += 0.1
    order = ["a"]
    for _ in range(7):
        await crawls[order[-1]].release({HOST: 0.0})
        for _ in range(2):
            clock.now += 0.5
            for name in reversed(names):
                if (await ask(crawls[name])).held and order[-1] != name:
                    order.append(name)
    assert order == ["a", "b", "c", "d", "a", "b", "c", "d"]


async def test_who_gives_up_waiting_leaves_the_line(store: Store, clock: SetClock) -> None:
    """And nothing else: whoever comes next learns that the last holder died."""
    await ask(store.budgets("dead"))
    for n in range(9):
        await ask(store.budgets(f"patient {n}"))
    clock.now += 6.0
    for n in range(9):
        await store.budgets(f"patient {n}").release({HOST: 0.0})
    grant = await ask(store.budgets("b"))
    assert (grant.held, grant.wanted, grant.lost) == (True, False, True)


async def test_who_asks_no_more_keeps_no_place_in_the_line(store: Store, clock: SetClock) -> None:
    mine = store.budgets("a")
    await ask(mine)
    for n in range(30):
        await ask(store.budgets(f"dead {n}"))
    clock.now += 14.0
    assert not (await ask(mine)).wanted
    assert (await ask(store.budgets("b"))).left_s <= 0.5


async def test_the_next_request_survives_its_holder(store: Store, clock: SetClock) -> None:
    assert (await ask(store.budgets("a"), 60.0)).wait_s == 60.0
    assert (await ask(store.budgets("a"), 1.0)).wait_s == 60.0
    clock.now += 30
    assert (await ask(store.budgets("b"))).wait_s == 30.0
    await store.budgets("b").release({HOST: 60.0})
    assert (await ask(store.budgets("c"))).wait_s == 60.0
    clock.now += 61
    assert (await ask(store.budgets("d"))).wait_s == 0.0


async def test_what_a_refused_crawl_knows_counts_too(store: Store) -> None:
    await ask(store.budgets("a"))
    await ask(store.budgets("b"), 20.0)
    assert (await ask(store.budgets("a"))).wait_s == 20.0


async def test_a_new_process_under_the_same_name_goes_on(
    store: Store, open_another: Opener
) -> None:
    await ask(store.budgets("a"))
    assert (await ask((await open_another()).budgets("a"))).held


async def test_releasing_what_another_holds_changes_nothing(store: Store) -> None:
    await ask(store.budgets("a"))
    await store.budgets("b").release({HOST: 0.0, "never asked": 0.0})
    assert (await ask(store.budgets("a"))).held
    assert not (await ask(store.budgets("c"))).held


@pytest.mark.parametrize("step_s", [-600.0, -7200.0, -1e9])
async def test_a_clock_that_stepped_back_holds_nobody_up(
    store: Store, clock: SetClock, step_s: float
) -> None:
    await ask(store.budgets("a"))
    await ask(store.budgets("b"))
    clock.now += step_s
    assert (await ask(store.budgets("c"))).held


@pytest.mark.parametrize("step_s", [60, 3600, 7200])
@pytest.mark.parametrize("released", [True, False])
async def test_a_wait_from_before_a_step_back_goes_on_from_now(
    store: Store, clock: SetClock, step_s: float, *, released: bool
) -> None:
    wait_s = 30.0
    await ask(store.budgets("a"), wait_s)
    if released:
        await store.budgets("a").release({HOST: wait_s})
    clock.now -= step_s
    grant = await ask(store.budgets("b"))
    assert grant.held
    assert wait_s - HOLD_S <= grant.wait_s <= wait_s


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
async def test_a_step_of_the_wall_clock_changes_no_turn(
    store: Store, clock: SetClock, step_s: float
) -> None:
    mine, other = store.budgets("a"), store.budgets("b")
    await ask(mine, 30.0)
    clock.ahead_s = step_s
    refused = await ask(other)
    assert (refused.held, refused.wait_s) == (False, 30.0)
    grant = await ask(mine)
    assert (grant.held, grant.left_s, grant.wait_s) == (True, HOLD_S, 30.0)
    await mine.release({HOST: 30.0})
    clock.ahead_s = -step_s
    clock.now += 2
    grant = await ask(other)
    assert (grant.held, grant.wait_s) == (True, 28.0)


@pytest.mark.parametrize("wait_s", [1e300, float("inf")])
async def test_no_request_waits_longer_than_an_hour(store: Store, wait_s: float) -> None:
    assert (await ask(store.budgets("a"), wait_s)).wait_s == 3600.0


async def test_senseless_waits_are_no_knowledge(store: Store) -> None:
    for wait_s in (float("nan"), -1.0, float("-inf")):
        assert (await ask(store.budgets("a"), wait_s)).wait_s == 0.0


async def test_hostile_hosts_are_stored(store: Store) -> None:
    grants = await store.budgets("\0").reserve({"a\0\ud800": 0.0})
    assert grants["a\0\ud800"].held
    assert not (await store.budgets("b").reserve({"a\0\ud800": 0.0}))["a\0\ud800"].held


async def test_a_host_that_nobody_asked_has_always_been_left_alone(store: Store) -> None:
    grant = await ask(store.budgets("a"))
    assert (grant.idle_s, grant.lost) == (math.inf, False)


async def test_the_next_holder_learns_how_long_the_host_was_left_alone(
    store: Store, clock: SetClock
) -> None:
    await ask(store.budgets("a"))
    await store.budgets("a").release({HOST: 2.0})
    grant = await ask(store.budgets("b"))
    assert (grant.wait_s, grant.idle_s, grant.lost) == (2.0, 0.0, False)
    await store.budgets("b").release({HOST: 0.0})
    clock.now += 9
    grant = await ask(store.budgets("c"))
    assert (grant.wait_s, grant.idle_s, grant.lost) == (0.0, 7.0, False)


async def test_a_holder_that_vanished_is_told_of(store: Store, clock: SetClock) -> None:
    await ask(store.budgets("a"))
    again = await ask(store.budgets("a"))
    assert (again.lost, again.idle_s) == (True, 0.0), "another process, for all one knows"
    clock.now += HOLD_S + 3
    grant = await ask(store.budgets("b"))
    assert (grant.held, grant.lost, grant.idle_s) == (True, True, 3.0)


async def test_who_is_refused_does_not_hide_that_the_holder_vanished(
    store: Store, clock: SetClock
) -> None:
    await ask(store.budgets("a"))
    clock.now += HOLD_S - 1
    await ask(store.budgets("b"))
    clock.now += 2
    assert not (await ask(store.budgets("c"))).held
    clock.now += 0.5
    grant = await ask(store.budgets("b"))
    assert (grant.held, grant.lost, grant.idle_s) == (True, True, 1.5)


async def test_one_that_said_it_would_wait_for_longer_has_sent_nothing(
    store: Store, clock: SetClock
) -> None:
    await ask(store.budgets("a"), 60.0)
    clock.now += 30
    grant = await ask(store.budgets("b"))
    assert (grant.wait_s, grant.idle_s, grant.lost) == (30.0, 0.0, False)
