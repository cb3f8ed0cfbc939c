"""What only a server can do to its clients: wait for their locks, end their sessions, die, stand
still, or take a commit and never answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import psycopg
import pytest

from crawler.clock import Backoff, SystemClock
from crawler.errors import Misconfigured, OutcomeUnknown, StoreUnavailable
from crawler.model import PageState, Request, Visit
from crawler.store import open_store
from crawler.store.contract import Frontier, Store
from crawler.store.parts import part_of
from tests.contract.rows import (
    CLUSTER,
    RESOURCE,
    SetClock,
    claimed,
    done,
    job,
    request,
    stamp,
)
from tests.integration.store.actor import page_items
from tests.integration.store.audit import ask_server, count
from tests.integration.store.conftest import Stage
from tests.integration.store.cutting import Cutter
from tests.integration.store.troupe import Player, Refusal, on_stage
from tests.postgres_server import PostgresServer

T = TypeVar("T")
TOTAL = 60
IDLE_S = 3.0  # idle_in_transaction_session_timeout
BACK_S = 5.0  # how soon commits go on once the server takes connections

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh_url()


@pytest.fixture
async def stage(url: str) -> AsyncIterator[Stage]:
    async with on_stage(url) as troupe:
        yield Stage(troupe, partial(ask_server, url), lambda: count(partial(ask_server, url)))


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of the test's own, to be killed."""
    with PostgresServer(durable=True) as running:
        yield running


@asynccontextmanager
async def opened(url: str, clock: SystemClock | None = None) -> AsyncIterator[Store]:
    store = await open_store(url, clock or SystemClock())
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("place", ["store.in_commit", "store.before_commit"])
async def test_a_writer_that_stands_still_is_passed_by(stage: Stage, place: str) -> None:
    sleeper = await stage.troupe.start(f"{place}=stop@2")
    await sleeper.tell("epoch", CLUSTER, 1)
    await sleeper.tell("claim", 10, 0)
    await sleeper.tell("seed", 1)
    await sleeper.tell("work", 1, 1, TOTAL)
    await sleeper.begin("work", 1, 5, TOTAL)
    await sleeper.stopped()
    successor = await stage.troupe.start(locked_for_s=5.0)
    began = time.monotonic()
    await successor.tell("claim", 11, 0)
    assert time.monotonic() - began < IDLE_S + 2.0
    await successor.tell("work", 30, 7, TOTAL)
    sleeper.send(signal.SIGCONT)
    with pytest.raises(Refusal, match=r"Fenced|StoreUnavailable"):
        await sleeper.answer()
    with pytest.raises(Refusal, match="Fenced"):
        await sleeper.tell("work", 1, 1, TOTAL)
    assert stage.examine() == {"done": TOTAL}


async def test_commits_never_follow_a_newer_claim(stage: Stage) -> None:
    """Two processes take the part from one another while both commit as fast as they can."""
    players = [await stage.troupe.start(locked_for_s=5.0) for _ in range(2)]
    await players[0].tell("epoch", CLUSTER, 1)
    stage_log = "CREATE TABLE seen AS SELECT 0 AS page, 0::bigint AS claim LIMIT 0"
    await players[0].tell("claim", 10, 0)
    await players[0].tell("seed", 1)
    await players[0].tell("work", 1, 1, TOTAL)
    _run(stage, stage_log)
    _run(
        stage,
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen "
        "SELECT NEW.seq, claim FROM fences; RETURN NEW; END $$",
    )
    _run(
        stage,
        "CREATE TRIGGER noting AFTER UPDATE ON pages FOR EACH ROW EXECUTE FUNCTION note()",
    )
    for revision in range(11, 31):
        late, early = players[revision % 2], players[1 - revision % 2]
        await early.begin("work", 40, 1, TOTAL)
        await late.tell("claim", revision, 0)
        await _answer_or_fenced(early)
    last = players[30 % 2]
    await last.tell("work", 40, 7, TOTAL)
    assert stage.examine() == {"done": TOTAL}
    # The triggers of commits that were refused are rolled back; those that were kept ran while
    # the fence that they saw still stood, so each page was completed under one claim only.
    assert stage.ask("SELECT page FROM seen GROUP BY page HAVING count(*) > 1") == []


async def _answer_or_fenced(player: Player) -> None:
    try:
        await player.answer()
    except Refusal as refusal:
        if refusal.args[0] != "Fenced":
            raise


