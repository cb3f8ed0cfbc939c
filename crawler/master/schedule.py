"""Runs that begin by themselves: which due time has come, and what it calls for. Pure.

Whatever a leader must know of due times follows from what etcd holds, so that the next leader
decides alike; that a due time never has two runs, the database sees to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from crawler.coordination.catalog import Entry, current_status, units_of
from crawler.coordination.records import Wish
from crawler.definition import Schedule, schedule_of
from crawler.definition.schedule import latest_due, next_due, zone_of
from crawler.master.survey import over, wish_of
from crawler.model import Desired


class Turn(StrEnum):
    """What a due time that has come calls for."""

    START = "start"  # the next run, as the last one is over
    REPLACE = "replace"  # the next run, although one goes on
    SKIP = "skip"  # nothing, as a run goes on
    WAIT = "wait"  # the next run, once the one that goes on is over


@dataclass(frozen=True, slots=True)
class Call:
    """A due time, and what it calls for."""

    due: int
    turn: Turn


def anchor_of(entry: Entry) -> int:
    """What intervals are counted from: when the resource was created, in whole seconds."""
    assert entry.resource is not None
    return entry.resource.created_ns // 1_000_000_000


def is_open(entry: Entry) -> bool:
    """Whether its schedule counts: what is paused, stopped or being deleted is left alone."""
    wish = wish_of(entry)
    return entry.resource is not None and wish is not None and wish.state is Desired.RUNNING


def settled_until(entry: Entry, schedule: Schedule, now: int) -> int:
    """Up to which time due times need no run any more: they had it, or never will.

    What is later than ``now`` comes from a clock that went ahead, and does not count.
    """
    wish = wish_of(entry)
    assert wish is not None
    times = [wish.since, wish.due, anchor_of(entry)]
    if schedule.overlap == "skip" and over(entry) is not None:
        # What was due while the run went on was skipped, also where no leader saw it.
        reports = (current_status(unit) for unit in units_of(entry))
        times += [int(status.at) for status in reports if status is not None]
    return min(now, max(times))


def upcoming(entry: Entry, schedule: Schedule, after: int) -> int | None:
    """The first due time after that time, whatever goes on then."""
    return next_due(schedule, after, anchor_of(entry))


def call_of(entry: Entry, schedule: Schedule, after: int, now: int) -> Call | None:
    """What has come due after ``after`` calls for: only the latest counts, however many were
    missed. None: nothing has."""
    wish = wish_of(entry)
    if not is_open(entry) or wish is None:
        return None
    due = latest_due(schedule, after, now, anchor_of(entry))
    if due is None or due == wish.due:
        return None
    if over(entry) is not None:
        return Call(due, Turn.START)
    turns = {"skip": Turn.SKIP, "queue": Turn.WAIT, "replace": Turn.REPLACE}
    return Call(due, turns[schedule.overlap])


def run_for(wish: Wish, holder: int, highest: int) -> int | None:
    """The number of the run that begins at a due time; None: the due time has had its run.

    ``holder`` is the run that the database has for it already, ``highest`` its highest one (0:
    none): it knows more than a wish that came out of an old snapshot of etcd.
    """
    if holder:
        return holder if holder > wish.run else None
    return max(wish.run, highest) + 1


def begun(wish: Wish, run: int, due: int) -> Wish:
    """The wish for the run that begins at a due time."""
    return replace(wish, state=Desired.RUNNING, run=run, due=due, since=due)


def rescheduled(wish: Wish, before: str | None, definition: str, now: int) -> Wish:
    """The wish under a changed definition: a new schedule counts from ``now`` on."""
    schedule = schedule_of(definition)
    if schedule is None or schedule == schedule_of(before):
        return wish
    return replace(wish, since=now)


def told(schedule: Schedule, due: int) -> str:
    """A due time for people, in the schedule's time zone."""
    return datetime.fromtimestamp(due, zone_of(schedule.timezone)).isoformat()
