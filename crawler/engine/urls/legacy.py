"""Queries of links on pages that are not in UTF-8: they are sent in the encoding of the page."""

from __future__ import annotations

import codecs
import re
from urllib.parse import quote_from_bytes

from crawler.engine.charset import codec_of

_DROPPED = re.compile("[\t\n\r]")  # by every parser of URLs, wherever they stand
_KEPT = "!$%&()*+,-./:;=?@[\\]^_`{|}~"  # all but the standard's special-query percent-encode set
_REFERENCES = "percent-encoded references"


def _refer(error: UnicodeError) -> tuple[str, int]:
    """``&#N;`` for each character that the encoding does not have, percent-encoded."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(f"%26%23{ord(char)}%3B" for char in missing), error.end


codecs.register_error(_REFERENCES, _refer)


def with_query_in(encoding: str, reference: str) -> str:
    """The reference with its query as a page in this encoding means it
    (url.spec.whatwg.org, "percent-encode after encoding"); unchanged where that is UTF-8, which
    parsers of URLs do by themselves."""
    codec = codec_of(encoding)
    target, hash_, fragment = reference.partition("#")
    path, mark, query = target.partition("?")
    if query.isascii() or codec.startswith("utf"):
        return reference
    octets = _DROPPED.sub("", query).encode(codec, _REFERENCES)
    return f"{path}{mark}{quote_from_bytes(octets, _KEPT)}{hash_}{fragment}"
