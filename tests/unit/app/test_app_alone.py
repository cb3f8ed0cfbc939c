"""What a worker without a cluster makes of its files and of what its database remembers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.app.alone import agree, hold_store, read_definitions
from crawler.app.recrawl import Recrawl
from crawler.app.reports import Reports
from crawler.app.trim import trim
from crawler.clock import SystemClock
from crawler.config import sqlite_url
from crawler.coordination.catalog import Entry, Status
from crawler.definition import Definition, for_url, from_data
from crawler.errors import Conflict, Fenced, InvalidInput, Misconfigured
from crawler.model import Desired, Node, Stamp, State
from crawler.store import open_store
from crawler.store.contract import Job, Mirrored, Store
from crawler.worker.reconcile import Past, Situation, plan
from tests.contract.rows import NOON, SetClock

ME = Node("go.micro.server.worker-1", "go.micro.server.worker", "127.0.0.1:9090", revision=1)
SHOP, NEWS = for_url("https://shop.example/"), for_url("https://news.example/")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url(tmp_path / "c.db"), SystemClock())
    yield opened
    await opened.close()


async def agreed(store: Store, **definitions: Definition) -> tuple[Mapping[str, Entry], str]:
    made = await agree(store, ME, definitions, SystemClock())
    return made.entries, made.cluster.uuid


def id_and_run(entry: Entry) -> tuple[str, int]:
    assert entry.resource is not None
    assert entry.wish is not None
    return entry.resource.id, entry.wish.run


def started(entries: Mapping[str, Entry], cluster: str) -> list[str]:
    todo = plan(entries, Situation(ME, cluster), {}, Past({}, {}))
    return [order.name for order, _ in todo.starts]


async def finish(store: Store, entry: Entry, cluster: str) -> None:
    resource_id, run = id_and_run(entry)
    job = Job(entry.name, run, entry.definition or "", 2, ME.id)
    frontier = await store.claim(Stamp(cluster, resource_id, 0, 2), job)
    await frontier.seed([])
    assert (await frontier.finish("nothing left")).finished


async def test_all_starts_and_ids_stay(store: Store) -> None:
    first, cluster = await agreed(store, shop=SHOP, news=NEWS)
    assert started(first, cluster) == ["shop", "news"]
    again, other = await agreed(store, news=NEWS, shop=SHOP)
    assert {name: id_and_run(each) for name, each in again.items()} == {
        name: id_and_run(each) for name, each in first.items()
    }
    assert len({id_and_run(each) for each in first.values()}) == 2
    assert cluster != other


async def test_a_start_takes_all_claims_from_the_process_before(store: Store) -> None:
    entries, cluster = await agreed(store, shop=SHOP)
    resource_id, _ = id_and_run(entries["shop"])
    job = Job("shop", 1, SHOP.canonical(), 2, ME.id)
    older = await store.claim(Stamp(cluster, resource_id, 0, 2), job)
    _, newer = await agreed(store, shop=SHOP)
    with pytest.raises(Fenced):
        await store.claim(Stamp(cluster, resource_id, 0, 2), job)
    await store.claim(Stamp(newer, resource_id, 0, 2), job)
    with pytest.raises(Fenced):
        await older.seed([])


async def test_what_is_finished_stays_so_until_its_definition_changes(store: Store) -> None:
    entries, cluster = await agreed(store, shop=SHOP, news=NEWS)
    await finish(store, entries["shop"], cluster)
    entries, cluster = await agreed(store, shop=SHOP, news=NEWS)
    assert started(entries, cluster) == ["news"]
    changed, cluster = await agreed(store, shop=for_url("https://shop.example/b"), news=NEWS)
    assert started(changed, cluster) == ["shop", "news"]
    resource_id, run = id_and_run(entries["shop"])
    assert id_and_run(changed["shop"]) == (resource_id, run + 1)


async def test_a_run_agreed_on_is_not_forgotten_before_its_claim(store: Store) -> None:
    entries, cluster = await agreed(store, shop=SHOP)
    await finish(store, entries["shop"], cluster)
    await agreed(store, shop=NEWS)  # and here its process ends
    entries, cluster = await agreed(store, shop=NEWS)
    assert started(entries, cluster) == ["shop"]
    assert id_and_run(entries["shop"])[1] == 2


async def test_an_unfinished_run_goes_on_by_the_changed_definition(store: Store) -> None:
    entries, cluster = await agreed(store, shop=SHOP)
    resource_id, run = id_and_run(entries["shop"])
    await store.claim(Stamp(cluster, resource_id, 0, 2), Job("shop", 1, SHOP.canonical(), 2, "n"))
    entries, cluster = await agreed(store, shop=NEWS)
    assert id_and_run(entries["shop"]) == (resource_id, run)
    assert entries["shop"].definition == NEWS.canonical()


@pytest.mark.parametrize("desired", [Desired.RUNNING, Desired.DELETED])
async def test_the_store_of_a_cluster_is_left_alone(store: Store, desired: Desired) -> None:
    await store.mirror([Mirrored("7", "shop", 1, SHOP.canonical(), desired, 3)])
    before = await store.mirrored()
    with pytest.raises(Misconfigured, match="--store of its own"):
        await agreed(store, shop=SHOP)
    assert await store.mirrored() == before


async def test_reports_keep_the_latest_state(store: Store) -> None:
    entries, _ = await agreed(store, shop=SHOP)
    resource = entries["shop"].resource
    assert resource is not None
    reports = Reports(store, entries)
    assert await reports.words() == "shop pending: 0 of 0 pages, 0 items"
    for state in (State.RUNNING, State.FINISHED):
        status = Status(state, "", 1, resource.id, 2, ME.id, 1.0)
        assert not await reports.write_statuses([(resource, status)])
    assert await reports.words() == "shop finished: 0 of 0 pages, 0 items"


class Board:
    """What was reported, as the test says."""

    def __init__(self) -> None:
        self.statuses: dict[str, Status] = {}

    def status(self, name: str) -> Status | None:
        return self.statuses.get(name)

    def over(self, entry: Entry, at: float) -> None:
        resource_id, run = id_and_run(entry)
        status = Status(State.FINISHED, "finished", run, resource_id, 2, ME.id, at)
        self.statuses[entry.name] = status


def hourly(overlap: str) -> Definition:
    data = {"start_urls": ["https://shop.example/"]}
    return from_data({**data, "schedule": {"every": "1h", "overlap": overlap}})


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
async def test_a_schedule_needs_no_cluster(store: Store, overlap: str) -> None:
    clock, board = SetClock(), Board()
    made = await agree(store, ME, {"shop": hourly(overlap)}, clock)
    recrawl = Recrawl(made, board, store, ME.id, clock)
    first, version = made.entries["shop"], made.version
    await store.claim(Stamp(made.cluster.uuid, id_and_run(first)[0], 0, 2), job_of(first))
    clock.now += 3600
    await recrawl.round()
    await recrawl.round()
    kinds = [event.kind for event in await store.events(id_and_run(first)[0])]
    assert kinds.count("skipped") == (overlap == "skip")
    assert id_and_run(made.entries["shop"])[1] == (2 if overlap == "replace" else 1)
    board.over(made.entries["shop"], clock.now + 60)
    clock.now += 3600 * 7
    await recrawl.round()
    await recrawl.round()
    wish = made.entries["shop"].wish
    assert wish is not None
    assert wish.run == (3 if overlap == "replace" else 2)
    assert (wish.due, wish.since) == (int(NOON) + 8 * 3600,) * 2
    assert await made.changed(version) > version
    # Its process ends before the claim: the next one goes on with that run, at that due time.
    again = await agree(store, ME, {"shop": hourly(overlap)}, clock)
    assert again.entries["shop"].wish == wish
    assert started(again.entries, again.cluster.uuid) == ["shop"]


async def test_what_came_due_while_no_worker_ran_begins_with_it_once(store: Store) -> None:
    clock, board = SetClock(time.time()), Board()
    made = await agree(store, ME, {"shop": hourly("skip")}, clock)
    entry = made.entries["shop"]
    frontier = await store.claim(
        Stamp(made.cluster.uuid, id_and_run(entry)[0], 0, 2), job_of(entry)
    )
    await frontier.seed([])
    await frontier.finish("finished", limit=True)
    for hours, run in ((0, 1), (5, 2), (0, 2)):
        clock.now += 3600 * hours
        made = await agree(store, ME, {"shop": hourly("skip")}, clock)
        if (status := made.entries["shop"].status) is not None:
            board.statuses["shop"] = status
        await Recrawl(made, board, store, ME.id, clock).round()
        assert id_and_run(made.entries["shop"])[1] == run


async def test_old_runs_go_without_a_cluster(store: Store) -> None:
    clock = SetClock()
    definition = from_data({"start_urls": ["https://shop.example/"], "keep_runs": 2})
    made = await agree(store, ME, {"shop": definition}, clock)
    entry = made.entries["shop"]
    resource_id, wish = id_and_run(entry)[0], entry.wish
    assert wish is not None
    for run in (1, 2, 3):
        begun = replace(entry, wish=replace(wish, run=run))
        stamp = Stamp(made.cluster.uuid, resource_id, 0, 1 + run)
        await (await store.claim(stamp, job_of(begun))).seed([])
    await trim(made.entries, store, clock)
    assert list(await store.runs(resource_id)) == [2, 3]


def job_of(entry: Entry) -> Job:
    assert entry.wish is not None
    return Job(entry.name, entry.wish.run, entry.definition or "", 2, ME.id, 1, entry.wish.due)


def written(path: Path, text: str = 'start_urls = ["https://shop.example/"]') -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_definitions_are_named_by_their_files(tmp_path: Path) -> None:
    files = [written(tmp_path / "shop.toml"), written(tmp_path / "a b,c.json")]
    assert list(read_definitions(files)) == ["shop", "a-b-c"]


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path / "shop.toml"), written(tmp_path / "b" / "shop.toml")]
    with pytest.raises(Misconfigured, match=r"b/shop\.toml: .* is named shop too"):
        read_definitions(files)


def test_a_file_that_cannot_name_a_crawl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"election\.toml: .* another name"):
        read_definitions([written(tmp_path / "election.toml")])


def test_a_wrong_definition_is_refused_by_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"shop\.toml:1: start_urls"):
        read_definitions([written(tmp_path / "shop.toml", "start_urls = 3")])


def test_one_such_worker_per_database(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "50% #1.db")
    with hold_store(url):
        told = r"50% #1\.db: stop it, or give this one a --store"
        with pytest.raises(Conflict, match=told), hold_store(url):
            pass
        with hold_store(sqlite_url(tmp_path / "other.db")):
            pass
    with hold_store(url):
        pass


def test_an_error_inside_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=r"^mine$"), hold_store(sqlite_url(tmp_path / "c.db")):
        raise Conflict("mine")
