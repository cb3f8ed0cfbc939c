"""Bodies on disk, each once: a file's name is the SHA-256 of what it holds, packed by zstd.

A body is written to a file of another name, forced to disk and then renamed, so that a file with a
hash for a name is whole, whenever its writer died. What the disk spoils shows when it is read.
Files come and go by their names within the transaction of the index that says so: its lock keeps
one process from removing what another is just adding.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crawler.errors import TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 3
_CHUNK_BYTES = 1 << 16
_PREFIX = "new-"  # of files that are not whole yet


class Spoilt(Exception):
    """A body is not there any more, or is not what its name says."""


@dataclass(frozen=True, slots=True)
class Body:
    """``hash`` in hex; ``size`` of the content, ``disk_bytes`` of the file, which is on disk under
    the name of ``staged``."""

    hash: str
    size: int
    disk_bytes: int
    staged: Path


class Bodies:
    """The files below a directory. Its calls wait for the disk: to be made on threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, max_bytes: int) -> Writer:
        """Begin a body. Raises `OSError`."""
        return Writer(self._directory, max_bytes)

    def open(self, name: str) -> Iterator[bytes]:
        """The content in pieces, after it was read once and found whole. Raises `Spoilt`."""
        path = _path(self._directory, name)
        try:
            file = path.open("rb")
        except OSError as error:
            raise Spoilt(f"{name}: {error.strerror}") from error
        try:
            found = hashlib.sha256()
            for chunk in _unpacked(file):
                found.update(chunk)
            if found.hexdigest() != name:
                raise Spoilt(f"{name}: holds something else")
            file.seek(0)
        except (OSError, EOFError, zstd.ZstdError) as error:
            file.close()
            raise Spoilt(f"{name}: {error}") from error
        except Spoilt:
            file.close()
            raise
        reading = _reading(file)
        next(reading)  # so that the file is closed with it, read or not
        return reading

    def place(self, body: Body) -> None:
        """Give it its name. Raises `OSError`."""
        path = _path(self._directory, body.hash)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        os.replace(body.staged, path)  # also over one that is there: that may be spoilt
        _force(path.parent)

    def drop(self, name: str) -> None:
        """It is not wanted any more. Idempotent."""
        _path(self._directory, name).unlink(missing_ok=True)

    def sweep(self, known: frozenset[str], older_than: float) -> int:
        """Remove what nobody knows and was last written before that Unix time; how many."""
        removed = 0
        for path in self._directory.glob("**/*"):
            try:
                stale = path.is_file() and path.stat().st_mtime < older_than
                if stale and path.name not in known:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed


class Writer:
    """One body on its way to the disk. To be ended by `finish` or by `discard`."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._left = max_bytes
        self._size = 0
        self._hash = hashlib.sha256()
        self._packer = zstd.ZstdCompressor(level=_LEVEL)
        number, name = tempfile.mkstemp(prefix=_PREFIX, dir=directory)
        self._file: BinaryIO = os.fdopen(number, "wb")
        self._name = Path(name)

    def feed(self, chunk: bytes) -> None:
        """More of it. Raises `TooLarge` and `OSError`."""
        self._left -= len(chunk)
        if self._left < 0:
            raise TooLarge("the body is larger than what is kept")
        self._size += len(chunk)
        self._hash.update(chunk)
        self._file.write(self._packer.compress(chunk))

    def finish(self) -> Body:
        """It is whole, and on disk when this returns, to be placed. Raises `OSError`."""
        self._file.write(self._packer.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        disk_bytes = self._file.tell()
        self._file.close()
        return Body(self._hash.hexdigest(), self._size, disk_bytes, self._name)

    def discard(self) -> None:
        """It is not wanted. Idempotent, and without effect once it is placed."""
        self._file.close()
        self._name.unlink(missing_ok=True)


def _path(directory: Path, name: str) -> Path:
    return directory / name[:2] / name


def _force(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _reading(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield b""
        yield from _unpacked(file)


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Raises `EOFError` where it ends too soon."""
    unpacker = zstd.ZstdDecompressor()
    while not unpacker.eof:
        packed = file.read(_CHUNK_BYTES) if unpacker.needs_input else b""
        if unpacker.needs_input and not packed:
            raise EOFError("it ends too soon")
        if chunk := unpacker.decompress(packed, _CHUNK_BYTES):
            yield chunk
