"""The text of a large body piece by piece: unpacked, decoded, and never whole in memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from crawler.engine.charset import codec_of, declared_in_xml, mark_of
from crawler.engine.fetch.coding import decoder

_STEP = 1 << 16  # bytes at a time
_BLANK = " \t\r\n"


class Pieces:
    """Iterates over the text, as often as one likes, without byte order mark and leading blanks.

    A gzip file is unpacked, up to ``most`` bytes: `FetchFailed` beyond. The encoding is told by a
    byte order mark, else by ``charset`` (the header, None: it says nothing), else by an XML
    declaration, and is UTF-8 otherwise; octets that mean nothing in it are U+FFFD.
    """

    def __init__(self, body: bytes, most: int, charset: str | None = None) -> None:
        self._body = body
        self._most = most
        self._packed = body.startswith(b"\x1f\x8b")
        head = next(filter(None, self._octets()), b"")
        self._codec = codec_of(mark_of(head) or charset or declared_in_xml(head) or "utf-8")

    def __iter__(self) -> Iterator[str]:
        decode = codecs.getincrementaldecoder(self._codec)("replace").decode
        begun = False
        for piece in self._octets():
            text = decode(piece)
            if not begun:
                text = text.removeprefix("\ufeff").lstrip(_BLANK)
                begun = bool(text)
            yield text
        yield decode(b"", True)

    def start(self) -> str:
        """Its first characters."""
        return next((piece[:16] for piece in self if piece), "")

    def _octets(self) -> Iterator[bytes]:
        unpack = decoder("gzip", self._most) if self._packed else None
        for at in range(0, len(self._body), _STEP):
            piece = self._body[at : at + _STEP]
            yield unpack.feed(piece) if unpack is not None else piece
        if unpack is not None:
            unpack.close()
