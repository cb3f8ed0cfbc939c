"""How old an answer is, and until which age it is as good as new (RFC 9111, 4.2). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from crawler.cache.answers import Stored
from crawler.cache.fields import MOST_S, Fields, delta_seconds, directives, http_date, members

# RFC 9110, 15.1: these may be kept although nothing says for how long.
HEURISTIC = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
_HEURISTIC_SHARE = 0.1  # of the time since the last change; RFC 9111, 4.2.2 names it as typical
_MOST_HEURISTIC_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """``explicit``: the origin said so; otherwise it is a guess."""

    seconds: float
    explicit: bool


def lifetime(status: int, fields: Fields, came_at: float) -> Lifetime:
    """For a shared cache."""
    said = directives(fields)
    for name in ("s-maxage", "max-age"):
        seconds = said.seconds(name)
        if seconds is not None:
            return Lifetime(float(seconds), True)
    date = dated(fields, came_at)
    if "expires" in fields:
        values = fields.all("expires")
        expires = http_date(values[0], came_at)
        return Lifetime(0.0 if expires is None else max(0.0, expires - date), True)
    return Lifetime(_guess(status, fields, date, came_at, public="public" in said), False)


def _guess(status: int, fields: Fields, date: float, came_at: float, *, public: bool) -> float:
    changed = http_date((fields.all("last-modified") or ("",))[0], came_at)
    if changed is None or not (public or status in HEURISTIC):
        return 0.0
    return min(_MOST_HEURISTIC_S, max(0.0, (date - changed) * _HEURISTIC_SHARE))


def dated(fields: Fields, came_at: float) -> float:
    """When the origin made it; when it came, where it does not say (RFC 9110, 6.6.1)."""
    date = http_date((fields.all("date") or ("",))[0], came_at)
    return came_at if date is None else float(date)


def age_s(stored: Stored, now: float) -> float:
    """RFC 9111, 4.2.3. Never below 0, whatever clocks do."""
    apparent = max(0.0, stored.came_at - dated(stored.fields, stored.came_at))
    delay = max(0.0, stored.came_at - stored.asked_at)
    initial = max(apparent, said_age(stored.fields) + delay)
    return min(float(MOST_S), initial + max(0.0, now - stored.came_at))


def said_age(fields: Fields) -> int:
    """The Age that an answer came with: of a list the first; 0 for what is none (5.1)."""
    first = next(members(fields.all("age")), "")
    return delta_seconds(first) or 0
