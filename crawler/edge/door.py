"""Where the edge tells how it is: probes, the same in words, and figures, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from crawler.address import names_loopback
from crawler.config import Listen
from crawler.listening import refused
from crawler.telemetry.health import Health
from crawler.telemetry.metrics import exposition

log = structlog.get_logger(__name__)

QUIET_S = 75.0


@asynccontextmanager
async def serve_status(listen: Listen, health: Health) -> AsyncIterator[Listen]:
    """Answer while the context lasts; yields the address with its true port. ``/healthz``: it
    lives; ``/readyz``: all targets are in step with a registry that can be read (else 503, with the
    reasons); ``/health``: in words; ``/metrics``.

    Raises `Misconfigured` where it cannot listen.
    """

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if listen.loopback and host and not names_loopback(host):
            raise web.HTTPForbidden(text="Host is not this machine's loopback\n")
        return await handler(request)

    async def alive(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def ready(_: web.Request) -> web.Response:
        report = await health.report()
        return web.json_response(report.as_dict(), status=200 if report.ok else 503)

    async def in_words(_: web.Request) -> web.Response:
        report = await health.report(everything=True)
        return web.Response(text=report.as_text(), status=200 if report.ok else 503)

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    site = web.Application(middlewares=[admitted])
    site.router.add_get("/healthz", alive)
    site.router.add_get("/readyz", ready)
    site.router.add_get("/health", in_words)
    site.router.add_get("/metrics", metrics)
    runner = web.AppRunner(site, access_log=None, shutdown_timeout=1.0, keepalive_timeout=QUIET_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            raise refused(f"--http={listen}", error) from error
        bound = Listen(listen.host, runner.addresses[0][1])
        log.info("status", address=str(bound))
        yield bound
    finally:
        await runner.cleanup()
