"""How the engine reads pages by a spider: the callback, its items through the pipelines, its links.

Like rules, a callback runs in one go where the page is parsed: what hangs in it, or kills its
process, is the page that is named to whoever watches the process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import structlog

from crawler.definition import Definition
from crawler.definition.checks import suggestion
from crawler.engine import fetch
from crawler.engine.extract.directives import page_forbids_links
from crawler.engine.extract.extractor import NOFOLLOW, Extraction
from crawler.engine.extract.links import NOTHING, Link, Links
from crawler.engine.extract.page import Located, as_json
from crawler.engine.extract.page import Page as Markup
from crawler.engine.files import keeper
from crawler.engine.urls import canonical, host_of
from crawler.errors import FetchFailed, InvalidInput
from crawler.model import Item
from crawler.model import Request as Asked
from crawler.spider.blame import blamed
from crawler.spider.page import Page
from crawler.spider.pipelines import Pipeline, told
from crawler.spider.plain import MAX_ITEMS, is_item, plain_item
from crawler.spider.requests import Request
from crawler.spider.spider import Spider

log = structlog.get_logger(__name__)

DEFAULT: Final = "parse"
MAX_STARTS: Final = 100_000
MAX_YIELDED: Final = 20_000  # items and requests of one page
_MAX_REASON: Final = 300


@dataclass(slots=True)
class _Yield:
    """What the callback has yielded so far."""

    links: Links
    items: list[Item] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    chars: int = 0


class SpiderReader:
    """A spider at work on one crawl; see `crawler.engine.reading.Spider`.

    ``definition`` is whole, see `merged`; ``files`` is the directory of what `Page.save` keeps.
    Raises `InvalidInput` where the spider's own code does not let it begin.
    """

    def __init__(self, kind: type[Spider], definition: Definition, files: Path) -> None:
        self._keep = keeper(files)
        self._obeys_nofollow = definition.nofollow == "obey"
        self._agent = fetch.product_token(definition.user_agent).lower()
        try:
            self._spider = kind()
            self._spider.start_urls = definition.start_urls
            self._spider.allowed_domains = definition.allowed_domains
            self._pipeline = Pipeline(kind.pipelines)
            self.starts = tuple(self._begin())
        except (Exception, SystemExit) as error:
            raise InvalidInput(f"spider {definition.spider}: {blamed(error)}") from error
        if not self.starts and not definition.sitemaps:
            raise InvalidInput(
                f"spider {definition.spider}: start_urls: is missing: write where the crawl "
                "begins, here, in sitemaps or in start()",
                field="start_urls",
            )

    def _begin(self) -> Iterator[Link]:
        for at, request in enumerate(_each(self._spider.start(), "start")):
            if at >= MAX_STARTS:
                raise ValueError(
                    f"start: yields more than {MAX_STARTS:,} Requests, which are stored in one go; "
                    "let a callback yield them"
                )
            if not isinstance(request, Request):
                raise ValueError(f"start: yields Requests (got {type(request).__name__})")
            canonical(request.url)
            yield self._link(request)

    def hosts(self) -> tuple[str, ...]:
        """The hosts where it begins, each once: ``host`` or ``host:port``."""
        return tuple(dict.fromkeys(host_of(canonical(link.url)) for link in self.starts))

    def read(self, request: Asked, answer: fetch.Page) -> Extraction:
        """What the callback of this page yields, its name being the rule. Raises `FetchFailed`
        that names the callback and what went wrong there."""
        name = request.rule or DEFAULT
        page = Page(request, answer, self._keep)
        made = _Yield(Links(page.located))
        try:
            said = self._run(name, page, made)
        except FetchFailed:
            raise
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            log.exception("callback failed", url=page.url, callback=name)
            raise FetchFailed(f"{name}: {blamed(error)}"[:_MAX_REASON], retry=False) from error
        links = made.links.collect()
        if links and self._forbids_links(page.located):
            links, said = (), [NOFOLLOW, *said]
        said = [*filter(None, said), *filter(None, [made.links.complaint()])]
        return Extraction(
            name, tuple(made.items), links, tuple(said), canonical=page.located.canonical
        )

    def _run(self, name: str, page: Page, made: _Yield) -> list[str]:
        """Call it, and take what it yields; what is to be told about that."""
        yielded = _each(self._callback(name)(page), name)
        for value in islice(yielded, MAX_YIELDED):
            if isinstance(value, Request):
                self._take_request(value, made)
            elif is_item(value):
                self._take_item(name, value, page, made)
            elif value is not None:
                raise ValueError(
                    "yields items (a dict or a dataclass) and Requests "
                    f"(got {type(value).__name__})"
                )
        more = next(yielded, None) is not None
        left = f"what is beyond {MAX_YIELDED:,} items and requests was left out"
        return [*told(made.dropped), *([left] if more else [])]

    def _callback(self, name: str) -> Any:
        callback = getattr(self._spider, name, None)
        if not callable(callback):
            known = [each for each, _ in inspect.getmembers(type(self._spider), inspect.isfunction)]
            raise ValueError(f"there is no such callback{suggestion(name, known)}")
        return callback

    def _take_request(self, request: Request, made: _Yield) -> None:
        link = self._link(request)
        load = len(link.body or b"") + (len(as_json(link.carry)) if link.carry else 0)
        made.links.add((link.url,), link._replace(url=""), load=load)

    def _link(self, request: Request) -> Link:
        """As the engine knows links. Raises `ValueError` where its callback is none."""
        label = request.label
        if label is not None:
            self._callback(label)
        carry = request.meta or NOTHING
        return Link(
            request.url, label, request.priority, carry, method=request.verb, body=request.sent()
        )

    def _take_item(self, name: str, value: Any, page: Page, made: _Yield) -> None:
        item = self._pipeline.run(value, page, made.dropped)
        if item is None:
            return
        fields = plain_item(item)
        made.chars += len(as_json(fields))
        if made.chars > MAX_ITEMS:
            raise ValueError(f"the items of a page take at most {MAX_ITEMS:,} characters as JSON")
        made.items.append(Item(name, fields))

    def _forbids_links(self, page: Located) -> bool:
        """Whether the page itself asks not to follow its links."""
        return (
            self._obeys_nofollow
            and isinstance(page, Markup)
            and page_forbids_links(page.document, self._agent)
        )


def _each(result: Any, name: str) -> Iterator[Any]:
    """What a callback returned, one by one. Raises `ValueError` for what cannot be that."""
    if result is None:
        return iter(())
    if isinstance(result, Request) or is_item(result):
        return iter((result,))
    if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
        if inspect.iscoroutine(result):
            result.close()  # so that nobody warns of it
        raise ValueError(f"{name} is async: write it without, as a function or a generator")
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        return iter(result)
    raise ValueError(
        f"returns items (a dict or a dataclass) and Requests, one or several "
        f"(got {type(result).__name__})"
    )
