"""A lease and the deadline by which its holder must believe it lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import structlog

from crawler import failpoint
from crawler.clock import Clock
from crawler.coordination.etcd import Etcd
from crawler.errors import OutcomeUnknown, SessionLost, Unavailable
from crawler.tasks import bounded

log = structlog.get_logger(__name__)

REVOKE_LIMIT_S = 1.0

# Rounds per time to live; after a failed round the next comes sooner.
_ROUNDS = 3
_RETRY_S = 0.2


class Session:
    """A lease that `run` keeps alive.

    The deadline is the *sending* time of the last acknowledged keepalive plus the time to live,
    on a clock that runs on in suspend. So the holder knows that the lease may be gone no later
    than etcd does, and a process that was paused beyond it learns so from `remaining` before it
    does anything else. Once lost, a session stays lost, even if an answer arrives late.
    """

    def __init__(self, etcd: Etcd, lease: int, ttl_s: int, clock: Clock, asked_at: float) -> None:
        self.lease = lease
        self.ttl_s = ttl_s
        self._etcd = etcd
        self._clock = clock
        self._deadline = asked_at + ttl_s
        self._rewinds = etcd.rewinds
        self._lost = ""

    def remaining(self) -> float:
        """Seconds until the session must count as lost; 0.0 for ever once it does."""
        if self._etcd.rewinds != self._rewinds:
            self._lost = "etcd went back in time"
        if self._lost:
            return 0.0
        left_s = self._deadline - self._clock.elapsed()
        if left_s <= 0.0:
            self._lost = "no keepalive was acknowledged in time"
            return 0.0
        return left_s

    async def run(self, beat: Callable[[], None] = lambda: None) -> NoReturn:
        """Keep the lease alive; raises `SessionLost` as soon as it cannot be relied on. ``beat``
        is called for each round."""
        interval_s = self.ttl_s / _ROUNDS
        wait_s = interval_s
        while True:
            await self._clock.sleep(min(wait_s, self._check()))
            await failpoint.hit("session.before_keepalive")
            self._check()
            beat()
            wait_s = interval_s if await self._renew(interval_s) else _RETRY_S

    async def _renew(self, limit_s: float) -> bool:
        """One round: whether it was acknowledged."""
        sent_at = self._clock.elapsed()
        try:
            granted_s = await self._etcd.keep_alive_once(
                self.lease, timeout_s=min(limit_s, self._check())
            )
        except (Unavailable, OutcomeUnknown) as error:
            log.warning("keepalive failed", remaining_s=self._check(), error=str(error))
            return False
        if granted_s <= 0:
            self._lost = "etcd has ended the lease"
        self._check()
        self._deadline = sent_at + min(self.ttl_s, granted_s)
        return True

    def _check(self) -> float:
        """Seconds left; raises `SessionLost` if there are none."""
        left_s = self.remaining()
        if left_s <= 0.0:
            raise SessionLost(f"session {self.lease:x} is lost: {self._lost}")
        return left_s


@asynccontextmanager
async def open_session(etcd: Etcd, ttl_s: int, clock: Clock) -> AsyncIterator[Session]:
    """A new session; whoever opens it runs `Session.run` beside its work.

    On exit the lease is revoked, for at most a second: what hangs on it is free at once, also
    after a loss, because the lease may still live.
    """
    asked_at = clock.elapsed()
    lease = await etcd.grant(ttl_s)
    session = Session(etcd, lease, ttl_s, clock, asked_at)
    log.info("session opened", lease=f"{lease:x}", ttl_s=ttl_s)
    try:
        yield session
    finally:
        await bounded(etcd.revoke(lease), REVOKE_LIMIT_S, "revoke the lease")
