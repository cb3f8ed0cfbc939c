"""Logging in to a site, once for each claim and again when it has forgotten us."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import turbohtml

from crawler.clock import Clock
from crawler.definition.secrets import Secret, fill
from crawler.definition.selectors import compile_css
from crawler.engine.bodies import form_body
from crawler.engine.extract.extractor import is_markup
from crawler.engine.extract.page import Page as Parsed
from crawler.engine.fetch import Fetch, Page, follow
from crawler.engine.urls import Scope, canonical, name_of
from crawler.engine.walls import Book
from crawler.errors import FetchFailed, Misconfigured

_AGAIN_S: Final = 60.0  # at most so often is one logged in
_LATER: Final = frozenset({408, 425, 429})


class Wanted(Protocol):
    """The ``login`` of a definition."""

    @property
    def url(self) -> str: ...
    @property
    def form(self) -> Mapping[str, str]: ...
    @property
    def check(self) -> str | None: ...


class Login:
    """The session of one crawl. What it sends goes where `Scope.trusts` only, and takes starts on
    the host like any other request. robots.txt is not asked: a login is no link that was found.

    Raises `Misconfigured` where a secret is missing, or is not for the login's host.
    """

    def __init__(
        self,
        wanted: Wanted,
        fetch: Fetch,
        scope: Scope,
        secrets: Mapping[str, Secret],
        clock: Clock,
    ) -> None:
        self._url = canonical(wanted.url)
        if not scope.trusts(self._url):
            raise Misconfigured("login.url: is on no host of start_urls or allowed_domains")
        domains = (name_of(self._url),)
        self._form = {
            name: fill(value, secrets, domains, f"login.form.{name}")
            for name, value in wanted.form.items()
        }
        self._check = compile_css(wanted.check) if wanted.check is not None else None
        self._told = wanted.check
        self._fetch = fetch
        self._scope = scope
        self._clock = clock
        self._lock = asyncio.Lock()
        self._since: float | None = None  # logged in

    async def ensure(self, book: Book) -> None:
        """Log in, unless that is done; afterwards the page may be asked at once.

        Raises `Misconfigured` where the site does not take what is sent, and `FetchFailed` where it
        may later.
        """
        if self._since is not None:
            return
        async with self._lock:
            if self._since is None:
                await self._log_in(book)
            await self._clock.sleep(book(0.0))

    async def again(self, url: str, page: Page, book: Book) -> bool:
        """Whether ``page``, asked as ``url``, is what strangers get to see. Then one is logged in
        anew, and the page may be asked again at once.

        Soon after a login a page without the check counts as one that has none, and a redirect to
        the form is `FetchFailed`: "not logged in".
        """
        before = self._since
        sent_away = self._is_form(page.location or page.url) and not self._is_form(url)
        stays = page.status == 200 and page.location is None
        if before is None or not (sent_away or (stays and not self._seen(page))):
            return False
        async with self._lock:
            if self._since == before:
                if self._clock.elapsed() - before < _AGAIN_S:
                    if sent_away:
                        raise FetchFailed("not logged in", retry=False, status=page.status)
                    return False
                await self._log_in(book)
            await self._clock.sleep(book(0.0))
        return True

    def _is_form(self, url: str) -> bool:
        return url.partition("?")[0] == self._url.partition("?")[0]

    def _seen(self, page: Page) -> bool:
        """Whether the check stands on it; True where it cannot."""
        if self._check is None or not is_markup(page.content_type, page.body):
            return True
        parsed = Parsed(page.body, page.url, page.charset)
        return bool(self._check.find(parsed.root))

    async def _log_in(self, book: Book) -> None:
        async def gate(page: Page) -> bool:
            if not self._scope.trusts(page.location or ""):
                return False
            await self._clock.sleep(book(0.0))
            return True

        try:
            page = await follow(self._fetch, self._url, gate=gate)
            _check_status(page)
            url, fields = self._fill(page)
            await self._clock.sleep(book(0.0))
            body = form_body(fields.items())
            answer = await follow(self._fetch, url, method="POST", body=body, gate=gate)
            _check_status(answer)
        except FetchFailed as failure:
            raise FetchFailed(f"login: {failure.reason}", retry=True) from failure
        if not self._seen(answer):
            raise Misconfigured(
                f"login: {self._told} is not on {answer.url} after logging in; are the fields of "
                "login.form right?"
            )
        self._since = self._clock.elapsed()

    def _fill(self, page: Page) -> tuple[str, Mapping[str, str]]:
        """Where the form is sent, and its fields: the hidden ones of the page, and ours."""
        parsed = Parsed(page.body, page.url, page.charset)
        form = next(filter(self._fits, parsed.root.select("form")), None)
        if form is None:
            return page.url, self._form
        hidden = form.select("input[type=hidden i][name]")
        kept = {each.attr("name") or "": each.attr("value") or "" for each in hidden}
        url = canonical(parsed.join(form.attr("action") or "") or page.url, page.url)
        if not self._scope.trusts(url):
            raise Misconfigured(f"login: the form on {page.url} is sent to another host: {url}")
        return url, {**kept, **self._form}

    def _fits(self, form: turbohtml.Element) -> bool:
        """Whether it has one of our fields."""
        return any(each.attr("name") in self._form for each in form.select("[name]"))


def _check_status(page: Page) -> None:
    if page.status >= 500 or page.status in _LATER:
        raise FetchFailed(f"http {page.status}", retry=True, status=page.status)
    if page.status >= 400:
        raise Misconfigured(f"login: http {page.status} from {page.url}")
