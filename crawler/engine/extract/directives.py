"""What pages ask robots to do about their links: nofollow, in a header, a meta, or at a link."""

from __future__ import annotations

import re
from typing import Final

import turbohtml
from turbohtml import query

_METAS: Final = query.compile("meta[name][content]")
_MARKED: Final = query.compile("a[rel~=nofollow i], area[rel~=nofollow i]")
_CANONICAL: Final = query.compile("link[rel~=canonical i][href]")
_AGENT: Final = re.compile(r"\s*([A-Za-z_-]+)\s*")
# Directives that have a value, which would otherwise pass for the name of a robot.
_VALUED: Final = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)
_NOFOLLOW: Final = frozenset({"nofollow", "none"})
_MOST_METAS: Final = 100


def header_forbids_links(header: str, agent: str) -> bool:
    """Whether X-Robots-Tag says nofollow or none, to all or to ``agent`` (in lower case).

    ``header``: one line per header of that name. A robot named in it is meant by all that follows
    in the same line.
    """
    for line in header.splitlines():
        meant = True
        for part in line.split(","):
            name, colon, value = part.partition(":")
            named = _AGENT.fullmatch(name) if colon else None
            if named is not None and named[1].lower() not in _VALUED:
                meant, part = named[1].lower() == agent, value
            if meant and part.strip().lower() in _NOFOLLOW:
                return True
    return False


def page_forbids_links(document: turbohtml.Document, agent: str) -> bool:
    """The same of ``<meta name=robots>`` and of one that names ``agent``."""
    for meta in _METAS.select(document)[:_MOST_METAS]:
        if (meta.attr("name") or "").strip().lower() in ("robots", agent):
            words = (meta.attr("content") or "").lower().replace(",", " ").split()
            if not _NOFOLLOW.isdisjoint(words):
                return True
    return False


def marks_links(document: turbohtml.Document) -> bool:
    """Whether any link is marked rel=nofollow, so that it is worth looking at each."""
    return _MARKED.select_one(document) is not None


def is_marked(found: object) -> bool:
    """Whether what a selector found is a link marked rel=nofollow."""
    if not isinstance(found, turbohtml.Element):
        return False
    rel = found.attr("rel")
    return rel is not None and "nofollow" in rel.lower().split()


def canonical_reference(document: turbohtml.Document) -> str | None:
    """The reference of ``<link rel=canonical>``; None where there is none."""
    link = _CANONICAL.select_one(document)
    return link.attr("href") if link is not None else None