def _run(stage: Stage, statement: str) -> None:
    with psycopg.connect(stage.troupe.url, autocommit=True) as connection:
        connection.execute(statement.encode())


class Committer:
    """Commits page after page, repeating as the engine does; remembers what was acknowledged."""

    def __init__(self, frontier: Frontier) -> None:
        self.acknowledged: set[str] = set()
        self._frontier = frontier
        self._news = asyncio.Condition()

    async def until(self, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.acknowledged) >= count)

    async def run(self) -> None:
        while pages := await self._persist(self._next):
            visits = [done(each, items=page_items(each.url), size_bytes=100) for each in pages]
            await self._persist(partial(self._frontier.commit, visits))
            async with self._news:
                self.acknowledged.update(each.url for each in pages)
                self._news.notify_all()

    async def _next(self) -> tuple[Request, ...]:
        return (await self._frontier.window(1, 1, frozenset())).requests

    async def _persist(self, step: Callable[[], Awaitable[T]]) -> T:
        for delay_s in Backoff(cap_s=0.2).delays():
            try:
                return await step()
            except (StoreUnavailable, OutcomeUnknown):
                await asyncio.sleep(delay_s)
        raise AssertionError("delays never end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
async def test_a_server_that_dies_loses_nothing(
    server: PostgresServer, number: signal.Signals
) -> None:
    url = server.fresh_url()
    async with opened(url) as store:
        await store.open_epoch(CLUSTER, 10)
        frontier = await store.claim(stamp(10), job())
        pages = [request(f"{n}") for n in range(400)]
        await frontier.seed(pages)
        committer = Committer(frontier)
        committing = asyncio.create_task(committer.run())
        for _ in range(2):
            await committer.until(len(committer.acknowledged) + 20)
            await asyncio.to_thread(server.stop, number)
            assert not committing.done()
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(BACK_S):
                await committer.until(len(committer.acknowledged) + 1)
        await committing
    rows = ask_server(url, "SELECT url, state FROM pages")
    stored = {row[0] for row in rows if row[1] == "done"}
    assert stored == committer.acknowledged == {page.url for page in pages}
    assert count(partial(ask_server, url)) == {"done": 400}


def sent(pid: int, number: signal.Signals) -> bool:
    """Whether the process was still there to get the signal."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_that_stands_still_is_given_up(server: PostgresServer) -> None:
    async with opened(server.fresh_url()) as store:
        frontier = await claimed(store)
        await frontier.seed([request("")])
        pids = [server.pid, *map(int, server.sql("SELECT pid FROM pg_stat_activity").split())]
        stopped = [pid for pid in pids if sent(pid, signal.SIGSTOP)]
        try:
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                async with asyncio.timeout(45):
                    await frontier.commit([done(request(""))])
        finally:
            for pid in stopped:
                sent(pid, signal.SIGCONT)
        assert (await frontier.commit([done(request(""))])).done == 1


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_answer_to_a_commit_is_told_and_repeated_harmlessly(
    postgres: PostgresServer, url: str, arrives: bool
) -> None:
    async with Cutter(postgres.port) as cutter, opened(cutter.through(url)) as store:
        frontier = await claimed(store)
        page = request("")
        await frontier.seed([page])
        visit = done(page, request("1"), items=page_items(page.url), size_bytes=100)
        cutter.cut_at(b"COMMIT", arrives=arrives)
        with pytest.raises(OutcomeUnknown):
            await frontier.commit([visit])
        before = dict(ask_server(url, "SELECT url, state FROM pages"))
        assert before[page.url] == ("done" if arrives else "pending")
        progress = await frontier.commit([visit])
        assert (progress.known, progress.done, progress.items) == (2, 1, 2)
    assert count(partial(ask_server, url)) == {"done": 1, "pending": 1}


async def test_a_database_that_would_lose_commits_is_refused(
    server: PostgresServer,
) -> None:
    server.sql("ALTER DATABASE postgres SET synchronous_commit = off")
    with pytest.raises(Misconfigured, match="synchronous_commit is off"):
        await open_store(server.fresh_url(), SystemClock())
    server.sql("ALTER DATABASE postgres RESET synchronous_commit")
    async with opened(server.fresh_url()) as store:
        await store.open_epoch(CLUSTER, 1)
        server.sql("ALTER SYSTEM SET synchronous_commit = off")
        server.sql("SELECT pg_reload_conf()")
        # Sessions that run keep what they began with; a new one would be refused.
        assert (await store.check())["synchronous_commit"] == "on"
        with pytest.raises(Misconfigured, match="synchronous_commit is off"):
            await open_store(server.url(), SystemClock())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("postgresql://postgres@127.0.0.1:{port}/nothing", 'database "nothing" does not exist'),
        ("postgresql://nobody@127.0.0.1:{port}/postgres", 'role "nobody" does not exist'),
    ],
)
async def test_what_only_the_set_up_can_mend_is_said(
    postgres: PostgresServer, wrong: str, says: str
) -> None:
    with pytest.raises(Misconfigured, match=says):
        await open_store(wrong.format(port=postgres.port), SystemClock())


async def test_a_read_only_database_takes_nothing_and_says_so(postgres: PostgresServer) -> None:
    url = postgres.fresh_url()
    async with opened(url) as store:
        frontier = await claimed(store)
        await frontier.seed([request("")])
    readonly = f"{url}%20-cdefault_transaction_read_only%3Don"
    store = await open_store(readonly, SystemClock(), locked_for_s=0.2)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await store.claim(stamp(11), job())
    assert (await store.progress([RESOURCE]))[RESOURCE][1].pending == 1
    await store.close()


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0])
async def test_a_wrong_clock_changes_nothing(url: str, off_s: float) -> None:
    """The database's clock counts; what a process hears is in its own time."""
    wrong = SetClock(time.time() + off_s)
    async with opened(url, wrong) as astray, opened(url) as right:
        frontier = await claimed(astray)
        page = request("")
        await frontier.seed([page])
        await frontier.commit([Visit(page, PageState.PENDING, retry_at=wrong.now + 30.0)])
        window = await frontier.window(1, 1, frozenset())
        assert window.requests == ()
        assert window.next_at == pytest.approx(wrong.now + 30.0, abs=5.0)
        [(not_before,)] = ask_server(url, "SELECT not_before FROM pages")
        assert not_before == pytest.approx(time.time() + 30.0, abs=5.0)
        mine = (await astray.budgets("a").reserve({"h": wrong.now + 9.0}))["h"]
        assert mine.held
        assert mine.not_before == pytest.approx(wrong.now + 9.0, abs=5.0)
        await astray.budgets("a").release({"h": wrong.now + 9.0})
        theirs = (await right.budgets("b").reserve({"h": 0.0}))["h"]
        assert theirs.held
        assert theirs.not_before == pytest.approx(time.time() + 9.0, abs=5.0)


async def test_parts_that_write_at_once_neither_wait_in_a_circle_nor_hide_items(url: str) -> None:
    hosts = [
        [f"h{n}.example" for n in range(99) if part_of(f"h{n}.example", 2) == k][:4] for k in (0, 1)
    ]
    async with opened(url) as store:
        await store.open_epoch(CLUSTER, 10)
        parts = [await store.claim(stamp(10, part=k), job(parts=2)) for k in (0, 1)]
        await parts[0].seed([request("0", host) for each in hosts for host in each])
        seen: list[int] = []
        reading = asyncio.create_task(_follow_items(store, seen))
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(_crawl_part(part, [*hosts[0], *hosts[1]]))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        rest = await store.items(RESOURCE, after=seen[-1] if seen else 0, limit=10_000)
        seen.extend(item.seq for item in rest)
    assert sorted(row[0] for row in ask_server(url, "SELECT seq FROM items")) == seen
    assert count(partial(ask_server, url)) == {"done": 8 * PAGES}


PAGES = 60


async def _crawl_part(part: Frontier, hosts: list[str]) -> None:
    """Every page links to the same number on all hosts, and to the next one there."""
    while not (await part.finish("finished")).finished:
        window = await part.window(5, 2, frozenset())
        visits = []
        for each in window.requests:
            number = int(each.url.rpartition("/")[2])
            names = [f"{n}" for n in (number, number + 1) if n < PAGES]
            links = [request(name, host) for name in names for host in hosts]
            visits.append(done(each, *links, items=page_items(each.url), size_bytes=100))
        await part.commit(visits)


async def _follow_items(store: Store, seen: list[int]) -> None:
    while True:
        found = await store.items(RESOURCE, after=seen[-1] if seen else 0)
        seen.extend(item.seq for item in found)
        await asyncio.sleep(0.005)
