"""A first definition proposed from one real page, with comments, for people to go on from."""

from __future__ import annotations

import json
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
class _Proposal:
    """One field: its selector as TOML, and an example of what it finds here."""

    name: str
    toml: str
    example: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Links that repeat: what selects them, how many there are, and one of their texts."""

    css: str
    count: int
    example: str


def starter(url: str, body: bytes, *, charset: str | None = None) -> str:
    """A commented TOML definition that loads. ``url`` is the canonical URL of the page."""
    url = url.partition("#")[0]
    page = Page(body, url, charset)
    blocks = _find_blocks(page)
    following = next((css for css in _NEXT if _links_here(page, css)), None)
    fields = list(_find_fields(page))
    lines = [
        "# A starting point, made from one page: change what does not fit, then see with",
        "#     crawler try FILE URL",
        "# field by field what each rule yields.",
        f"start_urls = [{_quoted(url)}]",
        "# Polite as it stands: one request per host at a time, a second between two,",
        "# robots.txt obeyed. max_pages = 100 would end the crawl early.",
        "",
    ]
    lines += _list_rules(url, blocks, following, fields) if blocks else _site_rule(url, fields)
    return "\n".join(lines) + "\n"


def _list_rules(
    url: str, blocks: list[_Block], following: str | None, fields: list[_Proposal]
) -> list[str]:
    best, *others = blocks
    return [
        "# Pages that list others",
        "[[rules]]",
        'name = "list"',
        f"match = {_quoted(_literal(url))}",
        f"next = {_quoted(following)}"
        if following
        else '# next = "a[rel=next]"  # no link to a next page was found',
        f'follow = [{{ css = {_quoted(best.css)}, to = "page" }}]  # {_counted(best)}',
        *(f"# also repeated: {_quoted(block.css)}, {_counted(block)}" for block in others[:3]),
        "",
        "# The pages that are listed; the examples are from the page above",
        "[[rules]]",
        'name = "page"',
        *_told(fields),
    ]


def _counted(block: _Block) -> str:
    return f"{block.count} links, like {_shown(block.example)}"


def _site_rule(url: str, fields: list[_Proposal]) -> list[str]:
    return [
        "[[rules]]",
        'name = "page"',
        f"match = {_quoted(f'{_origin(url)}/**')}",
        'follow = ["a[href]"]  # every link in scope; narrow it down',
        *_told(fields),
    ]


def _told(fields: list[_Proposal]) -> list[str]:
    return [f"item.{field.name} = {field.toml}  # {_shown(field.example)}" for field in fields]


def _find_fields(page: Page) -> Iterator[_Proposal]:
    heading = page.document.select_one("h1")
    if heading is not None:
        yield _Proposal("title", '{ css = "h1", required = true }', readable_text(heading))
    else:
        title = page.document.select_one("head > title")
        text = readable_text(title) if title is not None else ""
        yield _Proposal("title", '{ css = "title", required = true }', text)
    description = page.document.select_one("meta[name=description i]")
    if description is not None and description.attr("content"):
        selector = "'meta[name=description i]::attr(content)'"
        yield _Proposal("description", selector, description.attr("content") or "")
    yield from _find_price(page)
    yield from _find_structured(page)
    moment = page.document.select_one("time[datetime]")
    if moment is not None:
        selector = '{ css = "time::attr(datetime)", type = "datetime" }'
        yield _Proposal("published", selector, moment.attr("datetime") or "")
    paragraph = page.document.select_one("article p")
    if paragraph is not None and len(page.document.select("article")) == 1:
        selector = '{ css = "article p", many = true }'
        yield _Proposal("body", selector, readable_text(paragraph))


def _find_price(page: Page) -> Iterator[_Proposal]:
    marked = page.document.select_one("[itemprop=price]")
    if marked is not None:
        content = marked.attr("content")
        css = _PRICES[0] if content else _PRICES[1]
        example = content or readable_text(marked)
        yield _Proposal("price", f'{{ css = "{css}", type = "decimal" }}', example)
        return
    for element in page.document.select("[class*=price i]")[:50]:
        text, name = readable_text(element), _named(element)
        if len(text) < 40 and _MONEY.search(text) and "." in name:
            selector = f'{{ css = {_quoted(name)}, type = "decimal" }}'
            yield _Proposal("price", selector, text)
            return


def _find_structured(page: Page) -> Iterator[_Proposal]:
    wanted = (("author", "author"), ("sku", "sku"), ("brand", "brand"))
    for name, key in wanted:
        values = [entry[key] for entry in page.jsonld if key in entry]
        if values and isinstance(values[0], dict) and "name" in values[0]:
            yield _Proposal(name, f'{{ jsonld = "{key}.name" }}', as_text(values[0]["name"]))
        elif values and isinstance(values[0], str):
            yield _Proposal(name, f'{{ jsonld = "{key}" }}', values[0])


def _find_blocks(page: Page) -> list[_Block]:
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
        _Block(css, len(links), next(iter(links.values())))
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


def _literal(url: str) -> str:
    """A pattern that fits this URL alone."""
    return f"re:^{re.escape(url)}$" if "*" in url else url


def _quoted(text: str | None) -> str:
    """A TOML string: its escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(text: str) -> str:
    """A text short enough for a comment, on one line, without characters TOML refuses."""
    line = "".join(char for char in one_line(text) if char.isprintable())
    return _quoted(line if len(line) <= 60 else f"{line[:57]}...")
