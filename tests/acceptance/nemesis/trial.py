"""One run from its seed to its verdict: crawl, call, throw, heal, finish, judge."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from crawler.errors import CrawlerError
from tests.acceptance.chaos.history import Call, Kind, Outcome
from tests.acceptance.chaos.recorders import install_log, read_commits
from tests.acceptance.chaos.verdict import Needs, Verdict, verdict
from tests.acceptance.cluster import eventually, request
from tests.acceptance.hosted import MASTERS
from tests.acceptance.nemesis.arena import NODES, WORKERS, Arena, open_arena
from tests.acceptance.nemesis.callers import Callers, call, canonical
from tests.acceptance.nemesis.faults import FAULTS
from tests.acceptance.nemesis.ground import Tree, read_hits
from tests.acceptance.nemesis.met import met_in
from tests.acceptance.nemesis.plan import Phase, Strike, length_of, plan, strike_of
from tests.acceptance.nemesis.record import finished, recorded, truth_of
from tests.acceptance.nemesis.thrown import Thrown, bounds_for, table

CRAWLS = 4
DELAY_S = 0.1  # between two requests of a crawl
BUSY = 0.6  # the share of a run in which its crawls should have work
START_S = 60.0  # until every crawl must have pages
QUIET_S = 6.0  # crawling before the first fault
CALLED = 8  # different crawls that callers add
CALLED_SIZE = 8  # pages of each
TRIES = 6  # to hit what a run must have met
STUCK_S = 60.0  # without a page after the last fault: it does not go on


@dataclass(frozen=True, slots=True)
class Report:
    """A run's verdict, and what it stands on."""

    verdict: Verdict
    thrown: tuple[Thrown, ...]
    began: float

    def text(self) -> str:
        return f"{table(self.thrown, self.began)}\n\n{self.verdict.table()}"


async def try_out(folder: Path, seed: int, length_s: float, needs: Needs | None = None) -> Report:
    """Build everything anew, throw at it for about ``length_s`` what the seed decides, and judge.
    ``needs``: see `verdict`."""
    with open_arena(folder, CRAWLS + CALLED) as arena:
        return await Trial(arena, seed, length_s).run(needs)


