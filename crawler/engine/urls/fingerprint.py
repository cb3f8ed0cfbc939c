"""One number per request, so that a page is known by 16 bytes."""

from __future__ import annotations

from xxhash import xxh3_128_digest

from crawler.engine.urls.canonical import canonical


def fingerprint(method: str, url: str, body: bytes | None = None) -> bytes:
    """16 bytes (XXH3-128, big endian) over method, canonical URL and body.

    The parts are set apart by a space and a newline, which no canonical URL contains.
    """
    if body is None:
        return xxh3_128_digest(f"{method} {url}".encode())
    return xxh3_128_digest(f"{method} {url}\n".encode() + body)


def page_key(method: str, url: str) -> bytes:
    """What a page without a body is kept under, by a URL as people write it. Raises `InvalidInput`
    as `canonical` does."""
    return fingerprint(method, canonical(url))
