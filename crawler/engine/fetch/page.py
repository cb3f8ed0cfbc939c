"""What fetching yields, and what it is asked through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from crawler.model import Imprint

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. ``url`` is the canonical URL that gave it.

    ``body`` is decoded from its content coding; empty for redirects and for status 400 and up.
    ``charset`` is a WHATWG name, None where neither a byte order mark nor the header tells.
    ``size_bytes`` counts the body as it was transferred. ``location``: the canonical target of a
    redirect, None where there is none to follow; with a status that is none, the page itself wants
    to be another one. ``retry_after_s`` is what the header of that name
    asks for, None where it says nothing readable. ``latency_s``: until its headers were there.
    ``address``: where it came from, "" where nobody wants to know. ``robots_tag``: the X-Robots-Tag
    headers, one a line. ``etag`` and ``last_modified``: the headers, "" where they cannot be sent
    back. ``headers``: all of them, by names in any case, the first of each. ``kept``: it comes out
    of a cache, and nobody was asked for it.
    """

    url: str
    status: int
    body: bytes = b""
    content_type: str = ""
    charset: str | None = None
    size_bytes: int = 0
    elapsed_s: float = 0.0
    latency_s: float = 0.0
    location: str | None = None
    retry_after_s: float | None = None
    sets_cookie: bool = False
    address: str = ""
    robots_tag: str = ""
    etag: str = ""
    last_modified: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: bool = False


class Fetch(Protocol):
    """One request, one answer, no redirects."""

    @property
    def blocked(self) -> tuple[float, str]:
        """Until when (`Clock.elapsed`; a time that is past: not at all) nothing can be sent to
        anybody, and why."""

    async def get(
        self,
        url: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        max_bytes: int | None = None,
        timeout_s: float | None = None,
        truncate: bool = False,
        unless: Imprint | None = None,
    ) -> Page:
        """Fetch a canonical URL. None: the limits of the definition. A body above ``max_bytes``
        is cut off there with ``truncate``, and fails otherwise. What the ``body`` that is sent is
        follows from itself, see `crawler.engine.bodies`. ``unless`` the page is still that one: the
        answer may then be 304, without a body.

        Raises `FetchFailed`; a status of any kind is an answer, not a failure.
        """
