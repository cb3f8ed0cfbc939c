"""How workers hand one another the answers that their caches hold: as one field, beside the body.

A crawl asks the owner of a URL for what it keeps (`FIND`) and gives it what the origin has answered
(`KEEP`). Neither makes the owner ask anybody.
"""

from __future__ import annotations

import base64
import binascii
import json
import math

from crawler.cache.answers import Stored
from crawler.cache.fields import Fields
from crawler.errors import InvalidInput

FIND = "FIND"
KEEP = "KEEP"
ANSWER = "crawler-answer"  # the field
# The URL that it is about. It is not named as the target of a request: an older node would pass
# that on to the origin.
PAGE = "crawler-page"
MOST_BYTES = 1 << 15  # of it, so that it fits into a head


def pack(stored: Stored) -> str:
    """All of it but its URL, which the request names."""
    values = [
        *(stored.status, stored.fields.pairs, stored.asked.pairs),
        *(stored.asked_at, stored.came_at, stored.body, stored.size),
    ]
    return base64.b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()


def unpack(url: str, text: str) -> Stored:
    """Raises `InvalidInput`."""
    try:
        values = json.loads(base64.b64decode(text, validate=True))
        status, fields, asked, asked_at, came_at, body, size = values
        times = float(asked_at), float(came_at)
        if not all(map(math.isfinite, times)) or not 200 <= int(status) <= 999:
            raise ValueError("no server says that")
        return Stored(
            url, int(status), _fields(fields), _fields(asked), *times, str(body), int(size)
        )
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"this is no answer: {error}") from error


def _fields(pairs: list[tuple[str, str]]) -> Fields:
    """Raises ValueError for what no head of an answer can say."""
    found = Fields(tuple((str(name), str(value)) for name, value in pairs))
    for name, value in found.pairs:
        f"{name}{value}".encode("latin-1")
    return found
