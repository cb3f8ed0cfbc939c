"""Content codings undone by ourselves, so that a small answer cannot become a huge one."""

from __future__ import annotations

import zlib
from typing import Protocol

from crawler.errors import FetchFailed

OFFERED = "gzip, deflate"

_MAX_RATIO = 200  # honest text rarely passes 20
_RATIO_FROM = 1 << 20  # bytes of output from which the ratio counts: small pages are harmless
_STEP = 1 << 18  # bytes inflated at a time


class Decoder(Protocol):
    """Takes a body in pieces. ``full``: the limit is reached, and more is not wanted."""

    full: bool

    def feed(self, data: bytes) -> bytes:
        """What these bytes decode to; raises `FetchFailed`."""

    def close(self) -> None:
        """The body is complete; raises `FetchFailed` when it is not."""


class _Plain:
    """No coding, only the cap."""

    def __init__(self, limit: int, truncate: bool) -> None:
        self._left = limit
        self._truncate = truncate
        self.full = False

    def feed(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left >= 0:
            return data
        if not self._truncate:
            raise FetchFailed("too large", retry=False)
        self.full = True
        return data[: self._left]

    def close(self) -> None:
        return None


class _Inflate:
    """gzip (also in several members) and deflate, in its zlib form or raw."""

    def __init__(self, gzip: bool, limit: int, truncate: bool) -> None:
        self._gzip = gzip
        self._limit = limit
        self._truncate = truncate
        self.full = False
        self._taken = 0
        self._given = 0
        self._engine = zlib.decompressobj(31) if gzip else None
        self._fresh = True  # nothing fed to this engine yet

    def feed(self, data: bytes) -> bytes:
        self._taken += len(data)
        parts = []
        while data and not self.full:
            piece, data = self._step(data)
            self._given += len(piece)
            self._check()
            parts.append(piece[: len(piece) - max(0, self._given - self._limit)])
        return b"".join(parts)

    def _check(self) -> None:
        if self._given > max(_RATIO_FROM, self._taken * _MAX_RATIO):
            raise FetchFailed("decompression bomb", retry=False)
        if max(self._given, self._taken) > self._limit:
            if not self._truncate:
                raise FetchFailed("too large", retry=False)
            self.full = True

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """Inflate up to `_STEP` bytes; also what is left of ``data``."""
        if self._engine is None:  # RFC 9110 says zlib, some servers send raw deflate
            zlib_form = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            self._engine = zlib.decompressobj(15 if zlib_form else -15)
        if self._engine.eof:
            return b"", self._next_member(data)
        self._fresh = False
        try:
            piece = self._engine.decompress(data, _STEP)
        except zlib.error as error:
            raise FetchFailed("broken content coding", retry=True) from error
        return piece, self._engine.unconsumed_tail or self._engine.unused_data

    def _next_member(self, data: bytes) -> bytes:
        """Go on with another gzip member; what else comes is ignored, as browsers do."""
        if not (self._gzip and data.startswith(b"\x1f\x8b")):
            return b""
        self._engine, self._fresh = zlib.decompressobj(31), True
        return data

    def close(self) -> None:
        if self._engine is not None and not self._engine.eof and not self._fresh:
            raise FetchFailed("incomplete body", retry=True)


def decoder(coding: str, limit: int, *, truncate: bool = False) -> Decoder:
    """For one Content-Encoding; ``limit`` bounds bytes both taken and given.

    Beyond it the body is cut off with ``truncate``, and otherwise fails. Raises `FetchFailed`
    for codings that were not offered, several at once included.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return _Plain(limit, truncate)
    if name in ("gzip", "x-gzip", "deflate"):
        return _Inflate(name != "deflate", limit, truncate)
    raise FetchFailed("content coding not offered", retry=False)
