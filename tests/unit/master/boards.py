"""Situations for tests, and a cluster without I/O that does what a plan says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from crawler.master.assignment import Decision
from crawler.master.situation import Job, Seat, Situation
from crawler.model import WORKER_SERVICE, Node


def node(number: int | str, *, revision: int = 1, native: bool = True) -> Node:
    return Node(
        f"{WORKER_SERVICE}-{number}",
        WORKER_SERVICE,
        f"10.0.0.{number}:9090",
        revision=revision,
        native=native,
    )


def seats(*given: Seat) -> dict[str, Seat]:
    return {seat.node.id: seat for seat in given}


def workers(count: int) -> dict[str, Seat]:
    return seats(*(Seat(node(number)) for number in range(1, count + 1)))


def on(name: str, at: Node, *, revision: int = 100, **more: object) -> Job:
    """A job that the node has and runs."""
    job = Job(name, at.id, at.address, revision, started=True)
    return replace(job, **more)  # type: ignore[arg-type]


def apply(situation: Situation, decisions: Iterable[Decision]) -> Situation:
    """The situation once every decision is written and every worker runs what it has."""
    jobs = {job.name: job for job in situation.jobs}
    top = max([job.revision for job in situation.jobs], default=0)
    top = max([top, *(seat.node.revision for seat in situation.seats.values())])
    for decision in decisions:
        top += 1
        at = decision.node
        jobs[decision.name] = replace(
            jobs[decision.name],
            node_id=at.id if at else "",
            address=at.address if at else "",
            revision=top,
            started=at is not None,
        )
    return replace(situation, jobs=tuple(jobs.values()))


def counts(situation: Situation) -> Mapping[str, int]:
    """Resources that want a worker, per live worker."""
    held = Counter(job.node_id for job in situation.jobs if not job.rest)
    return {node_id: held[node_id] for node_id in situation.seats}


def spread(situation: Situation) -> int:
    values = counts(situation).values()
    return max(values) - min(values)
