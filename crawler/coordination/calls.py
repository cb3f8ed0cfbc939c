"""One call on the cluster: which endpoint, under which login, and what may be repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import NoReturn, TypeVar

import structlog
from grpc import aio
from prometheus_client import Counter, Histogram

from crawler.clock import Backoff, Clock
from crawler.coordination.endpoints import Endpoint, EtcdSettings, open_endpoints
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.coordination.verdicts import Verdict, details_of, judge, to_error
from crawler.errors import CrawlerError, EtcdUnavailable, Hindered, OutcomeUnknown
from crawler.telemetry.traces import span

log = structlog.get_logger(__name__)

SECONDS = Histogram(
    "crawler_etcd_request_duration_seconds", "One call to etcd, all its tries included."
)
FAILURES = Counter("crawler_etcd_request_failures", "Calls to etcd that failed for good.")

Metadata = tuple[tuple[str, str], ...]
R = TypeVar("R")
Send = Callable[[Endpoint, Metadata, float], Awaitable[R]]

# A member that sees no leader refuses instead of hanging, and cancels its streams when it loses
# one (etcd rpctypes/metadatafields.go).
_REQUIRE_LEADER = ("hasleader", "true")

_LEAST_S = 0.1  # an attempt with less time than this would only blur what went wrong before it


class Repeat(Enum):
    """Whether a call whose answer was lost may be sent again."""

    FREELY = "freely"  # an effect that nobody hears of does no harm
    GUARDED = "guarded"  # it changes what it compares, or to the same: twice is as good as once
    NEVER = "never"


class _LoginStale(Hindered):
    """etcd does not know the token. Just after a restart it may forget a new one, too, so this
    ends a call only when its time is over."""


class Calls:
    """The endpoints with the one that worked last in front, and the login they share."""

    def __init__(self, settings: EtcdSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._endpoints = open_endpoints(settings)
        self._turn = random.randrange(len(self._endpoints))
        self._token: str | None = None
        self._login = asyncio.Lock()
        self._backoff = Backoff(base_s=0.05, cap_s=0.5)
        self._chance = random.Random()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    def preferred(self) -> Endpoint:
        """The endpoint that the next call goes to."""
        return self._endpoints[self._turn]

    def avoid(self, endpoint: Endpoint) -> None:
        """Prefer the next one, unless somebody has already turned away from ``endpoint``."""
        if self.preferred() is endpoint:
            self._turn = (self._turn + 1) % len(self._endpoints)

    async def close(self) -> None:
        """Close all channels; calls that still run on them are cancelled."""
        for endpoint in self._endpoints:
            await endpoint.close()

    async def call(self, send: Send[R], repeat: Repeat, *, timeout_s: float | None = None) -> R:
        """Run ``send`` on one endpoint after the other until it succeeds or the time is over.

        Raises `OutcomeUnknown` where it may have had an effect that nobody confirmed;
        `EtcdUnavailable` when it definitely had none; what `to_error` says when repeating cannot
        help.
        """
        lost: list[OutcomeUnknown] = []
        try:
            with SECONDS.time(), span("etcd"):
                return await self._attempts(send, repeat, timeout_s, lost)
        except CrawlerError as error:
            FAILURES.inc()
            if lost and repeat is not Repeat.FREELY:
                raise lost[0] from error  # what came after it says nothing about it
            raise

    async def _attempts(
        self, send: Send[R], repeat: Repeat, timeout_s: float | None, lost: list[OutcomeUnknown]
    ) -> R:
        """As `call`, but that answers which were ``lost`` are only noted there."""
        limit_s = self._settings.call_timeout_s if timeout_s is None else timeout_s
        deadline = self._clock.elapsed() + limit_s
        # A member that hangs must leave time for another, where a second try is allowed.
        share_s = limit_s / 2 if len(self._endpoints) > 1 else limit_s
        relogged, attempt = False, 0
        while True:
            endpoint, token = self.preferred(), self._token
            left_s = max(deadline - self._clock.elapsed(), 0.001)
            try:
                metadata = await self.prepare(endpoint, min(share_s, left_s))
                token = self._token
                left_s = max(deadline - self._clock.elapsed(), 0.001)
                return await send(
                    endpoint, metadata, left_s if repeat is Repeat.NEVER else min(share_s, left_s)
                )
            except EtcdUnavailable as error:
                failure: CrawlerError = error
            except aio.AioRpcError as error:
                failure = self._react(error, endpoint, token)
                if isinstance(failure, OutcomeUnknown):
                    lost.append(failure)
                if not relogged and isinstance(failure, _LoginStale):
                    relogged = True
                    continue
            self.avoid(endpoint)
            if lost and repeat is Repeat.NEVER:
                raise lost[0]
            attempt += 1
            await self._pause(attempt, deadline, failure)

    def _react(self, error: aio.AioRpcError, endpoint: Endpoint, token: str | None) -> CrawlerError:
        """Raise what ends the call; return what a call that goes on may end with."""
        details = details_of(error)
        verdict = judge(error.code(), details)
        ours = to_error(error.code(), details)
        if verdict is Verdict.FINAL:
            raise ours from error
        if verdict is Verdict.LOGIN:
            if self._settings.username is None:
                raise ours from error
            self.forget(token)
            return _LoginStale(str(ours))
        if verdict is Verdict.UNKNOWN:
            return OutcomeUnknown(f"etcd: the answer of {endpoint.url} was lost: {details}")
        return ours

    async def prepare(self, endpoint: Endpoint, timeout_s: float) -> Metadata:
        """Connect and log in if need be; the metadata for a call. `EtcdUnavailable`: not sent."""
        await endpoint.connect(timeout_s)
        if self._settings.username is None:
            return (_REQUIRE_LEADER,)
        # One login at a time: others wait for its token instead of asking for their own.
        async with self._login:
            if self._token is None:
                self._token = await self._authenticate(endpoint, timeout_s)
            token = self._token
        return (_REQUIRE_LEADER, ("token", token)) if token else (_REQUIRE_LEADER,)

    def forget(self, token: str | None) -> None:
        """Log in again before the next call, unless somebody has done so since ``token``."""
        if self._token == token:
            self._token = None

    async def _pause(self, attempt: int, deadline: float, failure: CrawlerError) -> None:
        """Go on at once within a round over the endpoints, and after a delay between rounds."""
        rounds, place = divmod(attempt, len(self._endpoints))
        delay_s = 0.0 if place else self._backoff.delay(rounds, self._chance)
        if deadline - self._clock.elapsed() <= delay_s + _LEAST_S:
            self._give_up(failure)
        await self._clock.sleep(delay_s)

    def _give_up(self, failure: CrawlerError) -> NoReturn:
        if isinstance(failure, _LoginStale):
            raise failure
        urls = ", ".join(self._settings.endpoints)
        raise EtcdUnavailable(f"etcd did not take the call ({urls}): {failure}") from failure

    async def _authenticate(self, endpoint: Endpoint, timeout_s: float) -> str:
        """A token; "" where the server has authentication switched off."""
        assert self._settings.username is not None
        assert self._settings.password is not None
        request = pb.AuthenticateRequest(
            name=self._settings.username, password=self._settings.password
        )
        try:
            response = await endpoint.auth.Authenticate(request, timeout=timeout_s)
        except aio.AioRpcError as error:
            details = details_of(error)
            if "authentication is not enabled" in details:
                log.warning("etcd has authentication switched off", endpoint=endpoint.url)
                return ""
            if judge(error.code(), details) is Verdict.FINAL:
                raise Hindered(f"etcd refused the login: {details}") from error
            raise EtcdUnavailable(f"etcd: no login at {endpoint.url}: {details}") from error
        return response.token
