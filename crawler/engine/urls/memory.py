"""What has been seen of late: a set that forgets the oldest, so that it stays bounded."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


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
