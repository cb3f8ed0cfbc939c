"""What has been seen of late, in bounded room: what is forgotten is met as if it were new."""

from __future__ import annotations

import mmap
from struct import Struct
from typing import Generic, TypeVar

from xxhash import xxh3_128_intdigest

T = TypeVar("T")

_WAYS = 4  # places where a text may be; the one that came first makes room
_PLACES = Struct(f"{_WAYS}Q")
_SLOTS = 1 << 22
_SHARE = 64  # for each so many slots one text is kept whole, for a quicker answer
_SHORT = 256  # characters of such a text


class Memory:
    """What all crawls of a process have seen, 8 bytes for each text: 32 MiB for four millions.

    A set-associative cache: 20 bits of a text's hash say where it may be, 64 others are kept.
    With all slots taken, one in 10**18 texts that were never seen passes for one that was.
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        """``slots``: a power of two. They take memory once they are used."""
        self.room = mmap.mmap(-1, 8 * slots, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.last = slots // _WAYS - 1
        self.recent: dict[str, int] = {}  # texts that were found of late, and in which set
        self.most_recent = slots // _SHARE
        self._views = 0

    def view(self) -> Seen:
        """A set of its own in here, empty for now."""
        self._views += 1
        return Seen(self, self._views)


class Seen:
    """A set of texts that forgets, in the room of a `Memory`. What is in ``recent`` under its
    ``seed`` is in it: a quicker answer for who asks about many."""

    __slots__ = ("_last", "_most_recent", "_room", "recent", "seed")

    def __init__(self, memory: Memory, seed: int) -> None:
        self._room = memory.room
        self._last = memory.last
        self.recent = memory.recent
        self._most_recent = memory.most_recent
        self.seed = seed

    def __contains__(self, text: str) -> bool:
        return self.recent.get(text) == self.seed or self.holds(text)

    def holds(self, text: str) -> bool:
        """The same, where ``recent`` does not say so."""
        mark = xxh3_128_intdigest(text.encode("utf-8", "surrogatepass"), self.seed)
        held = _PLACES.unpack_from(self._room, (mark & self._last) * _PLACES.size)
        if (mark >> 64 or 1) not in held:
            return False
        if len(text) <= _SHORT:
            if len(self.recent) >= self._most_recent:
                self.recent.clear()
            self.recent[text] = self.seed
        return True

    def add(self, text: str) -> None:
        """Remember a text."""
        mark = xxh3_128_intdigest(text.encode("utf-8", "surrogatepass"), self.seed)
        at, kept = (mark & self._last) * _PLACES.size, mark >> 64 or 1  # 0: nothing is there
        held = _PLACES.unpack_from(self._room, at)
        if kept not in held:
            _PLACES.pack_into(self._room, at, kept, *held[:-1])


class Recent(Generic[T]):
    """Remembers at least the last ``limit`` / 2 different values, and at most ``limit``.

    Two generations: a full one becomes the old one, and the old one is forgotten. A value that is
    met again in the old one is renewed.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: set[T] = set()
        self._old: set[T] = set()

    def __contains__(self, value: T) -> bool:
        if value in self._young:
            return True
        if value in self._old:
            self.add(value)
            return True
        return False

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, value: T) -> None:
        """Remember a value."""
        self._young.add(value)
        if len(self._young) >= self._half:
            self._young, self._old = set(), self._young
