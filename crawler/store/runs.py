"""Which run a due time may begin, and what is said of runs: without a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from crawler.errors import Conflict
from crawler.model import Progress, RunRecord
from crawler.store.contract import Job


def check_due(job: Job, holder: int | None) -> None:
    """Raise `Conflict` where the job's due time has begun another run, ``holder``, already."""
    if holder is not None and holder != job.run:
        raise Conflict(
            f"run {holder} was begun at {_told(job.due)} already, run {job.run} must not be; "
            "the next due time, or start, begins another run"
        )


def check_run(job: Job, due_at: int) -> None:
    """Raise `Conflict` where the run of this number, begun at ``due_at``, is not the job's. Who
    was told of no due time takes any: it began by hand."""
    if job.due not in (0, due_at):
        begun = f"at {_told(due_at)}" if due_at else "by hand"
        raise Conflict(
            f"run {job.run} was begun {begun} already, not at {_told(job.due)}; "
            "the next due time, or start, begins another run"
        )


def check_latest(run: int, latest: int) -> bool:
    """Whether ``run`` is the latest; False where it is yet to begin. Raises `Conflict` where it is
    an earlier one: nobody goes on with those."""
    if run < latest:
        raise Conflict(f"run {run} is not the latest any more, run {latest} is")
    return run == latest


def replaced(job: Job) -> str:
    """Why an earlier run is over."""
    return f"replaced by run {job.run}"


def run_of(row: Sequence[Any], progress: Progress) -> RunRecord:
    """The record of a row: number, counters as in ``progress``, due, start and end."""
    due_at, started_at, finished_at = row[-3:]
    return RunRecord(row[0], due_at, started_at, finished_at, progress)


def _told(due: int) -> str:
    return f"{datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M:%SZ}"
