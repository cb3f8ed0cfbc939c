"""Which worker crawls what: a pure decision over one frozen situation.

Orphans go elsewhere at once, in one move; what a live worker has stays with it, unless the worker
is drained, says that it cannot work or cannot keep the promises. For balance the fewest resources
are moved, from the fullest to the emptiest worker, and no more than `allowance` permits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice

from crawler.master.scales import TOGETHER, Scales, weigh
from crawler.master.situation import Job, Seat, Situation
from crawler.model import Node

BALANCE_WINDOW_S = 60.0
BALANCE_SHARE = 0.05  # of all resources, per window
UNEVEN = 2  # resources more than another: from here on a move evens them out
LOOK_AT = 64  # candidates looked at per pair of workers
RELIEF = "relieves "  # how the reason of every move for balance begins


class Kind(StrEnum):
    """What a decision does to an assignment."""

    PLACE = "place"  # it had no worker
    RESTAMP = "restamp"  # the same worker, registered anew since
    MOVE = "move"  # from one worker to another
    UNASSIGN = "unassign"  # it needs no worker, or none may have it


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write for one resource. ``balance``: nothing forced it, it counts as relief."""

    name: str
    node: Node | None
    reason: str
    kind: Kind
    balance: bool = False


def allowance(total: int, moved_at: Sequence[float], now: float) -> int:
    """How many of ``total`` resources may be moved for balance now: 5 % in any minute, and where
    that is less than one, one in as long as makes it 5 % a minute.

    ``moved_at`` are the times of earlier balance moves, on the same clock as ``now``.
    """
    share = BALANCE_SHARE * total
    if share >= 1:
        return max(0, int(share) - sum(1 for at in moved_at if at > now - BALANCE_WINDOW_S))
    if share == 0 or any(at > now - BALANCE_WINDOW_S / share for at in moved_at):
        return 0
    return 1


def plan(situation: Situation, scales: Scales | None = None) -> list[Decision]:
    """Everything that should be written now, in order; empty where all is as it should be.

    ``scales``, from `weigh`, is left as it will be once all of it is written.
    """
    scales = scales or weigh(situation)
    decisions = [
        decision
        for job in situation.jobs
        if (decision := _decide(job, situation, scales)) is not None
    ]
    if situation.moves_left > 0 and not situation.hold:
        decided = {decision.name for decision in decisions}
        decisions += islice(_relieve(situation, scales, decided), situation.moves_left)
    return decisions


def stands(job: Job, seats: Mapping[str, Seat]) -> bool:
    """Whether nothing forces a decision on this job, whatever is known of all the others."""
    seat = seats.get(job.node_id)
    if seat is None or seat.drained:
        return bool(job.rest) and not job.node_id
    if job.rest:
        return True
    return (
        not seat.given_up
        and (seat.node.native or not job.defined)
        and job.revision >= seat.node.revision
        and job.address == seat.node.address
    )


def _decide(job: Job, situation: Situation, scales: Scales) -> Decision | None:
    seat = situation.seats.get(job.node_id)
    if job.rest:
        return _at_rest(job, seat, situation)
    if not job.node_id:
        return _place(job, scales)
    if seat is None:
        return _adopt(job, situation, scales)
    return _keep(job, seat, scales)


def _waits(job: Job, situation: Situation) -> bool:
    return bool(situation.hold) or job.node_id in situation.settling


def _at_rest(job: Job, seat: Seat | None, situation: Situation) -> Decision | None:
    if not job.node_id or (seat is not None and not seat.drained):
        return None
    if seat is None and _waits(job, situation):
        return None
    why = "is gone" if seat is None else "is drained"
    return Decision(job.name, None, f"{job.rest}; {job.node_id} {why}", Kind.UNASSIGN)


def _place(job: Job, scales: Scales) -> Decision | None:
    choice = scales.choose(job)
    if choice.seat is None:
        return None
    scales.add(job, choice.seat.node.id)
    return Decision(job.name, choice.seat.node, choice.reason, Kind.PLACE)


def _adopt(job: Job, situation: Situation, scales: Scales) -> Decision | None:
    """An orphan moves once. Where nobody may have it, it stays written down for its worker, which
    goes on at once if it comes back."""
    if _waits(job, situation):
        return None
    choice = scales.choose(job)
    if choice.seat is None:
        return None
    scales.add(job, choice.seat.node.id)
    reason = f"{job.node_id} is gone; {choice.reason}"
    return Decision(job.name, choice.seat.node, reason, Kind.MOVE)


