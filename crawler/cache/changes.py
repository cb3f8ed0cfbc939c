"""What answers do to what is kept: freshen it, or end it (RFC 9111, 3.2, 4.3 and 4.4). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from crawler.cache.answers import Stored
from crawler.cache.fields import Fields

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# What describes the body as it is kept, and does not change with a 304 (RFC 9111, 3.2).
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "content-range", "content-type"})


def conditions(stored: Stored) -> tuple[tuple[str, str], ...]:
    """The fields that ask an origin whether it is still that answer; () where it cannot tell."""
    found = []
    if etag := _one(stored.fields, "etag"):
        found.append(("If-None-Match", etag))
    if changed := _one(stored.fields, "last-modified"):
        found.append(("If-Modified-Since", changed))
    return tuple(found)


def confirms(stored: Stored, answer: Fields) -> bool:
    """Whether a 304 speaks of this answer (RFC 9111, 4.3.4)."""
    etag, known = _one(answer, "etag"), _one(stored.fields, "etag")
    if etag:
        return etag.removeprefix("W/") == known.removeprefix("W/")
    changed = _one(answer, "last-modified")
    return not changed or changed == _one(stored.fields, "last-modified") or bool(known)


def freshened(stored: Stored, answer: Fields, asked_at: float, came_at: float) -> Stored:
    """With the fields of a 304 in the place of its own; Age is of the answer that said it."""
    news = answer.without(_OF_THE_BODY)
    replaced = {name.lower() for name, _ in news.pairs} | {"age"}
    kept = stored.fields.without(replaced)
    return replace(stored, fields=kept.plus(*news.pairs), asked_at=asked_at, came_at=came_at)


def agrees(stored: Stored, head: Fields) -> bool:
    """Whether the answer to a HEAD is of what is kept (RFC 9111, 4.3.5)."""
    for name in ("etag", "last-modified"):
        if name in head and _one(head, name) != _one(stored.fields, name):
            return False
    length = _one(head, "content-length")
    return not length or length == str(stored.size)


def outdated(method: str, url: str, status: int, answer: Fields) -> Iterator[str]:
    """The URLs whose answers a request has made void (RFC 9111, 4.4): of its own origin only."""
    if method in _SAFE or not 200 <= status < 400:
        return
    yield url
    for name in ("location", "content-location"):
        for value in answer.all(name):
            try:
                other = urljoin(url, value)
                same = _origin(other) == _origin(url)
            except ValueError:
                continue
            if same:
                yield other.partition("#")[0]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _one(fields: Fields, name: str) -> str:
    return (fields.all(name) or ("",))[0].strip()
