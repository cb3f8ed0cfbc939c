"""The page that a callback is given: the answer, what is found on it, and where it leads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from crawler.engine import fetch
from crawler.engine.baggage import carried
from crawler.engine.extract.extractor import is_markup
from crawler.engine.extract.page import JsonPage, Located
from crawler.engine.extract.page import Page as Markup
from crawler.model import Request as Asked
from crawler.spider.requests import Callback, Request
from crawler.spider.selection import Selection, find_re, select_css, select_xpath

Keep = Callable[[bytes, str], str]  # body and content type; the path of the file


class Page:
    """An answer with a status below 400.

    ``url`` is canonical, and ``content_type`` without parameters. ``headers`` are found by names
    in any case. ``meta`` is what the request carried. ``method`` is that of the request.
    """

    def __init__(self, asked: Asked, answer: fetch.Page, keep: Keep) -> None:
        self.url = answer.url
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.content_type = answer.content_type
        self.body = answer.body
        self.method = asked.method
        self.meta: Mapping[str, Any] = dict(carried(asked))
        self._charset = answer.charset
        self._keep = keep

    def __repr__(self) -> str:
        return f"<{self.status} {self.url}>"

    @property
    def is_markup(self) -> bool:
        """Whether it is HTML or XML."""
        return is_markup(self.content_type, self.body)

    @cached_property
    def located(self) -> Located:
        """It as the engine reads it: parsed where it is HTML or XML."""
        if self.is_markup:
            return self._markup
        return Located(self.url, self.url, None)

    @cached_property
    def _markup(self) -> Markup:
        return Markup(self.body, self.url, self._charset, content_type=self.content_type)

    @cached_property
    def text(self) -> str:
        """The body as text, by the charset that the WHATWG's rules find; UTF-8 where it is neither
        HTML nor XML and says nothing."""
        if self.is_markup:
            return self._markup.source.decode("utf-8", "replace")
        try:
            return self.body.decode(
                f"whatwg-{self._charset}" if self._charset else "utf-8", "replace"
            )
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` that says why it is none."""
        return JsonPage(self.body, self.url, self._charset).root

    def css(self, selector: str) -> Selection:
        """See `Selection.css`; what is no XML is read as HTML, whatever it is."""
        return select_css(self._markup.document, selector)

    def xpath(self, path: str) -> Selection:
        """See `Selection.xpath`; what is no XML is read as HTML, whatever it is."""
        return select_xpath(self._markup.document, path)

    def re(self, pattern: str) -> list[str]:
        """What a regular expression finds in `text`; see `find_re`."""
        return find_re(self.text, pattern)

    def urljoin(self, reference: str) -> str:
        """The absolute URL that a reference of this page leads to. Raises `ValueError` for what
        is no URL."""
        url = self.located.join(reference.strip())
        if url is None:
            raise ValueError(f"{reference!r:.100} is not a URL")
        return url

    def follow(
        self, link: str | Selection, callback: Callback | None = None, **more: Any
    ) -> Request:
        """A `Request` for where a link leads: a reference, or a selection of which the first
        counts. ``more`` are arguments of `Request`. Raises `ValueError` where there is no link."""
        if isinstance(link, Selection):
            found = link.links()
            if not found:
                raise ValueError("follow: the selection holds no link")
            link = found[0]
        return Request(self.urljoin(link), callback, **more)

    def follow_all(
        self,
        links: str | Selection | Iterable[str | Selection],
        callback: Callback | None = None,
        **more: Any,
    ) -> Iterator[Request]:
        """A `Request` for each link: of a CSS selector, of selections, or references. What is no
        URL is passed over."""
        for link in self.css(links) if isinstance(links, str) else links:
            for reference in link.links()[:1] if isinstance(link, Selection) else [link]:
                url = self.located.join(reference.strip())
                if url is not None:
                    yield Request(url, callback, **more)

    def save(self) -> dict[str, Any]:
        """Keep the body as a file, for an item: ``path`` below the worker's directory of files,
        ``sha256``, ``bytes``, ``content_type`` and ``url``.

        The file is on the disk before the page counts as done. Where it cannot be written, the
        page is tried again like one whose server failed.
        """
        return {
            "path": self._keep(self.body, self.content_type),
            "sha256": hashlib.sha256(self.body).hexdigest(),
            "bytes": len(self.body),
            "content_type": self.content_type,
            "url": self.url,
        }
