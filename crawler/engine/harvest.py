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
    ``canonical``: the absolute URL that it names as its own, None if it names none.
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
    @property
    def canonical(self) -> str | None: ...


def gather(
    request: Request,
    extraction: Extraction,
    known: LinkFilter,
    *,
    forbidden: bool = False,
    besides: Sequence[Link] = (),
) -> tuple[tuple[Item, ...], Found]:
    """The items of a page, and the requests that it adds. ``forbidden``: none of its links may be
    followed; ``besides``: what is, whatever is on it. An item never goes on there."""
    items, part = extraction.items, extraction.part
    if forbidden:
        left = () if part is None else (part.unfinished(),)
        return (*items, *left), known.sort(request, extraction.rule, besides)
    if part is not None:
        return _go_on(request, extraction, part, known, besides)
    return items, _sort(request, extraction, known, besides)


def _sort(
    request: Request, extraction: Extraction, known: LinkFilter, besides: Sequence[Link]
) -> Found:
    """Pagination ends with a page that has nothing on it and, where it goes by the query, with one
    that has what the page before had: sites often answer a page beyond the last with the last."""
    links, here = extraction.links, ""
    if links and links[0].is_next and not links[0].method:
        here = digest(extraction.items, links)
        if request.carry.get(BEFORE) == here:
            links = [link for link in links if not link.is_next]
    if not extraction.items and all(link.is_next for link in links):
        links = ()
    return known.sort(request, extraction.rule, (*links, *besides) if besides else links, here)


def _go_on(
    request: Request,
    extraction: Extraction,
    part: Part,
    known: LinkFilter,
    besides: Sequence[Link],
) -> tuple[tuple[Item, ...], Found]:
    """An item that goes on on the next page travels there; where that page cannot be had, the item
    is written here."""
    onward, *others = extraction.links
    links = [link for link in others if not link.is_next]
    found = known.sort(request, extraction.rule, [*links, *besides])
    if known.onward(found, request, extraction.rule, onward, chain_with(request, part)):
        return extraction.items, found
    return (*extraction.items, part.unfinished()), found
