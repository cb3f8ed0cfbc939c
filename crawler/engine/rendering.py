"""Which pages are shown in a browser: those that a rule with ``fetcher = "browser"`` takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from crawler.clock import Clock
from crawler.definition import Definition
from crawler.definition.patterns import Routes
from crawler.definition.rules import Rule
from crawler.engine.browser.fetch import BrowserFetch
from crawler.engine.browser.pool import Browser
from crawler.engine.fetch import Fetch, HttpFetch, Page, Rules
from crawler.engine.sitemaps import is_sitemap
from crawler.engine.urls import Scope
from crawler.errors import Misconfigured
from crawler.model import Imprint, Request


def wants_browser(rules: Sequence[Rule]) -> bool:
    """Whether any page may have to be shown in one."""
    return any(rule.fetcher == "browser" for rule in rules)


class Fetchers:
    """By what each page is fetched, by the rule that will take it."""

    def __init__(self, rules: Sequence[Rule], plain: Fetch, shown: Sequence[Fetch | None]) -> None:
        self._routes = Routes(rules)
        self._plain = plain
        self._shown = shown

    def of(self, url: str, sent_to: str | None) -> Fetch:
        """For a canonical URL, and the rule that a link sends it to."""
        if is_sitemap(sent_to):
            return self._plain
        rule = self._routes.take(url, sent_to)
        return self._plain if rule is None else self._shown[rule] or self._plain

    def of_request(self, request: Request) -> Fetch:
        """The same for a request."""
        return self.of(request.url, request.rule)

    def sent_to(self, rule: str | None) -> Fetch:
        """One that takes for each URL, redirects among them, the fetcher of its rule."""
        return _ByRule(self, rule, self._plain)


@dataclass(frozen=True, slots=True)
class _ByRule:
    """Implements `Fetch`."""

    fetchers: Fetchers
    rule: str | None
    plain: Fetch

    @property
    def blocked(self) -> tuple[float, str]:
        return self.plain.blocked

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
        return await self.fetchers.of(url, self.rule).get(
            url,
            method=method,
            body=body,
            max_bytes=max_bytes,
            timeout_s=timeout_s,
            truncate=truncate,
            unless=unless,
        )


@asynccontextmanager
async def open_fetchers(
    definition: Definition,
    scope: Scope,
    plain: Fetch,
    browser: Browser | None,
    rules: Callable[[str], Rules | None],
    clock: Clock,
) -> AsyncIterator[Fetchers | None]:
    """The fetchers of one crawl; None where all pages are fetched by ``plain``. ``rules`` are what
    is known of robots.txt."""
    if not wants_browser(definition.rules):
        yield None
        return
    if browser is None or not isinstance(plain, HttpFetch):
        raise Misconfigured('fetcher = "browser": there is no browser here')
    browser.check()
    owner = object()
    async with browser.joined(owner):
        shown = [
            BrowserFetch(definition, scope, plain, browser, owner, rules, rule.browser, clock)
            if rule.fetcher == "browser"
            else None
            for rule in definition.rules
        ]
        yield Fetchers(definition.rules, plain, shown)
