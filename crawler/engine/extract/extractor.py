"""What a page yields under a definition: its rule, items, links, and how each field came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crawler.definition import Definition
from crawler.definition.patterns import Routes
from crawler.engine.extract.directives import page_forbids_links
from crawler.engine.extract.links import NOTHING, Link
from crawler.engine.extract.notes import FieldTrace, Notes
from crawler.engine.extract.page import JsonPage, Located, Page
from crawler.engine.extract.plans import PAGE_LABEL, Plan, RulePlan, WholePage
from crawler.engine.extract.saving import FilePlan
from crawler.engine.fetch.robots import product_token
from crawler.engine.files import Keep
from crawler.engine.parts import Part
from crawler.engine.settings import own_name
from crawler.model import Item

_PAGE_TYPES: Final = frozenset(
    {"text/html", "application/xhtml+xml", "application/xml", "text/xml"}
)
_JSON_TYPES: Final = frozenset({"application/json", "text/json"})
NOFOLLOW: Final = "links left alone: the page says nofollow"
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a page yielded. ``rule`` is the label of the rule that took it, None: none did.

    ``errors`` say what could not be read, for people; ``trace`` is filled when asked for.
    ``part``: an item that goes on where the first link leads. ``canonical`` is the absolute URL
    that the page names as its own, None where it names none.
    """

    rule: str | None
    items: tuple[Item, ...] = ()
    links: tuple[Link, ...] = ()
    errors: tuple[str, ...] = ()
    trace: tuple[FieldTrace, ...] = ()
    part: Part | None = None
    canonical: str | None = None


class Extractor:
    """A definition compiled once, for as many pages as come. ``keep`` takes the files of rules of
    kind file; None: they are not kept."""

    def __init__(self, definition: Definition, keep: Keep | None = None) -> None:
        self._routes = Routes(definition.rules)
        self._whole_page = WholePage()
        self._obeys_nofollow = definition.nofollow == "obey"
        self._agent = product_token(own_name(definition)).lower()
        self._plans = tuple(
            RulePlan(label, rule)
            for label, rule in zip(self._routes.labels, definition.rules, strict=True)
        )
        self._files = {
            label: FilePlan(label, rule, keep)
            for label, rule in zip(self._routes.labels, definition.rules, strict=True)
            if rule.kind == "file"
        }
        self._json = frozenset(
            label
            for label, rule in zip(self._routes.labels, definition.rules, strict=True)
            if rule.kind == "json"
        )

    def extract(
        self,
        body: bytes,
        url: str,
        *,
        content_type: str = "",
        charset: str | None = None,
        rule: str | None = None,
        carry: Mapping[str, Any] = NOTHING,
        part: Part | None = None,
        trace: bool = False,
    ) -> Extraction:
        """Read one page. Never raises because of what a page holds; `FetchFailed` where a file
        cannot be kept.

        ``url`` is the canonical URL the body came from; ``content_type`` and ``charset`` are what
        the HTTP header said; ``rule`` is the label the page was sent to and ``carry`` what
        travelled with the link. ``part`` is the item that the page before left unfinished: where
        this one does not go on with it, it is among the items as it is.
        """
        label, plan = self._take(url, rule)
        mine = part if part is not None and plan is not None and plan.joins(part.rule) else None
        left = (part.unfinished(),) if part is not None and mine is None else ()
        if plan is None:
            return Extraction(None, left)
        notes = Notes(label, trace)
        if label in self._files:
            item = self._files[label].read(body, url, content_type, carry, notes)
            return Extraction(
                label, (*left, item), errors=tuple(notes.errors), trace=tuple(notes.trace)
            )
        try:
            page = self._parse(label, body, url, content_type, charset)
        except ValueError as error:
            left = left if mine is None else (mine.unfinished(),)
            return Extraction(label, left, errors=(str(error),))
        items, found, onward = plan.read(page, carry, notes, mine)
        links, said = found.collect(), [found.complaint()]
        if links and self._forbids_links(page):
            links, said = (), [NOFOLLOW]
            if onward is not None:
                items, onward = (*items, onward.unfinished()), None
        if trace and page.left_alone:
            said.append(f'{page.left_alone} links left alone: rel=nofollow (see "nofollow")')
        return Extraction(
            label,
            (*left, *items),
            links,
            (*filter(None, said), *notes.errors),
            tuple(notes.trace),
            onward,
            page.canonical,
        )

    def _parse(
        self, label: str, body: bytes, url: str, content_type: str, charset: str | None
    ) -> Located:
        """The page, parsed as what its rule says it is. `ValueError` if it is something else."""
        if label in self._json:
            if not _is_json(content_type, body):
                raise ValueError(f"{content_type or 'the body'} is not JSON")
            return JsonPage(body, url, charset)
        if not is_markup(content_type, body):
            raise ValueError(f"{content_type or 'the body'} is not HTML or XML")
        kind = _kind(content_type)
        return Page(body, url, charset, content_type=kind, obeys_nofollow=self._obeys_nofollow)

    def _forbids_links(self, page: Located) -> bool:
        """Whether the page itself asks not to follow its links."""
        return (
            self._obeys_nofollow
            and isinstance(page, Page)
            and page_forbids_links(page.document, self._agent)
        )

    def _take(self, url: str, sent_to: str | None) -> tuple[str, Plan | None]:
        if not self._plans:
            return PAGE_LABEL, self._whole_page
        at = self._routes.take(url, sent_to)
        return ("", None) if at is None else (self._routes.labels[at], self._plans[at])


def is_markup(content_type: str, body: bytes) -> bool:
    """Whether the content type is HTML or XML; where none was sent, whether the body looks so."""
    kind = _kind(content_type)
    if not kind:
        return body.startswith(_BYTE_ORDER_MARKS) or body[:1_024].lstrip()[:1] == b"<"
    return kind in _PAGE_TYPES or (kind.endswith("+xml") and not kind.startswith("image/"))


def _is_json(content_type: str, body: bytes) -> bool:
    """Whether the content type is JSON, or the body looks so, which many servers call text or
    HTML."""
    kind = _kind(content_type)
    if kind in _JSON_TYPES or kind.endswith("+json"):
        return True
    return body[:1_024].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
