"""A web in memory: pages as JSON, fetched with a latency, and a log of who was asked when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from crawler.clock import Clock
from crawler.engine.fetch import Page
from crawler.engine.parts import Part
from crawler.engine.urls import host_of
from crawler.errors import FetchFailed
from crawler.model import Imprint, Item

Answer = Page | FetchFailed
Step = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Link:
    """As extraction finds it."""

    url: str
    to: str | None = None
    priority: int = 0
    carry: Mapping[str, Any] = field(default_factory=dict)
    is_next: bool = False
    method: str = "GET"
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """As extraction gives it."""

    rule: str | None
    items: tuple[Item, ...]
    links: tuple[Link, ...]
    errors: tuple[str, ...] = ()
    part: Part | None = None
    canonical: str | None = None


class JsonExtractor:
    """Reads the pages of `page`."""

    def extract(
        self,
        body: bytes,
        url: str,
        *,
        content_type: str,
        charset: str | None,
        rule: str | None,
        carry: Mapping[str, Any],
        part: Part | None,
    ) -> Extraction:
        data = json.loads(body)
        return Extraction(
            rule or "page",
            tuple(Item("page", {**fields, **carry}) for fields in data["items"]),
            tuple(Link(**link) for link in data["links"]),
        )


def page(url: str, *links: str | Link, items: Sequence[Mapping[str, Any]] = ()) -> Page:
    """A page with links (texts or `Link`s) and items."""
    entries = [{"url": link} if isinstance(link, str) else _as_dict(link) for link in links]
    body = json.dumps({"links": entries, "items": list(items)}).encode()
    return Page(url, 200, body, "application/json", size_bytes=len(body))


def _as_dict(link: Link) -> dict[str, Any]:
    return {name: getattr(link, name) for name in ("url", "to", "priority", "carry", "is_next")}


def redirect(url: str, target: str, status: int = 302) -> Page:
    """A redirect."""
    return Page(url, status, location=target)


def status(url: str, code: int, retry_after_s: float | None = None) -> Page:
    """An answer without a page."""
    return Page(url, code, retry_after_s=retry_after_s)


async def no_step(_: str) -> None:
    """Nothing happens in between."""


class Site:
    """Implements `Fetch`. ``answers``: a page, a failure, or a list of them for one after another
    (the last one stays); anything else is 404."""

    def __init__(
        self,
        clock: Clock,
        answers: Mapping[str, Answer | list[Answer]],
        *,
        latency_s: float = 0.1,
        step: Step = no_step,
    ) -> None:
        self._clock = clock
        self._answers = {
            url: list(answer) if isinstance(answer, list) else [answer]
            for url, answer in answers.items()
        }
        self.latency_s = latency_s
        self.addresses: dict[str, str] = {}  # by host
        self._active: Counter[str] = Counter()
        self.step = step
        self.log: list[tuple[float, str]] = []  # start times
        self.bodies: list[str] = []  # URLs of the pages that were sent
        self.most_active: Counter[str] = Counter()

    blocked = (0.0, "")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Site]:
        yield self

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
        await self.step("fetch: before")
        host = host_of(url)
        self.log.append((self._clock.elapsed(), url))
        self._active[host] += 1
        self.most_active[host] = max(self.most_active[host], self._active[host])
        try:
            await self._clock.sleep(self.latency_s)
        finally:
            self._active[host] -= 1
        await self.step("fetch: after")
        answers = self._answers.get(url, [status(url, 404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, FetchFailed):
            raise answer
        address = self.addresses.get(host, "")
        if unless is not None and answer.etag and answer.etag == unless.etag:
            return Page(url, 304, etag=answer.etag, latency_s=self.latency_s, address=address)
        self.bodies += [url] if answer.body else []
        return replace(answer, latency_s=self.latency_s, address=address)

    def fetched(self) -> list[str]:
        """URLs in the order asked, without robots.txt."""
        return [url for _, url in self.log if not url.endswith("/robots.txt")]

    def starts(self, host: str) -> list[float]:
        """When requests to a host started, robots.txt included."""
        return [at for at, url in self.log if host_of(url) == host]
