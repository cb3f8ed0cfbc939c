"""Which worker carries least: a running count that every placing adds to at once.

Choosing costs the logarithm of the number of workers, whatever the number of resources, so that a
thousand calls at once neither wait for one another nor pile up on one worker.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from crawler.master.situation import Job, Seat, Situation

TOGETHER = 2  # how many resources more than the least loaded a worker may get for a host's sake


@dataclass(frozen=True, slots=True)
class Choice:
    """Where to; ``seat`` None: nowhere, and ``reason`` says why."""

    seat: Seat | None
    reason: str


class Scales:
    """Loads of workers: pages in flight (reported, and expected of what is not yet reported),
    then resources. ``expected`` is how many pages in flight a resource is good for."""

    def __init__(self, seats: Mapping[str, Seat], expected: float = 1.0) -> None:
        self.seats = seats
        self._expected = expected
        self._active = {node_id: float(seat.active) for node_id, seat in seats.items()}
        self._count = dict.fromkeys(seats, 0)
        self._hosts: dict[str, dict[str, int]] = {}
        self._any: list[tuple[float, int, str]] = []
        self._native: list[tuple[float, int, str]] = []
        self._open = {node_id for node_id, seat in seats.items() if seat.open}
        for node_id in self._open:
            self._push(node_id)

    def count(self, node_id: str) -> int:
        """How many resources that want a worker it has."""
        return self._count[node_id]

    def shared(self, job: Job, node_id: str) -> int:
        """How many resources with a host of this one the worker has, itself included."""
        return max((self._hosts.get(host, {}).get(node_id, 0) for host in job.hosts), default=0)

    def add(self, job: Job, node_id: str, *, started: bool = False) -> None:
        """Count the job in; ``started``: the worker's own report already includes its pages."""
        if node_id not in self._count:
            return
        if job.defined and not started:
            self._active[node_id] += self._expected
        self._count[node_id] += 1
        for host in job.hosts:
            at = self._hosts.setdefault(host, {})
            at[node_id] = at.get(node_id, 0) + 1
        self._push(node_id)

    def remove(self, job: Job, node_id: str) -> None:
        """Take the job out again."""
        if node_id not in self._count:
            return
        if job.defined:
            self._active[node_id] = max(0.0, self._active[node_id] - self._expected)
        self._count[node_id] = max(0, self._count[node_id] - 1)
        for host in job.hosts:
            at = self._hosts.get(host, {})
            if at.get(node_id, 0) > 1:
                at[node_id] -= 1
            else:
                at.pop(node_id, None)
        self._push(node_id)

    def choose(self, job: Job, avoid: Collection[str] = ()) -> Choice:
        """The least loaded open worker, or one that has the same host and hardly more to do."""
        least = self._least(job, avoid)
        if least is None:
            return self._last_resort(job, avoid)
        together = self._companion(job, least, avoid)
        if together is not None:
            node_id, host = together
            return Choice(self.seats[node_id], f"{node_id} crawls {host} already")
        return Choice(
            self.seats[least],
            f"{least} is the least loaded: {self._active[least]:.0f} pages in flight, "
            f"{self._count[least]} resources",
        )

    def _push(self, node_id: str) -> None:
        if node_id not in self._open:
            return
        entry = (self._active[node_id], self._count[node_id], node_id)
        heapq.heappush(self._any, entry)
        if self.seats[node_id].node.native:
            heapq.heappush(self._native, entry)

    def _least(self, job: Job, avoid: Collection[str]) -> str | None:
        heap = self._native if job.defined else self._any
        passed_over = []
        found = None
        while heap and found is None:
            active, count, node_id = heap[0]
            if (active, count) != (self._active[node_id], self._count[node_id]):
                heapq.heappop(heap)  # outdated by a later push
            elif node_id in avoid:
                passed_over.append(heapq.heappop(heap))
            else:
                found = node_id
        for entry in passed_over:
            heapq.heappush(heap, entry)
        return found

    def _companion(self, job: Job, least: str, avoid: Collection[str]) -> tuple[str, str] | None:
        most_active = self._active[least] + self._expected
        most_count = self._count[least] + TOGETHER
        fitting = [
            (self._count[node_id], node_id, host)
            for host in job.hosts
            for node_id in self._hosts.get(host, ())
            if node_id in self._open
            and node_id not in avoid
            and (self.seats[node_id].node.native or not job.defined)
            and self._active[node_id] <= most_active
            and self._count[node_id] < most_count
        ]
        return min(fitting)[1:] if fitting else None

    def _last_resort(self, job: Job, avoid: Collection[str]) -> Choice:
        """Where nobody is steady and well, work goes to who came back a moment ago: a crawl that
        follows flapping workers to and fro gets further than one that waits for them. Next come
        those who cannot work at the moment."""
        fitting = [
            (bool(seat.trouble), self._active[node_id], self._count[node_id], node_id)
            for node_id, seat in self.seats.items()
            if not seat.drained and node_id not in avoid and (seat.node.native or not job.defined)
        ]
        if not fitting:
            return Choice(None, self._lack(job, avoid))
        ailing, _, _, node_id = min(fitting)
        why = "cannot work at the moment" if ailing else "came back a moment ago"
        return Choice(self.seats[node_id], f"{node_id} {why}, but is all there is")

    def _lack(self, job: Job, avoid: Collection[str]) -> str:
        left = [seat for node_id, seat in self.seats.items() if node_id not in avoid]
        if not left:
            return "no live worker"
        if job.defined and not any(seat.node.native for seat in left):
            return "no live worker that takes definitions"
        return "every live worker is drained"


def weigh(situation: Situation) -> Scales:
    """The loads as they are before anything is decided."""
    seats = situation.seats
    held = [job for job in situation.jobs if not job.rest and job.node_id in seats]
    started = sum(1 for job in held if job.started)
    active = sum(seat.active for seat in seats.values())
    scales = Scales(seats, max(1.0, active / started) if started else 1.0)
    for job in held:
        scales.add(job, job.node_id, started=job.started)
    return scales
