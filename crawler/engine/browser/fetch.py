"""Pages as they are once their scripts have run: fetched like all others, then shown in a browser.

The document of a page is one request like those of pages that are not shown: its turn, robots.txt,
scope, credentials, cookies, limits of time and size are theirs, and so are redirects and statuses,
which are answers without being shown. What a document loads goes through the browser's proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import formatdate
from http.cookies import CookieError, Morsel
from typing import TYPE_CHECKING, Final, Literal

import aiohttp
from yarl import URL

from crawler.clock import Clock
from crawler.engine.browser.pool import Browser
from crawler.engine.browser.tab import Browsing, Showing, Tab
from crawler.engine.fetch import refresh
from crawler.engine.fetch.http import HttpFetch
from crawler.engine.fetch.page import Page
from crawler.engine.fetch.robots import Rules
from crawler.engine.settings import Manners, keeps_cookies
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, InvalidInput
from crawler.model import Imprint

if TYPE_CHECKING:
    from playwright._impl._api_structures import SetCookieParam
    from playwright.async_api import Cookie

LOADED_BODIES: Final = 4  # what a page loads may be so many times as large as a body
_LONG_AGO = 1.0
_HTML = frozenset({"text/html", "application/xhtml+xml", ""})
_SAME_SITE: dict[str, Literal["Lax", "None", "Strict"]] = {
    "lax": "Lax",
    "none": "None",
    "strict": "Strict",
}


class BrowserFetch:
    """Implements `Fetch` for the pages of one rule. ``owner`` has joined the browser; ``rules`` are
    what is known of robots.txt."""

    def __init__(
        self,
        manners: Manners,
        scope: Scope,
        http: HttpFetch,
        browser: Browser,
        owner: object,
        rules: Callable[[str], Rules | None],
        how: Browsing,
        clock: Clock,
    ) -> None:
        self._manners = manners
        self._scope = scope
        self._http = http
        self._browser = browser
        self._owner = owner
        self._rules = rules
        self._how = how
        self._clock = clock
        self._keeps_cookies = keeps_cookies(manners)

    @property
    def blocked(self) -> tuple[float, str]:
        """See `Fetch`."""
        return self._http.blocked

    async def get(
        self,
        url: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        max_bytes: int | None = None,
        timeout_s: float | None = None,
        truncate: bool = False,
        unless: Imprint | None = None,
    ) -> Page:
        """See `Fetch`. Never conditional: a document that is still the same may load other data.

        The time for showing is what the document has left of its own, waiting for a tab apart.
        """
        del unless
        document = await self._http.get(
            url,
            method=method,
            body=body,
            max_bytes=max_bytes,
            timeout_s=timeout_s,
            truncate=truncate,
        )
        shown = 200 <= document.status < 300 and document.content_type in _HTML
        if not shown or not document.body:
            return document
        limit = self._manners.download_maxsize if max_bytes is None else max_bytes
        total_s = self._manners.download_timeout if timeout_s is None else timeout_s
        document = replace(document, location=None)  # where it leads is for the browser to find out
        return await self._show(document, limit, max(1.0, total_s - document.elapsed_s))

    async def _show(self, document: Page, max_bytes: int, timeout_s: float) -> Page:
        async with self._browser.tab(self._owner, self._http.agent_for(document.url)) as tab:
            began = self._clock.elapsed()
            showing = Showing(
                document,
                self._how,
                self._fetch_frame,
                self._permits,
                max_bytes,
                LOADED_BODIES * self._manners.download_maxsize,
                timeout_s,
                list(for_browser(self._http.jar)),
                self._keeps_cookies,
            )
            page = await tab.show(showing)
            if page.location is None and not self._how.wait_for:  # it is ready before it is left
                target = refresh.leads_to(page.body, page.url, page.content_type, page.charset)
                page = replace(page, location=target)
            taken = await self._take_cookies(tab) if self._keeps_cookies else False
            return replace(
                page,
                elapsed_s=document.elapsed_s + self._clock.elapsed() - began,
                sets_cookie=document.sets_cookie or taken,
            )

    async def _take_cookies(self, tab: Tab) -> bool:
        """Keep the cookies of the page's scripts, too. Whether there are any."""
        before, after = await tab.changed_cookies()
        left = {_key(each) for each in after}
        gone = [each for each in before if _key(each) not in left]
        changed = [each for each in after if each not in before]
        for cookie in gone:
            self._take(cookie, _LONG_AGO)
        for cookie in changed:
            self._take(cookie, cookie["expires"])
        return bool(gone or changed)

    def _take(self, cookie: Cookie, expires: float) -> None:
        domain = cookie["domain"].lstrip(".")
        try:
            origin = canonical(f"{'https' if cookie['secure'] else 'http'}://{domain}/")
            if not self._scope.allows(origin):
                return
            morsel = morsel_of(cookie, expires)
        except (InvalidInput, CookieError):
            return
        self._http.jar.update_cookies({morsel.key: morsel}, URL(origin, encoded=True))

    def _permits(self, url: str) -> bool:
        """Whether something may be loaded: what is in scope obeys robots.txt as far as that is
        known, and what is beyond belongs to others, as scripts and styles often do."""
        try:
            target = canonical(url)
        except InvalidInput:  # blob:, say, which nobody is asked for
            return not url.startswith(("http:", "https:"))
        return not self._scope.allows(target) or self._obeys(target, unknown=True)

    def _obeys(self, target: str, *, unknown: bool) -> bool:
        """What robots.txt says to a URL; ``unknown`` where that has not been read."""
        if not self._manners.robotstxt_obey:
            return True
        rules = self._rules(target)
        return unknown if rules is None else rules.allows(target)

    async def _fetch_frame(self, url: str) -> Page | None:
        """A document within the page: in scope, allowed by a robots.txt that is known, and no
        redirect; None for all others."""
        try:
            target = canonical(url)
        except InvalidInput:
            return None
        if not self._scope.allows(target) or not self._obeys(target, unknown=False):
            return None
        try:
            page = await self._http.get(target)
        except FetchFailed:
            return None
        return page if 200 <= page.status < 300 else None


