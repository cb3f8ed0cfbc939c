"""What a fetched page comes to: items, and the links that may be followed from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from crawler.engine.extract.directives import header_forbids_links
from crawler.engine.extract.extractor import NOFOLLOW
from crawler.engine.extract.links import Link as FoundLink
from crawler.engine.fetch import Page, product_token
from crawler.engine.hops import carried
from crawler.engine.links import MAX_LINKS, Link, LinkFilter
from crawler.engine.settings import Manners
from crawler.engine.sitemaps import Sitemaps, is_sitemap
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, InvalidInput
from crawler.failpoint import hit_sync
from crawler.model import Item, PageState, Request, Visit

log = structlog.get_logger(__name__)

_MAX_REASON = 300


class Extraction(Protocol):
    """What a page holds. ``rule``: the one that took it, None if there is none. ``canonical``: the
    absolute URL that it names as its own, None if it names none."""

    @property
    def rule(self) -> str | None: ...
    @property
    def items(self) -> tuple[Item, ...]: ...
    @property
    def links(self) -> Sequence[Link]: ...
    @property
    def errors(self) -> Sequence[str]: ...
    @property
    def canonical(self) -> str | None: ...


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
    ) -> Extraction:
        """Items and links of one page. Never awaits: a page is parsed in one go."""


class Reader:
    """Reads pages by the definition, and sitemaps as such.

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
    ) -> None:
        self._obeys_nofollow = manners.nofollow == "obey"
        self._follows_canonical = manners.canonical_links == "follow"
        self._agent = product_token(manners.user_agent).lower()
        self._scope = scope
        self._extractor = extractor
        self._sitemaps = sitemaps
        self._links = links
        self._parsing = parsing

    def read(self, request: Request, page: Page) -> Visit:
        """The visit of a page that was fetched. Raises `FetchFailed` where it cannot be read."""
        extraction = self._extract(request, page)
        links, said = extraction.links, list(extraction.errors)
        if not extraction.items and all(link.is_next for link in links):
            links = ()  # pagination ends with a page that has nothing on it
        if links and self._forbidden(page) and not is_sitemap(request.rule):
            links, said = (), [NOFOLLOW, *said]
        if extraction.canonical and (elsewhere := self._elsewhere(extraction.canonical, page)):
            said.append(f"canonical elsewhere: {elsewhere}")
            if self._follows_canonical:
                links = (*links, FoundLink(elsewhere, to=extraction.rule, is_next=True))
        found = self._links.sort(request, extraction.rule, links)
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
            items=extraction.items,
            links=tuple(found.links),
            excluded=tuple(found.excluded),
        )

    def _forbidden(self, page: Page) -> bool:
        """Whether the answer's header asks not to follow its links."""
        return (
            bool(page.robots_tag)
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
        self._parsing(request.fingerprint)
        try:
            hit_sync("engine.in_parse")
            if request.rule is not None and is_sitemap(request.rule):
                return self._sitemaps.read(page.body, page.url, request.rule)
            return self._extractor.extract(
                page.body,
                page.url,
                content_type=page.content_type,
                charset=page.charset,
                rule=request.rule,
                carry=carried(request),
            )
        except FetchFailed as failure:  # no sitemap
            raise FetchFailed(failure.reason, retry=failure.retry, status=page.status) from failure
        except Exception as error:  # whatever a hostile page brings about, it ends that page only
            log.exception("page not readable", url=page.url)
            reason = f"not readable: {type(error).__name__}"
            raise FetchFailed(reason, retry=False, status=page.status) from error
        finally:
            self._parsing(None)
