"""Reads sitemaps: XML, their indexes, plain text, feeds, and the Sitemap lines of a robots.txt.

The formats: sitemaps.org, RSS 0.9x to 2.0, Atom (RFC 4287). Read as a stream, so that nothing but
the entries found is kept. A request for a sitemap is told by the label of its rule, which no rule
of a definition can have; the label also says how many indexes led to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from urllib.parse import urlsplit
from xml.parsers import expat

from crawler.engine.extract.extractor import Extraction
from crawler.engine.extract.links import Link
from crawler.engine.fetch.robots import MAX_BYTES as ROBOTS_BYTES
from crawler.engine.fetch.robotstxt import sitemaps_in
from crawler.engine.pieces import Pieces
from crawler.engine.urls import MAX_URL, canonical
from crawler.errors import FetchFailed, InvalidInput

SITEMAP = "<sitemap>"
MAX_BYTES = 50 << 20  # what sitemaps.org permits, uncompressed
MAX_ENTRIES = 50_000  # likewise
MAX_NESTED = 10_000  # sitemaps that one index may lead to

_LABELS = (SITEMAP, "<sitemap 2>", "<sitemap 3>")  # one index in another in another
_MAX_DEPTH = 64  # of elements
_MAX_ELEMENTS = 2_000_000  # entries in thirty languages have as many
_MAX_LOOKED_AT = 4 * MAX_ENTRIES  # entries, whether or not they are among those taken
_MAX_NAMES = 1_000  # of elements and attributes: the parser remembers each
_MAX_TOKEN = 1 << 20  # bytes of one tag or comment, which is scanned again with every piece
_MOST_REPAIRED = 10 << 20  # characters: sites that cannot escape an ampersand are small
_ROOTS = frozenset({"urlset", "sitemapindex", "rss", "feed", "rdf"})
_BARE = re.compile("&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in XML 1.0
_LINE = re.compile(r"^[ \t]*(https?://[^\n]+)", re.MULTILINE)


def is_sitemap(rule: str | None) -> bool:
    """Whether a request with this label is for a sitemap."""
    return rule is not None and rule in _LABELS


class Sitemaps:
    """Reads as an extractor does. ``takes`` says whether a rule takes a page: the others are left
    alone."""

    def __init__(self, takes: Callable[[str], bool]) -> None:
        self._takes = takes

    def read(self, body: bytes, url: str, label: str, charset: str | None = None) -> Extraction:
        """The links of a sitemap. ``charset`` is what its header says, None if nothing. Raises
        `FetchFailed` for what is none."""
        if urlsplit(url).path == "/robots.txt":
            return self._links(_read_robots(body, url), 0)
        pieces = Pieces(body, MAX_BYTES, charset)
        is_xml = pieces.start().startswith("<")
        listing = _read_xml(pieces, url) if is_xml else _read_lines(pieces, url)
        return self._links(listing, _LABELS.index(label) + 1)

    def _links(self, listing: _Listing, level: int) -> Extraction:
        wanted = [url for url in listing.pages if self._takes(url)]
        links = [Link(url) for url in wanted]
        problems = list(listing.problems())
        if left := len(listing.pages) - len(wanted):
            problems.append(f"{left} entries left alone, because no rule takes them")
        if level < len(_LABELS):
            links += [Link(url, _LABELS[level]) for url in listing.nested]
        elif listing.nested:
            problems.append(f"{len(listing.nested)} sitemaps left out: indexes in indexes")
        return Extraction(SITEMAP, links=tuple(links), errors=tuple(problems))


class _Listing:
    """The entries of one sitemap, each once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, None] = {}
        self.nested: dict[str, None] = {}
        self.broken = ""  # where reading ended before the end
        self.cut = ""  # why, if not for a mistake
        self._beyond = 0
        self._strange = 0
        self._looked_at = 0

    def __len__(self) -> int:
        return len(self.pages) + len(self.nested)

    def add(self, reference: str, *, nested: bool, base: str | None = None) -> None:
        """Note an entry, up to the bounds. ``base`` is what it is relative to: None the sitemap, ""
        nothing. Raises `_TooMuchError`."""
        self._look()
        entries, most = (self.nested, MAX_NESTED) if nested else (self.pages, MAX_ENTRIES)
        if len(entries) >= most:
            self._beyond += 1
            return
        try:
            url = canonical(reference.strip(), self.url if base is None else base or None)
        except InvalidInput:
            self._strange += 1
        else:
            entries[url] = None

    def within(self, base: str, outer: str) -> str:
        """What ``base``, relative to another one, makes entries relative to; "" where it is no URL.
        Raises `_TooMuchError`."""
        self._look()
        try:
            return canonical(base, outer or None)
        except InvalidInput:
            return ""

    def _look(self) -> None:
        self._looked_at += 1
        if self._looked_at > _MAX_LOOKED_AT:
            raise _TooMuchError(f"more than {_MAX_LOOKED_AT} entries")

    def problems(self) -> Iterator[str]:
        """What is not among the entries, and why."""
        if self._beyond:
            most = f"{MAX_ENTRIES} pages or {MAX_NESTED} sitemaps"
            yield f"{self._beyond} entries left out: more than {most}"
        if self.cut:
            yield f"not read to its end: {self.cut}"
        if self.broken:
            yield f"read up to a mistake in it: {self.broken}"
        if self._strange:
            yield f"{self._strange} entries are no URLs"


def _read_robots(body: bytes, url: str) -> _Listing:
    """Its Sitemap lines."""
    listing = _Listing(url)
    for line in sitemaps_in(body[:ROBOTS_BYTES]):
        listing.add(line, nested=True)
    return listing


