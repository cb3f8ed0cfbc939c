"""The links of one page: absolute, each URL once, bounded in number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from crawler.engine.extract.page import Page

MAX_LINKS: Final = 10_000
MAX_URL_CHARS: Final = 2_048
NOTHING: Final[Mapping[str, Any]] = {}  # a plain dict, for it is written as JSON


class Link(NamedTuple):
    """A link in absolute form, not yet canonical. A tuple, for a page has thousands.

    ``to`` is the label of the rule it is sent to; None: the first rule whose match fits.
    ``is_next``: pagination, which keeps depth, rule and carried values.
    """

    url: str
    to: str | None = None
    priority: int = 0
    carry: Mapping[str, Any] = NOTHING
    is_next: bool = False


class Links:
    """The links of one page, each URL once: the first to name it wins."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._seen: dict[str, str | None] = {}  # reference -> URL, for those resolved already
        self._links: dict[str, Link] = {}
        self._refused = 0

    def add(self, references: Iterable[str], like: Link, *, only_first: bool = False) -> str:
        """Add what references lead to, with the other parts of ``like``; the first URL of them
        ("": none) is returned."""
        seen, links, first = self._seen, self._links, ""
        _, to, priority, carry, is_next = like
        for reference in dict.fromkeys(references):
            url = seen.get(reference, "")
            if url == "":  # not resolved yet
                url = seen[reference] = self._page.resolve(reference)
            if url is None:
                continue
            if len(url) > MAX_URL_CHARS or (len(links) >= MAX_LINKS and url not in links):
                self._refused += 1
                continue
            first = first or url
            if url not in links:
                links[url] = Link(url, to, priority, carry, is_next)
            if only_first:
                break
        return first

    def collect(self) -> tuple[Link, ...]:
        """All links in the order found."""
        return tuple(self._links.values())

    def complaint(self) -> str:
        """How many links were left out and why; "": none."""
        if not self._refused:
            return ""
        return (
            f"{self._refused} links left out: more than {MAX_LINKS} on the page, "
            f"or longer than {MAX_URL_CHARS} characters"
        )
