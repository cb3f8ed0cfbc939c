"""What comes out of the store comes once, although commits land while the store looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from crawler.engine.lanes import Lanes
from crawler.engine.settings import EngineSettings
from crawler.engine.supply import Supply
from crawler.engine.urls import fingerprint, host_of
from crawler.model import PageState, Progress, Request, Visit
from crawler.store.contract import Window
from tests.fakes.frontier import MemoryFrontier
from tests.unit.engine.virtual import VirtualClock, run
from tests.unit.engine.world import FAST, A, World, definition, done, tree


class SlowReader:
    """A frontier that looks at once, skips late, and answers later still."""

    def __init__(self, frontier: MemoryFrontier, clock: VirtualClock) -> None:
        self._frontier = frontier
        self._clock = clock

    async def seed(self, requests: Sequence[Request]) -> Progress:
        return await self._frontier.seed(requests)

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        seen = await self._frontier.window(1000, 1000, frozenset())
        await self._clock.sleep(0.7)
        rest = [each for each in seen.requests if each.fingerprint not in skip]
        return Window(tuple(rest[: min(limit, per_host)]), seen.next_in_s)

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        return await self._frontier.commit(visits)

    async def targets(self, fingerprints: Sequence[bytes]) -> Sequence[str]:
        return await self._frontier.targets(fingerprints)

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        return await self._frontier.finish(reason, limit=limit)


def test_a_commit_during_a_look_makes_no_page_come_twice() -> None:
    world = World(tree(100), **FAST)
    frontier: Any = SlowReader(world.run.claim(), world.clock)
    settings = EngineSettings(batch_s=0.25)  # a batch is never the last of what is under way
    assert run(world.crawl(frontier, settings=settings).run()) == "finished"
    assert done(world) == set(tree(100))
    assert Counter(world.site.fetched()) == Counter(list(tree(100)))


def request(url: str) -> Request:
    return Request(fingerprint("GET", url), url, host_of(url))


class Interrupted:
    """Answers with nothing, after ``visits`` were committed meanwhile."""

    def __init__(self, *visits: Visit) -> None:
        self.visits = visits
        self.supply: Supply | None = None

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        assert self.supply is not None
        self.supply.committed(self.visits)
        return Window((), None)


def supplied(visit: Visit, **settings: Any) -> tuple[Supply, VirtualClock]:
    frontier: Any = Interrupted(visit)
    clock = VirtualClock()
    supply = Supply(definition(**settings), frontier, Lanes(1, 1.0), clock, lambda _: None)
    frontier.supply = supply
    return supply, clock


def test_links_committed_during_a_look_are_looked_for() -> None:
    async def hungry() -> bool:
        page = request(f"{A}/")
        supply, clock = supplied(Visit(page, PageState.DONE, links=(request(f"{A}/1"),)))
        await supply.refill()
        return supply.hungry(clock.elapsed(), drained=False)

    assert run(hungry())


def test_a_retry_committed_during_a_look_is_remembered() -> None:
    async def next_at() -> float:
        supply, _ = supplied(Visit(request(f"{A}/"), PageState.PENDING, retry_after_s=7.0))
        await supply.refill()
        return supply.next_at

    assert run(next_at()) == 7.0


@pytest.mark.parametrize("partitions", [1, 2])
def test_what_other_parts_found_is_looked_for_while_there_is_work(partitions: int) -> None:
    async def hungry() -> bool:
        visit = Visit(request(f"{A}/"), PageState.DONE)
        supply, clock = supplied(visit, partitions=partitions)
        await supply.refill()
        assert not supply.hungry(clock.elapsed(), drained=False)
        await clock.sleep(6.0)
        return supply.hungry(clock.elapsed(), drained=False)

    assert run(hungry()) is (partitions > 1)