def _keep(job: Job, seat: Seat, scales: Scales) -> Decision | None:
    if seat.drained:
        return _evict(job, f"{job.node_id} is drained", scales)
    if seat.given_up and (rescue := _rescue(job, seat, scales)) is not None:
        return rescue
    if job.defined and not seat.node.native:
        return _evict(job, f"{job.node_id} does not take definitions", scales)
    if job.revision < seat.node.revision:
        return Decision(
            job.name, seat.node, f"{job.node_id} registered anew and keeps it", Kind.RESTAMP
        )
    if job.address != seat.node.address:
        reason = f"{job.node_id} has another address now and keeps it"
        return Decision(job.name, seat.node, reason, Kind.RESTAMP)
    return None


def _evict(job: Job, why: str, scales: Scales) -> Decision:
    scales.remove(job, job.node_id)
    choice = scales.choose(replace(job, node_id=""))
    if choice.seat is None:
        return Decision(job.name, None, f"{why}; {choice.reason}", Kind.UNASSIGN)
    scales.add(job, choice.seat.node.id)
    return Decision(job.name, choice.seat.node, f"{why}; {choice.reason}", Kind.MOVE)


def _rescue(job: Job, seat: Seat, scales: Scales) -> Decision | None:
    """What its worker cannot do goes to one that can; where none can, it stays where it is."""
    choice = scales.choose(replace(job, node_id=""), avoid=(job.node_id,))
    if choice.seat is None or choice.seat.trouble:
        return None
    scales.remove(job, job.node_id)
    scales.add(job, choice.seat.node.id)
    reason = f"{job.node_id} cannot work: {seat.trouble}; {choice.reason}"
    return Decision(job.name, choice.seat.node, reason, Kind.MOVE)


def _relieve(situation: Situation, scales: Scales, decided: set[str]) -> Iterator[Decision]:
    """Moves that even out, one by one, each from as full to as empty a worker as can be.

    Every move narrows the gap between two workers, so that they come to an end."""
    seats = situation.seats
    sources = [node_id for node_id, seat in seats.items() if not seat.drained]
    targets = [node_id for node_id, seat in seats.items() if seat.open]
    if not targets or _gap(scales, sources, targets) < UNEVEN:
        return
    pools: dict[tuple[str, bool], list[Job]] = {}
    for job in sorted(situation.jobs, key=lambda job: job.started):
        if not job.rest and job.name not in decided:
            pools.setdefault((job.node_id, job.defined), []).append(job)
    while (found := _best(seats, scales, sources, targets, pools)) is not None:
        job, source, target = found
        reason = (
            f"{RELIEF}{source}: {scales.count(source)} resources there, "
            f"{scales.count(target)} on {target}"
        )
        scales.remove(job, source)
        scales.add(job, target)
        pools[source, job.defined].remove(job)
        yield Decision(job.name, seats[target].node, reason, Kind.MOVE, balance=True)


def _gap(scales: Scales, sources: Sequence[str], targets: Sequence[str]) -> int:
    return max(map(scales.count, sources)) - min(map(scales.count, targets))


def _best(
    seats: Mapping[str, Seat],
    scales: Scales,
    sources: Sequence[str],
    targets: Sequence[str],
    pools: Mapping[tuple[str, bool], list[Job]],
) -> tuple[Job, str, str] | None:
    """The job to move, from where, to where; None: all is even, or what is not can't be moved."""
    fullest = sorted(sources, key=lambda node_id: (-scales.count(node_id), node_id))
    for target in sorted(targets, key=lambda node_id: (scales.count(node_id), node_id)):
        for source in fullest:
            gap = scales.count(source) - scales.count(target)
            if gap < UNEVEN:
                break
            if seats[target].active > seats[source].active:
                continue  # it has fewer resources, but more to do
            free = pools.get((source, False), ())
            bound = pools.get((source, True), ()) if seats[target].node.native else ()
            job = _movable(chain(free, bound), source, target, gap, scales)
            if job is not None:
                return job, source, target
    return None


def _movable(jobs: Iterable[Job], source: str, target: str, gap: int, scales: Scales) -> Job | None:
    """One whose host the target crawls already, else one that leaves no companion behind; others
    only where the workers are further apart than `TOGETHER` explains."""
    alone, shared = None, None
    for job in islice(jobs, LOOK_AT):
        if scales.shared(job, target):
            return job
        if scales.shared(job, source) < 2:
            alone = alone or job
        else:
            shared = shared or job
    return alone or (shared if gap > TOGETHER else None)
