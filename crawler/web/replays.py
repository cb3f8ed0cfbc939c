"""The same answer to the same request: for callers that send an Idempotency-Key with a change.

What is asked of a resource is safe to repeat by its nature (adding, changing, pausing, deleting),
but for beginning its next run. So the store remembers, before anything is done, what is to be done:
for a start, after which run. A master that dies in between leaves that behind; the caller repeats
the request to another one, and that begins the same run or finds that it has begun.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from crawler.access import asking
from crawler.errors import Conflict, CrawlerError, NotFound, OutcomeUnknown, StoreUnavailable
from crawler.model import KeptAnswer
from crawler.web.route import KEY, Answer, AnyRoute, Asked, Streamed, encode

log = structlog.get_logger(__name__)

_ERRORS: dict[int, type[CrawlerError]] = {404: NotFound, 409: Conflict}


class Answers(Protocol):
    """Where answers are kept; both methods raise `StoreUnavailable` and `OutcomeUnknown`."""

    async def begin_answer(self, key: str, digest: bytes, plan: str) -> KeptAnswer:
        """What is kept for this key, or, where it is new, from now on."""

    async def end_answer(self, key: str, digest: bytes, status: int, body: str) -> None:
        """Keep the answer; the first one stays."""


@dataclass(frozen=True, slots=True)
class Replays:
    """Keys are each caller's own."""

    answers: Answers

    def around(self, route: AnyRoute) -> AnyRoute:
        """The route, with an eye on keys if it changes something."""
        if route.method == "GET":
            return route

        async def handle(asked: Asked[Any, Any]) -> Answer | Streamed:
            return await (self._keyed(route, asked) if asked.key else route.handle(asked))

        return replace(route, handle=handle, keyed=True)

    async def _keyed(self, route: AnyRoute, asked: Asked[Any, Any]) -> Answer | Streamed:
        key, digest = f"{asking.get().name}\n{asked.key}", _digest(route, asked)
        plan = await route.plan(asked) if route.plan is not None else ""
        kept = await self.answers.begin_answer(key, digest, plan)
        if kept.digest != digest:
            raise Conflict(f"{KEY}: it came with another request before; take a new one")
        if kept.status in _ERRORS:
            raise _ERRORS[kept.status](kept.body)
        if kept.status:
            return Answer(kept.body.encode(), kept.status, replayed=True)
        return await self._carry_out(route.handle, replace(asked, plan=kept.plan), key, digest)

    async def _carry_out(
        self,
        handle: Callable[[Asked[Any, Any]], Awaitable[Answer | Streamed]],
        asked: Asked[Any, Any],
        key: str,
        digest: bytes,
    ) -> Answer | Streamed:
        """Do it, and keep what is definite; what is not is tried again when it comes again."""
        try:
            answer = await handle(asked)
        except (NotFound, Conflict) as error:
            status = 404 if isinstance(error, NotFound) else 409
            await self._keep(key, digest, status, str(error))
            raise
        if isinstance(answer, Answer) and not isinstance(answer.content, bytes):
            await self._keep(key, digest, answer.status, encode(answer.content).decode())
        return answer

    async def _keep(self, key: str, digest: bytes, status: int, body: str) -> None:
        """It is done, whether or not it can be kept: coming again, it is done again in vain."""
        try:
            await self.answers.end_answer(key, digest, status, body)
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("answer not kept", error=str(error))


def _digest(route: AnyRoute, asked: Asked[Any, Any]) -> bytes:
    """32 bytes over what the request means, however it is spelled."""
    said = [route.method, route.path, asked.name]
    said += [json.dumps(each.model_dump(), sort_keys=True) for each in (asked.body, asked.query)]
    return hashlib.sha256(json.dumps(said).encode()).digest()
