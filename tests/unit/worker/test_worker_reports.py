"""Reports: the latest status wins, survives an outage, and is dropped where it is fenced."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from crawler.clock import SystemClock
from crawler.coordination.catalog import Load, Status
from crawler.errors import EtcdUnavailable, OutcomeUnknown
from crawler.model import Resource, State
from crawler.worker.report import Report, StatusBoard, report_load


class BriefClock(SystemClock):
    """Sleeps pass at once, but let others run; ``slept`` remembers them, and no time passes
    besides."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def elapsed(self) -> float:
        return sum(self.slept)


class FakeWriter:
    """Takes reports, after raising what ``failures`` holds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.statuses: list[tuple[str, State, str, int]] = []
        self.loads: list[Load] = []
        self.fenced: set[int] = set()  # tokens
        self.on_write: Callable[[], None] = lambda: None

    def _pass(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def write_statuses(self, reports: Sequence[Report]) -> Sequence[Report]:
        self.on_write()
        await asyncio.sleep(0)
        self._pass()
        written = [each for each in reports if each[0].revision not in self.fenced]
        self.statuses += [
            (resource.name, status.state, status.reason, status.revision)
            for resource, status in written
        ]
        return [each for each in reports if each not in written]

    async def write_load(self, load: Load) -> None:
        self._pass()
        self.loads.append(load)


def resource(name: str = "shop", revision: int = 7) -> Resource:
    return Resource(f"id-{name}", name, None, 1, revision)


def status(state: State, reason: str = "", *, name: str = "shop", revision: int = 7) -> Status:
    return Status(state, reason, 1, f"id-{name}", revision, "worker-1", random.random())


def board() -> StatusBoard:
    return StatusBoard(BriefClock(), random.Random(1))


@asynccontextmanager
async def running(statuses: StatusBoard, writer: FakeWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(statuses.run(writer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_only_changes_are_written() -> None:
    statuses, writer = board(), FakeWriter()
    async with running(statuses, writer):
        for _ in range(3):
            statuses.note(resource(), status(State.RUNNING))
            await statuses.settled()
        statuses.note(resource(), status(State.FINISHED, "nothing pending"))
        await statuses.settled()
    assert writer.statuses == [
        ("shop", State.RUNNING, "", 7),
        ("shop", State.FINISHED, "nothing pending", 7),
    ]


async def test_the_latest_wins_when_nobody_could_write_the_earlier_ones() -> None:
    statuses, writer = board(), FakeWriter()
    statuses.note(resource(), status(State.RUNNING))
    statuses.note(resource(), status(State.ERROR, "bad rule"))
    async with running(statuses, writer):
        await statuses.settled()
    assert writer.statuses == [("shop", State.ERROR, "bad rule", 7)]


async def test_a_status_that_comes_during_a_write_is_written_after_it() -> None:
    statuses, writer = board(), FakeWriter()
    writer.on_write = lambda: statuses.note(resource(), status(State.FINISHED))
    statuses.note(resource(), status(State.RUNNING))
    async with running(statuses, writer):
        await statuses.settled()
    assert [each[1] for each in writer.statuses] == [State.RUNNING, State.FINISHED]


async def test_what_etcd_did_not_take_is_tried_again() -> None:
    statuses = board()
    writer = FakeWriter(EtcdUnavailable("away"), OutcomeUnknown("lost"), EtcdUnavailable("away"))
    for name in ("a", "b"):
        statuses.note(resource(name), status(State.RUNNING, name=name))
    async with running(statuses, writer):
        await statuses.settled()
    assert sorted(each[0] for each in writer.statuses) == ["a", "b"]


async def test_what_was_not_written_in_one_session_is_in_the_next() -> None:
    statuses = board()
    away = FakeWriter(*[EtcdUnavailable("away")] * 1000)
    statuses.note(resource(), status(State.FINISHED))
    async with running(statuses, away):
        await asyncio.sleep(0)
    back = FakeWriter()
    async with running(statuses, back):
        await statuses.settled()
    assert back.statuses == [("shop", State.FINISHED, "", 7)]


async def test_a_fenced_status_is_dropped() -> None:
    statuses, writer = board(), FakeWriter()
    writer.fenced.add(7)
    statuses.note(resource(), status(State.FINISHED))
    async with running(statuses, writer):
        await statuses.settled()
        statuses.note(resource(revision=9), status(State.RUNNING, revision=9))
        await statuses.settled()
    assert writer.statuses == [("shop", State.RUNNING, "", 9)]


async def test_hundreds_are_written() -> None:
    statuses, writer = board(), FakeWriter()
    for n in range(300):
        statuses.note(resource(f"r{n}"), status(State.RUNNING, name=f"r{n}"))
    async with running(statuses, writer):
        await statuses.settled()
    assert len({each[0] for each in writer.statuses}) == len(writer.statuses) == 300


async def test_a_forgotten_resource_is_news_again() -> None:
    statuses, writer = board(), FakeWriter()
    async with running(statuses, writer):
        for _ in range(2):
            statuses.note(resource(), status(State.RUNNING))
            await statuses.settled()
            assert list(statuses.units) == ["shop"]
            statuses.forget("shop")
    assert len(writer.statuses) == 2


async def test_load_is_written_when_it_changed_and_at_most_once_a_second() -> None:
    clock, writer = BriefClock(), FakeWriter(EtcdUnavailable("away"))
    measured = [Load(1, 1), Load(1, 1), Load(1, 1), Load(2, 2), Load(1, 1)]
    ended = asyncio.Event()

    def measure() -> Load:
        if len(measured) == 1:
            ended.set()
        return measured.pop(0) if len(measured) > 1 else measured[0]

    task = asyncio.create_task(report_load(measure, writer, clock, random.Random(1)))
    await ended.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert writer.loads == [Load(1, 1), Load(2, 2), Load(1, 1)]
    assert min(clock.slept) >= 1.0


async def test_pages_in_flight_alone_are_told_of_more_seldom() -> None:
    clock, writer = BriefClock(), FakeWriter()
    numbers = itertools.count()
    ended = asyncio.Event()

    def measure() -> Load:
        number = next(numbers)
        if number == 12:
            ended.set()
        return Load(number, 1, "full" if number == 7 else "")

    task = asyncio.create_task(report_load(measure, writer, clock, random.Random(1)))
    await ended.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [load.active for load in writer.loads] == [0, 5, 7, 8]
