"""Shared memory in which a child says which page each of its jobs parses, to be read after it died.

A killed child cannot report any more; what it wrote into mapped memory stands. Layout: one slot
of 32 bytes per job: job number (u64 little endian), flag (u8: 1 while parsing), fingerprint
(16 bytes), 7 bytes unused. The child is the only writer. It sets the flag last and clears it
first, so that a death in between is never read as another page.
"""

from __future__ import annotations

import mmap
import os
import struct

_NUMBER = struct.Struct("<Q")
_SLOT_BYTES = 32
_FLAG = 8
_PRINT = slice(9, 25)
SLOTS = 1 << 16  # 2 MiB of address space; memory is used for touched pages only


class Board:
    """The mapping, in either process."""

    def __init__(self, fd: int) -> None:
        """Take over ``fd`` and map it."""
        self.fd = fd
        self._map = mmap.mmap(fd, SLOTS * _SLOT_BYTES)

    @classmethod
    def create(cls) -> Board:
        """A fresh board, to be inherited through its ``fd``."""
        fd = os.memfd_create("crawler-parsing", os.MFD_CLOEXEC)
        os.ftruncate(fd, SLOTS * _SLOT_BYTES)
        return cls(fd)

    def mark(self, slot: int, number: int, fingerprint: bytes | None) -> None:
        """Job ``number`` begins to parse this page; None: it parses no more."""
        at = slot * _SLOT_BYTES
        self._map[at + _FLAG] = 0
        if fingerprint is not None:
            self._map[at : at + _FLAG] = _NUMBER.pack(number)
            self._map[at + _PRINT.start : at + _PRINT.stop] = fingerprint
            self._map[at + _FLAG] = 1

    def parsing(self, slot: int, number: int) -> bytes | None:
        """The fingerprint that job ``number`` was parsing; None: none."""
        at = slot * _SLOT_BYTES
        if not self._map[at + _FLAG] or self._map[at : at + _FLAG] != _NUMBER.pack(number):
            return None
        return self._map[at + _PRINT.start : at + _PRINT.stop]

    def close(self) -> None:
        """Idempotent."""
        if not self._map.closed:
            self._map.close()
            os.close(self.fd)
