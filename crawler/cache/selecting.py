"""What of an answer that is kept is sent: all of it, a part, or that nothing changed. Pure.

Sources: RFC 9110, 13 (conditions) and 14 (ranges).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crawler.cache.answers import Stored
from crawler.cache.fields import Fields, http_date, members

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
# RFC 9110, 15.4.5: what a 304 carries of the answer, and what tells how old it is.
_WITH_304 = frozenset({
    "age", "cache-control", "content-location", "date", "etag", "expires", "last-modified", "vary",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Selection:
    """``start`` to ``end`` (not included) of the body go with the head."""

    status: int
    fields: Fields
    start: int
    end: int


def select(request: Fields, stored: Stored) -> Selection:
    """The answer to a GET."""
    if stored.status == 200 and unchanged(request, stored):
        kept = tuple(pair for pair in stored.fields.pairs if pair[0].lower() in _WITH_304)
        return Selection(304, Fields(kept), 0, 0)
    span = _span(request, stored)
    fields = stored.fields.without({"content-length"})
    if span is None:
        return Selection(stored.status, _sized(fields, stored.size), 0, stored.size)
    start, end = span
    if start >= end:
        whole = fields.without({"content-type", "content-encoding"})
        unmet = whole.plus(("Content-Range", f"bytes */{stored.size}"))
        return Selection(416, _sized(unmet, 0), 0, 0)
    part = fields.plus(("Content-Range", f"bytes {start}-{end - 1}/{stored.size}"))
    return Selection(206, _sized(part, end - start), start, end)


def _sized(fields: Fields, size: int) -> Fields:
    return fields.plus(("Content-Length", str(size)))


def unchanged(request: Fields, stored: Stored) -> bool:
    """Whether the client has this answer already (RFC 9110, 13.2.2)."""
    etag = (stored.fields.all("etag") or ("",))[0].strip()
    if "if-none-match" in request:
        wanted = tuple(members(request.all("if-none-match")))
        if wanted == ("*",):
            return True
        return bool(etag) and _opaque(etag) in {_opaque(each) for each in wanted}
    since = http_date(request.get("if-modified-since"), stored.came_at)
    said = stored.fields.all("last-modified") or stored.fields.all("date") or ("",)
    changed = http_date(said[0], stored.came_at)
    return since is not None and changed is not None and changed <= since


def _opaque(etag: str) -> str:
    """Compared weakly (RFC 9110, 8.8.3.2)."""
    return etag.removeprefix("W/")


def _span(request: Fields, stored: Stored) -> tuple[int, int] | None:
    """The part that is wanted; None: all of it, as for several parts at once, which nobody has to
    send in parts. An empty one: there is no such part."""
    found = _RANGE.fullmatch(request.get("range").strip(" \t"))
    if found is None or stored.status != 200 or not _still(request, stored):
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        return max(0, stored.size - int(last)), stored.size if int(last) else 0
    if last and int(last) < int(first):
        return None
    end = min(stored.size, int(last) + 1) if last else stored.size
    return int(first), end


def _still(request: Fields, stored: Stored) -> bool:
    """Whether If-Range lets a part be sent (RFC 9110, 13.1.5): only by what is surely the same."""
    if "if-range" not in request:
        return True
    wanted = request.get("if-range").strip()
    if wanted.startswith('"'):
        return wanted == stored.fields.get("etag").strip()
    return wanted != "" and wanted == stored.fields.get("last-modified").strip()
