"""One tab of a browser: shows one document after the other, and reads what becomes of it.

The document is not asked for by the browser: it is given what we have fetched, so that it is the
answer to one request that obeyed all that requests obey. What the document then loads is judged
here one by one, as far as the browser tells; where it can go at all is up to the proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

import structlog

from crawler.engine.browser.process import Chromium
from crawler.engine.browser.proxy import OWN_URL, BrowserProxy
from crawler.engine.fetch.page import Page
from crawler.engine.urls import canonical
from crawler.errors import FetchFailed, InvalidInput
from crawler.tasks import bounded

if TYPE_CHECKING:
    from playwright._impl._api_structures import SetCookieParam
    from playwright.async_api import Cookie, Route
    from playwright.async_api import Page as View

log = structlog.get_logger(__name__)

_LOAD_S = 15.0  # after the document is parsed, for what it loads
_QUIET_S = 5.0  # after that, for half a second without a request
_WAIT_S = 30.0  # for what a rule waits for
_OPEN_S = 20.0
_CLOSE_S = 1.0
_MOST_FRAMES = 20
# Of an answer: about how it was sent, or what would keep it from being shown.
_OURS = frozenset(
    {
        "content-disposition",
        "content-encoding",
        "content-length",
        "set-cookie",
        "transfer-encoding",
    }
)
# Kinds of requests (CDP, Network.ResourceType) that no page needs to be read.
_NEVER = frozenset({"beacon", "cspviolationreport", "manifest", "ping", "prefetch"})
_KINDS = {"image": "images", "media": "media", "texttrack": "media", "font": "fonts"}
_READ = """(() => {
  const text = (document.doctype ? "<!DOCTYPE html>\\n" : "") + document.documentElement.outerHTML;
  return text.length > %d ? null : text;
})()"""


class Browsing(Protocol):
    """What a rule says about its pages in a browser."""

    @property
    def load(self) -> tuple[str, ...]:
        """Of ``images``, ``media`` and ``fonts``: what is loaded too."""

    @property
    def wait_for(self) -> str | None:
        """CSS: the page is ready when it finds something."""


class Verdict(Enum):
    """What becomes of a request that the browser wants to send."""

    SHOWN = auto()  # the document itself, which we have
    MOVED = auto()  # the page wants to be another one
    RELOADED = auto()  # the page wants to be asked for again
    FRAME = auto()  # a document within it, which we fetch
    SENT = auto()  # by the browser, through the proxy
    REFUSED = auto()


@dataclass(slots=True, eq=False)
class Showing:
    """One document on its way through a tab.

    ``fetch_frame`` fetches a document that is shown within, None where it must not be. ``permits``
    says whether something else may be loaded. ``cookies`` are in the browser from the start; where
    the crawl ``keeps_cookies``, a page that reloads itself with others is another one.
    ``moved`` is where the page wants to go instead, as a canonical URL.
    """

    document: Page
    how: Browsing
    fetch_frame: Callable[[str], Awaitable[Page | None]]
    permits: Callable[[str], bool]
    max_bytes: int
    max_loaded_bytes: int
    timeout_s: float
    cookies: list[SetCookieParam] = field(default_factory=list)
    keeps_cookies: bool = False
    shown: bool = False
    moved: str | None = None
    frames: int = 0
    frame_bytes: int = 0
    crashed: bool = False
    turned: asyncio.Event = field(default_factory=asyncio.Event)  # it moved, or crashed

    def judge(self, kind: str, method: str, url: str, *, document: bool, top: bool) -> Verdict:
        """What becomes of a request. ``document``: it is for one; ``top``: for the tab itself."""
        if document:
            return self._judge_top(method, url) if top else self._judge_frame(method)
        name = _KINDS.get(kind)
        if kind in _NEVER or (name is not None and name not in self.how.load):
            return Verdict.REFUSED
        return Verdict.SENT if self.permits(url) else Verdict.REFUSED

    def _judge_top(self, method: str, url: str) -> Verdict:
        if not self.shown:
            return Verdict.SHOWN
        target = _canonical(url)
        if method != "GET" or target is None or self.moved is not None:
            return Verdict.REFUSED
        if target != self.document.url:
            return Verdict.MOVED
        return Verdict.RELOADED if self.keeps_cookies else Verdict.REFUSED

    def _judge_frame(self, method: str) -> Verdict:
        fits = method == "GET" and self.frames < _MOST_FRAMES
        return Verdict.FRAME if fits else Verdict.REFUSED

    def move(self, url: str) -> None:
        """The page is to be another one."""
        self.moved = _canonical(url)
        self.turned.set()


def _canonical(url: str) -> str | None:
    try:
        return canonical(url)
    except InvalidInput:
        return None


@contextmanager
def told(status: int = 0) -> Iterator[None]:
    """Errors of the browser as `FetchFailed` with a short stable reason."""
    from playwright.async_api import Error
    from playwright.async_api import TimeoutError as TooLong

    try:
        yield
    except (TooLong, TimeoutError) as error:
        raise FetchFailed("render timeout", retry=True, status=status) from error
    except Error as error:
        text = error.message
        if "crashed" in text:
            raise FetchFailed("page crashed", retry=True, status=status) from error
        if "closed" in text:
            raise FetchFailed("browser died", retry=True, status=status) from error
        log.warning("page not shown", error=text[:500])
        raise FetchFailed("not rendered", retry=True, status=status) from error


class Tab:
    """Serves one crawl (``owner``) under one user agent. ``sound`` until something went wrong that
    the next page could suffer from."""

    def __init__(self, owner: object, agent: str, chromium: Chromium, proxy: BrowserProxy) -> None:
        self.owner = owner
        self.agent = agent
        self.chromium = chromium
        self.pages = 0
        self.sound = True
        self._proxy = proxy
        self._pass = proxy.admit()
        self._showing: Showing | None = None
        self._closing: Callable[[], Awaitable[object]] | None = None

    async def open(self) -> None:
        """Make ready. Raises `FetchFailed`; `close` it then, too."""
        with told():
            async with asyncio.timeout(_OPEN_S):
                self._context = await self.chromium.browser.new_context(
                    accept_downloads=False,
                    service_workers="block",
                    user_agent=self.agent,
                    proxy={
                        "server": self._proxy.url,
                        "username": self._pass.name,
                        "password": self._pass.password,
                    },
                )
                self._closing = self._context.close
                self._view = await self._context.new_page()
                # Asked here for the first time, the browser shows its pass; images and websockets
                # would be refused instead of being asked, and show it from now on.
                await self._view.goto(OWN_URL)
                self._session = await self._context.new_cdp_session(self._view)
                self._view.on("crash", lambda _: self._crash())
                self._context.on("page", _close_window)
                await self._context.route("**/*", self._decide)

    async def show(self, showing: Showing) -> Page:
        """The document as it is once the page is ready, in UTF-8; or, where the page wants to be
        another one, with that as its ``location`` and no body.

        ``size_bytes`` counts what was loaded besides, too. Raises `FetchFailed`.
        """
        self.sound, self._showing = False, showing
        self.pages += 1
        self._pass.renew(showing.max_loaded_bytes)
        with told(showing.document.status):
            async with asyncio.timeout(showing.timeout_s):
                await self._context.clear_cookies()
                if showing.cookies:
                    await self._context.add_cookies(showing.cookies)
                await self._forget(showing)
                self._before = await self._context.cookies()
                await self._until_ready(showing)
                text = None if showing.moved else await self._read(showing.max_bytes)
        self.sound = True
        return self._page(showing, text)

    async def changed_cookies(self) -> tuple[list[Cookie], list[Cookie]]:
        """The cookies before the page was shown, and after. Raises `FetchFailed`."""
        with told():
            return self._before, await self._context.cookies()

    async def rest(self) -> None:
        """Nothing of the page goes on. Where that fails, the tab is not sound."""
        self._showing = None
        self._pass.renew(0)
        try:
            with told():
                async with asyncio.timeout(_CLOSE_S):
                    await self._view.goto("about:blank")
        except FetchFailed:
            self.sound = False

    async def close(self) -> None:
        """Give it up, whatever it does."""
        self.sound, self._showing = False, None
        self._proxy.dismiss(self._pass)
        if self._closing is not None:
            await bounded(_quietly(self._closing()), _CLOSE_S, "browser's tab")

    def _page(self, showing: Showing, text: str | None) -> Page:
        document = showing.document
        if self._pass.spent:
            raise FetchFailed("page loads too much", retry=False, status=document.status)
        body = b"" if text is None else text.encode("utf-8", "replace")
        if showing.moved is None and (text is None or len(body) > showing.max_bytes):
            raise FetchFailed("too large", retry=False, status=document.status)
        loaded_bytes = self._pass.received_bytes + showing.frame_bytes
        return replace(
            document,
            body=body,
            charset="utf-8",
            size_bytes=document.size_bytes + loaded_bytes,
            location=showing.moved,
            # Of the document as it was sent, and say nothing about what became of it.
            etag="",
            last_modified="",
        )

    async def _forget(self, showing: Showing) -> None:
        """What pages before have kept, unless they are of one session."""
        if not showing.keeps_cookies:
            kept = {"origin": showing.document.url, "storageTypes": "all"}
            await self._session.send("Storage.clearDataForOrigin", kept)

    async def _until_ready(self, showing: Showing) -> None:
        """Until the page can be read, or wants to be another one."""
        ready = asyncio.create_task(self._load(showing), name="page in a browser")
        turned = asyncio.create_task(showing.turned.wait(), name="turn of a page in a browser")
        try:
            await asyncio.wait({ready, turned}, return_when=asyncio.FIRST_COMPLETED)
            if showing.crashed:
                raise FetchFailed("page crashed", retry=True, status=showing.document.status)
            if showing.moved is None:
                ready.result()
        finally:
            for task in (ready, turned):
                task.cancel()
            await asyncio.gather(ready, turned, return_exceptions=True)

    async def _load(self, showing: Showing) -> None:
        from playwright.async_api import TimeoutError as TooLong

        await self._view.goto(
            showing.document.url, wait_until="domcontentloaded", timeout=showing.timeout_s * 1000
        )
        with suppress(TooLong):
            await self._view.wait_for_load_state("load", timeout=_LOAD_S * 1000)
        wanted, status = showing.how.wait_for, showing.document.status
        if wanted is None:
            with suppress(TooLong):
                await self._view.wait_for_load_state("networkidle", timeout=_QUIET_S * 1000)
            return
        try:
            await self._view.wait_for_selector(
                f"css={wanted}", state="attached", timeout=_WAIT_S * 1000
            )
        except TooLong as error:
            raise FetchFailed("wait_for found nothing", retry=True, status=status) from error

    async def _read(self, max_chars: int) -> str | None:
        """The document as text; None where it is longer. In a world of its own, in which the page
        has changed nothing."""
        tree = await self._session.send("Page.getFrameTree")
        frame = {"frameId": tree["frameTree"]["frame"]["id"], "worldName": "crawler"}
        world = await self._session.send("Page.createIsolatedWorld", frame)
        found = await self._session.send(
            "Runtime.evaluate",
            {
                "contextId": world["executionContextId"],
                "expression": _READ % max_chars,
                "returnByValue": True,
            },
        )
        text = found["result"].get("value")
        return text if isinstance(text, str) else None

    def _crash(self) -> None:
        self.sound = False
        if self._showing is not None:
            self._showing.crashed = True
            self._showing.turned.set()

    async def _decide(self, route: Route) -> None:
        from playwright.async_api import Error

        with suppress(Error):  # the page that asked is gone
            if self._showing is None:
                await route.abort("aborted")
            else:
                await self._carry_out(self._judge(route, self._showing), route, self._showing)

    def _judge(self, route: Route, showing: Showing) -> Verdict:
        request, top = route.request, False
        document = request.is_navigation_request()
        if document:
            frame = request.frame
            if frame.page is not self._view:
                return Verdict.REFUSED  # of a window that the page opens
            top = frame.parent_frame is None
        kind, method, url = request.resource_type, request.method, request.url
        return showing.judge(kind, method, url, document=document, top=top)

    async def _carry_out(self, verdict: Verdict, route: Route, showing: Showing) -> None:
        if verdict is Verdict.SENT:
            await route.continue_()
        elif verdict is Verdict.SHOWN:
            showing.shown = True
            await _fulfil(route, showing.document)
        elif verdict is Verdict.FRAME:
            await self._frame(route, showing)
        else:
            if verdict is Verdict.RELOADED and await self._context.cookies() != self._before:
                verdict = Verdict.MOVED
            if verdict is Verdict.MOVED:
                showing.move(route.request.url)
            await route.abort("aborted")

    async def _frame(self, route: Route, showing: Showing) -> None:
        showing.frames += 1
        page = await showing.fetch_frame(route.request.url)
        if page is None:
            await route.abort("blockedbyclient")
            return
        showing.frame_bytes += page.size_bytes
        await _fulfil(route, page)


async def _fulfil(route: Route, page: Page) -> None:
    """Answer with what we have. A field that comes several times is one with commas (RFC 9110,
    5.3)."""
    headers: dict[str, str] = {}
    for name, value in page.headers.items():
        name = name.lower()
        if name not in _OURS:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    await route.fulfill(status=page.status, headers=headers, body=page.body)


async def _close_window(window: View) -> None:
    await _quietly(window.close())


async def _quietly(work: Awaitable[object]) -> None:
    """Whoever it is about may be gone already."""
    from playwright.async_api import Error

    with suppress(Error):
        await work
