"""How much of an origin's attention the clients of one proxy get at a time.

The budgets of crawls are not shared: a turn on a host belongs to one crawl for seconds on end, and
a client would wait behind it. So each host has a few requests at a time from each proxy, and a host
that asks to be left alone (429 or 503 with Retry-After) is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from crawler.clock import Clock
from crawler.proxy.refusals import Refusal

MOST_AT_ONCE = 4
MOST_WAITING = 64
LONGEST_WAIT_S = 30.0
LONGEST_PAUSE_S = 300.0


@dataclass(slots=True)
class _Host:
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    users: int = 0
    paused_until: float = 0.0


class Hosts:
    """Counts requests by host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}

    def check(self, name: str) -> None:
        """Raises `Refusal` while the host wants to be left alone, or too many wait for it."""
        host = self._hosts.get(name)
        if host is None:
            return
        left_s = host.paused_until - self._clock.elapsed()
        if left_s > 0:
            raise Refusal(
                503,
                f"{name} asked to be left alone; try again in {left_s:.0f} s",
                "destination_unavailable",
                retry_after_s=left_s,
            )
        if host.users >= MOST_AT_ONCE + MOST_WAITING:
            raise _busy(name)

    @asynccontextmanager
    async def slot(self, name: str) -> AsyncIterator[None]:
        """One of the requests that the host gets at a time. Raises `Refusal`."""
        self.check(name)
        host = self._hosts.setdefault(name, _Host())
        host.users += 1
        try:
            try:
                async with asyncio.timeout(LONGEST_WAIT_S):
                    await host.free.acquire()
            except TimeoutError as error:
                raise _busy(name) from error
            try:
                yield
            finally:
                host.free.release()
        finally:
            host.users -= 1
            self._forget()

    def pause(self, name: str, seconds: float) -> None:
        """The host asked for it."""
        host = self._hosts.setdefault(name, _Host())
        until = self._clock.elapsed() + min(LONGEST_PAUSE_S, max(0.0, seconds))
        host.paused_until = max(host.paused_until, until)

    def _forget(self) -> None:
        now = self._clock.elapsed()
        if len(self._hosts) > 1000 or not any(each.users for each in self._hosts.values()):
            self._hosts = {
                name: each
                for name, each in self._hosts.items()
                if each.users or each.paused_until > now
            }


def _busy(name: str) -> Refusal:
    return Refusal(
        503,
        f"too many requests wait for {name}: it gets {MOST_AT_ONCE} at a time from here; send "
        "fewer, or try again",
        "connection_limit_reached",
        retry_after_s=5,
    )