def _read_lines(pieces: Pieces, url: str) -> _Listing:
    """One URL a line."""
    listing = _Listing(url)
    try:
        _take_lines(pieces, listing)
    except _TooMuchError as error:
        listing.cut = str(error)
    if not len(listing):
        raise FetchFailed("not a sitemap", retry=False)
    return listing


def _take_lines(pieces: Iterable[str], listing: _Listing) -> None:
    rest = ""
    for piece in chain(pieces, ("\n",)):
        text = rest[-4 * MAX_URL :] + piece.replace("\r", "\n")
        whole, newline, rest = text.rpartition("\n")
        for found in _LINE.finditer(whole + newline):
            listing.add(found[1], nested=False)


def _read_xml(pieces: Pieces, url: str) -> _Listing:
    """XML, once more with what is usually wrong put right where it is not well-formed."""
    listing = _read_well_formed(pieces, url)
    if listing.broken and (repaired := _repaired(pieces)) is not None:
        listing = _read_well_formed([repaired], url)
    if listing.broken and not len(listing):
        raise FetchFailed(f"not readable as a sitemap: {listing.broken}", retry=False)
    return listing


def _read_well_formed(pieces: Iterable[str], url: str) -> _Listing:
    """The entries up to the first mistake."""
    listing = _Listing(url)
    try:
        _Reader(listing).read(pieces)
    except expat.ExpatError as error:
        listing.broken = str(error)
    except _TooMuchError as error:
        listing.cut = str(error)
    return listing


def _repaired(pieces: Pieces) -> str | None:
    """With ampersands escaped that stand for themselves, and blanks for characters that no XML
    has; None for what is too large."""
    parts, size = [], 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size > _MOST_REPAIRED:
            return None
    return _BARE.sub("&amp;", _ILLEGAL.sub(" ", "".join(parts)))


class _TooMuchError(Exception):
    """It has more of something than anybody should read."""


class _Reader:
    """The elements that lead on: ``url/loc``, ``sitemap/loc``, ``item/link`` and ``entry/link``,
    whatever their namespaces are called; ``loc`` of an image stands elsewhere."""

    def __init__(self, listing: _Listing) -> None:
        self._listing = listing
        self._path: list[str] = []
        self._bases = [(0, listing.url)]  # by xml:base, with the depth of the element
        self._text: list[str] | None = None  # of the element being read
        self._size = 0
        self._linked = False  # this item has had its link
        self._guid = ""
        self._elements = 0
        self._names: set[str] = set()
        self._parser = expat.ParserCreate("utf-8", intern=None)

    def read(self, pieces: Iterable[str]) -> None:
        """Raises `FetchFailed` for what is no sitemap, `ExpatError` for what is no XML, and
        `_TooMuchError`."""
        parser = self._parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._refuse_entities
        given = 0
        for piece in pieces:
            octets = piece.encode()
            parser.Parse(octets, False)
            given += len(octets)
            if given - parser.CurrentByteIndex > _MAX_TOKEN:
                raise _TooMuchError(f"a tag or comment of more than {_MAX_TOKEN} bytes")
        parser.Parse(b"", True)

    def _refuse_entities(self, *_: object) -> None:
        raise FetchFailed("a sitemap that declares entities", retry=False)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local, path = name.rpartition(":")[2].lower(), self._path
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            raise _TooMuchError(f"more than {_MAX_ELEMENTS} elements")
        self._names.update((name, *attributes))
        if len(self._names) > _MAX_NAMES:
            raise _TooMuchError(f"more than {_MAX_NAMES} names of elements and attributes")
        if not path and local not in _ROOTS:
            raise FetchFailed(f"not a sitemap: <{name[:40]}>", retry=False)
        if len(path) >= _MAX_DEPTH:
            raise FetchFailed("a sitemap that is nested too deeply", retry=False)
        parent = path[-1] if path else ""
        path.append(local)
        if attributes and (base := attributes.get("xml:base")):
            self._bases.append((len(path), self._listing.within(base, self._bases[-1][1])))
        self._listen(wanted=False)
        if parent in ("url", "sitemap"):
            wanted = local == "loc"
        elif parent == "item":
            wanted = local == "link" or (
                local == "guid" and attributes.get("isPermaLink", "true") != "false"
            )
        else:
            wanted = False
            if parent == "entry" and local == "link":
                self._atom(attributes)
        if local == "item":
            self._linked, self._guid = False, ""
        if wanted:
            self._listen(wanted=True)

    def _listen(self, *, wanted: bool) -> None:
        """Collect the text that comes next, or no longer: most of it is nobody's."""
        if not wanted and self._text is None:
            return
        self._text, self._size = ([] if wanted else None), 0
        self._parser.CharacterDataHandler = self._characters if wanted else None

    def _atom(self, attributes: dict[str, str]) -> None:
        if attributes.get("rel", "alternate") == "alternate" and attributes.get("href"):
            self._add(attributes["href"])

    def _add(self, reference: str, *, nested: bool = False) -> None:
        self._listing.add(reference, nested=nested, base=self._bases[-1][1])

    def _characters(self, text: str) -> None:
        if self._text is not None and self._size <= 2 * MAX_URL:
            self._text.append(text)
            self._size += len(text)

    def _end(self, _: str) -> None:
        self._close(self._path.pop())
        if self._bases[-1][0] > len(self._path):
            self._bases.pop()

    def _close(self, local: str) -> None:
        text = "".join(self._text).strip() if self._text is not None else ""
        self._listen(wanted=False)
        if local == "item" and not self._linked and self._guid:
            self._add(self._guid)
        if not text:
            return
        if local == "guid":
            self._guid = text if text.startswith(("http://", "https://")) else ""
            return
        self._linked = True
        self._add(text, nested=self._path[-1] == "sitemap")
