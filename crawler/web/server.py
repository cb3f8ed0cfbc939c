"""An HTTP server that owns its port for as long as a block runs."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from crawler.errors import Misconfigured
from crawler.tasks import bounded

log = structlog.get_logger(__name__)


def _own_fault(record: logging.LogRecord) -> bool:
    """Whether a line of aiohttp's is worth a traceback: what is no HTTP is the caller's affair."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_server_log = logging.getLogger(__name__)
_server_log.addFilter(_own_fault)


@asynccontextmanager
async def serve(
    app: web.Application,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    flag: str = "--http",
    grace_s: float = 2.0,
) -> AsyncIterator[int]:
    """Serve ``app`` until the block ends, over TLS with ``tls``; yields the port (the real one
    where 0 was asked for).

    The end takes no more requests and lets the running ones go on for ``grace_s``. Raises
    `Misconfigured`, naming the flag, where it cannot listen.
    """
    runner = web.AppRunner(
        app, access_log=None, logger=_server_log, handle_signals=False, shutdown_timeout=grace_s
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls, reuse_port=False)
        try:
            await site.start()
        except OSError as error:
            number = error.errno or 0  # below zero: the resolver's own
            reason = os.strerror(number) if number > 0 else str(error)
            raise Misconfigured(f"{flag}={host}:{port}: cannot listen there: {reason}") from error
        bound: int = runner.addresses[0][1]
        log.info("http server listens", host=host, port=bound)
        yield bound
    finally:
        await bounded(runner.cleanup(), grace_s + 1.0, "http server")
