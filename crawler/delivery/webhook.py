"""Posts items to a URL: a batch is delivered when the receiver says 2xx."""

from __future__ import annotations

from urllib.parse import quote

import aiohttp

from crawler.definition import Sink
from crawler.delivery.records import Parcel
from crawler.delivery.sending import judge, translated


async def post(session: aiohttp.ClientSession, sink: Sink, parcel: Parcel) -> None:
    """Send it once. Raises `DeliveryFailed`. The answer's body is not read, and no redirect is
    followed: it could lead anywhere."""
    assert sink.url is not None
    headers = {
        "Content-Type": "application/x-ndjson",
        # draft-ietf-httpapi-idempotency-key-header: a string of RFC 9651, so ASCII
        "Idempotency-Key": f'"{quote(parcel.id)}"',
        **sink.headers,
    }
    with translated():
        async with session.post(
            sink.url, data=parcel.body, headers=headers, allow_redirects=False
        ) as answer:
            judge(answer.status, answer.headers.get("Retry-After"))
