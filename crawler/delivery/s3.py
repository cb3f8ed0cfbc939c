"""Puts items into a bucket: a batch is delivered when its object is stored.

Requests are signed as the AWS documentation says ("Signature Version 4 for API requests", section
"Create a signed AWS API request"; for S3 paths are encoded once and the body's hash is a header).
No client library: its sockets would not be ours to guard.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

from crawler.definition import Sink
from crawler.delivery.records import Parcel
from crawler.delivery.sending import judge, translated

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_MAX_ERROR: Final = 16_384  # bytes of an error that are read
# Of "Error responses" in the API reference those that the same request later need not get again,
# although their status is not 5xx: a clock that is set right, a transfer that took too long.
_PASSING: Final = frozenset({"OperationAborted", "RequestTimeTooSkewed", "RequestTimeout"})


async def put(session: aiohttp.ClientSession, sink: Sink, parcel: Parcel, now: float) -> None:
    """Store it as ``<prefix>/<resource>/<id of the parcel>.jsonl``. Raises `DeliveryFailed`.

    The same parcel is the same object. One that begins alike but ends elsewhere is another: a
    sender that was paused for long must not put less over more. ``now``: Unix seconds.
    """
    assert sink.url is not None
    parts = urlsplit(sink.url)
    key = f"{parts.path.rstrip('/')}/{parcel.resource}/{parcel.id}.jsonl"
    path = quote(unquote(key), safe="/-_.~")
    headers = {"content-type": "application/x-ndjson", "host": parts.netloc}
    headers |= signed("PUT", path, headers, parcel.body, sink, now)
    url = URL(f"{parts.scheme}://{parts.netloc}{path}", encoded=True)
    with translated():
        async with session.put(
            url, data=parcel.body, headers=headers, allow_redirects=False
        ) as answer:
            code = await _error_code(answer)
            judge(answer.status, answer.headers.get("Retry-After"), code, passes=code in _PASSING)


async def _error_code(answer: aiohttp.ClientResponse) -> str:
    """What the server calls its refusal, like ``NoSuchBucket``; "" where it does not say."""
    if answer.status < 300:
        return ""
    try:
        said = await answer.content.readexactly(_MAX_ERROR)
    except asyncio.IncompleteReadError as error:
        said = error.partial
    found = _CODE.search(said)
    return found[1].decode() if found else ""


def signed(
    method: str, path: str, headers: Mapping[str, str], body: bytes, sink: Sink, now: float
) -> dict[str, str]:
    """The headers to add to these (names in lower case) so that the request is ``sink``'s.
    ``path`` is encoded, and there is no query."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    digest = hashlib.sha256(body).hexdigest()
    dated = {"x-amz-content-sha256": digest, "x-amz-date": at}
    all_headers = {**headers, **dated}
    names = ";".join(sorted(all_headers))
    lines = "".join(f"{name}:{all_headers[name].strip()}\n" for name in sorted(all_headers))
    request = "\n".join((method, path, "", lines, names, digest))
    scope = f"{at[:8]}/{sink.region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{sink.secret_access_key}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{sink.access_key_id}/{scope}"
    dated["authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return dated
