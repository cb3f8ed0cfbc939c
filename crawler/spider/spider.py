"""What a user derives a spider from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from crawler.spider.page import Page
from crawler.spider.requests import Request


class Spider:
    """A crawl as code. One instance reads the pages of one crawl, in one process, as they come.

    What it keeps in ``self`` is lost with the process; what is to last goes into items, and into
    the ``meta`` of requests. A page whose process died is read again.

    ``custom_settings`` are settings of a definition, by the same names. The definition that names
    the spider, and ``-s`` on a command line, go before them, before ``start_urls`` and before
    ``allowed_domains``. ``pipelines`` are the steps that items go through: functions of item and
    page, or objects with such a ``process_item``.
    """

    name: ClassVar[str] = ""
    start_urls: Sequence[str] = ()
    allowed_domains: Sequence[str] = ()
    custom_settings: ClassVar[Mapping[str, Any]] = {}
    pipelines: ClassVar[Sequence[Any]] = ()

    def start(self) -> Iterable[Request]:
        """Where the crawl begins, besides its sitemaps: by default at ``start_urls``. Called
        whenever the crawl is taken up, while only the first time counts."""
        return (Request(url) for url in self.start_urls)

    def parse(self, page: Page) -> Any:
        """The callback of pages that name no other. A callback returns or yields items (dicts,
        dataclasses) and `Request`s; what it raises fails its page, and nothing of that is kept."""
        raise NotImplementedError(
            f"write {type(self).__name__}.parse, the callback of pages that name no other"
        )
