"""Keeps one target in step, again and again where that fails, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import random
from typing import NoReturn

import structlog
from prometheus_client import Counter

from crawler.clock import Backoff, Clock
from crawler.edge.desired import Desired
from crawler.edge.members import Pools
from crawler.edge.settings import Pace
from crawler.edge.target import Applied, Target
from crawler.errors import CrawlerError, OutOfStep

log = structlog.get_logger(__name__)

APPLIED = Counter(
    "crawler_edge_changes", "Changes of a load balancer, by what they took.", ["target", "how"]
)
FAILURES = Counter(
    "crawler_edge_failures", "Times that a load balancer could not be brought in step.", ["target"]
)
_AGAIN = Backoff(base_s=1.0, cap_s=30.0, floor_s=0.5)


def select_pools(pools: Pools, names: tuple[str, ...]) -> Pools:
    """Those a target shows. Raises `OutOfStep` where one has nobody in it and may not be so, or
    nobody knows whether it is so."""
    chosen = {name: each for name, each in pools.items() if not names or name in names}
    nobody = [name for name in sorted(chosen) if not chosen[name].members]
    for name in nobody:
        if chosen[name].held:
            raise OutOfStep(
                f"{name}: {chosen[name].held}, and nothing is remembered; what is in place stays"
            )
        if chosen[name].unresolved:
            raise OutOfStep(
                f"nobody of {name} can be reached: {', '.join(chosen[name].unresolved)} cannot be "
                "resolved here, and a door to nobody is never made"
            )
    empty = [name for name in nobody if not chosen[name].pool.allow_empty]
    if empty:
        raise OutOfStep(
            f"nobody is registered for {', '.join(empty)}, and a door to nobody is never "
            "made; start one, or allow it with allow_empty or --allow-empty"
        )
    return chosen


class Keeper:
    """One target. ``trouble``: why it is not in step ("": it is); ``in_step_at``: when it last was,
    in Unix seconds (0.0: never); ``looked``: set once it was looked at, whatever came of it."""

    def __init__(
        self, target: Target, names: tuple[str, ...], desired: Desired, pace: Pace, clock: Clock
    ) -> None:
        self._target = target
        self._names = names
        self._desired = desired
        self._pace = pace
        self._clock = clock
        self._chance = random.Random()
        self._busy = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self.name = target.name
        self.looked = asyncio.Event()
        self.trouble = "not looked at yet"
        self.in_step_at = 0.0

    async def run(self) -> NoReturn:
        """Keep it until cancelled."""
        try:
            while True:
                early_s = self._not_before - self._clock.elapsed()
                if early_s > 0:
                    await self._clock.sleep(early_s)
                seen = self._desired.version
                async with self._busy:
                    wait_s = await self._step()
                await self._desired.changed(seen, wait_s)
                if self._desired.version != seen:
                    await self._clock.sleep(self._chance.uniform(0.0, self._pace.jitter_s))
        finally:
            self._target.close()

    async def rest(self) -> None:
        """Return once it is not in the middle of a change; none begins any more."""
        await self._busy.acquire()

    async def _step(self) -> float | None:
        """Look at it once; in how many seconds to do so again, if nothing changes before."""
        pools = self._desired.pools
        if pools is None:
            self.trouble = "the registry was not read yet, and nothing is remembered"
            return None
        try:
            applied = await self._target.apply(select_pools(pools, self._names))
            soon_s = await self._target.tidy()
        except (CrawlerError, OSError) as error:
            return self._note_failure(str(error))
        except Exception as error:
            log.exception("fault while keeping a target", target=self.name)
            return self._note_failure(f"{type(error).__name__}: {error}")
        else:
            self._note_success(applied)
            return self._pace.resync_s if soon_s is None else soon_s
        finally:
            self.looked.set()

    def _note_success(self, applied: Applied) -> None:
        if applied is not Applied.UNCHANGED or self.trouble:
            log.info("in step", target=self.name, how=applied.value)
        if applied is not Applied.UNCHANGED:
            APPLIED.labels(self.name, applied.value).inc()
        if applied is Applied.RELOADED:
            self._not_before = self._clock.elapsed() + self._pace.reload_interval_s
        self._failures, self.trouble = 0, ""
        self.in_step_at = self._clock.wall()

    def _note_failure(self, why: str) -> float:
        delay_s = _AGAIN.delay(self._failures, self._chance)
        self._failures += 1
        say = log.info if why == self.trouble else log.error  # aloud once per cause
        say("not in step", target=self.name, why=why, again_in_s=round(delay_s, 1))
        self.trouble = why
        FAILURES.labels(self.name).inc()
        return delay_s
