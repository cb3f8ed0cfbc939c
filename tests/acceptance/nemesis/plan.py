"""What is thrown when, from a seed: a plan is a value, written down and repeatable."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.acceptance.nemesis.faults import FAULTS, Group

GAP_S = (0.5, 3.0)  # between two faults of one group

# What a run must meet to count: leaders that fall, sleepers that wake, answers that are lost,
# history that is gone.
NEEDED = (
    "leader-kill",
    "leader-pause",
    "leader-armed",
    "worker-pause",
    "worker-armed",
    "worker-cut-etcd",
    "compaction",
    "member-kill",
    "commit-cut",
    "sql-kill",
    "clock",
    "bad-line",
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, so many seconds after the last one of its group has ended; it lasts
    ``length_s``. ``seed`` is for its choices."""

    fault: str
    gap_s: float
    length_s: float
    seed: int


Plan = dict[Group, tuple[Strike, ...]]


def plan(seed: int, length_s: float, ttl_s: int) -> Plan:
    """For each group its strikes, one after the other: those that are needed in some order, then
    any, for about ``length_s`` in all. Groups overlap as it happens."""
    chance = random.Random(seed)
    return {group: tuple(_strikes(group, chance, length_s, ttl_s)) for group in Group}


def _strikes(group: Group, chance: random.Random, length_s: float, ttl_s: int) -> Iterator[Strike]:
    names = [name for name, fault in FAULTS.items() if fault.group is group]
    needed = [name for name in NEEDED if name in names]
    chance.shuffle(needed)
    spent_s = 0.0
    while needed or spent_s < length_s:
        strike = _strike(needed.pop() if needed else chance.choice(names), chance, ttl_s)
        spent_s += strike.gap_s + strike.length_s
        yield strike


def _strike(name: str, chance: random.Random, ttl_s: int) -> Strike:
    least, most = FAULTS[name].lengths
    length_s = round(chance.uniform(least, most) * ttl_s, 2)
    return Strike(name, round(chance.uniform(*GAP_S), 2), length_s, chance.randrange(2**32))


def faults_of(strikes: Plan) -> Sequence[str]:
    """The names, in the order of the groups."""
    return [strike.fault for group in strikes.values() for strike in group]
