"""What has been seen of late, in bounded room: what is forgotten is met as if it were new."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from itertools import compress, repeat
from operator import contains
from struct import Struct
from typing import Final, Generic, TypeVar

from xxhash import xxh3_64_intdigest

T = TypeVar("T")

_WAYS = 4  # places where a text may be; the one that came first makes room
_PLACES = Struct(f"{_WAYS}Q")
_SLOTS = 1 << 22
_SHARE = 64  # for each so many slots one text is kept whole, for a quicker answer
_SHORT = 256  # characters of such a text
TURNED_AWAY: Final = 4


class Admission:
    """Whether there is room for more of what would be kept.

    What is full is emptied once `TURNED_AWAY` times more was turned away than it holds: where more
    is in use than there is room for, what is kept stays of use, and making room costs little.
    """

    __slots__ = ("_empty", "_held", "_most", "_turned_away")

    def __init__(self, most: int, empty: Callable[[], None]) -> None:
        self._most = most
        self._empty = empty
        self._held = 0
        self._turned_away = 0

    def admits(self, more: int) -> bool:
        """Whether so many more are to be kept now, which then count as held."""
        if self._held < self._most:
            self._held += more
            return True
        self._turned_away += more
        if self._turned_away >= TURNED_AWAY * self._most:
            self._empty()
            self._held = self._turned_away = 0
        return False


class Memory:
    """What all crawls of a process have seen, 8 bytes for each text: 32 MiB for four millions.

    A set-associative cache: 20 bits of Python's own hash of a text, which it keeps, say where it
    may be; 64 bits of another hash are kept. With all slots taken, one in 10**18 texts that were
    never seen passes for one that was.
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        """``slots``: a power of two. They take memory once they are used."""
        self.room = mmap.mmap(-1, 8 * slots, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.last = slots // _WAYS - 1
        self.recent: dict[str, int] = {}  # texts that were found of late, and in which set
        self.admission = Admission(slots // _SHARE, self.recent.clear)
        self._views = 0

    def view(self) -> Seen:
        """A set of its own in here, empty for now."""
        self._views += 1
        return Seen(self, self._views)


class Seen:
    """A set of texts that forgets, in the room of a `Memory`. What is in ``recent`` under its
    ``seed`` is in it: a quicker answer for who asks about many."""

    __slots__ = ("_admission", "_last", "_room", "recent", "seed")

    def __init__(self, memory: Memory, seed: int) -> None:
        self._admission = memory.admission
        self._room = memory.room
        self._last = memory.last
        self.recent = memory.recent
        self.seed = seed

    def __contains__(self, text: str) -> bool:
        return self.recent.get(text) == self.seed or self.holding((text,))[0]

    def holding(self, texts: Sequence[str]) -> list[bool]:
        """For each of many texts whether it is in the set, where ``recent`` does not say so."""
        last, size = self._last, _PLACES.size
        ways = [(hash(text) & last) * size for text in texts]
        held = map(_PLACES.unpack_from, repeat(self._room), ways)
        found = list(map(contains, held, _marks(texts, self.seed)))
        if self._admission.admits(sum(found)):
            short = (text for text in compress(texts, found) if len(text) <= _SHORT)
            self.recent.update(zip(short, repeat(self.seed)))
        return found

    def add(self, text: str) -> None:
        """Remember a text."""
        at, (mark,) = (hash(text) & self._last) * _PLACES.size, _marks((text,), self.seed)
        held = _PLACES.unpack_from(self._room, at)
        if mark not in held:
            _PLACES.pack_into(self._room, at, mark, *held[:-1])


def _marks(texts: Sequence[str], seed: int) -> list[int]:
    try:
        return list(map(xxh3_64_intdigest, map(str.encode, texts), repeat(seed)))
    except UnicodeEncodeError:  # a lone surrogate
        whole = (text.encode("utf-8", "surrogatepass") for text in texts)
        return [xxh3_64_intdigest(each, seed) for each in whole]


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