def for_browser(jar: aiohttp.abc.AbstractCookieJar) -> Iterable[SetCookieParam]:
    """The cookies of our jar as the browser takes them, but for values that it would refuse."""
    if not isinstance(jar, aiohttp.CookieJar):
        return
    own = jar.host_only_cookies
    for morsel in jar:
        domain, path = morsel["domain"], morsel["path"] or "/"
        if not morsel.value.isprintable() or ";" in morsel.value:
            continue
        alone = (domain, morsel["path"], morsel.key) in own
        cookie: SetCookieParam = {
            "name": morsel.key,
            "value": morsel.value,
            "domain": domain if alone else f".{domain}",
            "path": path,
            "secure": bool(morsel["secure"]),
            "httpOnly": bool(morsel["httponly"]),
        }
        if same_site := _SAME_SITE.get(str(morsel["samesite"]).lower()):
            cookie["sameSite"] = same_site
        yield cookie


def morsel_of(cookie: Cookie, expires: float) -> Morsel[str]:
    """A cookie of the browser as our jar takes it; ``expires`` is a Unix time, -1 with the session.
    Raises `CookieError` for a name that cannot be one."""
    morsel: Morsel[str] = Morsel()
    morsel.set(cookie["name"], cookie["value"], cookie["value"])
    if cookie["domain"].startswith("."):
        morsel["domain"] = cookie["domain"].lstrip(".")
    morsel["path"] = cookie["path"]
    morsel["secure"] = cookie["secure"]
    morsel["httponly"] = cookie["httpOnly"]
    if expires >= 0:
        morsel["expires"] = formatdate(expires, usegmt=True)
    return morsel


def _key(cookie: Cookie) -> tuple[str, str, str]:
    return cookie["name"], cookie["domain"], cookie["path"]
