"""Masters die, leave, sleep and double while a crawl is under way, on one cluster for all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.calls import GOOD, add, until_added
from tests.acceptance.cluster import GRACE_S, TTL_S, Cluster, Process, Site, eventually
from tests.acceptance.truth import show, start_shop, wait_done
from tests.etcd_server import EtcdServer

MASTERS = ("1", "2", "3")
WORKERS = ("1", "2")
DELAY_S = 0.1
STANDS = "/resources/election/"


class Stage:
    """The cluster, and a shop that is crawled for longer than all tests take."""

    def __init__(self, folder: Path, etcd: EtcdServer) -> None:
        self.cluster = Cluster(folder, etcd)
        self.site = Site(folder, 5000)

    def fetched(self) -> int:
        return sum(self.site.hits().values())

    async def whole(self) -> None:
        """Return once all nodes are there and the crawl goes on."""
        cluster = self.cluster
        await cluster.complete(MASTERS, WORKERS)
        await start_shop(cluster, "1", self.site, delay_s=DELAY_S)
        await wait_done(cluster, "1", (await progress(cluster)) + 1, 10 * TTL_S)

    def close(self) -> None:
        self.cluster.stop()
        self.site.process.kill_group()


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with EtcdServer() as etcd:
        stage = Stage(tmp_path_factory.mktemp("leaders"), etcd)
        try:
            yield stage
        finally:
            stage.close()


@pytest.fixture
async def stage(theatre: Stage) -> Stage:
    await theatre.whole()
    return theatre


async def progress(cluster: Cluster, master: str = "1") -> int:
    return int(((await show(cluster, master)).get("progress") or {}).get("done", 0))


async def keys(cluster: Cluster) -> dict[str, int]:
    """What leaders write, with the revision of the last change."""
    async with cluster.client() as etcd:
        kvs = (await etcd.span(("/resources/", "/crawler/definitions/", "/crawler/decisions/"))).kvs
    return {kv.key: kv.mod_revision for kv in kvs if not kv.key.startswith(STANDS)}


@pytest.mark.fault(1)
async def test_a_killed_leader_is_replaced_while_the_crawl_goes_on(stage: Stage) -> None:
    cluster = stage.cluster
    leader, follower, _ = await cluster.candidates()
    fetched = stage.fetched()
    cluster.masters[leader].kill_group()
    took_s = await until_added(cluster, follower, "row1", time.monotonic())
    assert took_s <= TTL_S + 1 + GRACE_S
    assert await cluster.leader() != leader
    assert stage.fetched() - fetched > took_s / DELAY_S / 2


@pytest.mark.fault(3)
async def test_a_leader_that_is_stopped_hands_over_at_once(stage: Stage) -> None:
    cluster = stage.cluster
    leader, follower, _ = await cluster.candidates()
    cluster.masters[leader].terminate()
    asked_at = time.monotonic()
    await cluster.wait_leader(other_than=leader)
    assert await until_added(cluster, follower, "row3", asked_at) <= 1 + GRACE_S
    assert cluster.masters[leader].wait() == 0


@pytest.mark.fault(6)
async def test_without_any_master_the_crawl_goes_on_and_nothing_is_changed(stage: Stage) -> None:
    cluster = stage.cluster
    for master in cluster.masters.values():
        master.kill_group()
    before, fetched = await keys(cluster), stage.fetched()

    async def crawled_on() -> bool | None:
        return stage.fetched() > fetched + 2 * TTL_S / DELAY_S or None

    await eventually(crawled_on, "pages of two times to live", 4 * TTL_S)
    assert await keys(cluster) == before
    cluster.start_master("1")
    # The keys of the dead are gone by now: nobody is waited for.
    await cluster.wait_ready("1")
    assert await until_added(cluster, "1", "row6", time.monotonic()) <= TTL_S
    assert (await keys(cluster)).items() >= before.items(), "the owner was given its crawl anew"


@pytest.mark.fault(7)
async def test_a_candidate_whose_lease_ended_in_its_sleep_is_not_elected(stage: Stage) -> None:
    cluster = stage.cluster
    leader, sleeper, heir = await cluster.candidates()
    slept = cluster.masters[sleeper]
    told = leading(slept)
    slept.pause()

    async def forgotten() -> bool | None:
        return sleeper not in await cluster.candidates() or None

    await eventually(forgotten, "end of the sleeper's lease", TTL_S + 2)
    cluster.masters[leader].kill_group()
    took_s = await until_added(cluster, heir, "row7", time.monotonic())
    assert took_s <= TTL_S + 1 + GRACE_S
    # What it waited for has come true in its sleep.
    slept.resume()

    async def stands_again() -> bool | None:
        return (await cluster.candidates()) == [heir, sleeper] or None

    await eventually(stands_again, "candidacy of who slept", TTL_S)
    assert await add(cluster, sleeper, "row7-forwarded") in GOOD
    assert leading(slept) == told


def leading(master: Process) -> int:
    """How often it said that it leads."""
    return master.text().count('"msg": "leading"')


@pytest.mark.fault(30)
async def test_who_comes_second_with_an_id_is_refused(stage: Stage, tmp_path: Path) -> None:
    cluster, twins = stage.cluster, Cluster(tmp_path, stage.cluster.etcd)
    twins.store = cluster.store
    before = await cluster.candidates()
    both = (twins.start_master("1"), twins.start_worker("1"))
    try:

        async def over() -> bool | None:
            return not any(each.running for each in both) or None

        await eventually(over, "refusal", 10 * TTL_S)
        for twin in both:
            assert twin.stop() != 0
            assert f"another node with the id go.micro.server.{twin.name} is live" in twin.text()
            assert "Traceback" not in twin.text()
    finally:
        twins.stop()
    assert await cluster.candidates() == before
    assert all(each.running for each in (cluster.masters["1"], cluster.workers["1"]))


@pytest.mark.fault(31)
async def test_what_is_added_without_a_worker_is_given_to_the_first_that_joins(
    stage: Stage,
) -> None:
    cluster = stage.cluster
    for worker in cluster.workers.values():
        worker.stop()
    assert await add(cluster, "2", "row31") == 202
    newcomer = "go.micro.server.worker-9"
    cluster.start_worker("9")

    async def registered() -> bool | None:
        async with cluster.client() as etcd:
            kv = await etcd.get(f"/micro/registry/go.micro.server.worker/{newcomer}")
        return kv is not None or None

    async def assigned() -> bool | None:
        return (await show(cluster, "2", "row31")).get("assigned_node") == newcomer or None

    await eventually(registered, "registration", 10 * TTL_S)
    await eventually(assigned, "assignment", 2)
    cluster.workers.pop("9").stop()
