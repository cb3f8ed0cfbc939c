"""The links of one page: absolute, each URL once, bounded in number."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import repeat
from typing import Any, Final, NamedTuple

from crawler.engine.extract.page import Located

MAX_LINKS: Final = 10_000
MAX_URL_CHARS: Final = 2_048
MAX_LOAD: Final = 4_000_000  # characters that all links of a page carry and send together
_AT_ONCE: Final = 1_000  # references that are looked at together
NOTHING: Final[Mapping[str, Any]] = {}  # a plain dict, for it is written as JSON


class Link(NamedTuple):
    """A link in absolute form, not yet canonical. A tuple, for a page has thousands.

    ``to`` is the label of the rule it is sent to; None: the first rule whose match fits.
    ``is_next``: pagination, which keeps depth, rule and carried values. ``method`` "" is that of
    the page, with its body.
    """

    url: str
    to: str | None = None
    priority: int = 0
    carry: Mapping[str, Any] = NOTHING
    is_next: bool = False
    method: str = "GET"
    body: bytes | None = None


_make: Final = partial(tuple.__new__, Link)


class Links:
    """The links of one page, each request once: the first to name it wins."""

    def __init__(self, page: Located) -> None:
        self._page = page
        self._links: dict[str, Link] = {}
        self._others: dict[tuple[str, str, bytes | None], Link] = {}  # all but plain GETs
        self._refused = 0
        self._overloaded = 0
        self._load = 0

    def add(
        self, references: Iterable[str], like: Link, *, only_first: bool = False, load: int = 0
    ) -> str:
        """Add what references lead to, with the other parts of ``like``; the first URL of them
        ("": none) is returned. ``load``: characters that each of them carries and sends."""
        told = dict.fromkeys(references)
        if only_first or load or like.method != "GET" or len(told) > _AT_ONCE:
            return self._add_each(told, like, only_first, load)
        urls = dict.fromkeys(self._page.resolve_all(told))
        if not self._has_room(urls):
            return self._add_each(told, like, only_first, load)
        links = self._links
        new = [url for url in urls if url not in links] if links else urls
        others = map(repeat, like[1:])
        # As `Link` itself would make them, in a third of the time.
        links.update(zip(new, map(_make, zip(new, *others, strict=False)), strict=True))
        return next(iter(urls), "")

    def _add_each(self, told: Iterable[str], like: Link, only_first: bool, load: int) -> str:
        """The same for any number of references, in little room, and for all kinds of links."""
        resolve, links, first = self._page.resolve, self._links, ""
        plain = like.method == "GET"
        for reference in told:
            url = resolve(reference)
            if url is None:
                continue
            if not plain or url not in links:
                if len(url) > MAX_URL_CHARS or len(links) >= MAX_LINKS:
                    self._refused += 1
                    continue
                if load and not self._loads(url, like, load):
                    continue
                if plain:
                    links[url] = like._replace(url=url)
                else:
                    self._others.setdefault((like.method, url, like.body), like._replace(url=url))
            first = first or url
            if only_first:
                break
        return first

    def _has_room(self, urls: Collection[str]) -> bool:
        longest = max(map(len, urls), default=0)
        return len(self._links) + len(urls) <= MAX_LINKS and longest <= MAX_URL_CHARS

    def end(self) -> None:
        """Leave pagination out."""
        self._links = {url: link for url, link in self._links.items() if not link.is_next}
        self._others = {key: link for key, link in self._others.items() if not link.is_next}

    def _loads(self, url: str, like: Link, load: int) -> bool:
        """Whether there is room for what one more link carries; a known one is none."""
        known = (
            url in self._links
            if like.method == "GET"
            else (like.method, url, like.body) in self._others
        )
        if known:
            return True
        if self._load + load > MAX_LOAD or len(self._others) >= MAX_LINKS:
            self._overloaded += 1
            return False
        self._load += load
        return True

    def collect(self) -> tuple[Link, ...]:
        """All links in the order found, but for those of another method, which come last unless
        they are pagination."""
        if not self._others:
            return tuple(self._links.values())
        others = sorted(self._others.values(), key=lambda link: not link.is_next)
        at = sum(link.is_next for link in others)
        return (*others[:at], *self._links.values(), *others[at:])

    def complaint(self) -> str:
        """How many links were left out and why; "": none."""
        told = []
        if self._refused:
            told.append(
                f"{self._refused} links left out: more than {MAX_LINKS} on the page, "
                f"or longer than {MAX_URL_CHARS} characters"
            )
        if self._overloaded:
            told.append(
                f"{self._overloaded} links left out: all links of a page carry and send at most "
                f"{MAX_LOAD} characters together"
            )
        return "; ".join(told)
