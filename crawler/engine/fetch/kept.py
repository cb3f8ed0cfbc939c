"""Answers that this machine keeps for others, too: what the engine asks of such a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from multidict import CIMultiDict, CIMultiDictProxy


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: ``body`` with its codings. Times in Unix seconds: when it was asked
    for, and when its head was there."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    asked_at: float
    came_at: float


class PageCache(Protocol):
    """Holds answers to GETs, each as long and for as many as their headers allow. Never fails:
    what it cannot do, it leaves."""

    async def fresh(self, url: str, sent: CIMultiDict[str], most_bytes: int) -> Answer | None:
        """What would be answered to a request with these headers, where the origin itself said
        that it is still good; None: ask. What is larger than ``most_bytes`` is of no use."""

    async def keep(self, url: str, sent: CIMultiDict[str], answer: Answer) -> None:
        """Remember it, where that is allowed. A 304 without a body confirms what is kept."""


def joined(pairs: Sequence[tuple[str, str]]) -> CIMultiDictProxy[str]:
    """Headers from names and values."""
    return CIMultiDictProxy(CIMultiDict(pairs))
