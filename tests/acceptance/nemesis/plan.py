"""What is thrown when, from a seed: a plan is a value, written down and repeatable."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.acceptance.nemesis.faults import FAULTS, Group

GAP_S = (0.5, 3.0)  # between two faults of one lane
PHASE_S = 25.0

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
# It is thrown at both at once: those who decide and where that is written, and those who crawl and
# what they stand on.
SIDES = (
    frozenset({Group.MASTERS, Group.ETCD}),
    frozenset({Group.WORKERS, Group.SQL, Group.LINES}),
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, so many seconds after the last one before it has ended; it lasts ``length_s``.
    ``seed`` is for its choices."""

    fault: str
    gap_s: float
    length_s: float
    seed: int


Lane = tuple[Strike, ...]  # one strike after the other
Phase = tuple[Lane, ...]  # lanes side by side
Plan = tuple[Phase, ...]  # one phase after the other


def plan(seed: int, length_s: float, ttl_s: int) -> Plan:
    """First what is needed, in some order, on both `SIDES` at once; then, until about ``length_s``
    are over, faults of all groups at once and single faults in turn."""
    chance = random.Random(seed)
    needed = [strike_of(name, chance, ttl_s) for name in chance.sample(NEEDED, len(NEEDED))]
    phases: list[Phase] = [tuple(_of_side(needed, side) for side in SIDES)]
    while length_of(tuple(phases)) < length_s or len(phases) < 2:
        alone = len(phases) % 2 == 0
        choices = [[*FAULTS]] if alone else [_names(group) for group in Group]
        phases.append(tuple(_lane(names, chance, ttl_s) for names in choices))
    return tuple(phases)


def faults_of(phases: Plan) -> Sequence[str]:
    """The names, in the order in which they are thrown within each lane."""
    return [strike.fault for lanes in phases for lane in lanes for strike in lane]


def length_of(phases: Plan) -> float:
    """In seconds, as far as lengths are known."""
    return sum(map(_length, phases))


def _length(phase: Phase) -> float:
    return max(sum(strike.gap_s + strike.length_s for strike in lane) for lane in phase)


def _lane(names: Sequence[str], chance: random.Random, ttl_s: int) -> Lane:
    """Any of these, for about `PHASE_S`."""
    lane: list[Strike] = []
    while _length((tuple(lane),)) < PHASE_S:
        lane.append(strike_of(chance.choice(names), chance, ttl_s))
    return tuple(lane)


def _of_side(strikes: Sequence[Strike], side: frozenset[Group]) -> Lane:
    return tuple(strike for strike in strikes if FAULTS[strike.fault].group in side)


def _names(group: Group) -> Sequence[str]:
    return [name for name, fault in FAULTS.items() if fault.group is group]


def strike_of(name: str, chance: random.Random, ttl_s: int) -> Strike:
    """That fault, for a time within its lengths."""
    least, most = FAULTS[name].lengths
    length_s = round(chance.uniform(least, most) * ttl_s, 2)
    return Strike(name, round(chance.uniform(*GAP_S), 2), length_s, chance.randrange(2**32))
