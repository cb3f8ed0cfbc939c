"""What is told about a running crawl while it runs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from crawler.model import LiveRecord, Progress

MOST_HOSTS = 5
_SPAN_S = 10.0
_MOST_ANSWERS = 500


@dataclass(frozen=True, slots=True)
class Live(LiveRecord):
    """With the counters. ``hosts`` are at most `MOST_HOSTS`."""

    progress: Progress = field(default_factory=Progress)


class Latency:
    """How long answers took, on average over the last ten seconds or `_MOST_ANSWERS`."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float]] = deque(maxlen=_MOST_ANSWERS)

    def add(self, now: float, elapsed_s: float) -> None:
        """An answer came."""
        self._answers.append((now, elapsed_s))

    def mean_s(self, now: float) -> float:
        """The average; 0.0 where no answer came lately."""
        lately = [elapsed for at, elapsed in self._answers if at > now - _SPAN_S]
        return sum(lately) / len(lately) if lately else 0.0


class Rate:
    """Events per second over the last ten seconds."""

    def __init__(self, now: float) -> None:
        self._marks: deque[tuple[float, int]] = deque([(now, 0)])
        self._total = 0

    def add(self, count: int = 1) -> None:
        """Something happened."""
        self._total += count

    def per_s(self, now: float) -> float:
        """The rate; call it about once a second, for each call sets a mark."""
        while len(self._marks) > 1 and self._marks[1][0] <= now - _SPAN_S:
            self._marks.popleft()
        since, before = self._marks[0]
        self._marks.append((now, self._total))
        return (self._total - before) / (now - since) if now > since else 0.0
