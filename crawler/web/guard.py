"""Keeps other people's web pages out: a browser can be made to call a server on loopback.

Against DNS rebinding, a server that only listens on loopback answers only to names of loopback.
Against forged writes, a request that a browser marks as coming from elsewhere is refused. curl
and other programs send neither mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from crawler.address import names_loopback

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = frozenset({"same-origin", "none"})


def refusal(method: str, headers: Mapping[str, str], *, loopback: bool) -> str:
    """Why the request must be refused, "" where it may pass.

    ``loopback``: the server listens there only and asks nobody who they are.
    """
    host = headers.get("Host", "")
    if loopback and host and not names_loopback(host):
        return f"Host {host[:200]!r} is not this machine's loopback"
    if method in SAFE:
        return ""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return "" if site in OWN else "requests from other sites are refused"
    origin = headers.get("Origin")
    if origin is not None and _host_of(origin) != host.lower():
        return "requests from other origins are refused"
    return ""


def _host_of(origin: str) -> str:
    """The host and port of an Origin header; never a host's for ``null`` or garbage."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "?"
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else "?"
