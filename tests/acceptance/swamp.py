"""A site that does to crawlers what can be done to them, in every answer something else.

Run as ``python -m tests.acceptance.swamp PORT``. What each page must come to stands beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HOST = "127.0.0.2"
ROBOTS_HOSTS = ("127.0.0.3", "127.0.0.4", "127.0.0.5")
LINKS = 100_000
Speak = Callable[[asyncio.StreamWriter], Awaitable[None]]
_LATER: list[Callable[[], object]] = []
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
_CLOSE = b"Connection: close\r\n\r\n"


@dataclass(frozen=True)
class Trick:
    """An answer, and what it must come to: ``state``, and a regular expression for ``reason``."""

    speak: Speak
    reason: str
    state: str = "failed"


def saying(*pieces: bytes) -> Speak:
    """These bytes, and the end."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return speak


def page(body: bytes, headers: bytes = b"", status: bytes = b"200 OK") -> Speak:
    """A whole answer as it should be, but for what it says."""
    kind = b"" if b"Content-Type" in headers else b"Content-Type: text/html\r\n"
    length = b"Content-Length: %d\r\n" % len(body)
    return saying(b"HTTP/1.1 " + status + b"\r\n" + kind + headers + length + _CLOSE, body)


def later(make: Callable[[], Speak]) -> Speak:
    """What is made before the site listens, and not where only its name is of interest: it takes
    seconds."""
    made = cache(make)
    _LATER.append(made)

    async def speak(writer: asyncio.StreamWriter) -> None:
        await made()(writer)

    return speak


def endless(beginning: bytes, piece: bytes, pause_s: float = 0.001) -> Speak:
    """Until the other side hangs up."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return speak


def reset(beginning: bytes) -> Speak:
    """The connection is torn down (RST) in the middle."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return speak


