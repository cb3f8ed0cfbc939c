"""`crawler demo`: the product in one minute, with two murders in the middle.

A real cluster on this machine crawls a shop of its own; the leading master and the busy worker
are killed with SIGKILL while it does. What survived is judged by witnesses of `verdict`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from crawler.client import Client, NodeStatus, ResourceStatus
from crawler.clock import Clock
from crawler.definition import load_text
from crawler.errors import Unavailable
from crawler.local.cluster import LocalCluster, Member, Plan, run_cluster
from crawler.local.ports import PortBook
from crawler.local.process import Kept
from crawler.local.site import pages
from crawler.local.verdict import Verdict, judge, read_hits, read_items, recovery_s
from crawler.model import State

NAME = "shop"
TTL_S = 3
_LOOPBACK = "127.0.0.0/8"
_KILL_LEADER_AT = 0.25  # of all pages
_KILL_WORKER_AT = 0.55
_LOOK_EVERY_S = 0.25


class Screen(Protocol):
    """Where the show is seen."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def progress(self, text: str) -> None:
        """A line that the next one replaces."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; times in seconds from each kill."""

    verdict: Verdict
    leader_recovery_s: float
    worker_recovery_s: float
    crawl_s: float
    both_killed: bool


@dataclass(slots=True)
class _Killed:
    """When whom (Unix seconds; 0.0: not yet)."""

    leader: str = ""
    leader_at: float = 0.0
    leader_back_at: float = 0.0
    worker: str = ""
    worker_at: float = 0.0


def load_shop(site_url: str) -> Mapping[str, Any]:
    """The bundled definition, for the shop at this address."""
    text = files("crawler.local").joinpath("shop.toml").read_text(encoding="utf-8")
    definition = load_text(text.replace("{site}", site_url), source="shop.toml")
    loaded: Mapping[str, Any] = json.loads(definition.canonical())
    return loaded


async def run_demo(data: Path, count: int, screen: Screen, clock: Clock) -> Outcome:
    """The whole show in an empty directory. Raises errors of ours when it cannot go on."""
    began = clock.elapsed()
    plan = Plan(
        data=data, masters=3, workers=3, ttl_s=TTL_S, processes=1, allow_private=(_LOOPBACK,),
        restart=False,
    )  # fmt: skip
    access_log = data / "access.jsonl"
    async with _open_shop(data, access_log, count, clock) as site_url:
        screen.say(f"a shop of {count:,} products at {site_url}")
        async with run_cluster(plan, clock) as cluster:
            assert cluster.etcd is not None
            screen.say(
                f"etcd, 3 masters, 3 workers, SQLite: up after {clock.elapsed() - began:.1f} s"
            )
            show = _Show(cluster, load_shop(site_url), count, screen, clock)
            crawl_s = await _watched(cluster, show.play())
    # Everything has stopped: what the witnesses say now is final.
    hits = await asyncio.to_thread(read_hits, access_log)
    items = await asyncio.to_thread(read_items, plan.database, NAME)
    killed = show.killed
    return Outcome(
        verdict=judge(count, items, hits),
        leader_recovery_s=killed.leader_back_at - killed.leader_at,
        worker_recovery_s=recovery_s(hits, killed.worker_at),
        crawl_s=crawl_s,
        both_killed=bool(killed.leader_back_at and killed.worker_at),
    )


async def _watched(cluster: LocalCluster, play: Coroutine[Any, Any, float]) -> float:
    """Play while the cluster's processes are looked after."""
    watch = asyncio.create_task(cluster.watch(), name="watch")
    playing: asyncio.Task[float] = asyncio.create_task(play, name="play")
    try:
        await asyncio.wait({watch, playing}, return_when=asyncio.FIRST_COMPLETED)
        return await (playing if playing.done() else watch)
    finally:
        for task in (playing, watch):
            task.cancel()
        await asyncio.gather(playing, watch, return_exceptions=True)


