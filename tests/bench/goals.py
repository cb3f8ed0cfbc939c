"""What was hoped for beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """``measured`` is to be no more than ``limit``, both in ``unit``."""

    name: str
    measured: float
    limit: float
    unit: str = ""

    @property
    def kept(self) -> bool:
        return self.measured <= self.limit

    def told(self) -> str:
        """One line of the table."""
        ratio = f"{self.measured / self.limit:.2f}" if self.limit else "-"
        goal, found = (f"{value:g} {self.unit}".strip() for value in self._rounded())
        return (
            f"{self.name:52} {goal:>9} {found:>10} {ratio:>6}  {'kept' if self.kept else 'BROKEN'}"
        )

    def _rounded(self) -> tuple[float, float]:
        return self.limit, round(self.measured, 2)


def table(goals: Sequence[Goal]) -> str:
    """All of them, under a heading."""
    heading = f"{'goal':52} {'at most':>9} {'measured':>10} {'ratio':>6}"
    return "\n".join((heading, *(each.told() for each in goals)))
