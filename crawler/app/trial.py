"""What a definition makes of one page, or could: tried out before there is a crawl."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

from crawler.app.here import PRIVATE, REFUSED, engine_settings
from crawler.app.spiders import Loaded
from crawler.clock import SystemClock
from crawler.definition import Definition, for_url
from crawler.engine import fetch
from crawler.engine.extract import Extraction, Extractor, Guess, guess, starter
from crawler.engine.single import Single, open_single
from crawler.engine.urls import fingerprint, host_of
from crawler.errors import FetchFailed, InvalidInput
from crawler.model import Request

_WAYS: Final = {  # out, by how a reason ends
    REFUSED: PRIVATE,
    "robots.txt forbids it": "-s robotstxt_obey=false asks all the same",
}


async def propose(url: str, hosts: Sequence[str] = (), *, allow_private: Sequence[str] = ()) -> str:
    """A first definition in TOML for the site of this page, with comments."""
    return starter(await _guess(url, hosts, allow_private))


async def propose_spider(
    name: str,
    url: str | None = None,
    hosts: Sequence[str] = (),
    *,
    allow_private: Sequence[str] = (),
) -> str:
    """The code of a first spider of this name, for the site of this page or for any."""
    from crawler.spider.starter import starter

    return starter(name, None if url is None else await _guess(url, hosts, allow_private))


async def _guess(url: str, hosts: Sequence[str], allow_private: Sequence[str]) -> Guess:
    settings = engine_settings(allow_private, hosts, {})
    async with open_single(for_url(url), settings, SystemClock()) as single:
        page = await fetch_one(single, url)
    if page.content_type and "html" not in page.content_type.lower():
        raise InvalidInput(f"{url}: {page.content_type} is no HTML; name a page with links")
    return guess(page.url, page.body, charset=page.charset)


async def try_page(
    definition: Definition,
    url: str,
    *,
    rule: str | None = None,
    carry: Mapping[str, Any] = MappingProxyType({}),
    hosts: Sequence[str] = (),
    allow_private: Sequence[str] = (),
    entrusted: Mapping[str, Any] = MappingProxyType({}),
    loaded: Loaded | None = None,
) -> Extraction:
    """Fetch one page and read it by the definition's rules, each field with its trace; or by a
    spider, whose callback ``rule`` then names, and nothing is kept. ``carry`` is what the link
    carried that led to it, of a spider its ``meta``."""
    settings = engine_settings(allow_private, hosts, entrusted)
    async with open_single(definition, settings, SystemClock()) as single:
        page = await fetch_one(single, url, rule)
    with TemporaryDirectory() as home, redirect_stdout(sys.stderr):
        return read_one(definition, loaded, page, rule, carry, Path(home))


async def fetch_one(single: Single, url: str, rule: str | None = None) -> fetch.Page:
    """One page, sent to ``rule``. Raises `FetchFailed`, naming the URL and its status in words."""
    try:
        page = await single.get(url, rule)
    except FetchFailed as error:
        ways = (f" ({way})" for end, way in _WAYS.items() if error.reason.endswith(end))
        said = f"{url}: {error}{next(ways, '')}"
        raise FetchFailed(said, retry=False, status=error.status) from error
    if page.status >= 400:
        raise FetchFailed(f"{url}: HTTP {page.status}", retry=False, status=page.status)
    return page


def read_one(
    definition: Definition,
    loaded: Loaded | None,
    page: fetch.Page,
    rule: str | None,
    carry: Mapping[str, Any],
    home: Path,
) -> Extraction:
    """What the rules, or the spider, make of a page; see `try_page`. Raises `InvalidInput` where
    there is no such rule or callback."""
    if loaded is not None:
        if rule is not None:
            loaded.check_callback(rule)
        return loaded.open(home).read(asked_for(page, rule, carry), page)
    names = [each.name for each in definition.rules if each.name]
    if rule is not None and rule not in names:
        raise InvalidInput(f"rule: there is {', '.join(names) or 'none'} (got {rule!r})")
    return Extractor(definition).extract(
        page.body,
        page.url,
        content_type=page.content_type,
        charset=page.charset,
        rule=rule,
        carry=carry,
        trace=True,
    )


def asked_for(
    page: fetch.Page, rule: str | None = None, carry: Mapping[str, Any] = MappingProxyType({})
) -> Request:
    """The request of a link that would have led here, to that rule and with these values."""
    mark = fingerprint("GET", page.url)
    return Request(mark, page.url, host_of(page.url), rule=rule, carry=dict(carry))
