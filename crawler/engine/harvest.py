"""What an extraction adds to the crawl: its items, and requests for what it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crawler.engine.baggage import BEFORE
from crawler.engine.links import Found, Link, LinkFilter
from crawler.engine.novelty import digest
from crawler.engine.parts import Part, chain_with
from crawler.model import Item, Request


class Extraction(Protocol):
    """What a page holds. ``rule``: the one that took it, None if there is none.

    ``part``: an item that goes on where the first link leads, which is a `Link.is_next`.
    """

    @property
    def rule(self) -> str | None: ...
    @property
    def items(self) -> tuple[Item, ...]: ...
    @property
    def links(self) -> Sequence[Link]: ...
    @property
    def errors(self) -> Sequence[str]: ...
    @property
    def part(self) -> Part | None: ...


def gather(
    request: Request, extraction: Extraction, links: LinkFilter
) -> tuple[tuple[Item, ...], Found]:
    """The items of a page, and the requests that it adds."""
    if extraction.part is not None:
        return _go_on(request, extraction, extraction.part, links)
    return extraction.items, _sort(request, extraction, links)


def _sort(request: Request, extraction: Extraction, known: LinkFilter) -> Found:
    """Pagination ends with a page that has nothing on it and, where it goes by the query, with one
    that has what the page before had: sites often answer a page beyond the last with the last."""
    links, here = extraction.links, ""
    if links and links[0].is_next and not links[0].method:
        here = digest(extraction.items, links)
        if request.carry.get(BEFORE) == here:
            links = [link for link in links if not link.is_next]
    if not extraction.items and all(link.is_next for link in links):
        links = ()
    return known.sort(request, extraction.rule, links, here)


def _go_on(
    request: Request, extraction: Extraction, part: Part, known: LinkFilter
) -> tuple[tuple[Item, ...], Found]:
    """An item that goes on on the next page travels there; where that page cannot be had, the item
    is written here."""
    onward, *others = extraction.links
    links = [link for link in others if not link.is_next]
    found = known.sort(request, extraction.rule, links)
    following = known.onward(request, extraction.rule, onward, chain_with(request, part))
    if following is None:
        return (*extraction.items, part.unfinished()), found
    found.links.append(following)
    return extraction.items, found