class _Show:
    """One crawl with its two kills."""

    def __init__(
        self,
        cluster: LocalCluster,
        definition: Mapping[str, Any],
        count: int,
        screen: Screen,
        clock: Clock,
    ) -> None:
        self.killed = _Killed()
        self._cluster = cluster
        self._definition = definition
        self._pages = sum(1 for _ in pages(count))
        self._screen = screen
        self._clock = clock

    async def play(self) -> float:
        """Apply, kill twice, wait for the end; seconds from the apply to the end."""
        masters = {f"master-{m.id}": m for m in self._cluster.masters}
        async with Client([m.url for m in masters.values()], retry_for_s=20.0) as client:
            nodes = await client.nodes()
        leader = _leader(nodes)
        follower = next(name for name in masters if name != leader)
        screen = self._screen
        async with Client(masters[follower].url) as client:
            await client.put(NAME, self._definition)
        began = self._clock.elapsed()
        screen.say(f"{leader} leads; the crawl was given to {follower}, which passed it on")
        alive = [m.url for name, m in masters.items() if name != leader]
        # Asked of the masters that will live, so that a kill costs the view nothing.
        async with Client(alive, retry_for_s=20.0, timeout_s=5.0) as client:
            await self._watch(client, masters[leader], leader, began)
        return self._clock.elapsed() - began

    async def _watch(self, client: Client, master: Member, leader: str, began: float) -> None:
        deadline = began + 240.0
        rate = _Rate(self._clock)
        while True:
            found, nodes = await client.resource(NAME), await client.nodes()
            self._screen.progress(self._line(found, nodes, rate))
            if found.state in (State.FINISHED, State.ERROR, State.STOPPED):
                self._screen.say(f"the crawl is {found.state}")
                return
            if self._clock.elapsed() > deadline:
                raise Unavailable(f"the crawl does not end: {found.state}, {found.reason}")
            self._note_leader(nodes)
            share = found.progress.done / self._pages if found.progress is not None else 0.0
            if not self.killed.leader and share >= _KILL_LEADER_AT:
                self._kill_leader(master, leader)
            elif (
                self.killed.leader_back_at
                and not self.killed.worker_at
                and share >= _KILL_WORKER_AT
            ):
                self._kill_worker(found)
            await self._clock.sleep(_LOOK_EVERY_S)

    def _kill_leader(self, master: Member, leader: str) -> None:
        self.killed.leader, self.killed.leader_at = leader, self._clock.wall()
        self._screen.say(f"kill -9 {master.kept.pid}: {leader}, which leads")
        master.kept.kill()

    def _kill_worker(self, found: ResourceStatus) -> None:
        name = _short(found.assigned_node)
        worker = next((w for w in self._cluster.workers if f"worker-{w.id}" == name), None)
        if worker is None or found.state is not State.RUNNING:
            return  # between two owners just now: look again
        self.killed.worker, self.killed.worker_at = name, self._clock.wall()
        self._screen.say(f"kill -9 {worker.kept.pid}: {name}, which crawls")
        worker.kept.kill()

    def _note_leader(self, nodes: tuple[NodeStatus, ...]) -> None:
        killed, leader = self.killed, _leader(nodes)
        if killed.leader and not killed.leader_back_at and leader not in ("", killed.leader):
            killed.leader_back_at = self._clock.wall()
            self._screen.say(
                f"{leader} leads now, {killed.leader_back_at - killed.leader_at:.1f} s later"
            )

    def _line(self, found: ResourceStatus, nodes: tuple[NodeStatus, ...], rate: _Rate) -> str:
        counts = found.progress
        done, known, items = (counts.done, counts.known, counts.items) if counts else (0, 0, 0)
        return (
            f"{done:5,}/{known:,} pages  {rate.of(done):5.1f} pages/s  {items:5,} items  "
            f"{_leader(nodes) or 'nobody'} leads  "
            f"{_short(found.assigned_node) or 'nobody'} works ({found.state})"
        )


class _Rate:
    """Pages per second over the last few looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: list[tuple[float, int]] = []

    def of(self, done: int) -> float:
        self._marks = [*self._marks[-12:], (self._clock.elapsed(), done)]
        (since, before), (now, _) = self._marks[0], self._marks[-1]
        return (done - before) / (now - since) if now > since else 0.0


def _leader(nodes: tuple[NodeStatus, ...]) -> str:
    return next((_short(node.id) for node in nodes if node.leader), "")


def _short(node_id: str) -> str:
    return node_id.removeprefix("go.micro.server.")


@asynccontextmanager
async def _open_shop(data: Path, log_path: Path, count: int, clock: Clock) -> AsyncIterator[str]:
    """The shop in a process of its own, which no kill of ours touches."""
    port = PortBook(data / "shop.json").take("shop")
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "crawler.local.site", f"--port={port}", f"--log={log_path}"]
    shop = Kept("shop", [*argv, f"--products={count}"], data / "shop.log", clock)
    await shop.start()
    try:
        await _until_open(url, shop, clock)
        yield url
    finally:
        await shop.stop(3.0)


async def _until_open(url: str, shop: Kept, clock: Clock) -> None:
    deadline = clock.elapsed() + 20.0
    async with aiohttp.ClientSession(trust_env=False) as http:
        while True:
            try:
                async with http.get(f"{url}/robots.txt"):
                    return
            except aiohttp.ClientError as error:
                if shop.pid is None or clock.elapsed() > deadline:
                    raise Unavailable(f"the shop does not open: {error}") from error
            await clock.sleep(0.05)


def table(outcome: Outcome) -> str:
    """The verdict for people."""
    verdict = outcome.verdict
    recovery = (
        f"leader {outcome.leader_recovery_s:.1f}, worker {outcome.worker_recovery_s:.1f}"
        f"  (time to live {TTL_S} s)"
        if outcome.both_killed
        else "not both were killed"
    )
    rows = [
        ("expected", f"{verdict.expected:,} products"),
        ("found", f"{verdict.found:,}"),
        ("lost", f"{verdict.lost:,}"),
        ("duplicated", f"{verdict.duplicated:,}"),
        ("pages fetched twice", f"{verdict.refetched:,}  (not stored yet when their worker died)"),
        ("seconds to recover", recovery),
        ("crawled in", f"{outcome.crawl_s:.0f} s"),
    ]
    if verdict.strange:
        rows.append(("not in the shop", f"{verdict.strange:,} items"))
    if verdict.unfetched:
        rows.append(("pages never fetched", f"{verdict.unfetched:,}"))
    return "\n".join(f"  {label:20} {value}" for label, value in rows)
