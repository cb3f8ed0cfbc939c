"""What goes wrong between us and a server, in our words, and never tried again behind our back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp

from crawler.errors import FetchFailed


@contextmanager
def translated() -> Iterator[None]:
    """Foreign errors of one request as `FetchFailed` with a short stable reason."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise FetchFailed("certificate not valid", retry=False) from error
    except aiohttp.ClientSSLError as error:
        raise FetchFailed("TLS failed", retry=True) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise FetchFailed("name not resolved", retry=True) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise FetchFailed("connect timeout", retry=True) from error
    except TimeoutError as error:
        raise FetchFailed("timeout", retry=True) from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, PermissionError):
            raise FetchFailed("address refused", retry=False) from error
        raise FetchFailed("connection failed", retry=True) from error
    except aiohttp.ClientPayloadError as error:
        raise FetchFailed("incomplete body", retry=True) from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise FetchFailed("connection lost", retry=True) from error
    except aiohttp.ClientResponseError as error:
        raise FetchFailed("malformed answer", retry=True) from error
    except (aiohttp.ClientError, ValueError) as error:  # a name that has no DNS form, for instance
        raise FetchFailed("request impossible", retry=False) from error


def watch_end(answer: aiohttp.ClientResponse) -> Callable[[], None]:
    """Of a body that is about to be read; to be called once it is. Raises `FetchFailed` where a
    reset ended it: for aiohttp that is the end of a body that lasts as long as its connection."""
    delimited = "Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers
    connection = answer.connection
    protocol = None if connection is None or delimited else connection.protocol

    def check() -> None:
        if protocol is not None and isinstance(protocol.exception(), aiohttp.ClientOSError):
            raise FetchFailed("incomplete body", retry=True)

    return check


def once() -> aiohttp.ClientMiddlewareType:
    """Keeps aiohttp from sending a request again by itself when a connection is lost: at once,
    that is, whatever the host's delay is."""
    sent = False

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        nonlocal sent
        if sent:
            raise FetchFailed("connection lost", retry=True)
        sent = True
        return await handler(request)

    return send
