"""A fetched page, parsed once from its bytes: HTML or JSON; what selectors work on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

import turbohtml
import turbohtml.detect  # which also registers the whatwg-* codecs that `Page.source` decodes with

from crawler.engine.charset import declared_in_xml
from crawler.engine.extract.directives import canonical_reference, is_marked, marks_links
from crawler.engine.extract.references import (
    KNOWN,
    folder_of,
    from_root,
    height_of,
    is_rooted,
    is_steady,
    join,
    leads_to,
    match_rooted,
    root_of,
    within,
)
from crawler.engine.extract.xml import is_xml, parse_xml
from crawler.engine.urls.legacy import with_query_in

_MAX_JSONLD: Final = 1_000
_MAX_DEPTH: Final = 32
# Empty lists, the smallest values, take 56 bytes each.
MAX_JSON_VALUES: Final = 2_000_000
_FALLBACK: Final = "windows-1252"
_SAYS_SO: Final = "meta[charset], meta[http-equiv][content*=charset]"
_GUESSED_BY: Final = 1 << 14  # octets: guessing costs more than parsing
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class Located:
    """A page of any kind: where it is, and where its references lead.

    ``root`` is what selectors begin with. References are resolved against ``base``.
    ``left_alone`` counts the links that the page asks not to follow.
    """

    def __init__(self, url: str, base: str, root: Any) -> None:
        self.url = url
        self.root = root
        self.left_alone = 0
        self.base = base if base.startswith(("http://", "https://")) else url
        self._folder = folder_of(self.base)
        self._height = height_of(self._folder)
        self._site = root_of(self._folder)[:-1]
        self._known = KNOWN.of(self._site)

    @property
    def source(self) -> bytes:
        """The page's text as UTF-8, for regular expressions; none where these have no use."""
        return b""

    @property
    def jsonld(self) -> Sequence[Mapping[str, Any]]:
        """The JSON-LD objects of the page."""
        return ()

    @property
    def canonical(self) -> str | None:
        """The absolute URL that the page names as its own; None if it names none."""
        return None

    def followed(self, found: Sequence[Any]) -> Sequence[Any]:
        """Of what a selector of links found, what may be followed."""
        return found

    def resolve(self, reference: str) -> str | None:
        """The absolute URL without fragment that a reference leads to, not yet canonical; None
        for the page itself, for other schemes than http and https, and for what is no URL."""
        if reference[:1] == "." and (rooted := from_root(self._height, reference)):
            reference = rooted  # which other pages spell alike, whatever their folder
        url = self._known.get(reference, "")
        if url != "":
            return url
        if self._site and (url := within(self._site, reference)):
            KNOWN.keep(self._known, {reference: url})
            return url
        of_folder = KNOWN.of(self._folder)
        url = of_folder.get(reference, "")
        if url != "":
            return url
        url = leads_to(self.base, self._folder, self._spelled(reference))
        if self._folder and is_steady(reference):
            KNOWN.keep(self._known if is_rooted(reference) else of_folder, {reference: url})
        return url

    def resolve_all(self, references: Iterable[str]) -> list[str]:
        """Where references lead, without those that `resolve` says None of."""
        known, site, urls = self._known, self._site, list[str]()
        news: dict[str, str | None] = {}
        for reference in references:
            url = known.get(reference)
            # As `within` does, which is most of the cost where sites are larger than memory.
            if url is None and site and (found := match_rooted(reference)) and "./" not in found[1]:
                url = news[reference] = site + found[1]
            if url is not None or (url := self.resolve(reference)) is not None:
                urls.append(url)
        KNOWN.keep(known, news)
        return urls

    def join(self, reference: str) -> str | None:
        """The absolute URL of any scheme for a reference; None for what is no URL."""
        return join(self.base, self._spelled(reference))

    def _spelled(self, reference: str) -> str:
        """The reference as parsers of URLs understand it."""
        return reference


