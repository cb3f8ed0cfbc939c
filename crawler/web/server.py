"""An HTTP server that owns its port for as long as a block runs."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from crawler.listening import refused
from crawler.tasks import bounded

log = structlog.get_logger(__name__)

# Callers without a token can open connections too. Together with gRPC's these stay below the 1,024
# files that a process may usually have open.
MAX_CONNECTIONS = 400
# How long a connection may be without a whole request, headers and all. Longer than proxies keep
# theirs (nginx: 60 s), so that none sends a request into a connection that is being closed.
QUIET_S = 75.0
HANDSHAKE_S = 10.0
# How long an answer may lie unread: TCP itself then gives the connection up (tcp(7)).
UNREAD_S = 30.0


def _own_fault(record: logging.LogRecord) -> bool:
    """Whether a line of aiohttp's is worth a traceback: what is no HTTP is the caller's affair."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


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
    quiet_s: float = QUIET_S,
    unread_s: float = UNREAD_S,
    most: int = MAX_CONNECTIONS,
) -> AsyncIterator[int]:
    """Serve ``app`` until the block ends, over TLS with ``tls``; yields the port (the real one
    where 0 was asked for).

    A connection that brings no whole request for ``quiet_s`` is closed, and one that takes nothing
    of an answer for ``unread_s``, and each beyond ``most``. The end takes no more requests and
    lets the running ones go on for ``grace_s``. Raises `Misconfigured`, naming the flag, where it
    cannot listen.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_server_log,
        handle_signals=False,
        shutdown_timeout=grace_s,
        keepalive_timeout=quiet_s,
    )
    await runner.setup()
    listening = None
    try:
        try:
            listening = await asyncio.get_running_loop().create_server(
                _bounded_in_number(runner, most),
                host,
                port,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
                reuse_port=False,
                start_serving=False,
            )
            for each in listening.sockets:  # what they accept inherits it
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unread_s * 1000))
            await listening.start_serving()
        except OSError as error:
            raise refused(f"{flag}={host}:{port}", error) from error
        bound: int = listening.sockets[0].getsockname()[1]
        log.info("http server listens", host=host, port=bound)
        yield bound
    finally:
        if listening is not None:
            listening.close()
        await bounded(runner.cleanup(), grace_s + 1.0, "http server")


def _bounded_in_number(runner: web.AppRunner, most: int) -> Callable[[], asyncio.Protocol]:
    """What asyncio calls for every connection that it accepted."""
    server = runner.server
    assert server is not None, "set up first"

    def accept() -> asyncio.Protocol:
        return server() if len(server.connections) < most else _Full()

    return accept


class _Full(asyncio.Protocol):
    """Closes its connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
