"""The HTTP application of a master and of a worker: routes, and what happens to every request."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Counter, Histogram

from crawler import __version__
from crawler.access import Access, Role, acting_for, asking
from crawler.clock import SystemClock
from crawler.errors import CrawlerError, Refused
from crawler.rates import Rates
from crawler.rpc.calls import Channels, MasterCalls
from crawler.telemetry.correlation import bind_id, current_id
from crawler.telemetry.health import Health
from crawler.telemetry.traces import KEY as TRACE
from crawler.telemetry.traces import span
from crawler.web import docs, greeter, probe
from crawler.web.definitions import Definitions
from crawler.web.downloads import Downloads
from crawler.web.errors import answer_error, answer_fault, answer_nobody, answer_refusal
from crawler.web.guard import SAFE, refusal
from crawler.web.inquiries import Fingerprint, Inquiries, Stories
from crawler.web.lives import Lives
from crawler.web.logs import LogLines
from crawler.web.nodes import Nodes
from crawler.web.openapi import document
from crawler.web.overview import Overview, Sums
from crawler.web.replays import Answers, Replays
from crawler.web.resources import Resources
from crawler.web.results import Records, Results
from crawler.web.route import REQUEST_ID, AnyRoute
from crawler.web.session import PATH as SESSION
from crawler.web.session import Sessions, authorization
from crawler.web.static import PATH as FILES
from crawler.web.static import Static
from crawler.web.stream import Happenings
from crawler.web.tasks import Kept, Tasks

log = structlog.get_logger(__name__)

REQUESTS = Counter(
    "crawler_http_requests", "HTTP requests answered.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "crawler_http_request_duration_seconds", "Time to answer an HTTP request.", ["route"]
)
# What a browser needs before anybody has signed in, and signing in itself.
OPEN = {("GET", "/"), ("GET", FILES), ("POST", SESSION), ("DELETE", SESSION)}

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
# The calls of the Go original.
ORIGINAL = frozenset((method, "/crawler/resource") for method in ("POST", "DELETE"))
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Reading(Kept, Records, Stories, Sums, Answers, Protocol):
    """What a master's API reads of the store, and the answers that it keeps there."""


def build_app(
    calls: MasterCalls,
    store: Reading,
    health: Health,
    *,
    fingerprint: Fingerprint,
    loopback: bool,
    access: Access | None = None,
    rates: Rates | None = None,
    definition_schema: Mapping[str, Any] | None = None,
    workers: Callable[[], Channels] = Channels,
) -> web.Application:
    """A master's API. ``calls`` go to this master's own gRPC server; ``loopback`` says that the
    server listens on loopback only, ``access`` who may call what (None: everybody everything) and
    ``rates`` how often. ``workers`` opens channels to those of the cluster; ``fingerprint`` tells
    what the store keeps a page under."""
    access = access or Access()
    happenings, logs = Happenings(calls), LogLines(calls, workers)
    routes = (
        *_tagged("nodes", Overview(calls, store, health).routes()),
        *_tagged("resources", Resources(calls, store).routes()),
        *_tagged("resources", Tasks(calls, store).routes()),
        *_tagged("results", Results(calls, store).routes()),
        *_tagged("results", Inquiries(calls, store, fingerprint).routes()),
        *_tagged("results", Downloads(calls, store).routes()),
        *_tagged("resources", Lives(calls, workers).routes()),
        *_tagged("resources", logs.routes()),
        *_tagged("nodes", Nodes(calls).routes()),
        *_tagged("events", happenings.routes()),
    )
    probes = _tagged("probes", (*greeter.routes(), *probe.Probes(health, access).routes()))
    rates = rates or Rates(SystemClock())
    keyed = tuple(map(Replays(store).around, routes))
    # These change nothing that could be changed twice.
    unkeyed = (
        *_tagged("definitions", Definitions(calls, workers).routes()),
        *_tagged("console", Sessions(access).routes()),
    )
    described = (*keyed, *unkeyed, *probes)
    app = _assemble(described, health, loopback, access, rates, definition_schema)
    Static().add_to(app.router)
    app.on_shutdown.append(happenings.close)
    app.on_shutdown.append(logs.close)
    return app


