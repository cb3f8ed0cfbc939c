"""Every fault that can be thrown at an `Arena`: whom it strikes, how it begins, how it ends."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from crawler.errors import CrawlerError
from tests.acceptance.cluster import Process, eventually
from tests.acceptance.hosted import MASTERS, MEMBERS
from tests.acceptance.nemesis.arena import NODES, WORKERS, Arena
from tests.lab.network import Fault as Broken
from tests.lab.tunnel import Disturbance
from tests.processes import GONE, STOPPED, state_of

STAND_S = 60.0  # until a master stands as a candidate, whatever else is thrown meanwhile
REACH_S = 15.0  # until an armed place must have been reached
HOUR_S = 3600.0
BAD_LINE = Disturbance(latency_s=0.05, jitter_s=0.02, duplicates=0.05, losses=0.02)

# Places in the code at which a process stops (SIGSTOP) or dies.
LEADER_PLACES = (
    "master.add.before_txn=stop@3",
    "leader.before_assign_txn=stop@1",
    "master.add.after_txn=kill@2",
    "master.delete.after_mark=kill@1",
    "master.delete.after_bury=kill@1",
    "master.takeover.after_begin=kill@1",
)
WORKER_PLACES = (
    "store.in_commit=stop@5",
    "store.before_commit=stop@5",
    "engine.after_fetch=stop@9",
    "engine.before_commit=kill@4",
    "store.after_commit=kill@3",
)


class Group(StrEnum):
    """What a fault strikes. Two of one group are never thrown at once: there is always a whole
    node of each role, and a quorum of members but where that is the fault."""

    MASTERS = "masters"
    WORKERS = "workers"
    ETCD = "etcd"
    SQL = "sql"
    LINES = "lines"


Context = AbstractAsyncContextManager[str]
Pick = Callable[[Arena, random.Random], Awaitable[str]]
Throw = Callable[[Arena, str], Context]


@dataclass(frozen=True, slots=True)
class Fault:
    """``pick`` says whom (the name of a host, or the place in an armed process), ``throw`` is a
    context whose value says what was struck, and whose end mends it. ``lengths`` are the shortest
    and the longest time in between, in times to live."""

    group: Group
    pick: Pick
    throw: Throw
    lengths: tuple[float, float] = (0.5, 2.5)


async def leader_of(arena: Arena) -> str:
    """The host of the master that leads; any, where etcd cannot be asked."""
    with suppress(CrawlerError, TimeoutError):
        async with asyncio.timeout(2):
            leader = await arena.leader()
            if leader is not None:
                return f"m{leader}"
    return MASTERS[0]


async def _leader(arena: Arena, chance: random.Random) -> str:
    return await leader_of(arena)


async def _etcd_leader(arena: Arena, chance: random.Random) -> str:
    with suppress(RuntimeError):
        return MEMBERS[await asyncio.to_thread(arena.etcd.leader)]
    return chance.choice(MEMBERS)


def _one_of(*names: str) -> Pick:
    async def pick(arena: Arena, chance: random.Random) -> str:
        return chance.choice(names)

    return pick


@asynccontextmanager
async def _kill(arena: Arena, host: str) -> AsyncIterator[str]:
    arena.process(host).kill_group()
    try:
        yield host
    finally:
        arena.start(host)


@asynccontextmanager
async def _pause(arena: Arena, host: str) -> AsyncIterator[str]:
    arena.process(host).pause()
    try:
        yield host
    finally:
        arena.process(host).resume()


@asynccontextmanager
async def _kill_children(arena: Arena, host: str) -> AsyncIterator[str]:
    for pid in arena.process(host).children():
        os.kill(pid, signal.SIGKILL)
    yield host


@asynccontextmanager
async def _until_healed(what: str, broken: Broken) -> AsyncIterator[str]:
    try:
        yield what
    finally:
        broken.heal()


def _cut(*others: str) -> Throw:
    def throw(arena: Arena, host: str) -> Context:
        rest = [other for other in others if other != host]
        return _until_healed(host, arena.network.cut(host, *rest))

    return throw


def _deafen(*speakers: str) -> Throw:
    return lambda arena, host: _until_healed(host, arena.network.deafen(host, *speakers))


def _isolate(arena: Arena, host: str) -> Context:
    return _until_healed(host, arena.network.isolate(host))


def _disturb(arena: Arena, host: str) -> Context:
    return _until_healed(host, arena.network.disturb(host, BAD_LINE))


@asynccontextmanager
async def _step_clock(arena: Arena, host: str) -> AsyncIterator[str]:
    arena.clocks[host].step(HOUR_S)
    try:
        yield host
    finally:
        arena.clocks[host].step(-HOUR_S)


@asynccontextmanager
async def _arm_leader(arena: Arena, place: str) -> AsyncIterator[str]:
    """A master that was started with a place at which it stops or dies comes to lead, and behind
    it stands another that can."""
    leader = await leader_of(arena)
    armed, spare = (host for host in MASTERS if host != leader)
    await _stand_anew(arena, armed, CRAWLER_FAILPOINTS=place)
    await _stand_anew(arena, spare)
    arena.process(leader).kill_group()
    try:
        async with _reached(arena, armed, place) as note:
            arena.start(leader)
            yield f"{armed} at {place}{note}"
    finally:
        await _let_go(arena, armed)
        await _stand_anew(arena, armed)


@asynccontextmanager
async def _arm_worker(arena: Arena, place: str) -> AsyncIterator[str]:
    """A worker was started with a place at which its crawling process stops or dies."""
    host = WORKERS[len(place) % len(WORKERS)]
    arena.process(host).kill_group()
    arena.start(host, CRAWLER_FAILPOINTS=place)
    try:
        async with _reached(arena, host, place) as note:
            # A child that stands still is waited for by its supervisor, whose lease lives on.
            arena.process(host).pause()
            yield f"{host} at {place}{note}"
    finally:
        await _let_go(arena, host)
        arena.process(host).kill_group()
        arena.start(host)


@asynccontextmanager
async def _reached(arena: Arena, host: str, place: str) -> AsyncIterator[str]:
    """Wait until it stands still or has died."""

    async def look() -> bool | None:
        return _has_ended(arena.process(host)) or None

    try:
        await eventually(look, place, REACH_S)
    except AssertionError:
        yield ", not reached"
    else:
        yield ""


async def _let_go(arena: Arena, host: str) -> None:
    """Let it do what it was about to do when it stood still."""
    arena.process(host).resume()
    await asyncio.sleep(arena.ttl_s / 3)


async def _stand_anew(arena: Arena, host: str, **environment: str) -> None:
    """Kill a master, start it again and wait until it stands: one at a time, so that there is
    always one that can lead."""
    before = await eventually(partial(_revision, arena), "answer of etcd", STAND_S)
    arena.process(host).kill_group()
    arena.start(host, **environment)
    await eventually(partial(_stands, arena, host, before), f"candidate {host}", STAND_S)


async def _revision(arena: Arena) -> int | None:
    with suppress(CrawlerError):
        return await arena.revision()
    return None


async def _stands(arena: Arena, host: str, after: int) -> bool | None:
    with suppress(CrawlerError):
        return host[1:] in await arena.candidates(after) or None
    return None


def _has_ended(process: Process) -> bool:
    pids = (process.pid, *process.children())
    return not process.running or any(state_of(pid) in (STOPPED, GONE) for pid in pids)


@asynccontextmanager
async def _kill_member(arena: Arena, host: str) -> AsyncIterator[str]:
    number = MEMBERS.index(host)
    await asyncio.to_thread(arena.etcd.kill, number)
    try:
        yield host
    finally:
        await asyncio.to_thread(arena.etcd.start, number)


@asynccontextmanager
async def _pause_member(arena: Arena, host: str) -> AsyncIterator[str]:
    number = MEMBERS.index(host)
    arena.etcd.pause(number)
    try:
        yield host
    finally:
        arena.etcd.resume(number)


@asynccontextmanager
async def _lose_quorum(arena: Arena, host: str) -> AsyncIterator[str]:
    """All members but this one are killed."""
    lost = [number for number, member in enumerate(MEMBERS) if member != host]
    await asyncio.to_thread(arena.etcd.kill, *lost)
    try:
        yield f"all but {host}"
    finally:
        await asyncio.to_thread(arena.etcd.start, *lost)


@asynccontextmanager
async def _compact(arena: Arena, host: str) -> AsyncIterator[str]:
    """The node's streams are reset, and etcd's history is compacted before they are back."""
    with arena.network.reset(host, *MEMBERS):
        await asyncio.sleep(arena.ttl_s / 2)
        await asyncio.to_thread(_forget_history, arena)
    yield host


def _forget_history(arena: Arena) -> None:
    status = arena.etcd.ctl("endpoint", "status", "--write-out=fields")
    lines = (line.partition(" : ") for line in status.splitlines())
    revision = next(value for name, _, value in lines if name == '"Revision"')
    arena.etcd.ctl("compact", revision)


def _end_server(number: signal.Signals) -> Throw:
    @asynccontextmanager
    async def throw(arena: Arena, host: str) -> AsyncIterator[str]:
        await asyncio.to_thread(arena.server.stop, number)
        try:
            yield number.name
        finally:
            await asyncio.to_thread(arena.server.start)

    return throw


@asynccontextmanager
async def _freeze_server(arena: Arena, host: str) -> AsyncIterator[str]:
    arena.server.freeze()
    try:
        yield host
    finally:
        arena.server.thaw()


@asynccontextmanager
async def _cut_commits(arena: Arena, host: str) -> AsyncIterator[str]:
    """Whoever has committed is reset instead of being told so."""
    arena.gate.lose("COMMIT")
    try:
        yield host
    finally:
        arena.gate.lose("")


_MASTER, _WORKER, _NODE = _one_of(*MASTERS), _one_of(*WORKERS), _one_of(*NODES)
_SQL = _one_of("sql")
LONG = (1.3, 2.5)  # beyond a lease
SHORT = (0.2, 0.6)

FAULTS = {
    "leader-kill": Fault(Group.MASTERS, _leader, _kill),
    "leader-pause": Fault(Group.MASTERS, _leader, _pause, LONG),
    "leader-cut": Fault(Group.MASTERS, _leader, _cut(*MEMBERS), LONG),
    "leader-deaf": Fault(Group.MASTERS, _leader, _deafen(*MEMBERS), LONG),
    "leader-armed": Fault(Group.MASTERS, _one_of(*LEADER_PLACES), _arm_leader, LONG),
    "master-pause": Fault(Group.MASTERS, _MASTER, _pause),
    "master-apart": Fault(Group.MASTERS, _MASTER, _cut(*MASTERS)),
    "worker-kill": Fault(Group.WORKERS, _WORKER, _kill),
    "worker-pause": Fault(Group.WORKERS, _WORKER, _pause, LONG),
    "worker-cut-etcd": Fault(Group.WORKERS, _WORKER, _cut(*MEMBERS), LONG),
    "worker-cut-sql": Fault(Group.WORKERS, _WORKER, _cut("sql")),
    "worker-deaf-sql": Fault(Group.WORKERS, _WORKER, _deafen("sql")),
    "worker-children": Fault(Group.WORKERS, _WORKER, _kill_children, SHORT),
    "worker-armed": Fault(Group.WORKERS, _one_of(*WORKER_PLACES), _arm_worker, LONG),
    "member-kill": Fault(Group.ETCD, _etcd_leader, _kill_member),
    "member-pause": Fault(Group.ETCD, _etcd_leader, _pause_member),
    "member-cut": Fault(Group.ETCD, _etcd_leader, _isolate),
    "quorum-lost": Fault(Group.ETCD, _one_of(*MEMBERS), _lose_quorum),
    "compaction": Fault(Group.ETCD, _NODE, _compact, SHORT),
    "sql-fast": Fault(Group.SQL, _SQL, _end_server(signal.SIGINT), SHORT),
    "sql-immediate": Fault(Group.SQL, _SQL, _end_server(signal.SIGQUIT), SHORT),
    "sql-kill": Fault(Group.SQL, _SQL, _end_server(signal.SIGKILL)),
    "sql-freeze": Fault(Group.SQL, _SQL, _freeze_server),
    "commit-cut": Fault(Group.SQL, _SQL, _cut_commits, SHORT),
    "bad-line": Fault(Group.LINES, _NODE, _disturb),
    "clock": Fault(Group.LINES, _NODE, _step_clock),
}
