"""What a fetched page comes to: items, and the links that may be followed from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from crawler.engine import figures
from crawler.engine.baggage import carried
from crawler.engine.extract.directives import header_forbids_links
from crawler.engine.extract.extractor import NOFOLLOW
from crawler.engine.extract.links import Link as FoundLink
from crawler.engine.fetch import Page, product_token
from crawler.engine.harvest import Extraction, gather
from crawler.engine.links import MAX_LINKS, LinkFilter
from crawler.engine.parts import Part, chain_of
from crawler.engine.recrawl import imprint_of
from crawler.engine.settings import Manners, own_name
from crawler.engine.sitemaps import Sitemaps, is_sitemap
from crawler.engine.sources import source_item
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, InvalidInput
from crawler.failpoint import hit_sync
from crawler.model import Imprint, PageState, Request, Visit
from crawler.telemetry.traces import span

log = structlog.get_logger(__name__)

_MAX_REASON = 300


class Extracts(Protocol):
    """Reads pages by the rules of a definition."""

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
        """Items and links of one page. Never awaits: a page is parsed in one go.

        ``part`` is the item that the page before left unfinished: it is among the items of this
        one, or goes on in its ``part``.
        """


class Spider(Protocol):
    """Reads pages by code, instead of by rules."""

    @property
    def starts(self) -> Sequence[FoundLink]:
        """Where the crawl begins, besides its sitemaps."""

    def read(self, request: Request, page: Page) -> Extraction:
        """Items and links of one page. Never awaits. Raises `FetchFailed` where that failed."""


class Reader:
    """Reads pages by the definition or by a spider, and sitemaps as such.

    ``parsing`` is told the fingerprint of a page before it is parsed, and None after: whoever
    watches the process can name the page that killed it.
    """

    def __init__(
        self,
        manners: Manners,
        scope: Scope,
        extractor: Extracts,
        sitemaps: Sitemaps,
        links: LinkFilter,
        parsing: Callable[[bytes | None], None],
        spider: Spider | None = None,
    ) -> None:
        self._obeys_nofollow = manners.nofollow == "obey"
        self._follows_canonical = manners.canonical_links == "follow"
        self._keeps_source = manners.store_body
        self._pace = manners.recrawl
        self._agent = product_token(own_name(manners)).lower()
        self._scope = scope
        self._extractor = extractor
        self._sitemaps = sitemaps
        self._links = links
        self._parsing = parsing
        self._spider = spider

    def read(self, request: Request, page: Page) -> Visit:
        """The visit of a page that was fetched. Raises `FetchFailed` where it cannot be read."""
        with figures.EXTRACT.time(), span("extract", url=page.url):
            extraction = self._extract(request, page)
        said = list(extraction.errors)
        besides: tuple[FoundLink, ...] = ()
        forbidden = bool(extraction.links) and self._forbids_links(request, page)
        if forbidden:
            said.insert(0, NOFOLLOW)
        if extraction.canonical and (elsewhere := self._elsewhere(extraction.canonical, page)):
            said.append(f"canonical elsewhere: {elsewhere}")
            if self._follows_canonical:
                besides = (FoundLink(elsewhere, to=extraction.rule, is_next=True),)
        items, found = gather(
            request, extraction, self._links, forbidden=forbidden, besides=besides
        )
        if self._keeps_source and not is_sitemap(request.rule):
            items = (*items, source_item(page, extraction.rule or ""))
        if found.cut:
            said.insert(0, f"{found.cut} links left out: more than {MAX_LINKS} on the page")
        if extraction.errors:
            log.info("page read with errors", url=page.url, errors=list(extraction.errors)[:5])
        return Visit(
            request,
            PageState.DONE,
            reason=said[0][:_MAX_REASON] if said else "",
            status=page.status,
            final_url=page.url,
            content_type=page.content_type,
            size_bytes=page.size_bytes,
            elapsed_s=page.elapsed_s,
            rule=extraction.rule or "",
            items=items,
            links=tuple(found.links),
            excluded=tuple(found.excluded),
            imprint=self._imprint(request, page, extraction),
        )

    def _imprint(self, request: Request, page: Page, extraction: Extraction) -> Imprint | None:
        """None for a page with part of an item that is on others too: one of these may change."""
        if extraction.part is not None or chain_of(request) is not None:
            return None
        return imprint_of(page, request.before, self._pace)

    def _forbids_links(self, request: Request, page: Page) -> bool:
        """Whether the answer's header asks not to follow its links, which a sitemap's cannot."""
        return (
            bool(page.robots_tag)
            and not is_sitemap(request.rule)
            and self._obeys_nofollow
            and header_forbids_links(page.robots_tag, self._agent)
        )

    def _elsewhere(self, reference: str, page: Page) -> str:
        """Another URL in scope that the page names as its canonical one; "" if it names none."""
        try:
            url = canonical(reference)
        except InvalidInput:
            return ""
        return url if url != page.url and self._scope.allows(url) else ""

    def _extract(self, request: Request, page: Page) -> Extraction:
        chain = chain_of(request)
        self._parsing(request.fingerprint)
        try:
            hit_sync("engine.in_parse")
            if request.rule is not None and is_sitemap(request.rule):
                return self._sitemaps.read(page.body, page.url, request.rule, page.charset)
            if self._spider is not None:
                return self._spider.read(request, page)
            return self._extractor.extract(
                page.body,
                page.url,
                content_type=page.content_type,
                charset=page.charset,
                rule=request.rule,
                carry=carried(request),
                part=None if chain is None else chain.part,
            )
        except FetchFailed as failure:  # no sitemap, or what a spider made of it
            raise FetchFailed(failure.reason, retry=failure.retry, status=page.status) from failure
        except Exception as error:  # whatever a hostile page brings about, it ends that page only
            log.exception("page not readable", url=page.url)
            reason = f"not readable: {type(error).__name__}"
            raise FetchFailed(reason, retry=False, status=page.status) from error
        finally:
            self._parsing(None)
