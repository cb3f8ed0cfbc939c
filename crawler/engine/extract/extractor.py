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
from crawler.engine.extract.page import Page
from crawler.engine.extract.plans import PAGE_LABEL, Plan, RulePlan, WholePage
from crawler.engine.fetch.robots import product_token
from crawler.model import Item

_PAGE_TYPES: Final = frozenset(
    {"text/html", "application/xhtml+xml", "application/xml", "text/xml"}
)
NOFOLLOW: Final = "links left alone: the page says nofollow"
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a page yielded. ``rule`` is the label of the rule that took it, None: none did.

    ``errors`` say what could not be read, for people; ``trace`` is filled when asked for.
    ``canonical`` is the absolute URL that the page names as its own, None where it names none.
    """

    rule: str | None
    items: tuple[Item, ...] = ()
    links: tuple[Link, ...] = ()
    errors: tuple[str, ...] = ()
    trace: tuple[FieldTrace, ...] = ()
    canonical: str | None = None


class Extractor:
    """A definition compiled once, for as many pages as come."""

    def __init__(self, definition: Definition) -> None:
        self._routes = Routes(definition.rules)
        self._whole_page = WholePage()
        self._obeys_nofollow = definition.nofollow == "obey"
        self._agent = product_token(definition.user_agent).lower()
        self._plans = tuple(
            RulePlan(label, rule)
            for label, rule in zip(self._routes.labels, definition.rules, strict=True)
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
        trace: bool = False,
    ) -> Extraction:
        """Read one page. Never raises because of what a page holds.

        ``url`` is the canonical URL the body came from; ``content_type`` and ``charset`` are what
        the HTTP header said; ``rule`` is the label the page was sent to and ``carry`` what
        travelled with the link.
        """
        label, plan = self._take(url, rule)
        if plan is None:
            return Extraction(None)
        if not _is_markup(content_type, body):
            return Extraction(label, errors=(f"{content_type or 'the body'} is not HTML or XML",))
        notes = Notes(label, trace)
        page = Page(body, url, charset, obeys_nofollow=self._obeys_nofollow)
        items, found = plan.read(page, carry, notes)
        links, said = found.collect(), [found.complaint()]
        if links and self._obeys_nofollow and page_forbids_links(page.document, self._agent):
            links, said = (), [NOFOLLOW]
        if trace and page.left_alone:
            said.append(f'{page.left_alone} links left alone: rel=nofollow (see "nofollow")')
        errors = (*filter(None, said), *notes.errors)
        return Extraction(label, items, links, errors, tuple(notes.trace), page.canonical)

    def _take(self, url: str, sent_to: str | None) -> tuple[str, Plan | None]:
        if not self._plans:
            return PAGE_LABEL, self._whole_page
        at = self._routes.take(url, sent_to)
        return ("", None) if at is None else (self._routes.labels[at], self._plans[at])


def _is_markup(content_type: str, body: bytes) -> bool:
    """Whether the content type is HTML or XML; where none was sent, whether the body looks so."""
    kind = content_type.partition(";")[0].strip().lower()
    if not kind:
        return body.startswith(_BYTE_ORDER_MARKS) or body[:1_024].lstrip()[:1] == b"<"
    return kind in _PAGE_TYPES or (kind.endswith("+xml") and not kind.startswith("image/"))
