"""What a process is doing right now, over HTTP: the place that ``--pprof`` opens.

Plain text for people: ``/debug/tasks`` (every asyncio task and where it waits), ``/debug/stacks``
(every thread), ``/debug/cpu?seconds=5`` (sampled stacks, folded: one line per stack and its count,
as flame graph tools read them), ``/debug/heap`` (memory and the most numerous objects).
"""

from __future__ import annotations

import asyncio
import gc
import io
import resource
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from crawler.access import Access, Role
from crawler.address import names_loopback
from crawler.config import Listen
from crawler.errors import Misconfigured, Unauthenticated

log = structlog.get_logger(__name__)

MAX_SECONDS = 60.0
QUIET_S = 75.0  # for a connection that brings no whole request
_INTERVAL_S = 0.005
_MAX_STACK = 64

_INDEX = """crawler: what this process is doing
/debug/tasks          asyncio tasks and where each waits
/debug/stacks         threads and where each is
/debug/cpu?seconds=5  where the time goes: sampled stacks, folded
/debug/heap           memory, and the most numerous objects
"""


def _call_stack(frame: FrameType | None) -> str:
    """A stack on one line, outermost call first, as ``module.function;module.function``."""
    names: list[str] = []
    while frame is not None and len(names) < _MAX_STACK:
        names.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))


def sample_stacks(seconds: float, thread_id: int) -> str:
    """Watch one thread for that long from this one; folded stacks, most frequent first."""
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        counts[_call_stack(sys._current_frames().get(thread_id))] += 1
        time.sleep(_INTERVAL_S)
    return "".join(f"{stack} {count}\n" for stack, count in counts.most_common())


def list_tasks() -> str:
    """Every task of the running loop with its stack, by name."""
    out = io.StringIO()
    for task in sorted(asyncio.all_tasks(), key=lambda each: each.get_name()):
        out.write(f"== {task.get_name()}\n")
        task.print_stack(limit=12, file=out)
    return out.getvalue()


def list_stacks() -> str:
    """Every thread with its stack."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    out = io.StringIO()
    for ident, frame in sys._current_frames().items():
        out.write(f"== {names.get(ident, '?')} ({ident})\n")
        traceback.print_stack(frame, file=out)
    return out.getvalue()


def describe_heap() -> str:
    """Peak resident memory, the collector's counts, and the thirty most numerous types."""
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    objects = Counter(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()
    )
    lines = [
        f"peak resident {peak_kb} kB",
        f"collector {gc.get_count()}, frozen {gc.get_freeze_count()}",
    ]
    lines += [f"{count:9d} {name}" for name, count in objects.most_common(30)]
    return "\n".join(lines) + "\n"


async def _index(_: web.Request) -> web.Response:
    return web.Response(text=_INDEX)


async def _tasks(_: web.Request) -> web.Response:
    return web.Response(text=list_tasks())


async def _stacks(_: web.Request) -> web.Response:
    return web.Response(text=list_stacks())


async def _heap(_: web.Request) -> web.Response:
    return web.Response(text=describe_heap())


async def _cpu(request: web.Request) -> web.Response:
    try:
        seconds = float(request.query.get("seconds", "5"))
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds <= MAX_SECONDS:
        raise web.HTTPBadRequest(text=f"seconds: expected a number up to {MAX_SECONDS:g}\n")
    text = await asyncio.to_thread(sample_stacks, seconds, threading.get_ident())
    return web.Response(text=text)


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
async def serve_profiles(listen: Listen, access: Access | None = None) -> AsyncIterator[Listen]:
    """Answer while the context lasts; yields the address with its true port. ``access`` says who
    may look (None: everybody).

    Raises `Misconfigured` when the address cannot be taken.
    """
    door = _admitted(access or Access(), loopback=listen.loopback)
    site = web.Application(middlewares=[door])
    site.on_response_prepare.append(_add_headers)
    site.router.add_get("/debug/", _index)
    for path, handler in {"tasks": _tasks, "stacks": _stacks, "cpu": _cpu, "heap": _heap}.items():
        site.router.add_get(f"/debug/{path}", handler)
    runner = web.AppRunner(site, access_log=None, shutdown_timeout=1.0, keepalive_timeout=QUIET_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            raise Misconfigured(f"--pprof: cannot listen on {listen}: {error.strerror}") from error
        bound = Listen(listen.host, runner.addresses[0][1])
        log.info("profiles", address=str(bound))
        yield bound
    finally:
        await runner.cleanup()
