"""What the doors should show: the registry, judged, once it has been quiet for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NoReturn

import structlog

from crawler.clock import Clock
from crawler.coordination.etcd import KeyValue
from crawler.coordination.keys import DRAINED
from crawler.coordination.registry import REGISTRY_PREFIX
from crawler.coordination.signing import Seal
from crawler.edge.follow import Registry
from crawler.edge.hold import Hold
from crawler.edge.members import (
    Backends,
    Found,
    Member,
    Pools,
    drained_nodes,
    place_member,
    read_members,
)
from crawler.edge.memory import Memory, Remembered
from crawler.edge.names import Lookup, Names, look_up
from crawler.edge.settings import Pace, Pool

log = structlog.get_logger(__name__)

# How long a start waits for the registry before it goes by what it remembers.
PATIENCE_S = 3.0
_UNREAD = "the registry was not read yet"


def prefixes_of(pools: Mapping[str, Pool], election_prefix: str) -> set[str]:
    """What has to be followed for these pools."""
    found = {below(pool) for pool in pools.values()}
    if any(pool.service for pool in pools.values()):
        found.add(DRAINED)
    if any(pool.leader for pool in pools.values()):
        found.add(election_below(election_prefix))
    return found


def below(pool: Pool) -> str:
    """Where the members of a pool are registered."""
    return f"{REGISTRY_PREFIX}{pool.service}/" if pool.service else pool.prefix


def election_below(prefix: str) -> str:
    return f"{prefix.rstrip('/')}/"


class Desired:
    """``pools`` are what targets should show (None: nothing is known yet). Whoever waits in
    `changed` looks at the whole."""

    def __init__(
        self,
        registry: Registry,
        pools: Mapping[str, Pool],
        pace: Pace,
        memory: Memory,
        clock: Clock,
        election_prefix: str,
        lookup: Lookup = look_up,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._registry = registry
        self._pools = pools
        self._pace = pace
        self._memory = memory
        self._clock = clock
        self._election = election_below(election_prefix)
        known = memory.read()
        self._holds = {}
        for name, pool in pools.items():
            before = known.get(name, Remembered())
            self._holds[name] = Hold(pool, pace, before.members, before.since)
        everybody = [each for before in known.values() for each in before.members]
        addresses = {each.name: each.host for each in everybody if each.name}
        self.names = Names(addresses, pace.resolve_s, clock, registry.wake, lookup)
        self._until: float | None = None
        self._woken = asyncio.Event()
        self._unread: dict[str, tuple[str, ...]] = {}
        self.seal = Seal()
        self.pools: Pools | None = None
        self.version = 0

    async def run(self) -> NoReturn:
        """Judge what changes, until cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while not self._registry.listed:
                    await self._registry.changed(self._registry.version)
        while True:
            seen = self._registry.version
            if self._registry.listed:
                await self.judge()
            elif self.pools is None:
                await self._remember_all()
            await self._news(seen)
            await self._quiet()

    async def judge(self) -> None:
        """Look at the registry as it was heard, now."""
        read = self._read()
        names: dict[str, int] = {}
        for each in read.values():
            for name, revision in each.names.items():
                names[name] = max(revision, names.get(name, 0))
        await self.names.settle(names)
        found, untils = {}, []
        for name, pool in self._pools.items():
            here, unresolved = self._placed(read[name].members)
            verdict = self._holds[name].judge(here, self._clock.wall())
            untils += [verdict.until] if verdict.until is not None else []
            found[name] = Backends(
                pool, verdict.members, read[name].leader, verdict.reason, unresolved
            )
            self._tell(name, found[name], read[name].unread)
        self._until = min(untils, default=None)
        self._memory.write(
            {name: Remembered(each.accepted, each.since) for name, each in self._holds.items()}
        )
        self._publish(found)

    async def changed(self, since: int, within_s: float | None) -> None:
        """Return once the version is another than ``since``, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.version == since:
                    await self._woken.wait()

    def resync(self) -> None:
        """Have everything read, and every target looked at, again."""
        log.info("looking at everything again")
        self._registry.resync()
        self._wake()

    def reseal(self, seal: Seal) -> None:
        """Believe what is signed with these secrets."""
        self.seal = seal
        self._registry.resync()

    async def _remember_all(self) -> None:
        accepted = {name: each.accepted for name, each in self._holds.items()}
        names = (each.name for members in accepted.values() for each in members if each.name)
        await self.names.settle(dict.fromkeys(names, 0))
        remembered = {
            name: Backends(pool, self._placed(accepted[name])[0], held=_UNREAD)
            for name, pool in self._pools.items()
        }
        log.warning(
            "the registry does not answer; going by what was last known",
            members={name: len(each.members) for name, each in remembered.items()},
        )
        self._publish(remembered)

    def _read(self) -> dict[str, Found]:
        """Every pool, as it is registered."""
        drained = drained_nodes(self._below(DRAINED))
        candidates = list(self._below(self._election))
        return {
            name: read_members(
                pool,
                self._registry.below(below(pool)),
                drained=drained,
                candidates=candidates,
                seal=self.seal,
            )
            for name, pool in self._pools.items()
        }

    def _placed(self, members: Iterable[Member]) -> tuple[tuple[Member, ...], tuple[str, ...]]:
        """Those that have an address, and the names of those that have none."""
        placed = [place_member(each, self.names.address) for each in members]
        here = tuple(each for each in placed if each.host)
        return here, tuple(each.name for each in placed if not each.host)

    def _below(self, prefix: str) -> Iterable[KeyValue]:
        """The keys of a prefix, if any pool needs it."""
        return self._registry.below(prefix)

    async def _news(self, seen: int) -> None:
        """Return when the registry has changed, or what is held is to be judged again."""
        left_s = None if self._until is None else max(0.0, self._until - self._clock.wall())
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._registry.changed(seen)

    async def _quiet(self) -> None:
        """Return once nothing has changed for a moment, or it goes on for too long."""
        until = self._clock.elapsed() + self._pace.max_wait_s
        while True:
            left_s = min(self._pace.quiet_s, until - self._clock.elapsed())
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._registry.changed(self._registry.version)
            except TimeoutError:
                return

    def _publish(self, pools: Pools) -> None:
        if pools != self.pools:
            self.pools = pools
            self._wake()

    def _wake(self) -> None:
        self.version += 1
        self._woken.set()
        self._woken = asyncio.Event()

    def _tell(self, name: str, backends: Backends, unread: tuple[str, ...]) -> None:
        """One line per decision that somebody may ask about."""
        before = (self.pools or {}).get(name)
        if unread != self._unread.get(name, ()):
            self._unread[name] = unread
            log.warning("keys that name no server", pool=name, keys=unread[:10], of=len(unread))
        if before is None or before.held != backends.held:
            if backends.held:
                log.error("members kept although unregistered", pool=name, why=backends.held)
            elif before is not None:
                log.info("members are as registered again", pool=name)
        if before is None or before.members != backends.members:
            log.info(
                "members",
                pool=name,
                now=[each.id for each in backends.members],
                leader=backends.leader,
            )
