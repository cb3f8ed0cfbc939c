"""A crawl that is cut at any step is finished by the next one: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from crawler import failpoint
from crawler.errors import FetchFailed, OutcomeUnknown, StoreUnavailable
from crawler.model import PageState
from tests.fakes.turns import MemoryTurns
from tests.unit.engine.cuts import Cut, Killed
from tests.unit.engine.site import Answer, page, redirect, status
from tests.unit.engine.virtual import run
from tests.unit.engine.world import A, World, text, tree


def site() -> dict[str, Answer | list[Answer]]:
    """Pages, a redirect, a page that fails once, one that always does, and one that is refused."""
    pages = tree(14)
    pages[f"{A}/"] = page(
        f"{A}/", *(f"{A}/{name}" for name in ("1", "2", "old", "bad", "shaky", "secret"))
    )
    pages[f"{A}/old"] = redirect(f"{A}/old", f"{A}/3")
    pages[f"{A}/bad"] = status(f"{A}/bad", 500)
    shaky = page(f"{A}/shaky", f"{A}/13", items=[{"id": "shaky"}])
    pages[f"{A}/shaky"] = [FetchFailed("timeout", retry=True), shaky]
    pages[f"{A}/robots.txt"] = text(f"{A}/robots.txt", "User-agent: *\nDisallow: /secret")
    return pages


DONE = {f"{A}/", f"{A}/old", f"{A}/shaky", *(f"{A}/{i}" for i in range(1, 14))}
ITEMS = Counter({"shaky": 1, **{f"{i}.{k}": 1 for i in range(1, 14) for k in range(2)}})


def world() -> World:
    return World(site(), download_delay=0.0, concurrent_requests_per_domain=4, retry_times=1)


def crawl_cut(world: World, cut: Cut, turns: MemoryTurns) -> asyncio.Task[str]:
    world.site.step = cut.step
    crawl = world.crawl(world.run.claim(step=cut.step), turns=turns)
    return asyncio.create_task(crawl.run())


async def killed_at(world: World, at: int) -> int:
    """Crawl until killed at a step; how many steps there were."""
    turns = world.book.budgets(f"killed at {at}")

    def kill() -> None:
        turns.dead = True
        raise Killed

    cut = Cut(at, kill)
    await asyncio.gather(crawl_cut(world, cut, turns), return_exceptions=True)
    world.site.step = Cut(0, lambda: None).step
    return cut.count


async def cancelled_at(world: World, at: int) -> int:
    """Crawl until cancelled at a step."""
    task: asyncio.Task[str] | None = None

    def cancel() -> None:
        assert task is not None
        task.cancel()

    cut = Cut(at, cancel)
    task = crawl_cut(world, cut, world.book.budgets(f"cancelled at {at}"))
    await asyncio.gather(task, return_exceptions=True)
    return cut.count


def verify(world: World) -> None:
    assert world.run.urls(PageState.DONE) == DONE
    assert world.run.urls(PageState.FAILED) == {f"{A}/bad"}
    assert world.run.urls(PageState.EXCLUDED) == {f"{A}/secret"}
    assert world.items() == ITEMS
    assert set(world.run.completions.values()) == {1}
    progress = world.run.progress()
    assert progress.known == progress.done + progress.failed + progress.excluded
    assert progress.finished == "finished"


def test_uncut_the_site_is_crawled() -> None:
    fresh = world()
    assert run(killed_at(fresh, 0)) > 60
    verify(fresh)


@pytest.mark.parametrize("cut_at", [killed_at, cancelled_at])
def test_cut_at_every_step_and_resumed(cut_at: Callable[..., object]) -> None:
    total = run(killed_at(world(), 0))

    async def scenario(at: int) -> None:
        cut = world()
        await (killed_at if cut_at is killed_at else cancelled_at)(cut, at)
        assert await cut.crawl().run() == "finished"
        verify(cut)

    for at in range(1, total + 1):
        run(scenario(at))


def test_cut_again_and_again() -> None:
    chance = random.Random(7)

    async def scenario() -> None:
        cut = world()
        for _ in range(6):
            await chance.choice((killed_at, cancelled_at))(cut, chance.randint(1, 40))
        await cut.crawl().run()
        verify(cut)

    for _ in range(25):
        run(scenario())


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OutcomeUnknown("lost")])
def test_the_store_fails_at_every_step(error: Exception) -> None:
    total = run(killed_at(world(), 0))

    async def scenario(at: int) -> None:
        shaken = world()
        steps = 0

        async def step(_: str) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                raise error

        assert await shaken.crawl(shaken.run.claim(step=step)).run() == "finished"
        verify(shaken)

    for at in range(1, total + 1):
        run(scenario(at))


@pytest.mark.parametrize("place", ["engine.before_commit", "engine.after_commit"])
def test_failpoints_cut_the_commit(place: str) -> None:
    failpoint.arm(f"{place}=fail@2")
    try:
        shaken = world()
        assert run(shaken.crawl().run()) == "finished"
        verify(shaken)
    finally:
        failpoint.arm("")
