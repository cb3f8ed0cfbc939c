"""When the next request to a host may start, and why not sooner. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

NEVER = float("inf")


class Wait(NamedTuple):
    """``at``: when the next request may start (`NEVER`: not before something else happens). A
    tuple, for each request asks three times."""

    at: float
    reason: str

    def sentence(self, now: float) -> str:
        """For people; "" when nothing stands in the way."""
        if self.at <= now:
            return ""
        if self.at == NEVER:
            return self.reason
        return f"next in {self.at - now:.1f} s, because {self.reason}"


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: a token comes every ``per_s / events`` seconds, at most ``burst`` wait to be
    used, and a request takes one.

    A bucket needs one number only, when it is full again if nothing is taken (the "theoretical
    arrival time" of the generic cell rate algorithm, ITU-T I.371).
    """

    events: int
    per_s: float
    burst: int = 1

    @property
    def interval_s(self) -> float:
        """Seconds from one token to the next."""
        return self.per_s / self.events

    def next_token(self, full_at: float) -> float:
        """When a bucket that is full at ``full_at`` holds a whole token, or did."""
        return full_at - (self.burst - 1) * self.interval_s


@dataclass(frozen=True, slots=True)
class AutoThrottle:
    """How a host's delay follows its latency. ``concurrency``: requests that the host is to have at
    a time on average, so that a delay is latency by concurrency."""

    start_s: float
    least_s: float
    most_s: float
    concurrency: float = 1.0

    def clamped(self, delay_s: float) -> float:
        """Within the bounds, of which the least delay is the stronger."""
        return max(self.least_s, min(delay_s, self.most_s))

    def adapted(self, delay_s: float, latency_s: float, *, good: bool) -> float:
        """The next delay: half of the way to what the latency asks for, at once where that is
        more. An answer that is not ``good`` never lowers it: errors are quickly said."""
        target_s = latency_s / self.concurrency
        new_s = self.clamped(max(target_s, (delay_s + target_s) / 2))
        return new_s if good else max(new_s, delay_s)


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to fetch from a host, on our own clock: until ``until``, the first request not
    before ``not_before``. ``since``: when it could first be used. ``wanted``: others wait for
    it. ``own``: nobody but this crawl asks for that ``not_before``."""

    since: float
    until: float
    not_before: float = 0.0
    wanted: bool = False
    own: bool = False


class HostPace(NamedTuple):
    """All that is known about requests to one host; times are those of one monotonic clock. A
    tuple, for each request changes it twice."""

    active: int = 0  # requests under way
    limit: int = 1  # concurrent_requests_per_domain
    last_start: float = -NEVER
    download_delay_s: float = 0.0
    crawl_delay_s: float = 0.0
    paused_until: float = 0.0  # Retry-After, or backing off
    paused: str = ""  # which of them
    turn: Turn | None = None
    served: int = 0  # requests started in this turn
    reading: bool = False  # its robots.txt is under way: nothing else may be asked before
    limits: tuple[Limit, ...] = ()
    full_at: tuple[float, ...] = ()  # of the bucket of each limit
    auto_delay_s: float = 0.0  # what autothrottle makes of the host's latency
    stretch: float = 1.0  # randomize_download_delay: a factor for the next gap
    held_until: float = 0.0  # this crawl cannot send anything, which is no business of others
    held: str = ""  # why

    @property
    def gap_s(self) -> float:
        """Seconds between two starts."""
        delay_s = max(self.download_delay_s, self.crawl_delay_s, self.auto_delay_s)
        return delay_s * self.stretch

    @property
    def gap_reason(self) -> str:
        """Which of the delays is the longest."""
        if self.auto_delay_s > max(self.download_delay_s, self.crawl_delay_s):
            return "autothrottle: the delay follows how long the host takes to answer"
        return "Crawl-delay" if self.crawl_delay_s > self.download_delay_s else "download_delay"

    @property
    def mean_gap_s(self) -> float:
        """Seconds between two starts in the long run, when bursts are used up."""
        if not self.limits:
            return self.gap_s
        return max(self.gap_s, *(limit.interval_s for limit in self.limits))

    @property
    def earliest(self) -> float:
        """Before this no request may start, whoever sends it."""
        at = max(self.last_start + self.gap_s, self.paused_until)
        return max(at, strictest(self.limits, self.full_at).at) if self.limits else at


def strictest(limits: Sequence[Limit], full_at: Sequence[float]) -> Wait:
    """The wait for a token from every bucket: all limits must pass. There is at least one."""
    times = [limit.next_token(full) for limit, full in zip(limits, full_at, strict=True)]
    at = max(times)
    which = times.index(at)
    limit = limits[which]
    return Wait(at, f"limits[{which}]: {limit.events} per {limit.per_s:g} s")


def spend(limits: Sequence[Limit], full_at: Sequence[float], at: float) -> tuple[float, ...]:
    """The buckets after a request at ``at``."""
    return tuple(
        max(full, at) + limit.interval_s for limit, full in zip(limits, full_at, strict=True)
    )


def inherit(
    limits: Sequence[Limit], full_at: Sequence[float], at: float, tokens: int
) -> tuple[float, ...]:
    """The buckets where others may have sent requests up to ``at``, and left ``tokens`` then: never
    more than is known here of our own."""
    return tuple(
        max(full, at + (limit.burst - tokens) * limit.interval_s)
        for limit, full in zip(limits, full_at, strict=True)
    )


SLICE_S = 2.0
_ASKED = "the host was asked by another crawl just now"


def spent(pace: HostPace, now: float) -> bool:
    """Whether a turn that others wait for has been used: at least one request, and at least 2 s,
    now or when the next request may start. So the next turn is asked for while the delay runs."""
    turn = pace.turn
    if turn is None or not turn.wanted or not pace.served:
        return False
    return max(now, pace.earliest) - turn.since >= SLICE_S


def next_start(pace: HostPace, now: float) -> Wait:
    """The strictest of all throttles, with its reason."""
    if pace.held_until > now:
        return Wait(pace.held_until, pace.held)
    if pace.turn is None or pace.turn.until <= now:
        return Wait(NEVER, "waiting for a turn on the host, which other crawls share")
    if spent(pace, now):
        return Wait(NEVER, "handing the host to another crawl")
    if pace.reading:
        return Wait(NEVER, "robots.txt is being read")
    if pace.active >= pace.limit:
        return Wait(NEVER, "concurrent_requests_per_domain requests are under way")
    spaced = pace.last_start + pace.gap_s
    if pace.paused_until > spaced:
        wait = Wait(pace.paused_until, pace.paused)
    else:
        wait = Wait(spaced, pace.gap_reason)
    if pace.limits:
        limited = strictest(pace.limits, pace.full_at)
        wait = limited if limited.at > wait.at else wait
    turn = pace.turn
    if turn.not_before <= wait.at:
        return wait
    return Wait(turn.not_before, wait.reason if turn.own else _ASKED)
