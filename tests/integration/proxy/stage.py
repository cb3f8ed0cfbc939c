"""A proxy on loopback, origins for it, and clients that say what a test wants."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from crawler.access import Access
from crawler.cache.shelf import Space
from crawler.clock import SystemClock
from crawler.coordination.signing import Seal
from crawler.proxy.service import Proxy, ProxySettings, open_proxy
from crawler.proxy.targets import read_opening
from crawler.rates import Rates

NO_SECRET = Seal()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got: names in lower case, each once, a chunked body put together."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def cached(self) -> str:
        """What the proxy says of it, the one that was asked, without its name."""
        return self.fields.get("cache-status", "").rpartition(", ")[2].partition("; ")[2]


@asynccontextmanager
async def proxying(
    folder: Path,
    *,
    allow: tuple[str, ...] = ("127.0.0.0/8",),
    openings: tuple[str, ...] = ("*:443",),
    access: Access | None = None,
    node: str = "a",
    seal: Seal = NO_SECRET,
) -> AsyncIterator[Proxy]:
    """A proxy of its own cache."""
    clock = SystemClock()
    settings = ProxySettings(
        node_id=node,
        host="127.0.0.1",
        port=0,
        loopback=True,
        space=Space(folder / node, 64 << 20),
        openings=tuple(map(read_opening, openings)),
        allow_private=allow,
    )
    door = access or Access()
    async with open_proxy(settings, door, Rates(clock), lambda: seal, clock) as proxy:
        yield proxy


async def say(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """All that comes back over one connection until it ends; our side of it ends with ``data``,
    but for TLS, which knows no half of an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(data)
        if tls is None:
            writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request_for(origin: str, more: str = "", version: str = "1.1") -> bytes:
    """One for the first page of an origin, the last of its connection."""
    lines = f"GET {origin}/ HTTP/{version}\r\nHost: a\r\nConnection: close\r\n{more}\r\n"
    return lines.encode()


async def ask(
    port: int,
    url: str,
    method: str = "GET",
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
    **named: str,
) -> Answer:
    """One request over a connection of its own."""
    lines = [f"{method} {url} HTTP/1.1", "Host: ignored.example", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return read_answer(await say(port, head + body, tls))


async def until(holds: Callable[[], bool]) -> None:
    """Return once it does."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for is told nobody
            await asyncio.sleep(0.01)


def answers_in(data: bytes) -> int:
    """How many heads of answers came back."""
    return len(re.findall(rb"HTTP/1\.1 \d", data))


def read_answer(data: bytes) -> Answer:
    """The first of what came back; status 0 where nothing did."""
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for name, _, value in (line.partition(": ") for line in lines):
        known = fields.get(name.lower())
        fields[name.lower()] = value if known is None else f"{known}, {value}"
    if fields.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Answer(int(first.split(" ")[1]), fields, body)


def _joined(chunks: bytes) -> bytes:
    found = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        found, chunks = found + rest[:length], rest[length + 2 :]
        if not length:
            break
    return found
