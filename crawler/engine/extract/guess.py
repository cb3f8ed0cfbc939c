"""What a crawl could take from a page: the links that make a list, the next page, the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import ada_url
import turbohtml

from crawler.engine.extract.page import Page
from crawler.engine.extract.text import one_line, readable_text
from crawler.engine.extract.values import as_text

_MIN_LINKS: Final = 3
_MAX_LOOKED_AT: Final = 2_000
_CLASS: Final = re.compile(r"[A-Za-z_][\w-]{1,40}")
# Classes that say how a thing stands or is laid out, not what it is.
_FLEETING: Final = re.compile(
    r"active|current|selected|first|last|odd|even|hover|open|hidden|visible|clearfix"
    r"|(?:col|row|grid|flex|mt|mb|ml|mr|pt|pb|pl|pr|mx|my|px|py|p|m|w|h|text|bg)-.*|.*\d{3,}.*"
)
_MONEY: Final = re.compile(r"(?:[$€£¥]|\b(?:EUR|USD|GBP|CHF)\b)\s?\d|\d\s?(?:[$€£¥]|EUR|USD|CHF)")
_ASIDE: Final = "nav, header, footer, aside, [role=navigation]"
_NEXT: Final = (
    "a[rel~=next]",
    "link[rel~=next]",
    ".next a",
    "a.next",
    ".pagination-next a",
    "a[aria-label*=next i]",
)
_PRICES: Final = ("[itemprop=price]::attr(content)", "[itemprop=price]::text")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: what finds it, and an example of what that finds here. One of ``css`` and
    ``jsonld`` is not ""."""

    name: str
    example: str
    css: str = ""
    jsonld: str = ""
    type: str = ""
    required: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Links that repeat: what selects them, how many there are, and one of their texts."""

    css: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Guess:
    """``url`` is the canonical URL of the page; of ``blocks`` the first tells most; ``following``
    selects the link to the next page, None where there is none."""

    url: str
    blocks: tuple[Block, ...]
    following: str | None
    fields: tuple[Field, ...]


def guess(url: str, body: bytes, *, charset: str | None = None) -> Guess:
    """What is on the page with this canonical URL."""
    url = url.partition("#")[0]
    page = Page(body, url, charset)
    following = next((css for css in _NEXT if _links_here(page, css)), None)
    return Guess(url, tuple(_find_blocks(page)), following, tuple(_find_fields(page)))


def shown(text: str) -> str:
    """A text short enough for a comment, on one line and without control characters."""
    line = "".join(char for char in one_line(text) if char.isprintable())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _find_fields(page: Page) -> Iterator[Field]:
    heading = page.document.select_one("h1")
    if heading is not None:
        yield Field("title", readable_text(heading), "h1", required=True)
    else:
        title = page.document.select_one("head > title")
        text = readable_text(title) if title is not None else ""
        yield Field("title", text, "title", required=True)
    description = page.document.select_one("meta[name=description i]")
    if description is not None and (content := description.attr("content")):
        yield Field("description", content, "meta[name=description i]::attr(content)")
    yield from _find_price(page)
    yield from _find_structured(page)
    moment = page.document.select_one("time[datetime]")
    if moment is not None:
        example = moment.attr("datetime") or ""
        yield Field("published", example, "time::attr(datetime)", type="datetime")
    paragraph = page.document.select_one("article p")
    if paragraph is not None and len(page.document.select("article")) == 1:
        yield Field("body", readable_text(paragraph), "article p", many=True)


def _find_price(page: Page) -> Iterator[Field]:
    marked = page.document.select_one("[itemprop=price]")
    if marked is not None:
        content = marked.attr("content")
        css = _PRICES[0] if content else _PRICES[1]
        yield Field("price", content or readable_text(marked), css, type="decimal")
        return
    for element in page.document.select("[class*=price i]")[:50]:
        text, name = readable_text(element), _named(element)
        if len(text) < 40 and _MONEY.search(text) and "." in name:
            yield Field("price", text, name, type="decimal")
            return


def _find_structured(page: Page) -> Iterator[Field]:
    for name in ("author", "sku", "brand"):
        values = [entry[name] for entry in page.jsonld if name in entry]
        if values and isinstance(values[0], dict) and "name" in values[0]:
            yield Field(name, as_text(values[0]["name"]), jsonld=f"{name}.name")
        elif values and isinstance(values[0], str):
            yield Field(name, values[0], jsonld=name)


def _find_blocks(page: Page) -> list[Block]:
    """Groups of at least three links that look alike, the most telling first."""
    groups: dict[str, dict[str, str]] = {}
    here = _origin(page.url)
    for anchor in islice(page.document.select("a[href]"), _MAX_LOOKED_AT):
        target, text = page.resolve(anchor.attr("href") or ""), readable_text(anchor)
        if target is None or not target.startswith(f"{here}/") or target == page.url or not text:
            continue
        if anchor.closest(_ASIDE) is None and (css := _block_selector(anchor)):
            groups.setdefault(css, {}).setdefault(target, text)
    blocks = [
        Block(css, len(links), next(iter(links.values())))
        for css, links in groups.items()
        if len(links) >= _MIN_LINKS
    ]
    # Many links with long texts are what a list is made of; menus have short ones.
    weight = {
        css: sum(min(len(text), 60) for text in links.values()) for css, links in groups.items()
    }
    return sorted(blocks, key=lambda block: -weight[block.css])


def _block_selector(anchor: turbohtml.Element) -> str:
    """``.card h3 a``: the link below its nearest ancestors that say something."""
    own, parts = _named(anchor), []
    for ancestor in islice(anchor.ancestors, 5):
        if not isinstance(ancestor, turbohtml.Element) or ancestor.tag in ("body", "html", "main"):
            break
        name = _named(ancestor)
        if "." in name:
            parts.append(name)
            break
        if ancestor.tag in ("h1", "h2", "h3", "h4", "article", "li", "td") and not parts:
            parts.append(name)
    if not parts and "." not in own:
        return ""
    return " ".join([*reversed(parts), own])


def _named(element: turbohtml.Element) -> str:
    """The tag with the first class that says what the element is."""
    for name in (element.attr("class") or "").split()[:10]:
        if _CLASS.fullmatch(name) and not _FLEETING.fullmatch(name):
            return f"{element.tag}.{name}"
    return element.tag


def _links_here(page: Page, css: str) -> bool:
    found = page.document.select_one(css)
    return found is not None and page.resolve(found.attr("href") or "") is not None


def _origin(url: str) -> str:
    return ada_url.URL(url).origin
