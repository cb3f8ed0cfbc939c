"""A shop to crawl: the same pages every time, some of them troublesome, every hit logged.

``python -m crawler.local.site --port 0 --log FILE`` serves it, on loopback unless ``--host`` says
otherwise. What a crawl of it must find is `products`; `pages` are the paths that must be fetched.
The access log holds one JSON object per answer: ``time`` (Unix seconds, when the request came),
``path``, ``status``.

Every product is listed in its category and linked from others. Some stand behind a permanent
redirect, some answer 500 to the first request for them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TextIO

from aiohttp import web
from aiohttp.typedefs import Handler

from crawler.tasks import on_signals

PER_PAGE = 20
_CATEGORIES = (
    "lamps", "chairs", "tables", "shelves", "rugs", "clocks", "mirrors", "vases", "pots", "baskets",
)  # fmt: skip
_ADJECTIVES = ("plain", "bold", "small", "tall", "round", "quiet", "bright", "old", "soft", "fine")
_MATERIALS = ("oak", "brass", "linen", "glass", "clay", "wool", "steel", "cork", "bamboo", "stone")


@dataclass(frozen=True, slots=True)
class Product:
    """One product as its page shows it; ``price`` with two decimals."""

    number: int
    name: str
    category: str
    price: str

    @property
    def sku(self) -> str:
        return f"SKU-{self.number:06d}"

    @property
    def moved(self) -> bool:
        """Whether it is linked by an old address that redirects."""
        return self.number % 40 == 3

    @property
    def hesitant(self) -> bool:
        """Whether its page answers 500 once."""
        return self.number % 25 == 9

    @property
    def path(self) -> str:
        return f"/product/{self.number}"

    @property
    def link(self) -> str:
        return f"/old/{self.number}" if self.moved else self.path


def product(number: int) -> Product:
    """The product of that number, from 1."""
    category = _CATEGORIES[number % len(_CATEGORIES)]
    mixed = number * 2654435761 % 2**32  # Knuth's multiplicative hash: varied and always the same
    name = f"{_ADJECTIVES[mixed % 10]} {_MATERIALS[mixed // 10 % 10]} {category[:-1]} {number}"
    return Product(number, name, category, f"{5 + mixed % 40000 / 100:.2f}")


def products(count: int) -> Iterator[Product]:
    """Everything that a complete crawl finds, each exactly once."""
    return (product(number) for number in range(1, count + 1))


def _shelf(category: str, count: int) -> list[Product]:
    return [each for each in products(count) if each.category == category]


def _listing_pages(category: str, count: int) -> int:
    return -(-len(_shelf(category, count)) // PER_PAGE)


def pages(count: int) -> Iterator[str]:
    """The path of every page that answers 200 in a complete crawl."""
    yield "/"
    for category in _CATEGORIES:
        for page in range(1, _listing_pages(category, count) + 1):
            yield _listing_path(category, page)
    for each in products(count):
        yield each.path


def _listing_path(category: str, page: int) -> str:
    return f"/category/{category}" + (f"?page={page}" if page > 1 else "")


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title></head><body>{body}</body></html>"
    )


def render_home() -> str:
    links = "".join(f'<a class="category" href="/category/{c}">{c}</a> ' for c in _CATEGORIES)
    return _document("The shop", f"<h1>The shop</h1><nav>{links}</nav>")


def render_listing(category: str, page: int, count: int) -> str | None:
    """A page of a category, None where there is none."""
    if category not in _CATEGORIES or not 1 <= page <= _listing_pages(category, count):
        return None
    shown = _shelf(category, count)[(page - 1) * PER_PAGE : page * PER_PAGE]
    cards = "".join(f'<li class="card"><a href="{p.link}">{escape(p.name)}</a></li>' for p in shown)
    more = ""
    if page < _listing_pages(category, count):
        more = f'<a rel="next" href="{_listing_path(category, page + 1)}">more</a>'
    return _document(category, f"<h1>{category}</h1><ul>{cards}</ul>{more}")


def render_product(number: int, count: int) -> str:
    one = product(number)
    related = (product((number * step) % count + 1) for step in (3, 7, 11))
    also = "".join(f'<a href="{each.link}">{escape(each.name)}</a> ' for each in related)
    return _document(
        one.name,
        f'<h1>{escape(one.name)}</h1><p class="sku">{one.sku}</p>'
        f'<p class="price">{one.price}</p><p class="category">{one.category}</p>'
        f'<p class="text">A {escape(one.name)} for every home.</p>'
        f'<div class="related">{also}</div>',
    )


class Shop:
    """The web application. ``log`` gets a line per answer, at once."""

    def __init__(self, count: int, log: TextIO, delay_s: float = 0.0) -> None:
        self._count = count
        self._log = log
        self._delay_s = delay_s
        self._hesitated: set[int] = set()

    def application(self) -> web.Application:
        site = web.Application(middlewares=[self._record])
        site.router.add_get("/", self._home)
        site.router.add_get("/robots.txt", self._robots)
        site.router.add_get("/category/{category}", self._listing)
        site.router.add_get(r"/product/{number:\d{1,9}}", self._product)
        site.router.add_get(r"/old/{number:\d{1,9}}", self._old)
        return site

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        came_at = time.time()
        try:
            answer = await handler(request)
        except web.HTTPException as problem:
            self._write(came_at, request, problem.status)
            raise
        self._write(came_at, request, answer.status)
        return answer

    def _write(self, came_at: float, request: web.Request, status: int) -> None:
        line = {"time": round(came_at, 4), "path": request.path_qs, "status": status}
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()

    def _number(self, request: web.Request) -> int:
        number = int(request.match_info["number"])
        if not 1 <= number <= self._count:
            raise web.HTTPNotFound
        return number

    async def _home(self, _: web.Request) -> web.Response:
        return _html(render_home())

    async def _robots(self, _: web.Request) -> web.Response:
        return web.Response(text="User-agent: *\nAllow: /\n")

    async def _listing(self, request: web.Request) -> web.Response:
        page = request.query.get("page", "1")
        number = int(page) if page.isascii() and page.isdecimal() else 0
        text = render_listing(request.match_info["category"], number, self._count)
        if text is None:
            raise web.HTTPNotFound
        return _html(text)

    async def _old(self, request: web.Request) -> web.Response:
        raise web.HTTPMovedPermanently(product(self._number(request)).path)

    async def _product(self, request: web.Request) -> web.Response:
        number = self._number(request)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if product(number).hesitant and number not in self._hesitated:
            self._hesitated.add(number)
            raise web.HTTPInternalServerError
        return _html(render_product(number, self._count))


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")


@asynccontextmanager
async def serve_shop(
    port: int,
    log_path: Path,
    count: int = 1000,
    delay_s: float = 0.0,
    host: str = "127.0.0.1",
) -> AsyncIterator[str]:
    """Serve while the context lasts; yields the URL. Port 0 takes any free one."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("a", encoding="utf-8") as log:
        runner = web.AppRunner(
            Shop(count, log, delay_s).application(), access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def _serve(options: argparse.Namespace) -> None:
    place = (options.delay, options.host)
    # Also where a shell that began it in the background had it ignore Ctrl-C.
    stop = asyncio.Event()
    async with (
        on_signals(stop),
        serve_shop(options.port, options.log, options.products, *place) as url,
    ):
        print(url, flush=True)
        await stop.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m crawler.local.site", description="A shop.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--log", type=Path, required=True, help="access log, JSON lines")
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds per product page")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(_serve(_options()))
