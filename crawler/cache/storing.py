"""Which answers a shared cache may keep (RFC 9111, 3), and which are worth it. Pure."""

from __future__ import annotations

from crawler.cache.answers import varying
from crawler.cache.fields import Fields, directives
from crawler.cache.freshness import HEURISTIC, lifetime

# Whose caching requirements are met here; 206 and 304 are parts of another answer.
_UNDERSTOOD = HEURISTIC | {302, 303, 307, 400, 403, 500, 502, 503, 504}
_DESPITE_AUTHORIZATION = ("public", "s-maxage", "must-revalidate")
# By which frameworks let a request name another host, path or method than it is sent to, so that
# its answer would stand for a URL that it is not of.
_ELSEWHERE = (
    *("forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"),
    *("x-forwarded-proto", "x-forwarded-scheme", "x-forwarded-server", "x-host"),
    *("x-http-method", "x-http-method-override", "x-method-override"),
    *("x-original-host", "x-original-url", "x-rewrite-url"),
)


def why_not(method: str, request: Fields, status: int, answer: Fields, came_at: float) -> str:
    """The rule that forbids to keep it; "" where it may be kept and could be of use."""
    rules = (
        (method != "GET", "method"),
        (status < 200 or status in (206, 304), "status"),
        ("content-range" in answer, "partial"),
    )
    broken = next((reason for holds, reason in rules if holds), "")
    forbidden = broken or _why_forbidden(request, status, answer, came_at)
    return forbidden or _why_useless(status, answer, came_at)


def may_freshen(request: Fields, status: int, news: Fields, came_at: float) -> bool:
    """Whether what a 304 or the answer to a HEAD says may be kept for others than who asked, as if
    it had come with an answer of that status."""
    return not _why_forbidden(request, status, news, came_at)


def _why_forbidden(request: Fields, status: int, answer: Fields, came_at: float) -> str:
    asked, said = directives(request), directives(answer)
    understood = "must-understand" in said and status in _UNDERSTOOD
    names = varying(answer)
    rules = (
        ("must-understand" in said and status not in _UNDERSTOOD, "must-understand"),
        ("no-store" in asked, "request no-store"),
        ("no-store" in said and not understood, "no-store"),
        ("private" in said, "private"),
        ("*" in names, "vary *"),
        (any(each in request and each not in names for each in _ELSEWHERE), "request elsewhere"),
        (
            "authorization" in request and not any(each in said for each in _DESPITE_AUTHORIZATION),
            "authorization",
        ),
        (_personal(request, status, answer, came_at) and "public" not in said, "cookies"),
    )
    return next((reason for holds, reason in rules if holds), "")


def _personal(request: Fields, status: int, answer: Fields, came_at: float) -> bool:
    """Whether it may be of one client alone, and the origin has not said that it may be kept. RFC
    9111 (7.3) lets cookies pass; what is meant for all is then said by a lifetime."""
    cookies = "cookie" in request or "set-cookie" in answer
    return cookies and not lifetime(status, answer, came_at).explicit


def _why_useless(status: int, answer: Fields, came_at: float) -> str:
    said, life = directives(answer), lifetime(status, answer, came_at)
    if not (life.explicit or "public" in said or status in HEURISTIC):
        return "status without freshness"
    lasting = life.seconds > 0 or "stale-while-revalidate" in said or "stale-if-error" in said
    if lasting or "etag" in answer or "last-modified" in answer:
        return ""
    return "never fresh and without validator"
