"""The place that ``--pprof`` opens: what this process and its children are doing, over HTTP.

See `crawler.telemetry.sampling` for what there is. Plain text for people, profiles also as
speedscope and flame graph tools read them.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from crawler.access import Access, Role
from crawler.address import names_loopback
from crawler.config import Listen
from crawler.errors import Unauthenticated, Unavailable
from crawler.listening import refused
from crawler.telemetry.sampling import KINDS, MAX_SECONDS, as_speedscope, look

log = structlog.get_logger(__name__)

QUIET_S = 75.0  # for a connection that brings no whole request
_CPU_S = 5.0

_INDEX = """crawler: what process {pid} is doing
/debug/tasks           asyncio tasks and where each waits
/debug/stacks          threads and where each is
/debug/cpu?seconds=5   where the time goes: sampled stacks, collapsed (for flame graphs)
/debug/cpu?format=speedscope   the same for https://www.speedscope.app
/debug/heap            memory, and the most numerous objects
/debug/heap?seconds=5  what is allocated in that time and stays, by line (slows it down)
each with child=PID about a crawling process of this one: {children}
"""


class Children(Protocol):
    """The processes that this one has started and can look into."""

    @property
    def child_pids(self) -> tuple[int, ...]: ...

    async def look(self, pid: int, kind: str, seconds: float) -> str:
        """As `crawler.telemetry.sampling.look`, in that process. `Unavailable`: it is gone, or has
        not answered in time."""


@dataclass(slots=True)
class _Profiles:
    children: Children | None
    busy: set[int] = field(default_factory=set)  # pids that are being looked into

    async def index(self, _: web.Request) -> web.Response:
        pids = self.children.child_pids if self.children is not None else ()
        named = " ".join(map(str, pids)) or "none"
        return web.Response(text=_INDEX.format(pid=os.getpid(), children=named))

    async def show(self, kind: str, request: web.Request) -> web.Response:
        pid, seconds = self._pid(request), _seconds(request, kind)
        form = request.query.get("format", "collapsed")
        if form not in ("collapsed", "speedscope") or (form == "speedscope" and kind != "cpu"):
            raise web.HTTPBadRequest(text="format: collapsed, or of cpu speedscope\n")
        if pid in self.busy:
            raise web.HTTPTooManyRequests(text=f"{pid} is being looked into; try again later\n")
        self.busy.add(pid)
        try:
            text = await self._look(pid, kind, seconds)
        except Unavailable as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
        finally:
            self.busy.discard(pid)
        if form == "speedscope":
            shape = as_speedscope(text, f"crawler {pid}")
            return web.Response(text=json.dumps(shape), content_type="application/json")
        return web.Response(text=text)

    async def _look(self, pid: int, kind: str, seconds: float) -> str:
        if pid == os.getpid() or self.children is None:
            return await look(kind, seconds)
        return await self.children.look(pid, kind, seconds)

    def _pid(self, request: web.Request) -> int:
        text = request.query.get("child")
        if text is None:
            return os.getpid()
        pids = self.children.child_pids if self.children is not None else ()
        if text not in map(str, pids):
            raise web.HTTPNotFound(text="child: none of this process; /debug/ names them\n")
        return int(text)


def _seconds(request: web.Request, kind: str) -> float:
    """How long is looked; 0.0 for what is of this moment."""
    text = request.query.get("seconds")
    if text is None or kind not in ("cpu", "heap"):
        return _CPU_S if kind == "cpu" else 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds <= MAX_SECONDS:
        raise web.HTTPBadRequest(text=f"seconds: expected a number up to {MAX_SECONDS:g}\n")
    return seconds


def _admitted(access: Access, *, loopback: bool) -> Middleware:
    """Ask who it is; on loopback, where nobody is asked, keep out other people's web pages."""

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if loopback and not access.closed and host and not names_loopback(host):
            raise web.HTTPForbidden(text="Host is not this machine's loopback\n")
        try:
            access.admit(request.headers.get("Authorization"), Role.READ)
        except Unauthenticated as error:
            raise web.HTTPUnauthorized(text=f"{error}\n") from error
        return await handler(request)

    return admitted


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """What it says is text, whatever a browser thinks of it."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'")


@asynccontextmanager
async def serve_profiles(
    listen: Listen, access: Access | None = None, children: Children | None = None
) -> AsyncIterator[Listen]:
    """Answer while the context lasts; yields the address with its true port. ``access`` says who
    may look (None: everybody), ``children`` what else there is to look into.

    Raises `Misconfigured` when the address cannot be taken.
    """
    door = _admitted(access or Access(), loopback=listen.loopback)
    site = web.Application(middlewares=[door])
    site.on_response_prepare.append(_add_headers)
    profiles = _Profiles(children)
    site.router.add_get("/debug/", profiles.index)
    for kind in KINDS:
        site.router.add_get(f"/debug/{kind}", partial(profiles.show, kind))
    runner = web.AppRunner(
        site,
        access_log=None,
        handler_cancellation=True,  # nobody waits for that profile any more
        shutdown_timeout=1.0,
        keepalive_timeout=QUIET_S,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            raise refused(f"--pprof={listen}", error) from error
        bound = Listen(listen.host, runner.addresses[0][1])
        log.info("profiles", address=str(bound))
        yield bound
    finally:
        await runner.cleanup()
