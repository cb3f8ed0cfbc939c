"""What was thrown, when, and what promises allow because of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.acceptance.chaos.liveness import Bounds, Span
from tests.acceptance.nemesis.faults import FAULTS, Group

ETCD_SLACK_S = 3.0  # an election in etcd re-arms every lease (FAULTS 0.9)
STORE_SLACK_S = 5.0
MASTER_SLACK_S = 2.5
IN_FLIGHT = 4 + 10  # of a crawl: requests under way, and what was claimed with them


@dataclass(frozen=True, slots=True)
class Thrown:
    """One fault as it happened: Unix seconds, and what it struck."""

    fault: str
    what: str
    began: float
    ended: float

    @property
    def group(self) -> Group:
        return FAULTS[self.fault].group


def bounds_for(thrown: Sequence[Thrown], ttl_s: int, crawls: int, units: int) -> Bounds:
    """The bounds of FAULTS (a), with what these faults suspend.

    ``crawls`` are those that go on all the time, ``units`` everything that is ever assigned.
    """
    etcd = _spans(thrown, 2 * ttl_s + ETCD_SLACK_S, Group.ETCD, Group.LINES)
    sql = _spans(thrown, STORE_SLACK_S, Group.SQL)
    struck = Counter(each.group for each in thrown)
    movers = struck[Group.WORKERS] + struck[Group.ETCD] + struck[Group.LINES]
    return Bounds(
        leaderless_s=1.0 + ttl_s,
        orphaned_s=2.0 + ttl_s,
        moves=2 * units * movers,
        overlaps=IN_FLIGHT * crawls * (movers + struck[Group.SQL]),
        converged_s=2 * ttl_s + 10,
        no_leader=etcd,
        no_owner=(
            *etcd,
            *_spans(thrown, ttl_s + MASTER_SLACK_S, Group.MASTERS),
            *sql,
        ),
    )


def _spans(thrown: Sequence[Thrown], slack_s: float, *groups: Group) -> tuple[Span, ...]:
    return tuple((each.began, each.ended + slack_s) for each in thrown if each.group in groups)


def table(thrown: Sequence[Thrown], began: float) -> str:
    """For people: a line per fault, in the order in which they began."""
    lines = [
        f"{each.began - began:7.1f} s  {each.ended - each.began:5.1f} s  "
        f"{each.fault:<16} {each.what}"
        for each in sorted(thrown, key=lambda each: each.began)
    ]
    return "\n".join(["     from     for  fault            struck", *lines])
