"""One spelling per URL: as WHATWG says, without fragment, empty query and credentials."""

from __future__ import annotations

import re
from typing import Final

import ada_url

from crawler.errors import InvalidInput

MAX_URL = 2048  # characters; longer ones are nearly always a trap

_SCHEMES = ("http://", "https://")
_MOST_ORIGINS: Final = 10_000
# Path and query that are spelled already as they are to be: nothing to encode, no folder of dots.
_SPELLED: Final = re.compile(
    r"(?![^?]*%2[Ee])(?:/(?!\.\.?(?:[/?]|\Z))[!$%&'()*+,.0-9:;=@A-Z_a-z~-]*)+"
    r"(?:\?[!$%&()*+,./0-9:;=?@A-Z_a-z~-]+)?"
)
_origins: set[str] = set()  # of canonical URLs, of all crawls of the process


def _is_spelled(url: str) -> bool:
    """Whether it is canonical for sure, which most links are: the parser takes ten times as long to
    say so."""
    start = url.find("/", 8)
    return url[:start] in _origins and len(url) <= MAX_URL and bool(_SPELLED.fullmatch(url, start))


def _know(origin: str) -> None:
    if len(_origins) >= _MOST_ORIGINS:
        _origins.clear()
    _origins.add(origin)


def _spell(href: str) -> str | None:
    """A WHATWG serialisation as we write it; None unless it is http(s) of a permitted length."""
    if "#" in href:
        href = href.partition("#")[0]
    if href.endswith("?") and href.index("?") == len(href) - 1:
        href = href[:-1]  # a query without content, which no request line of ours shows
    if not href.startswith(_SCHEMES) or len(href) > MAX_URL:
        return None
    start = href.index("//") + 2
    end = href.index("/", start)
    if "@" in href[start:end]:
        return href[:start] + href[href.rindex("@", start, end) + 1 :]
    return href


def _resolve(url: str, base: str | None) -> str | None:
    try:
        if base is None:
            return _spell(ada_url.normalize_url(url))
        return _spell(ada_url.join_url(base, url))
    except ValueError:  # also a lone surrogate, which has no UTF-8 form
        return None


def canonical(url: str, base: str | None = None) -> str:
    """The canonical form of ``url``, resolved against ``base``.

    Raises `InvalidInput` when it cannot be parsed, is not http or https, or is longer than
    `MAX_URL`. Credentials are dropped: URLs are stored, logged and shown.
    """
    if _is_spelled(url):
        return url
    found = _resolve(url, base)
    if found is None:
        raise InvalidInput(f"not an http(s) URL of at most {MAX_URL} characters: {url[:200]!r}")
    _know(found[: found.index("/", 8)])
    return found


def host_of(url: str) -> str:
    """``host``, or ``host:port`` where the port is not the scheme's own, of a canonical URL."""
    return url.split("/", 3)[2]
