"""Content codings undone by ourselves, so that a small answer cannot become a huge one."""

from __future__ import annotations

import sys
import zlib
from abc import ABC, abstractmethod
from typing import Protocol

import brotli

from crawler.errors import FetchFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OFFERED = "gzip, deflate, br, zstd"

_MAX_RATIO = 200  # honest text rarely passes 20
_RATIO_FROM = 1 << 20  # bytes of output from which the ratio counts: small pages are harmless
_STEP = 1 << 18  # bytes inflated at a time
_BROKEN = (zlib.error, brotli.error, zstd.ZstdError)
# What is none, and what servers write by mistake, which browsers pass over.
_NONE = frozenset(
    {"", "identity", "none", "binary", "8bit", "utf-8", "utf8", "iso-8859-1", "text/html"}
)
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


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


class _Inflating(ABC):
    """The caps of every coding that makes bodies smaller: in size, and in how far they grow."""

    def __init__(self, limit: int, truncate: bool) -> None:
        self._limit = limit
        self._truncate = truncate
        self.full = False
        self._taken = 0
        self._given = 0
        self._filled = False  # the last step gave as much as one may, and may have kept some
        self._lead = b""  # came behind the end, and may be the beginning of another part

    def feed(self, data: bytes) -> bytes:
        self._taken += len(data)
        parts = []
        while (data or (self._filled and not self._complete())) and not self.full:
            try:
                piece, data = self._step(data)
            except _BROKEN as error:
                raise FetchFailed("broken content coding", retry=True) from error
            self._filled = len(piece) >= _STEP
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

    def close(self) -> None:
        if self._taken and not self._complete():
            raise FetchFailed("incomplete body", retry=True)

    def _another(self, data: bytes, magic: bytes) -> bytes:
        """What is behind the end, where that is one more part; what else comes is ignored, as
        browsers do."""
        data, self._lead = self._lead + data, b""
        if magic.startswith(data):
            self._lead = data  # not enough to tell
            return b""
        return data if data.startswith(magic) else b""

    @abstractmethod
    def _complete(self) -> bool:
        """Whether the body may end here."""

    @abstractmethod
    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """Decode about `_STEP` bytes; also what is left of ``data``."""


class _Zlib(_Inflating):
    """gzip (also in several members) and deflate, in its zlib form or raw."""

    def __init__(self, gzip: bool, limit: int, truncate: bool) -> None:
        super().__init__(limit, truncate)
        self._gzip = gzip
        self._engine = zlib.decompressobj(31) if gzip else None

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        if self._engine is None:  # RFC 9110 says zlib, some servers send raw deflate
            zlib_form = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            self._engine = zlib.decompressobj(15 if zlib_form else -15)
        if self._engine.eof:
            data = self._another(data, _GZIP_MAGIC) if self._gzip else b""
            if not data:
                return b"", b""
            self._engine = zlib.decompressobj(31)
        piece = self._engine.decompress(data, _STEP)
        return piece, self._engine.unconsumed_tail or self._engine.unused_data

    def _complete(self) -> bool:
        return self._engine is None or self._engine.eof


class _Brotli(_Inflating):
    """RFC 7932, with a window of at most 16 MB."""

    def __init__(self, limit: int, truncate: bool) -> None:
        super().__init__(limit, truncate)
        self._engine = brotli.Decompressor()

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        return self._engine.process(data, output_buffer_limit=_STEP), b""

    def _complete(self) -> bool:
        return bool(self._engine.is_finished())


class _Zstd(_Inflating):
    """RFC 8878, also in several frames, with a window of at most 8 MB (RFC 9659)."""

    def __init__(self, limit: int, truncate: bool) -> None:
        super().__init__(limit, truncate)
        self._engine = _zstd_engine()

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        if self._engine.eof:
            data = self._another(data, _ZSTD_MAGIC)
            if not data:
                return b"", b""
            self._engine = _zstd_engine()
        piece = self._engine.decompress(data, _STEP)
        return piece, self._engine.unused_data if self._engine.eof else b""

    def _complete(self) -> bool:
        return self._engine.eof


def _zstd_engine() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})


def decoder(coding: str, limit: int, *, truncate: bool = False) -> Decoder:
    """For one Content-Encoding; ``limit`` bounds bytes both taken and given.

    Beyond it the body is cut off with ``truncate``, and otherwise fails. Raises `FetchFailed`
    for codings that were not offered, several at once included.
    """
    name = coding.strip().lower()
    if name in _NONE:
        return _Plain(limit, truncate)
    if name in ("gzip", "x-gzip", "deflate"):
        return _Zlib(name != "deflate", limit, truncate)
    if name == "br":
        return _Brotli(limit, truncate)
    if name == "zstd":
        return _Zstd(limit, truncate)
    raise FetchFailed("content coding not offered", retry=False)