class Page(Located):
    """A parsed page. ``charset`` is what the HTTP header said, None if nothing. XML, which
    ``content_type`` tells, is read as HTML where it is not well-formed.

    The encoding is decided as the WHATWG says: byte-order mark, header, meta, XML declaration, then
    UTF-8 where the bytes are valid, otherwise the likeliest. An unknown charset counts as none. The
    queries of links are in it, too.

    ``obeys_nofollow``: links marked so are left alone.
    """

    def __init__(
        self,
        body: bytes,
        url: str,
        charset: str | None = None,
        *,
        content_type: str = "",
        obeys_nofollow: bool = False,
    ) -> None:
        self.document, self._body = _parse(body, charset, content_type)
        super().__init__(url, self.document.base_url(url), self.document)
        self._looks_at_marks = obeys_nofollow and marks_links(self.document)

    def _spelled(self, reference: str) -> str:
        if reference.isascii():
            return reference
        return with_query_in(self.document.encoding or "utf-8", reference)

    @cached_property
    def source(self) -> bytes:
        """The page's text as UTF-8."""
        encoding = (self.document.encoding or "utf-8").lower()
        if encoding == "utf-8":
            return self._body
        return self._body.decode(f"whatwg-{encoding}", "replace").encode("utf-8", "replace")

    @cached_property
    def jsonld(self) -> Sequence[Mapping[str, Any]]:
        """The JSON-LD objects of the page, those of lists and ``@graph`` one by one, at most
        1,000; blocks that are no JSON count as none."""
        objects: list[Mapping[str, Any]] = []
        waiting: list[Any] = list(reversed(self.document.json_ld()))
        while waiting and len(objects) < _MAX_JSONLD:
            value = waiting.pop()
            if isinstance(value, list):
                waiting.extend(reversed(value))
            elif isinstance(value, dict) and isinstance(value.get("@graph"), list):
                waiting.extend(reversed(value["@graph"]))
            elif isinstance(value, dict):
                objects.append(storable(value))
        return objects

    @property
    def canonical(self) -> str | None:
        """The absolute URL that the page calls its canonical one; None if it names none."""
        reference = canonical_reference(self.document)
        return self.resolve(reference) if reference else None

    def followed(self, found: Sequence[Any]) -> Sequence[Any]:
        """Of what a selector of links found, what may be followed."""
        if not self._looks_at_marks:
            return found
        kept = [entry for entry in found if not is_marked(entry)]
        self.left_alone += len(found) - len(kept)
        return kept


class JsonPage(Located):
    """A parsed JSON document: UTF-8 unless the HTTP header or the bytes themselves say otherwise.

    Raises `ValueError` that says why the body cannot be read: no JSON, more than `MAX_JSON_VALUES`
    values, nested deeper than Python goes. ``NaN`` and the infinities, which are no JSON but
    written by some, count as null.
    """

    def __init__(self, body: bytes, url: str, charset: str | None = None) -> None:
        if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_JSON_VALUES:
            raise ValueError(f"the body holds more than {MAX_JSON_VALUES} values")
        super().__init__(url, url, _parse_json(body, charset))


def storable(value: Any, depth: int = 0) -> Any:
    """A JSON value without what stores refuse: NUL, lone surrogates, infinite numbers; nothing
    is kept below 32 levels."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict | list) and depth >= _MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [storable(entry, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {storable(key): storable(entry, depth + 1) for key, entry in value.items()}
    return value


def as_json(value: Any) -> str:
    """Compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _parse(body: bytes, charset: str | None, content_type: str) -> tuple[turbohtml.Document, bytes]:
    """The document, and the body that is its source."""
    if is_xml(content_type):
        with suppress(LookupError, ValueError):
            return parse_xml(body, charset)
    return _parse_html(body, charset), body


def _parse_html(body: bytes, charset: str | None) -> turbohtml.Document:
    if charset:
        try:
            return turbohtml.parse(body, encoding=charset, positions=False)
        except (LookupError, ValueError):
            pass
    document = turbohtml.parse(body, positions=False)
    if document.encoding != _FALLBACK or _is_plain(body) or document.select_one(_SAYS_SO):
        return document
    head = body[:_GUESSED_BY]
    name = declared_in_xml(head) or turbohtml.detect.detect(head).encoding
    if name is None or name.lower() in ("utf-8", _FALLBACK):  # it is not valid UTF-8
        return document
    return turbohtml.parse(body, encoding=name, positions=False)


def _is_plain(body: bytes) -> bool:
    """Whether it means the same in every encoding but UTF-16."""
    return body.isascii() and b"\x1b" not in body


def _parse_json(body: bytes, charset: str | None) -> Any:
    encoding: str = json.detect_encoding(body)
    if charset and encoding == "utf-8" and charset != "utf-8":
        encoding = f"whatwg-{charset}"
    try:
        text = body.decode(encoding, "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ValueError(f"the body is not JSON: {error.msg} ({place})") from error
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    except ValueError as error:
        raise ValueError("the body holds a number of too many digits") from error