class Trial:
    """One run on one arena."""

    def __init__(self, arena: Arena, seed: int, length_s: float) -> None:
        self._arena = arena
        self._plan = plan(seed, length_s, arena.ttl_s)
        size = int(length_of(self._plan) / DELAY_S * BUSY)
        self._trees = [arena.tree(site, size, seed) for site in range(CRAWLS)]
        self._called = [arena.tree(CRAWLS + site, CALLED_SIZE, seed) for site in range(CALLED)]
        self._seed, self._length_s = seed, length_s
        self._thrown: list[Thrown] = []
        self._trees_by_spec: dict[str, Tree] = {}

    async def run(self, needs: Needs | None) -> Report:
        arena = self._arena
        arena.start_site(self._seed)
        async with recorded(arena, arena.database_here) as record:
            await self._start_nodes()
            calls = await self._start_crawls()
            await eventually(self._all_crawl, "pages of every crawl", START_S)
            await asyncio.sleep(QUIET_S)
            first_fault = time.time()
            calls += await self._throw_all()
            arena.mend()
            converged_s = await self._converged()
            await finished(arena, STUCK_S)
            history = await record.history(calls)
        names = {arena.network[host].address: host for host in NODES}
        hits = read_hits(arena.site_log, names)
        origins = tuple(tree.origin for tree in self._trees)
        history = replace(
            history,
            first_fault=first_fault,
            # What callers add, many crawl: only of the others a URL is one crawl's.
            hits=tuple(hit for hit in hits if hit.url.startswith(origins)),
            met=met_in(arena.folder.glob("*.log")),
            converged_s=converged_s,
        )
        truth = truth_of(history, self._trees_by_spec)
        units = len({each.name for each in calls})
        bounds = bounds_for(self._thrown, arena.ttl_s, CRAWLS, units)
        return Report(verdict(history, truth, bounds, needs), tuple(self._thrown), history.began)

    async def _start_nodes(self) -> None:
        for host in MASTERS:
            self._arena.start(host)
        await self._arena.wait_ready(*(host[1:] for host in MASTERS))
        install_log(self._arena.database_here)
        for host in WORKERS:
            self._arena.start(host)
        await self._arena.wait_workers(len(WORKERS))

    async def _start_crawls(self) -> list[Call]:
        """The crawls that go on all the time, each on a site of its own."""
        calls = []
        for number, tree in enumerate(self._trees):
            definition = tree.definition(DELAY_S)
            self._trees_by_spec[canonical(definition)] = tree
            url = f"{self._arena.url('1')}/crawler/resource"
            calls.append(await call("first", url, Kind.PUT, f"crawl-{number}", definition))
        assert {each.outcome for each in calls} == {Outcome.OK}
        return calls

    async def _all_crawl(self) -> bool | None:
        crawling = {commit.resource_id for commit in read_commits(self._arena.database_here)}
        return len(crawling) == CRAWLS or None

    async def _throw_all(self) -> list[Call]:
        """Throw what is planned, while callers ask for what they like; their calls. Faults take
        longer than planned to strike and to mend: what is beyond the time is left out."""
        variants = [[tree.definition(delay_s) for delay_s in (0.02, 0.03)] for tree in self._called]
        for tree, definitions in zip(self._called, variants, strict=True):
            self._trees_by_spec |= {canonical(each): tree for each in definitions}
        masters = [self._arena.url(host[1:]) for host in MASTERS]
        callers = Callers(masters, variants, self._seed, self._length_s)
        calling = asyncio.create_task(callers.run())
        over_at = time.monotonic() + self._length_s
        await self._throw_phase(self._plan[0])
        await self._meet()
        for number, phase in enumerate(self._plan[1:]):
            if number > 0 and time.monotonic() >= over_at:
                break
            await self._throw_phase(phase)
        callers.stop()
        await calling
        return callers.calls

    async def _meet(self) -> None:
        """Throw again what has not hit yet, as a connection that is cut while nobody commits."""
        for number in range(TRIES):
            met, least = met_in(self._arena.folder.glob("*.log")), Needs()
            missed = [
                fault
                for fault, count, needed in (
                    ("worker-pause", met.refusals, least.refusals),
                    ("commit-cut", met.ambiguous, least.ambiguous),
                    ("compaction", met.compactions, least.compactions),
                )
                if count < needed
            ]
            if not missed:
                return
            chance = random.Random(f"{self._seed}/{number}")
            await self._throw([strike_of(fault, chance, self._arena.ttl_s) for fault in missed])

    async def _throw_phase(self, phase: Phase) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in phase:
                group.create_task(self._throw(lane))

    async def _throw(self, lane: Sequence[Strike]) -> None:
        for strike in lane:
            await asyncio.sleep(strike.gap_s)
            fault = FAULTS[strike.fault]
            target = await fault.pick(self._arena, random.Random(strike.seed))
            began = time.time()
            async with fault.throw(self._arena, target) as what:
                await asyncio.sleep(strike.length_s)
            self._thrown.append(Thrown(strike.fault, what, began, time.time()))

    async def _converged(self) -> float | None:
        """Seconds until every node is registered and every master takes writes; None: too many,
        and the log says what was missing."""
        began = time.time()
        missing = ""

        async def whole() -> bool | None:
            nonlocal missing
            missing = await self._missing()
            return not missing or None

        try:
            await eventually(whole, "whole cluster", 10 * self._arena.ttl_s + 10)
        except AssertionError:
            print(f"L6: {missing}")
            return None
        return time.time() - began

    async def _missing(self) -> str:
        """What keeps the cluster from being whole; empty: nothing does."""
        try:
            async with self._arena.client() as etcd:
                nodes = {each.key for each in (await etcd.range("/micro/registry/")).kvs}
            for host in MASTERS:
                url = f"{self._arena.url(host[1:])}/crawler/resource"
                status, answer = await request("POST", url, {"name": "whole"}, 6)
                if status not in (200, 202):
                    return f"{host} answers {status} {answer}"
        except (CrawlerError, OSError, aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        return "" if len(nodes) == len(NODES) else f"only {sorted(nodes)} are registered"
