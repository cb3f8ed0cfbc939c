"""A first definition for a site, guessed from one of its pages."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

_WITHOUT_TEXT = frozenset({"meta", "link", "img", "input"})
_MIN_ALIKE = 3  # so many links of one shape make a kind of page


@dataclass(slots=True)
class Signs:
    """What a page shows of how its site is built."""

    links: list[str] = field(default_factory=list)
    has_h1: bool = False
    next_css: str | None = None
    description: bool = False
    price_css: str | None = None


class _Reader(HTMLParser):
    """Collects the signs while reading; broken HTML only makes the guess worse."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.signs = Signs()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "h1":
            self.signs.has_h1 = True
        elif tag == "meta" and given.get("name", "").lower() == "description":
            self.signs.description = True
        elif tag == "a" and given.get("href"):
            self._read_link(given)
        if tag not in _WITHOUT_TEXT and self.signs.price_css is None:
            self._read_price(given)

    def _read_link(self, given: dict[str, str]) -> None:
        self.signs.links.append(given["href"])
        if "next" in given.get("rel", "").lower().split():
            self.signs.next_css = "a[rel~=next]"
        elif "next" in given.get("class", "").lower().split() and self.signs.next_css is None:
            self.signs.next_css = "a.next"

    def _read_price(self, given: dict[str, str]) -> None:
        if given.get("itemprop") == "price":
            self.signs.price_css = "[itemprop=price]"
        elif (name := _price_class(given.get("class", ""))) is not None:
            self.signs.price_css = f".{name}"


def _price_class(classes: str) -> str | None:
    return next((c for c in classes.split() if re.fullmatch(r"[A-Za-z_-]*price", c)), None)


def read_signs(html: str) -> Signs:
    """What the page shows."""
    reader = _Reader()
    reader.feed(html)
    return reader.signs


def shape_of(path: str) -> str:
    """A path with what varies replaced by ``*``: ``/product/17`` → ``/product/*``.

    A segment varies if it holds a digit or is a slug of several words.
    """
    parts = [
        "*" if re.search(r"\d", part) or part.count("-") > 1 else part for part in path.split("/")
    ]
    return "/".join(parts)


def common_shapes(url: str, links: list[str]) -> list[str]:
    """Shapes of the paths that several links on the same host share, the most frequent first."""
    host, paths = urlsplit(url).netloc, set()
    for link in links:
        try:
            parts = urlsplit(urljoin(url, link))
        except ValueError:
            continue
        if parts.netloc == host and parts.scheme in ("http", "https"):
            paths.add(parts.path)
    counts = Counter(shape_of(path) for path in sorted(paths))
    return [s for s, n in counts.most_common() if n >= _MIN_ALIKE and "*" in s and "*" not in s[:1]]


def starter(url: str, html: str) -> str:
    """A commented definition in TOML."""
    signs = read_signs(html)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    lines = [
        f"# A first definition for {urlsplit(url).netloc}: adapt it, then",
        "#   crawler try FILE URL    shows what it makes of a page",
        "#   crawler run FILE -o items.jsonl",
        f"start_urls = [{json.dumps(url)}]",
        "download_delay = 1.0  # seconds between two requests",
        "max_pages = 100       # take it out when all is well",
    ]
    shapes = common_shapes(url, signs.links)[:2]
    lines += _listing(url, signs, shapes)
    for shape in shapes:
        lines += _details(origin + shape, signs)
    return "\n".join(lines) + "\n"


def _listing(url: str, signs: Signs, shapes: list[str]) -> list[str]:
    if not shapes:
        return ["", "# Without rules every link of the site is followed, and each page yields its",
                "# url, title, description, text and JSON-LD. Rules go here:", "# [[rules]]",
                '# match = "https://…/*"', '# item.title = "h1::text"']  # fmt: skip
    lines = ["", "# Pages that list others."]
    lines += ["[[rules]]", 'name = "listing"', f"match = {json.dumps(url)}"]
    prefixes = [shape.partition("*")[0] for shape in shapes]
    css = ", ".join(f'a[href*="{prefix}"]' for prefix in dict.fromkeys(prefixes))
    lines.append(f"follow = [{json.dumps(css)}]")
    if signs.next_css:
        lines.append(f"next = {json.dumps(signs.next_css)}")
    return lines


def _details(match: str, signs: Signs) -> list[str]:
    lines = ["", "# Pages of one thing.", "[[rules]]", f"match = {json.dumps(match)}"]
    heading = "h1::text" if signs.has_h1 else "title::text"
    lines.append(f"item.title = {{ css = {json.dumps(heading)}, required = true }}")
    if signs.description:
        lines.append('item.description = "meta[name=description]::attr(content)"')
    if signs.price_css:
        lines.append(f"item.price = {{ css = {json.dumps(signs.price_css + '::text')} }}")
    return lines
