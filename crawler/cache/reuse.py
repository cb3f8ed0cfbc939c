"""What may be made of an answer that is kept, for a request (RFC 9111, 4.2 and 5.2). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from crawler.cache.answers import Stored
from crawler.cache.fields import Directives, Fields, directives
from crawler.cache.freshness import age_s, lifetime

# In a shared cache s-maxage means proxy-revalidate, too (RFC 9111, 5.2.2.10).
_NEVER_STALE = ("must-revalidate", "proxy-revalidate", "s-maxage", "no-cache")


class Use(Enum):
    """What to do."""

    SERVE = auto()  # it is fresh
    SERVE_STALE = auto()  # it is not, and the client takes it so
    SERVE_AND_RENEW = auto()  # it is not; serve it, and ask the origin behind the client's back
    VALIDATE = auto()  # ask the origin first


@dataclass(frozen=True, slots=True)
class Judgement:
    """``left_s``: how long it stays fresh; below 0: for how long it has been stale."""

    use: Use
    age_s: float
    left_s: float


def judge(request: Fields, stored: Stored, now: float, *, guess: bool = True) -> Judgement:
    """``guess``: a lifetime that the origin did not state counts, too."""
    asked, said = wishes(request), directives(stored.fields)
    age = age_s(stored, now)
    life = lifetime(stored.status, stored.fields, stored.came_at)
    left = (life.seconds if guess or life.explicit else 0.0) - age
    return Judgement(_use(asked, said, age, left), age, left)


def _use(asked: Directives, said: Directives, age: float, left: float) -> Use:
    if "no-cache" in asked or "no-cache" in said:
        return Use.VALIDATE
    most_age, least_left = asked.seconds("max-age"), asked.seconds("min-fresh")
    if most_age is not None and age > most_age:
        return Use.VALIDATE
    if left > 0:
        return Use.SERVE if least_left is None or left >= least_left else Use.VALIDATE
    if least_left is not None or any(each in said for each in _NEVER_STALE):
        return Use.VALIDATE
    if "max-stale" in asked:
        argument = asked.values["max-stale"]
        if argument is None or -left <= (asked.seconds("max-stale") or 0):
            return Use.SERVE_STALE
    grace = said.seconds("stale-while-revalidate")  # RFC 5861, 3
    return Use.SERVE_AND_RENEW if grace is not None and -left <= grace else Use.VALIDATE


def despite_error(request: Fields, stored: Stored, now: float) -> bool:
    """Whether it may be served although it is stale, because the origin fails (RFC 5861, 4)."""
    asked, said = wishes(request), directives(stored.fields)
    if "no-cache" in asked or any(each in said for each in _NEVER_STALE):
        return False
    stale = age_s(stored, now) - lifetime(stored.status, stored.fields, stored.came_at).seconds
    limits = (asked.seconds("stale-if-error"), said.seconds("stale-if-error"))
    return any(limit is not None and stale <= limit for limit in limits)


def wishes(request: Fields) -> Directives:
    """What a request asks of caches: Pragma only where Cache-Control is absent (5.4)."""
    if "cache-control" not in request and "no-cache" in request.get("pragma").lower():
        return Directives({"no-cache": None})
    return directives(request)
