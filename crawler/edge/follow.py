"""The registry as last heard: each prefix listed once, then watched from there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import NoReturn

import structlog

from crawler.clock import Backoff, Clock
from crawler.coordination.etcd import Etcd, KeyValue, WatchEvent
from crawler.coordination.operations import prefix_end
from crawler.errors import Compacted, CrawlerError, Misconfigured, Unavailable
from crawler.tasks import TaskGroup, start_loop

log = structlog.get_logger(__name__)

# Every so often etcd is asked something that needs its quorum: a watch alone cannot tell a quiet
# registry from one that is away.
PULSE_S = 2.0
_AGAIN = Backoff(base_s=0.2, cap_s=2.0)


class Prefix:
    """The keys below one prefix. ``news`` is called after every change, and after every list."""

    def __init__(
        self, etcd: Etcd, clock: Clock, prefix: str, news: Callable[[], None], relist_s: float
    ) -> None:
        self._etcd = etcd
        self._clock = clock
        self._news = news
        self._relist_s = relist_s
        self._listening: asyncio.Timeout | None = None
        self._chance = random.Random()
        self.prefix = prefix
        self.kvs: dict[str, KeyValue] = {}
        self.listed = False
        self.revision = 0

    async def run(self) -> NoReturn:
        """List, watch from the next revision on, and list again from time to time, or when the
        history in between is gone. Raises `Misconfigured` where etcd refuses from the beginning;
        later that is one more way to be away."""
        failures = 0
        while True:
            try:
                await self.read()
                failures = 0
                await self._listen()
            except Compacted as error:
                log.info("history is gone; listing again", prefix=self.prefix, why=str(error))
            except (Unavailable, Misconfigured) as error:
                if isinstance(error, Misconfigured) and not self.listed:
                    raise
                say = log.debug if failures else log.warning  # aloud once per outage
                say("registry not read", prefix=self.prefix, error=str(error))
                failures += 1
                await self._clock.sleep(_AGAIN.delay(failures, self._chance))

    async def read(self) -> None:
        """List all keys. Raises `Unavailable`."""
        snapshot = await self._etcd.range(self.prefix)
        self.kvs = {kv.key: kv for kv in snapshot.kvs}
        self.revision, self.listed = snapshot.revision, True
        self._news()

    def list_again(self) -> None:
        """Do so now; where the watch is just ending, that happens anyhow."""
        if self._listening is not None and not self._listening.expired():
            self._listening.reschedule(asyncio.get_running_loop().time())

    async def _listen(self) -> None:
        end = prefix_end(self.prefix).decode("utf-8", "surrogateescape")
        limit_s = self._relist_s * self._chance.uniform(0.8, 1.2)
        try:
            async with asyncio.timeout(limit_s) as self._listening:
                events = self._etcd.watch(self.prefix, end, self.revision + 1)
                async with aclosing(events) as batches:
                    async for batch in batches:
                        self._take(batch)
        except TimeoutError:
            pass  # time to list again
        finally:
            self._listening = None

    def _take(self, batch: Iterable[WatchEvent]) -> None:
        for event in batch:
            self.revision = event.kv.mod_revision
            if event.deleted:
                self.kvs.pop(event.kv.key, None)
            else:
                self.kvs[event.kv.key] = event.kv
        self._news()


class Registry:
    """Several prefixes, and whether etcd is there. ``lost_at`` is the elapsed time since which it
    is not (None: it is); what was heard before stays."""

    def __init__(
        self,
        etcd: Etcd,
        clock: Clock,
        prefixes: Iterable[str],
        relist_s: float,
        *,
        pulse_s: float = PULSE_S,
    ) -> None:
        self._etcd = etcd
        self._clock = clock
        self._pulse_s = pulse_s
        self._woken = asyncio.Event()
        self._rewinds = etcd.rewinds
        self._followed = {
            prefix: Prefix(etcd, clock, prefix, self.wake, relist_s)
            for prefix in sorted(set(prefixes))
        }
        self.version = 0
        self.lost_at: float | None = None

    @property
    def listed(self) -> bool:
        """Whether everything was read once."""
        return all(each.listed for each in self._followed.values())

    @property
    def revision(self) -> int:
        return max((each.revision for each in self._followed.values()), default=0)

    def below(self, prefix: str) -> Iterable[KeyValue]:
        """The keys of a prefix; none of one that is not followed."""
        followed = self._followed.get(prefix)
        return followed.kvs.values() if followed is not None else ()

    async def read(self) -> None:
        """List everything once. Raises `Unavailable`."""
        for each in self._followed.values():
            await each.read()

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        async with TaskGroup() as group:
            start_loop(group, "pulse", self._feel_pulse())
            for prefix, each in self._followed.items():
                start_loop(group, f"follow {prefix}", each.run())
        raise AssertionError("a group of endless loops ended")

    async def changed(self, since: int) -> int:
        """The version, as soon as it is another than ``since``."""
        while self.version == since:
            await self._woken.wait()
        return self.version

    def resync(self) -> None:
        """List everything again, and let all be looked at."""
        for each in self._followed.values():
            each.list_again()
        self.wake()

    def wake(self) -> None:
        """Let all be looked at."""
        self.version += 1
        self._woken.set()
        self._woken = asyncio.Event()

    async def _feel_pulse(self) -> NoReturn:
        first = next(iter(self._followed), "/")
        while True:
            try:
                await self._etcd.get(first)
            except CrawlerError as error:
                if self.lost_at is None:
                    self.lost_at = self._clock.elapsed()
                    log.error("registry lost; what was last known stays", error=str(error))
                    self.wake()
            else:
                if self.lost_at is not None:
                    log.info("registry is back", away_s=self._clock.elapsed() - self.lost_at)
                    self.lost_at = None
                    self.resync()
                if self._rewinds != self._etcd.rewinds:
                    self._rewinds = self._etcd.rewinds
                    self.resync()
            await self._clock.sleep(self._pulse_s)
