"""When the next request to a host may start, and why not sooner. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Wait:
    """``at``: when the next request may start (`NEVER`: not before something else happens)."""

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
class Turn:
    """The right to fetch from a host, on our own clock: until ``until``, the first request not
    before ``not_before``. ``since``: when it could first be used. ``wanted``: others wait for
    it."""

    since: float
    until: float
    not_before: float = 0.0
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class HostPace:
    """All that is known about requests to one host; times are those of one monotonic clock."""

    active: int = 0  # requests under way
    limit: int = 1  # concurrent_requests_per_domain
    last_start: float = -NEVER
    download_delay_s: float = 0.0
    crawl_delay_s: float = 0.0
    paused_until: float = 0.0  # Retry-After, or backing off
    turn: Turn | None = None
    served: int = 0  # requests started in this turn
    reading: bool = False  # its robots.txt is under way: nothing else may be asked before

    @property
    def gap_s(self) -> float:
        """Seconds between two starts."""
        return max(self.download_delay_s, self.crawl_delay_s)

    @property
    def earliest(self) -> float:
        """Before this no request may start, whoever sends it."""
        return max(self.last_start + self.gap_s, self.paused_until)


SLICE_S = 2.0


def spent(pace: HostPace, now: float) -> bool:
    """Whether a turn that others wait for has been used: at least one request, and at least 2 s,
    now or when the next request may start. So the next turn is asked for while the delay runs."""
    turn = pace.turn
    if turn is None or not turn.wanted or not pace.served:
        return False
    return max(now, pace.earliest) - turn.since >= SLICE_S


def next_start(pace: HostPace, now: float) -> Wait:
    """The strictest of all throttles, with its reason."""
    if pace.turn is None or pace.turn.until <= now:
        return Wait(NEVER, "waiting for a turn on the host, which other crawls share")
    if spent(pace, now):
        return Wait(NEVER, "handing the host to another crawl")
    if pace.reading:
        return Wait(NEVER, "robots.txt is being read")
    if pace.active >= pace.limit:
        return Wait(NEVER, "concurrent_requests_per_domain requests are under way")
    slower = pace.crawl_delay_s > pace.download_delay_s
    return max(
        Wait(pace.last_start + pace.gap_s, "Crawl-delay" if slower else "download_delay"),
        Wait(pace.paused_until, "Retry-After"),
        Wait(pace.turn.not_before, "the host was asked by another crawl just now"),
        key=lambda wait: wait.at,
    )
