"""Keeps the turns on hosts that this crawl needs: asks, renews, and hands over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from crawler.clock import Backoff, Clock
from crawler.engine.frontier import Turns
from crawler.engine.lanes import Lane, Lanes
from crawler.engine.throttle import NEVER, Turn, spent
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.model import HostGrant

log = structlog.get_logger(__name__)

_RENEW_S = 2.0  # also how soon we learn that somebody else wants the host
_LINGER_S = 1.0  # an idle host is kept so long, in case more of it is found
_YIELD_S = 0.5  # after handing a host over, the others ask first
_REMEMBER_S = 60.0  # for so long a delay is remembered that a host's latency has taught
_LONGEST_NAP_S = 1.0
_CALL_S = 0.3  # what two calls of the store may differ by in how long they take


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about turns now: pure data, computed by `plan`."""

    ask: tuple[Lane, ...]
    give: tuple[Lane, ...]
    next_at: float


def _due_at(lane: Lane, ask_at: float) -> float:
    """When the turn of this lane should be asked for, renewed or given back."""
    if lane.pace.turn is None:
        return max(ask_at, lane.pace.held_until) if lane.queue else NEVER
    return ask_at if lane.busy else lane.idle_since + _LINGER_S


def _must_give(lane: Lane, now: float) -> bool:
    turn = lane.pace.turn
    if turn is None or lane.pace.active:
        return False
    if lane.queue:
        return spent(lane.pace, now) or (turn.wanted and lane.pace.held_until > now)
    return turn.wanted or now >= lane.idle_since + _LINGER_S  # the very sum of `_due_at`


def _wait_s(lane: Lane, now: float) -> float:
    """Seconds in which nobody may send the next request to the host."""
    return max(0.0, lane.pace.earliest - now)


class TurnKeeper:
    """Runs beside the crawl. ``changed`` is called when a lane may go on."""

    def __init__(
        self, turns: Turns, lanes: Lanes, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._turns = turns
        self._lanes = lanes
        self._clock = clock
        self._changed = changed
        self._ask_at: dict[str, float] = {}
        self._told: dict[str, float] = {}  # until when the store knows that a host must wait
        self._wake = asyncio.Event()
        self._calm = Backoff().delays()

    def poke(self) -> None:
        """Lanes have changed: look again."""
        self._wake.set()

    def plan(self, now: float) -> Plan:
        """Which turns to take or renew, which to give back, and when to look again."""
        ask, give, next_at = [], [], NEVER
        for lane in self._lanes:
            if _must_give(lane, now):
                give.append(lane)
                continue
            ask_at = 0.0 if self._must_tell(lane) else self._ask_at.get(lane.host, 0.0)
            due = _due_at(lane, ask_at)
            if due <= now and lane.busy:
                ask.append(lane)
            next_at = min(next_at, due)
        return Plan(tuple(ask), tuple(give), next_at)

    def _must_tell(self, lane: Lane) -> bool:
        """Whether the host asked to be left alone, and only this process knows, which may die."""
        paused_until = lane.pace.paused_until
        return lane.pace.turn is not None and paused_until > self._told.get(lane.host, 0.0)

    async def run(self) -> NoReturn:
        """Until cancelled. Raises `Fenced` if the store says so."""
        while True:
            self._wake.clear()
            self._forget_idle()
            plan = self.plan(self._clock.elapsed())
            try:
                await self._give(plan.give)
                await self._ask(plan.ask)
            except (StoreUnavailable, OutcomeUnknown) as error:
                log.warning("turns on hosts not renewed", error=str(error))
                await self._clock.sleep(next(self._calm))
                continue
            if plan.ask or plan.give:
                self._calm = Backoff().delays()
                self._changed()
                continue
            await self._nap(plan.next_at)

    async def _nap(self, until: float) -> None:
        seconds = min(_LONGEST_NAP_S, max(0.0, until - self._clock.elapsed()))
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def release_all(self) -> None:
        """Give everything back, also places in lines: the crawl is over."""
        asked = tuple(lane for lane in self._lanes if lane.host in self._ask_at)
        try:
            await self._give(asked)
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("turns on hosts run out by themselves", error=str(error))

    async def _ask(self, lanes: tuple[Lane, ...]) -> None:
        if not lanes:
            return
        asked = self._clock.elapsed()
        told = {lane.host: _wait_s(lane, asked) for lane in lanes}
        known = {lane.host: lane.pace.earliest for lane in lanes}
        grants = await self._turns.reserve(told)
        self._told.update(known)
        for lane in lanes:
            self._apply(lane, grants[lane.host], asked, told[lane.host])

    def _apply(self, lane: Lane, grant: HostGrant, asked: float, told_s: float) -> None:
        now = self._clock.elapsed()
        until = asked + grant.left_s  # the store counts from later
        if not grant.held:
            self._ask_at[lane.host] = max(until, now + 0.05)
            self._lanes.grant(lane, None, now)
            return
        old = lane.pace.turn
        not_before = now + grant.wait_s  # the store counts from sooner
        # A turn counts from when it can be used: the crawl before may have had a long delay, and
        # that time must not be taken from this one.
        since = old.since if old is not None and old.until > asked else max(asked, not_before)
        # What we have told comes back to us, later by what the calls took.
        own = told_s > 0.0 and grant.wait_s <= told_s + _CALL_S
        turn = Turn(since, until, not_before, grant.wanted, own)
        if old is None or old.until <= asked:
            at = now - grant.idle_s if grant.lost else not_before - grant.idle_s
            self._lanes.inherit(lane, at, known=not grant.lost, now=now)
        self._ask_at[lane.host] = now + min(_RENEW_S, max(0.05, (until - now) / 2))
        self._lanes.grant(lane, turn, now)

    async def _give(self, lanes: tuple[Lane, ...]) -> None:
        if not lanes:
            return
        now = self._clock.elapsed()
        values = {lane.host: _wait_s(lane, now) for lane in lanes}
        for lane in lanes:  # first, so that nothing starts while the store is told
            self._lanes.grant(lane, None, now)
            self._ask_at[lane.host] = now + _YIELD_S
        await self._turns.release(values)

    def _forget_idle(self) -> None:
        """Drop lanes without work or turn, once a new lane would know all that they know, or
        what they know is old."""
        now = self._clock.elapsed()
        for lane in [each for each in self._lanes if not each.busy and each.pace.turn is None]:
            since = lane.idle_since + _REMEMBER_S if self._lanes.knows_more(lane) else 0.0
            if max(lane.pace.earliest, since) <= now:
                self._lanes.drop(lane)
                self._ask_at.pop(lane.host, None)
                self._told.pop(lane.host, None)
