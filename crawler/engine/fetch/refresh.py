"""Pages that lead elsewhere by themselves: ``<meta http-equiv=refresh>``."""

from __future__ import annotations

import re
from typing import Final

import turbohtml
from turbohtml import query

from crawler.engine.urls import canonical
from crawler.errors import InvalidInput

MAX_BYTES: Final = 1 << 13  # a longer page has something to say itself
SOONEST_S: Final = 5  # and so has one that gives time to read it
_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_MARK: Final = re.compile(rb"http-equiv\s*=\s*[\"']?\s*refresh", re.IGNORECASE)
_METAS: Final = query.compile(
    "meta[http-equiv=refresh i][content]:not(noscript *, template *, svg *)"
)
# html.spec.whatwg.org, "shared declarative refresh steps"
_CONTENT: Final = re.compile(
    r"""\s*(\d+)[\d.]*\s*[;,\s]\s*(?:url\s*=\s*)?(?:"([^"]*)|'([^']*)|(.*))""",
    re.IGNORECASE | re.DOTALL,
)


def leads_to(body: bytes, url: str, content_type: str, charset: str | None) -> str | None:
    """The canonical URL that a page of few words goes on to within `SOONEST_S` seconds, as a
    redirect would; None where it does not, or only loads itself again."""
    if len(body) > MAX_BYTES or content_type not in _TYPES or _MARK.search(body) is None:
        return None
    document = turbohtml.parse(body, encoding=charset, positions=False)
    meta = _METAS.select_one(document)
    found = _CONTENT.match(meta.attr("content") or "") if meta is not None else None
    if found is None or int(found[1][:9]) > SOONEST_S:
        return None
    reference = (found[2] or found[3] or found[4] or "").strip()
    try:
        target = canonical(reference, document.base_url(url))
    except InvalidInput:
        return None
    return None if not reference or target == url else target