async def silent(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def redirect(target: str, *headers: str) -> Speak:
    lines = "".join(f"{header}\r\n" for header in (f"Location: {target}", *headers))
    return page(b"", lines.encode(), b"302 Found")


def packed(coding: str, encode: Callable[[bytes], bytes]) -> Speak:
    return page(encode(bytes(60_000_000)), b"Content-Encoding: %s\r\n" % coding.encode())


def _raw(body: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(body) + engine.flush()


def _attributes() -> bytes:
    return b"<a href=/known " + b" ".join(b"a%d=1" % n for n in range(300_000)) + b">x</a>"


def _cookies() -> bytes:
    return b"".join(b"Set-Cookie: c%d=%s\r\n" % (n, b"x" * 60) for n in range(100))


_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_LONG = b"Content-Length: 100000\r\n\r\n"
_BILLION = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">%s]><lolz>&j;</lolz>""" % (
    b"".join(b'<!ENTITY %c "%s">' % (n, b"&%c;" % (n - 1) * 10) for n in range(98, 107))
)
_BOMB, _TIMEOUT, _MALFORMED = (
    "(decompression bomb|too large)",
    "(timeout|too slow)",
    "malformed answer",
)
_LOST = "(connection lost|incomplete body)"
_NOT_HTML = ".* is not HTML or XML"

TRICKS: Mapping[str, Trick] = {
    # What unpacks to more, and what never ends.
    "/bomb/gzip": Trick(later(lambda: packed("gzip", gzip.compress)), _BOMB),
    "/bomb/members": Trick(
        later(lambda: page(gzip.compress(bytes(500_000)) * 90, b"Content-Encoding: gzip\r\n")),
        _BOMB,
    ),
    "/bomb/zlib": Trick(later(lambda: packed("deflate", zlib.compress)), _BOMB),
    "/bomb/deflate": Trick(later(lambda: packed("deflate", _raw)), _BOMB),
    "/bomb/br": Trick(later(lambda: packed("br", partial(brotli.compress, quality=3))), _BOMB),
    "/bomb/zstd": Trick(later(lambda: packed("zstd", zstd.compress)), _BOMB),
    "/bomb/entities": Trick(page(_BILLION, b"Content-Type: text/xml\r\n"), "", "done"),
    "/endless/body": Trick(endless(_OK + b"\r\n", bytes(1 << 20)), "too large"),
    "/endless/chunks": Trick(endless(_CHUNKED, b"1\r\nx\r\n" * 9_000), f"(too large|{_TIMEOUT})"),
    "/endless/error": Trick(endless(b"HTTP/1.1 500 Oops\r\n\r\n", bytes(65_536)), "http 500"),
    "/endless/redirect": Trick(
        endless(b"HTTP/1.1 302 Found\r\nLocation: /known\r\n\r\n", bytes(65_536)),
        "redirect",
        "done",
    ),
    "/endless/interim": Trick(endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 99), _MALFORMED),
    "/endless/headers": Trick(endless(_OK, b"X-A: 1\r\n" * 2_000), _MALFORMED),
    "/endless/trailers": Trick(
        endless(_CHUNKED + b"0\r\n", b"X-A: 1\r\n" * 2_000), f"({_MALFORMED}|{_LOST})"
    ),
    "/endless/chunk-size": Trick(endless(_CHUNKED, b"0" * 9_000), _TIMEOUT),
    "/endless/chunk-name": Trick(endless(_CHUNKED + b"1;", b"x" * 9_000), _TIMEOUT),
    "/endless/status": Trick(endless(b"HTTP/1.1 200 ", b"x" * 9_000), _MALFORMED),
    # What takes its time.
    "/slow/nothing": Trick(silent, _TIMEOUT),
    "/slow/headers": Trick(endless(_OK, b"X-A: 1\r\n", 0.3), _TIMEOUT),
    "/slow/status": Trick(endless(b"HTTP/1.1 200 ", b"x", 0.3), _TIMEOUT),
    "/slow/body": Trick(endless(_OK + _LONG, b"x", 0.3), _TIMEOUT),
    "/slow/chunks": Trick(endless(_CHUNKED, b"1\r\nx\r\n", 0.3), _TIMEOUT),
    # Where redirects lead.
    "/to/self": Trick(redirect("/to/self"), "redirect loop"),
    "/to/session": Trick(redirect("/to/session", "Set-Cookie: s=1"), "redirect loop; .*"),
    "/to/one": Trick(redirect("/to/two"), "redirect", "done"),
    "/to/nowhere": Trick(redirect("http://"), "redirect to nowhere"),
    "/to/file": Trick(redirect("file:///etc/passwd"), "redirect to nowhere"),
    "/to/metadata": Trick(redirect("http://169.254.169.254/latest/"), "redirect", "done"),
    "/to/number": Trick(redirect("http://2852039166/number"), "redirect", "done"),
    "/to/long": Trick(redirect("/" + "x" * 7_000), "redirect to nowhere"),
    # What is no HTTP.
    "/odd/old": Trick(saying(b"<html><h1>HTTP/0.9"), _MALFORMED),
    "/odd/nothing": Trick(saying(b""), "connection lost"),
    "/odd/rubbish": Trick(saying(bytes(range(256)) * 40), _MALFORMED),
    "/odd/huge-header": Trick(saying(_OK + b"X-A: " + b"x" * 200_000 + b"\r\n\r\n"), _MALFORMED),
    "/odd/many-headers": Trick(saying(_OK + b"X-A: 1\r\n" * 20_000 + b"\r\n"), _MALFORMED),
    "/odd/cookies": Trick(page(b"<h1>x", _cookies()), "", "done"),
    "/odd/cookies-again": Trick(page(b"<h1>x", _cookies()), "", "done"),
    "/odd/null-header": Trick(saying(_OK + b"X-A: a\0b\r\n\r\n<h1>x"), _MALFORMED),
    "/odd/upgrade": Trick(
        saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "http 101"
    ),
    "/odd/status": Trick(page(b"<h1>x", status=b"999 Go away"), "http 999"),
    "/odd/unchanged": Trick(page(b"", status=b"304 Not Modified"), "http 304"),
    "/odd/coding": Trick(
        page(b"x", b"Content-Encoding: gzip, br\r\n"), "content coding not offered"
    ),
    "/odd/no-gzip": Trick(page(b"no gzip", b"Content-Encoding: gzip\r\n"), "broken content coding"),
    "/odd/length": Trick(saying(_OK + b"Content-Length: -1\r\n\r\n<h1>x"), _MALFORMED),
    "/odd/lengths": Trick(
        saying(_OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n<h1>x"), _MALFORMED
    ),
    "/odd/large": Trick(saying(_OK + b"Content-Length: 99999999999999999999\r\n\r\n"), _MALFORMED),
    "/odd/short": Trick(saying(_OK + _LONG + b"<h1>x"), "incomplete body"),
    "/odd/more": Trick(saying(_OK + b"Content-Length: 5\r\n\r\n<h1>x" + b"more" * 99), _MALFORMED),
    "/odd/chunk": Trick(saying(_CHUNKED + b"zz\r\n<h1>x\r\n0\r\n\r\n"), f"({_MALFORMED}|{_LOST})"),
    "/odd/no-chunks": Trick(saying(_CHUNKED + b"5\r\n<h1>x\r\n"), _LOST),
    "/odd/reset": Trick(reset(b""), "connection lost"),
    "/odd/reset-body": Trick(reset(_OK + _LONG + b"<h1>x"), _LOST),
    # What is in pages.
    "/in/attributes": Trick(later(lambda: page(_attributes())), "", "done"),
    "/in/nested": Trick(later(lambda: page(b"<b>" * 1_000_000 + b"x")), "", "done"),
    "/in/nested-blocks": Trick(later(lambda: page(b"<div>" * 400_000 + b"x")), "", "done"),
    "/in/nulls": Trick(page(b"<h1>a\0b</h1>\0"), "", "done"),
    "/in/utf-7": Trick(
        page(b"<h1>+ADw-</h1>", b"Content-Type: text/html; charset=utf-7\r\n"), "", "done"
    ),
    "/in/utf-16": Trick(page(b"\xff\xfe<\0h\0001\0>\0\x00\xd8x"), "", "done"),
    "/in/surrogates": Trick(page(b"<meta charset=utf-8><h1>\xed\xa0\x80\xff\xfe"), "", "done"),
    "/in/wrong-charset": Trick(page(b"<meta charset='\0\xff'><h1>x"), "", "done"),
    "/in/pdf": Trick(page(b"%PDF-1.7", b"Content-Type: application/pdf\r\n"), _NOT_HTML, "done"),
    "/in/bytes": Trick(page(bytes(9_000), b"Content-Type: \xff\xfe;;=\r\n"), _NOT_HTML, "done"),
    "/in/long-link": Trick(
        later(lambda: page(b"<a href='/" + b"a" * 3_000_000 + b"'>")), ".*left out.*", "done"
    ),
    "/in/empty": Trick(page(b""), ".*", "done"),
    "/known": Trick(page(b"<h1>known</h1>"), "", "done"),
}
# What they lead to.
_BEYOND: Mapping[str, Trick] = {"/to/two": Trick(redirect("/to/one"), "redirect loop")}


def expected(port: int) -> Mapping[str, Trick]:
    """What every page that a crawl of all tricks records must come to, by its URL."""
    here = {f"http://{HOST}:{port}{path}": trick for path, trick in {**TRICKS, **_BEYOND}.items()}
    refused = Trick(silent, "address refused")
    elsewhere = {f"http://169.254.169.254/{path}": refused for path in ("latest/", "number")}
    return here | elsewhere


def _answers(path: str) -> Speak:
    known = TRICKS.get(path) or _BEYOND.get(path)
    return known.speak if known is not None else page(b"<h1>nothing", status=b"404 Not Found")


def _spaces(path: str) -> Speak | None:
    """Spaces without end, and a page with very many links."""
    if path == "/links":
        return page(b"".join(b"<a href=/leaf/%d>x</a>" % n for n in range(LINKS)))
    if path.startswith("/deeper/"):
        return page(b"<a href=deeper/>x</a>")
    if path.startswith("/calendar/"):
        year = int(path.split("/")[2])
        return page(b"<a href=/calendar/%d/1/>x</a>" % (year + 1))
    return None


def _robots(host: str) -> Speak:
    """Six megabytes, a circle, and what is no text at all."""
    if host == ROBOTS_HOSTS[0]:
        lines = (b"Disallow: /x%06d\n" % n for n in range(400_000))
        return page(b"User-agent: *\nDisallow: /closed\n" + b"".join(lines))
    if host == ROBOTS_HOSTS[1]:
        return redirect("/robots.txt")
    return page(bytes(range(256)) * 4_000)


async def _serve(port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            host = writer.get_extra_info("sockname")[0]
            speak = _robots(host) if path == "/robots.txt" else _spaces(path) or _answers(path)
            await speak(writer)
        writer.close()

    for make in _LATER:
        make()
    for host in (HOST, *ROBOTS_HOSTS):
        await asyncio.start_server(serve, host, port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
