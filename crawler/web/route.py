"""One door: the method and path, what it takes, what it does, what it answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from crawler.access import Role
from crawler.errors import CrawlerError, InvalidInput
from crawler.telemetry.correlation import MAX_CHARS, is_id
from crawler.web.body import parse_query, read_body

B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)

log = structlog.get_logger(__name__)

REQUEST_ID = "X-Request-Id"
LAST_EVENT_ID = "Last-Event-ID"
KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
FORWARDED = "X-Forwarded-Proto"

# What any request may come to: it makes no sense, comes from nobody or from somebody who may not,
# comes too often, or meets a fault of ours.
ALWAYS = (400, 401, 403, 429, 500)
LOOKS = (503, 504)  # of what asks the cluster
LOOKS_AT_ONE = (404, *LOOKS)
CHANGES = (404, 409, 413, *LOOKS)


@dataclass(frozen=True, slots=True)
class Asked(Generic[B, Q]):
    """A request that was understood. ``name`` is the path's variable part, "" where it has none;
    ``request_id`` is what the caller sent as X-Request-Id, "" for none."""

    name: str
    body: B
    query: Q
    request_id: str
    last_event_id: str = ""  # what a browser that connects again had received last
    key: str = ""  # Idempotency-Key; "": none
    plan: str = ""  # see `Route.plan`
    secure: bool = False  # it came over TLS, to us or to a proxy in front that says so


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, with the HTTP status."""

    content: BaseModel | bytes
    status: int = 200
    replayed: bool = False  # it was given before
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Streamed:
    """What is answered bit by bit, with status 200, until ``rest`` ends or nobody listens."""

    first: bytes
    rest: AsyncGenerator[bytes]
    media: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route(Generic[B, Q]):
    """A path with at most one variable part. ``check`` returns that part as the rooms below take
    it, or raises `InvalidInput`. GET never reads a body."""

    method: str
    path: str
    summary: str
    handle: Callable[[Asked[B, Q]], Awaitable[Answer | Streamed]]
    body: type[B]
    query: type[Q]
    reply: type[BaseModel]
    statuses: tuple[int, ...] = (200,)
    check: Callable[[str], str] = str
    role: Role | None = None  # what its callers need; READ for GET, else OPERATE, unless said
    fails: tuple[int, ...] = ()  # statuses of its failures, beside those that any request may have
    tag: str = ""  # the noun that it is about
    media: str = "application/json"  # of a success
    # What is decided before a request with a key is carried out, and stays so when it comes again.
    plan: Callable[[Asked[B, Q]], Awaitable[str]] | None = None
    keyed: bool = False  # it takes a key

    @property
    def failures(self) -> tuple[int, ...]:
        """Every status that a failure of it may have."""
        body = (408, 413) if self.method != "GET" else ()
        return tuple(sorted({*ALWAYS, *body, *self.fails}))

    @property
    def need(self) -> Role:
        """What callers need where they are asked who they are."""
        return self.role or (Role.READ if self.method == "GET" else Role.OPERATE)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Read, do, answer; errors of ours pass through."""
        (variable,) = request.match_info.values() or ("",)
        asked = Asked(
            name=self.check(variable),
            query=parse_query(request.query.items(), self.query),
            request_id=_mark(request, REQUEST_ID),
            last_event_id=_mark(request, LAST_EVENT_ID),
            key=_mark(request, KEY),
            secure=request.secure or request.headers.get(FORWARDED, "").lower() == "https",
            body=(
                self.body.model_validate({})
                if self.method == "GET"
                else await read_body(request, self.body)
            ),
        )
        answer = await self.handle(asked)
        if isinstance(answer, Streamed):
            return await _stream(request, answer)
        content = answer.content
        return web.Response(
            status=answer.status,
            body=content if isinstance(content, bytes) else encode(content),
            content_type="application/json",
            headers={**answer.headers, **({REPLAYED: "true"} if answer.replayed else {})},
        )


AnyRoute = Route[Any, Any]


def encode(content: BaseModel) -> bytes:
    """Compact JSON in UTF-8; text that UTF-8 cannot carry is escaped."""
    try:
        return content.model_dump_json().encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        plain = content.model_dump()
        return json.dumps(plain, separators=(",", ":"), default=str).encode()


async def _stream(request: web.Request, answer: Streamed) -> web.StreamResponse:
    headers = {"Content-Type": answer.media, "X-Accel-Buffering": "no"}  # nginx would keep it back
    response = web.StreamResponse(headers={**headers, **answer.headers})
    async with aclosing(answer.rest):
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await response.write(answer.first)
            async for chunk in answer.rest:
                await response.write(chunk)
        except ConnectionError:  # nobody listens any more
            pass
        except CrawlerError as error:  # too late to answer it: who listens sees no end
            log.warning("answer cut short", path=request.path[:300], error=str(error))
            if request.transport is not None:
                request.transport.abort()
    return response


def _mark(request: web.Request, header: str) -> str:
    """A header that is passed on as it is: short, and printable."""
    text = request.headers.get(header, "")
    if text and not is_id(text):
        raise InvalidInput(f"{header}: at most {MAX_CHARS} ASCII characters", field=header)
    return text
