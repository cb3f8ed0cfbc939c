"""What all receivers on the network have in common: where sockets lead, and what answers mean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from crawler.address import Guard
from crawler.errors import DeliveryFailed

TOTAL_S = 30.0  # below the lease of the store, which must outlast it
_CONNECT_S = 10.0
_PASSING = frozenset({408, 425, 429})  # and all of 5xx; others refuse the request as it is


@asynccontextmanager
async def guarded_session(guard: Guard) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose sockets only lead where the guard allows, by no proxy of the environment."""
    connector = aiohttp.TCPConnector(socket_factory=guard.open_socket, limit=0)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TOTAL_S, connect=_CONNECT_S),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session


def judge(status: int, retry_after: str | None, why: str = "", *, passes: bool = False) -> None:
    """Raise `DeliveryFailed` for any status but 2xx (RFC 9110 section 15). ``why`` is the word of
    the receiver for it, and ``passes`` says that this passes by itself."""
    if 200 <= status < 300:
        return
    passing = passes or status in _PASSING or status >= 500
    wait_s = float(retry_after) if retry_after and retry_after.isdecimal() else None
    hint = " (a redirect; name its target)" if 300 <= status < 400 else ""
    said = f"HTTP {status}{why and f': {why}'}{hint}"
    raise DeliveryFailed(said, refused=not passing, retry_after_s=wait_s)


@contextmanager
def translated() -> Iterator[None]:
    """What went wrong, in few words; never the URL, which may hold a secret."""
    try:
        yield
    except TimeoutError as error:
        raise DeliveryFailed("timeout") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise DeliveryFailed("certificate not valid") from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, PermissionError):
            raise DeliveryFailed(
                "address refused: not a public one; --allow-private on the workers allows some",
                refused=True,
            ) from error
        raise DeliveryFailed("connection failed") from error
    except (aiohttp.ServerDisconnectedError, OSError) as error:
        raise DeliveryFailed("connection lost") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise DeliveryFailed("no answer that makes sense") from error
