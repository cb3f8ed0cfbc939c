"""How a server must be set, what it may become while we run, and whose clock counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from crawler.app.kept import open_kept
from crawler.clock import SystemClock
from crawler.errors import Hindered, Misconfigured, NotFound, StoreUnavailable
from crawler.model import PageState, Visit
from crawler.store import open_store, statements
from crawler.store.contract import Frontier
from crawler.store.postgres import schema
from tests.contract.rows import CLUSTER, counted, done, request, seeded
from tests.integration.store.postgres_stage import Stage, staged
from tests.integration.store.small_disk import SmallDisk, small_disk
from tests.postgres_server import PostgresServer

CLOCK = SystemClock()
HOUR_S = 3600.0
TIMES = 20
PAGE = request("")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One whose settings tests change, and put back."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def stage(own_server: PostgresServer) -> AsyncIterator[Stage]:
    async with staged(own_server) as one:
        yield one


@contextmanager
def changed(server: PostgresServer, whose: str, setting: str, value: str) -> Iterator[None]:
    """A setting of the system, a role or a database, reset at the end."""
    before = server.sql(f"SHOW {setting}")
    alter(server, setting, f"ALTER {whose} SET {setting} = {value}", value)
    try:
        yield
    finally:
        alter(server, setting, f"ALTER {whose} RESET {setting}", before)


def alter(server: PostgresServer, setting: str, statement: str, value: str) -> None:
    """Change it, and wait until new sessions have it."""
    server.sql("SET default_transaction_read_only = off", statement, "SELECT pg_reload_conf()")
    while server.sql(f"SHOW {setting}") != value:
        time.sleep(0.01)


def end_sessions(server: PostgresServer) -> None:
    """As an administrator may at any time."""
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crawler'"
    )


WHOSE = pytest.mark.parametrize(
    "whose", ["SYSTEM", "ROLE postgres", "DATABASE postgres"], ids=["system", "role", "database"]
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("//postgres@", "//nobody@", "nobody"), ("/postgres?", "/nowhere?", "nowhere")],
)
async def test_a_login_that_is_refused_may_be_taken_later(
    own_server: PostgresServer, old: str, new: str, said: str
) -> None:
    url = own_server.fresh_url()
    assert old in url
    with pytest.raises(Hindered, match=f'--store: .*"{said}" does not exist'):
        await open_store(url.replace(old, new), CLOCK)


@WHOSE
async def test_commits_that_a_crash_would_lose_are_refused(
    own_server: PostgresServer, whose: str
) -> None:
    with (
        changed(own_server, whose, "synchronous_commit", "off"),
        pytest.raises(Hindered, match=r"synchronous_commit is off.*crash.*lose"),
    ):
        await open_store(own_server.fresh_url(), CLOCK)
    store = await open_store(own_server.fresh_url(), CLOCK)
    await store.close()


@WHOSE
async def test_what_is_switched_off_later_stays_on_for_us(
    own_server: PostgresServer, whose: str
) -> None:
    store = await open_store(own_server.fresh_url(), CLOCK)
    assert (await store.check())["synchronous_commit"] == "on"
    with changed(own_server, whose, "synchronous_commit", "off"):
        assert own_server.sql("SHOW synchronous_commit") == "off"
        assert (await store.check())["synchronous_commit"] == "on", "a running session"
        end_sessions(own_server)
        assert (await store.check())["synchronous_commit"] == "on", "a new session"
    await store.close()


async def test_a_weaker_isolation_or_path_of_the_role_changes_nothing(
    own_server: PostgresServer,
) -> None:
    with changed(own_server, "ROLE postgres", "default_transaction_isolation", "serializable"):
        url = own_server.fresh_url()
        stores = await asyncio.gather(*(open_store(url, CLOCK) for _ in range(3)))
        frontier = await seeded(stores[0], PAGE)
        assert (await frontier.commit([done(PAGE)])).done == 1
        for each in stores:
            await each.close()


async def test_two_processes_make_one_schema(stage: Stage) -> None:
    players = [await stage.troupe.start() for _ in range(2)]
    for _ in range(TIMES):
        url = stage.server.fresh_url()
        for player in players:
            await player.begin("open", url)
        ids = [await player.answer() for player in players]
        assert ids[0] == ids[1]
        schema = url.rpartition("%3D")[2]
        assert stage.server.sql(f"SELECT id FROM {schema}.store") == ids[0]


@pytest.mark.fault(32)
async def test_two_versions_share_one_schema(own_server: PostgresServer) -> None:
    """One that does not say how far it is, as older programs made it, is brought forward and can
    still be used by them; one of a later version is used as long as nothing was taken from it."""
    url = own_server.fresh_url()
    name = url.rpartition("%3D")[2]
    scripts = [statements.migrations("postgres")[each].script for each in (1, 2)]
    own_server.sql(f"CREATE SCHEMA {name}", f"SET search_path = {name}", *scripts)
    own_server.sql(f"INSERT INTO {name}.store (id, version) VALUES ('u', 2)")
    await (await open_store(url, CLOCK)).close()
    stood = own_server.sql(f"SELECT version, reached FROM {name}.store")
    assert stood == f"2|{schema.VERSION}"
    own_server.sql(f"UPDATE {name}.store SET reached = reached + 7")
    await (await open_store(url, CLOCK)).close()
    own_server.sql(f"UPDATE {name}.store SET version = {schema.VERSION + 1}")
    with pytest.raises(Misconfigured, match="newer program"):
        await open_store(url, CLOCK)


@pytest.mark.fault(23)
async def test_a_database_that_can_only_be_read_is_waited_for(own_server: PostgresServer) -> None:
    store = await open_store(own_server.fresh_url(), CLOCK, locked_for_s=0.5)
    frontier = await seeded(store, PAGE)
    with changed(own_server, "DATABASE postgres", "default_transaction_read_only", "on"):
        end_sessions(own_server)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="cannot be written"):
                await frontier.commit([done(PAGE)])
        assert await counted(store) == {PageState.PENDING: 1}
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await open_store(own_server.fresh_url(), CLOCK)
    assert (await frontier.commit([done(PAGE)])).done == 1
    await store.close()


async def test_rights_and_tables_that_went_away_are_waited_for(own_server: PostgresServer) -> None:
    url = own_server.fresh_url()
    schema = url.rpartition("%3D")[2]
    store = await open_store(url, CLOCK, locked_for_s=0.5)
    frontier = await seeded(store, PAGE)
    own_server.sql(f"ALTER SCHEMA {schema} RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable, match="not there"):
        await frontier.commit([done(PAGE)])
    own_server.sql(f"ALTER SCHEMA elsewhere RENAME TO {schema}")
    assert (await frontier.commit([done(PAGE)])).done == 1
    await store.close()


@pytest.mark.fault(23)
async def test_a_full_disk_loses_nothing() -> None:
    with small_disk(megabytes=160) as disk, served_from(disk) as server:
        store = await open_store(server.fresh_url(), CLOCK, locked_for_s=0.5)
        pages = [request(f"{number}") for number in range(20)]
        frontier = await seeded(store, *pages)
        visits = [done(each, *(request(f"{each.url}/{n}") for n in range(400))) for each in pages]
        disk.fill()
        with pytest.raises(StoreUnavailable, match="no space is left"):
            await commit_all(frontier, visits)
        before = await frontier.progress()
        assert before.done < len(pages)
        assert before.known == len(pages) + 400 * before.done
        assert (await counted(store))[PageState.DONE] == before.done
        disk.empty()
        await commit_all(frontier, visits)
        after = await frontier.progress()
        assert (after.done, after.known) == (len(pages), 401 * len(pages))
        assert sum((await counted(store)).values()) == after.known
        await store.close()


def served_from(disk: SmallDisk) -> PostgresServer:
    """A server whose data stand there."""
    return PostgresServer(parent=disk.directory)


async def commit_all(frontier: Frontier, visits: list[Visit]) -> None:
    """One by one."""
    for visit in visits:
        await frontier.commit([visit])


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S], ids=["fast", "slow"])
async def test_a_wrong_clock_waits_no_longer_and_makes_nobody_wait(
    stage: Stage, ahead_s: float
) -> None:
    wrong = await stage.troupe.start(ahead_s=ahead_s)
    right = await stage.troupe.start()
    await wrong.tell("epoch", CLUSTER, 1)
    await wrong.tell("claim", 10, 0)
    await wrong.tell("seed", 1)
    assert await wrong.tell("retry", 0, 2.0) == 1
    assert 1.0 < await wrong.tell("window", 0) < 2.1
    await right.tell("claim", 11, 0)
    assert 0.5 < await right.tell("window", 0) < 2.1
    await asyncio.sleep(2.1)
    assert await right.tell("retry", 0, 30.0) == 1, "it was due, by the clock of the store"
    await wrong.tell("claim", 12, 0)
    assert 28.0 < await wrong.tell("window", 0) < 30.1


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S], ids=["fast", "slow"])
async def test_turns_are_right_for_a_wrong_clock_too(stage: Stage, ahead_s: float) -> None:
    wrong = await stage.troupe.start(ahead_s=ahead_s)
    right = await stage.troupe.start()
    held, until_s, next_s = await wrong.tell("reserve", "a", "shop.example", 3.0)
    assert held
    assert 4.0 < until_s < 5.1
    assert 2.5 < next_s < 3.1
    held, until_s, next_s = await right.tell("reserve", "b", "shop.example", 0.0)
    assert not held
    assert 0.0 < until_s < 5.1
    assert 1.0 < next_s < 3.1
    held, until_s, next_s = await right.tell("reserve", "b", "other.example", 3.0)
    assert held
    held, _, next_s = await wrong.tell("reserve", "a", "other.example", 0.0)
    assert not held
    assert 1.0 < next_s < 3.1


@pytest.mark.parametrize(
    ("variable", "parameter", "expected"),
    [("", "", "worker-7"), ("mine", "", "mine"), ("mine", "&application_name=yours", "yours")],
)
async def test_sessions_are_called_by_their_node(
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    parameter: str,
    expected: str,
) -> None:
    """Unless the environment or, before that, the URL names them."""
    if variable:
        monkeypatch.setenv("PGAPPNAME", variable)
    url = postgres.fresh_url() + parameter
    store = await open_store(url, SystemClock(), name="worker-7")
    await store.mirrored()  # the pool has a session now
    names = postgres.sql("SELECT application_name FROM pg_stat_activity").splitlines()
    await store.close()
    assert expected in names


async def test_a_look_at_what_is_kept_makes_no_tables(postgres: PostgresServer) -> None:
    schema = "looked_at"
    with pytest.raises(NotFound, match="keeps no crawl"):
        async with open_kept(postgres.url(schema)):
            pass
    assert postgres.sql(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'") == "0"
    await (await open_store(postgres.url(schema), SystemClock())).close()
    async with open_kept(postgres.url(schema)) as store:
        assert list(await store.mirrored()) == []