def build_worker_app(
    health: Health, *, loopback: bool, access: Access | None = None, rates: Rates | None = None
) -> web.Application:
    """A worker's API: its greeting and its probes."""
    access = access or Access()
    routes = _tagged("probes", (*greeter.routes(), *probe.Probes(health, access).routes()))
    return _assemble(routes, health, loopback, access, rates or Rates(SystemClock()), None)


def _tagged(tag: str, routes: Iterable[AnyRoute]) -> tuple[AnyRoute, ...]:
    return tuple(replace(route, tag=tag) for route in routes)


def _assemble(
    routes: Sequence[AnyRoute],
    health: Health,
    loopback: bool,
    access: Access,
    rates: Rates,
    definition_schema: Mapping[str, Any] | None,
) -> web.Application:
    needs = {(route.method, route.path): route.need for route in routes}
    guarded = _guarded(loopback and not access.closed)
    admitted = _admitted(access, rates, needs)
    app = web.Application(middlewares=[_recorded, _answered, guarded, admitted])
    for route in routes:
        app.router.add_route(route.method, route.path, route.serve)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, route.serve)

    described = cache(lambda: document(routes, __version__, definition_schema))
    packed = cache(lambda: json.dumps(described()).encode())
    page = cache(lambda: docs.render(described()).encode())

    async def openapi(request: web.Request) -> web.Response:
        del request
        return web.Response(body=packed(), content_type="application/json")

    async def browsable(request: web.Request) -> web.Response:
        del request
        return docs.answer(page())

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/docs", browsable)
    app.router.add_get("/docs.css", docs.style)
    app.router.add_get("/metrics", probe.metrics)
    app.router.add_get("/health", partial(probe.in_words, health))
    app.on_response_prepare.append(_add_headers)
    return app


@web.middleware
async def _recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One log line and one count per request. Reads and probes are told only when asked for.

    The request's id stands on every line from here on; one is made where the caller has none."""
    bind_id(request.headers.get(REQUEST_ID, ""))
    began = time.monotonic()
    verb = request.method if request.method in METHODS else "other"
    parent = request.headers.get(TRACE, "")
    with span(f"HTTP {verb}", parent, path=request.path[:300]):
        response = await handler(request)
    elapsed_s = time.monotonic() - began
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    # A method may be any word that a caller makes up; the figures take known ones only.
    method = request.method if resource is not None else "other"
    REQUESTS.labels(method=method, route=route, status=str(response.status)).inc()
    SECONDS.labels(route=route).observe(elapsed_s)
    note = log.debug if request.method in SAFE and response.status < 500 else log.info
    note(
        "http request",
        method=request.method,
        path=request.path[:300],
        status=response.status,
        elapsed_ms=round(elapsed_s * 1000, 1),
        peer=request.remote,
    )
    return response


@web.middleware
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is answered in one shape."""
    try:
        return await handler(request)
    except CrawlerError as error:
        response = answer_error(error, help_=(request.method, request.path) not in ORIGINAL)
        if response.status == 500:
            log.exception("http request failed", path=request.path[:300])
        return response
    except web.HTTPException as refused:
        return answer_refusal(request, refused)
    except Exception as error:  # the border: a fault of ours must not tell its insides
        if isinstance(error, ConnectionError) and _left(request):
            return answer_nobody()
        log.exception("http request failed", path=request.path[:300])
        return answer_fault()


def _left(request: web.Request) -> bool:
    """Whether the caller has closed the connection."""
    return request.transport is None or request.transport.is_closing()


def _guarded(loopback: bool) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = refusal(request.method, request.headers, loopback=loopback)
        if reason:
            raise Refused(reason)
        return await handler(request)

    return guarded


def _admitted(access: Access, rates: Rates, needs: Mapping[tuple[str, str], Role]) -> Middleware:
    """Ask who it is, and count it. What is not there needs a token like everything else."""

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        method = "GET" if request.method == "HEAD" else request.method
        if (method, path) in OPEN:
            return await handler(request)
        header = authorization(request.method, request.headers, request.cookies)
        if path in probe.OPEN and header is None:
            return await handler(request)
        need = needs.get((method, path), Role.READ if method in SAFE else Role.OPERATE)
        caller = access.admit(header, need)
        rates.take(caller.name)
        acting_for.set(header or "")
        asking.set(caller)
        return await handler(request)

    return admitted


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers[REQUEST_ID] = current_id()
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "crawler"
