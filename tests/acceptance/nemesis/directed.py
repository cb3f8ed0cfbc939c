"""Directed faults: each hits the window in which one mistake would show, and break one promise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.acceptance.chaos.history import Kind, Outcome
from tests.acceptance.cluster import Process, eventually
from tests.acceptance.nemesis.met import met_in
from tests.acceptance.nemesis.scene import TTL_S, Scene
from tests.processes import STOPPED, state_of

LEADS = '"msg": "leading"'  # in a master's log
ASLEEP_S = 20.0  # until an armed process must have stopped

Direct = Callable[[Scene], Awaitable[None]]


async def leader_wakes_before_its_write(scene: Scene) -> None:
    """It stops between its decision and its transaction, and another leads meanwhile."""
    await scene.start_masters("1", CRAWLER_FAILPOINTS="master.add.before_txn=stop@1")
    await scene.start_masters("2")
    sleeper = scene.cluster.masters["1"]
    late = asyncio.create_task(scene.call(Kind.ADD, "late"))
    await _asleep(sleeper.pid)
    await _give_leadership(scene, scene.cluster.masters["2"])
    assert (await scene.call(Kind.ADD, "meanwhile", master="2")).outcome is Outcome.OK
    sleeper.resume()
    await late
    await asyncio.sleep(TTL_S)


async def leader_wakes_beside_its_double(scene: Scene) -> None:
    """The same, where the other one has its id: it was taken for dead and started anew."""
    await scene.start_masters("1", CRAWLER_FAILPOINTS="master.add.before_txn=stop@1")
    sleeper, url = scene.cluster.masters["1"], scene.cluster.url("1")
    scene.cluster.move("master-1")
    double = scene.start("master-1", CRAWLER_FAILPOINTS="registry.before_register=stop@1")
    await _asleep(double.pid)
    late = asyncio.create_task(scene.call(Kind.ADD, "late", url=url))
    await _asleep(sleeper.pid)
    await _give_leadership(scene, double)
    assert (await scene.call(Kind.ADD, "meanwhile")).outcome is Outcome.OK
    sleeper.resume()
    await late
    await asyncio.sleep(TTL_S)
    sleeper.kill_group()


async def candidate_sleeps_through_its_lease(scene: Scene) -> None:
    """A candidate is paused until its key is gone; the leader dies; both others would lead."""
    scene.carriers = ["master-2"]
    await scene.start_masters("1", "2", "3")
    scene.start("worker-1")
    await scene.cluster.wait_workers(1)
    scene.cluster.masters["2"].pause()

    async def two_stand() -> bool | None:
        return len(await scene.cluster.candidates()) == 2 or None

    await eventually(two_stand, "end of a candidacy", 5 * TTL_S)
    scene.cluster.masters["1"].kill_group()
    await scene.cluster.wait_leader(other_than="1")
    scene.cluster.masters["2"].resume()
    for number in range(6):
        await scene.call(Kind.ADD, f"after-{number}", master="23"[number % 2])
        await asyncio.sleep(TTL_S / 4)


async def leader_takes_over_what_changed(scene: Scene) -> None:
    """While a candidate waited, one worker came and the other one went."""
    scene.carriers = ["master-2"]
    await scene.start_masters("1")
    first = scene.start("worker-1")
    await scene.cluster.wait_workers(1)
    await scene.start_masters("2")
    scene.start("worker-2")
    await scene.cluster.wait_workers(2)
    assert first.stop() == 0
    scene.cluster.masters["1"].kill_group()
    await scene.cluster.wait_leader(other_than="1")
    for number in range(4):
        await scene.call(Kind.ADD, f"after-{number}", master="2")


async def worker_misses_events(scene: Scene) -> None:
    """Its connections to etcd break, and it is given work before they are back."""
    proxy = await scene.etcd_proxy("worker-1")
    await scene.start_masters("1")
    scene.start("worker-1")
    await scene.cluster.wait_workers(1)
    await scene.crawl("before")
    await scene.claimed("worker-1", 10 * TTL_S)  # so it has listed, and would learn by its watch
    await proxy.refuse()
    proxy.reset()
    await asyncio.sleep(TTL_S / 8)
    await scene.crawl()
    await proxy.accept()


async def worker_meets_its_double(scene: Scene) -> None:
    """Another process with its id is started elsewhere."""
    await scene.start_masters("1")
    first = scene.start("worker-1")
    await scene.cluster.wait_workers(1)
    scene.cluster.move("worker-1")
    second = scene.start("worker-1")

    async def settled() -> bool | None:
        async with scene.cluster.client() as etcd:
            (kv,) = (await etcd.range("/micro/registry/go.micro.server.worker/")).kvs
        return not second.running or kv.mod_revision > kv.create_revision or None

    await eventually(settled, "end or registration of the second", 20)
    await scene.call(Kind.ADD, "any")
    first.kill_group()


async def worker_wakes_before_its_commit(scene: Scene) -> None:
    """It stops with fetched pages in its hand, until another has claimed its crawl and has yet to
    fetch them again."""
    await _claimed_while_asleep(scene, "engine.before_commit=stop@3")


async def worker_wakes_in_its_transaction(scene: Scene) -> None:
    """It stops inside a commit, with all written or, where the fence is not held, right after the
    look at it; and wakes once another has claimed its crawl."""
    places = "store.before_commit=stop@3;store.after_look=stop@3"
    await _claimed_while_asleep(scene, places)


async def answers_to_commits_are_lost(scene: Scene) -> None:
    """The connection is cut right after a commit, again and again."""
    proxy, url = await scene.sql_proxy()
    await scene.start_masters("1")
    worker = scene.start("worker-1", CRAWLER_STORE=url)
    await scene.cluster.wait_workers(1)
    await scene.crawl()
    await scene.committed(1)

    async def lost() -> bool | None:
        # For longer than visits wait for company in a batch, but not all the time: what is to be
        # crawled is read in transactions, too.
        proxy.lose(b"COMMIT")
        await asyncio.sleep(TTL_S / 2)
        proxy.lose(None)
        await asyncio.sleep(TTL_S / 4)
        return met_in([worker.log]).ambiguous >= 2 or None

    await eventually(lost, "lost answers to commits", ASLEEP_S)


async def pages_are_stored(scene: Scene) -> None:
    """Nothing is done to it at all."""
    await scene.start_masters("1")
    scene.start("worker-1")
    await scene.crawl()


async def worker_wakes_after_a_delete(scene: Scene) -> None:
    """It stops with fetched pages in its hand until the resource has been deleted."""
    await scene.start_masters("1")
    sleeper = scene.start("worker-1", CRAWLER_FAILPOINTS="engine.before_commit=stop@3")
    await scene.cluster.wait_workers(1)
    await scene.crawl()
    await _child_asleep(sleeper)
    assert (await scene.call(Kind.DELETE, "site")).outcome is Outcome.OK
    sleeper.resume()
    await asyncio.sleep(TTL_S / 2)


async def etcd_is_away(scene: Scene) -> None:
    """A write is asked for while nobody can take it."""
    await scene.start_masters("1")
    await scene.call(Kind.ADD, "before")
    scene.cluster.etcd.kill()
    await scene.call(Kind.ADD, "during")
    await asyncio.to_thread(scene.cluster.etcd.start)
    await scene.cluster.wait_ready("1")
    await scene.call(Kind.GET, "during")


# The fault, the defect that shows in it, and the promise that breaks.
DIRECTED: tuple[tuple[Direct, str, str], ...] = (
    (leader_wakes_before_its_write, "leader_unfenced", "S1"),
    (leader_wakes_beside_its_double, "leader_by_value", "S1"),
    (candidate_sleeps_through_its_lease, "phantom_leader", "S1"),
    (leader_takes_over_what_changed, "stale_takeover", "S2"),
    (worker_misses_events, "watch_without_revision", "S5"),
    (worker_meets_its_double, "same_id", "S10"),
    (worker_wakes_before_its_commit, "worker_unfenced", "S3"),
    (worker_wakes_in_its_transaction, "fence_unlocked", "S3"),
    (answers_to_commits_are_lost, "retry_without_key", "S6"),
    (pages_are_stored, "half_a_page", "S4"),
    (worker_wakes_after_a_delete, "delete_without_tombstone", "S9"),
    (etcd_is_away, "early_answer", "S7"),
)


async def _claimed_while_asleep(scene: Scene, places: str) -> None:
    """One worker crawls until its process stops at such a place, and sleeps as a whole until the
    other one has the claim."""
    await scene.start_masters("1")
    sleeper = scene.start("worker-1", CRAWLER_FAILPOINTS=places)
    await scene.cluster.wait_workers(1)
    await scene.crawl()
    scene.start("worker-2")
    await scene.cluster.wait_workers(2)
    await _child_asleep(sleeper)
    sleeper.pause()
    await scene.claimed("worker-2", ASLEEP_S)
    sleeper.resume()
    await asyncio.sleep(TTL_S / 2)


async def _give_leadership(scene: Scene, heir: Process) -> None:
    """End the leader's lease, and return once the heir says that it leads. At once: the call that a
    leader sleeps in has five seconds, and not all may go by before it is late."""
    before = heir.text().count(LEADS)
    async with scene.cluster.client() as etcd:
        standing = (await etcd.range("/resources/election/")).kvs
        await etcd.revoke(min(standing, key=lambda kv: kv.create_revision).lease)
    heir.resume()

    async def leads() -> bool | None:
        return heir.text().count(LEADS) > before or None

    await eventually(leads, f"term of {heir.name}", 10 * TTL_S)


async def _asleep(*pids: int) -> None:
    """Wait until one of these stands still."""

    async def stands() -> bool | None:
        return any(state_of(pid) == STOPPED for pid in pids) or None

    await eventually(stands, "process that stands still", ASLEEP_S)


async def _child_asleep(process: Process) -> None:
    async def stands() -> bool | None:
        return any(state_of(pid) == STOPPED for pid in process.children()) or None

    await eventually(stands, "child that stands still", ASLEEP_S)
