"""Batches are committed in order, one at a time, and not before their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from crawler.engine.commits import Commits
from crawler.engine.settings import EngineSettings
from crawler.errors import StoreUnavailable
from crawler.model import Before, Imprint, PageState, Progress, Visit
from tests.fakes.frontier import MemoryFrontier, MemoryRun, no_step
from tests.unit.engine.test_links import request
from tests.unit.engine.virtual import VirtualClock, run
from tests.unit.engine.world import A


class Book:
    """A frontier with rows 0 to 999, the commits on it, and what they came to."""

    def __init__(self, step: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        self.clock = VirtualClock()
        self.run = MemoryRun(self.clock)
        for n in range(1000):
            self.run.insert(request(f"{A}/{n}"))
        self.batches: list[tuple[float, list[str]]] = []
        frontier = self.run.claim(step=step)
        self.commits = Commits(frontier, EngineSettings(), self.clock, self.note)

    def note(self, visits: Any, _: Any) -> None:
        self.batches.append((self.clock.elapsed(), [visit.request.url for visit in visits]))

    def add(self, *numbers: int) -> None:
        for n in numbers:
            self.commits.add(Visit(request(f"{A}/{n}"), PageState.DONE))


async def quick(_: str) -> None:
    return None


def test_a_batch_waits_half_a_second_for_company() -> None:
    async def scenario() -> None:
        book = Book(quick)
        job = asyncio.create_task(book.commits.run())
        book.add(0)
        await asyncio.sleep(0.3)
        book.add(1)
        await asyncio.sleep(0.3)
        assert [(at, len(urls)) for at, urls in book.batches] == [(0.5, 2)]
        book.add(*range(2, 252))
        await asyncio.sleep(0.1)
        assert [len(urls) for _, urls in book.batches] == [2, 100, 100]
        book.commits.hurry()
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert [len(urls) for _, urls in book.batches] == [2, 100, 100, 50]
        job.cancel()

    run(scenario())


def test_one_commit_is_in_flight_while_others_gather() -> None:
    active = 0

    async def slow(name: str) -> None:
        nonlocal active
        active += 1 if name == "commit: before" else -1
        assert active in (0, 1)
        await asyncio.sleep(1)

    async def scenario() -> None:
        book = Book(slow)
        job = asyncio.create_task(book.commits.run())
        for n in range(300):
            book.add(n)
            await asyncio.sleep(0.02)
        await asyncio.sleep(10)
        order = [url for _, urls in book.batches for url in urls]
        assert order == [f"{A}/{n}" for n in range(300)]
        assert all(len(urls) <= 100 for _, urls in book.batches)
        job.cancel()

    run(scenario())


def test_a_failed_batch_is_repeated_as_it_was() -> None:
    tries = []

    async def failing(name: str) -> None:
        if name == "commit: after":
            tries.append(name)
            if len(tries) < 4:
                raise StoreUnavailable("down")

    async def scenario() -> None:
        book = Book(failing)
        job = asyncio.create_task(book.commits.run())
        book.add(0, 1, 2)
        await asyncio.sleep(0.51)
        assert book.commits.failing == "down"
        book.add(3)
        await asyncio.sleep(10)
        assert [len(urls) for _, urls in book.batches] == [3, 1]
        assert book.commits.failing == ""
        assert len(book.commits) == 0
        job.cancel()

    run(scenario())


def test_a_commit_without_an_answer_counts_as_failing() -> None:
    async def silent(name: str) -> None:
        if name == "commit: before":
            await asyncio.sleep(10)

    async def scenario() -> None:
        book = Book(silent)
        job = asyncio.create_task(book.commits.run())
        book.add(0)
        await asyncio.sleep(2.4)
        assert book.commits.failing == ""
        await asyncio.sleep(0.2)
        assert book.commits.failing == "no answer for 2 s"
        await asyncio.sleep(10)
        assert book.commits.failing == ""
        assert [len(urls) for _, urls in book.batches] == [1]
        job.cancel()

    run(scenario())


def test_flush_commits_what_was_interrupted_first() -> None:
    async def slow(_: str) -> None:
        await asyncio.sleep(1)

    async def scenario() -> None:
        book = Book(slow)
        job = asyncio.create_task(book.commits.run())
        book.add(*range(150))
        await asyncio.sleep(0.5)  # in the middle of the first commit
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        await book.commits.flush()
        assert [len(urls) for _, urls in book.batches] == [100, 50]
        assert set(book.run.completions.values()) == {1}

    run(scenario())


def test_a_batch_is_bounded_by_its_links_too() -> None:
    async def sizes() -> list[int]:
        book = Book(no_step)
        links = tuple(request(f"{A}/x/{n}") for n in range(4_000))
        for n in range(6):
            book.commits.add(Visit(request(f"{A}/{n}"), PageState.DONE, links=links))
        await book.commits.flush()
        assert book.commits.links == 0
        return [len(urls) for _, urls in book.batches]

    assert run(sizes()) == [2, 2, 2]


class Witness(MemoryFrontier):
    """Keeps what it is told of."""

    told: list[list[tuple[PageState, tuple[int, int | None], int]]]

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        self.told.append([(each.state, each.share, len(each.links)) for each in visits])
        return await super().commit(visits)


def test_many_links_come_in_share_by_share_before_their_page_ends() -> None:
    """Of a page that was read, and of one that is unchanged alike."""
    clock = VirtualClock()
    frontier = Witness(MemoryRun(clock), 0, no_step, "")
    frontier.told = []
    known = Before(Imprint(b"x" * 16), 0, "", "", links=25)
    read = Visit(
        request(f"{A}/1"), PageState.DONE, links=tuple(request(f"{A}/{n}") for n in range(25))
    )
    same = Visit(replace(request(f"{A}/2"), before=known), PageState.DONE, unchanged=True)

    async def commit() -> None:
        commits = Commits(frontier, EngineSettings(batch_links=10), clock, lambda *_: None)
        commits.add(read)
        commits.add(same)
        await commits.flush()
        assert commits.links == 0

    run(commit())
    again, done, whole = PageState.PENDING, PageState.DONE, (0, None)
    assert frontier.told == [
        [(again, whole, 10)],
        [(again, whole, 10)],
        [(done, whole, 5)],
        [(again, (0, 10), 0)],
        [(again, (10, 10), 0)],
        [(done, (20, None), 0)],
    ]
