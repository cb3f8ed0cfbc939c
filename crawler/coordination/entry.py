"""All that etcd says of one resource and its parts, and the state that follows from it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from crawler.coordination.records import Decision, Status, Wish
from crawler.definition import schedule_of
from crawler.model import Desired, Resource, State, unit_name

MAX_PARTITIONS = 32  # all parts are paused in one transaction, and etcd takes 128 operations


@dataclass(frozen=True, slots=True)
class Part:
    """What stands of one more part of a divided resource."""

    resource: Resource | None = None
    resource_revision: int = 0
    status: Status | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource, or one unit of it as `units_of` gives it. The revisions are mod_revisions, 0
    where there is no such key; a revision beside None means that the key is there and its value
    cannot be read. ``partitions`` is the definition's, ``parts`` holds what stands of parts 1 and
    above. ``owner`` is the name of the token that added it, "" for none."""

    name: str
    resource: Resource | None = None
    definition: str | None = None  # canonical JSON
    definition_revision: int = 0
    wish: Wish | None = None
    wish_revision: int = 0
    status: Status | None = None
    decision: Decision | None = None
    resource_revision: int = 0
    partitions: int = 1
    parts: Mapping[int, Part] = field(default_factory=dict)
    part: int = 0
    owner: str = ""

    @property
    def unit(self) -> str:
        """See `unit_name`."""
        return unit_name(self.name, self.part)


def partitions_of(definition: str | None) -> int:
    """How many parts a definition divides its resource into. Read without the schema, because a
    new leader reads thousands."""
    if definition is None or '"partitions"' not in definition:
        return 1
    try:
        number = json.loads(definition).get("partitions", 1)
    except (ValueError, AttributeError, RecursionError):
        return 1
    valid = isinstance(number, int) and not isinstance(number, bool)
    return number if valid and 1 <= number <= MAX_PARTITIONS else 1


def units_of(entry: Entry) -> tuple[Entry, ...]:
    """The resource part by part, each as if it were a resource of its own.

    A part whose key is not there yet (or is left of an earlier resource of the name) is unassigned.
    A run is over for all parts when one of them saw its end.
    """
    if entry.partitions == 1 or entry.part or entry.resource is None:
        return (entry,)
    units = [entry, *(_unit(entry, entry.resource, part) for part in range(1, entry.partitions))]
    ended = next((s for each in units if (s := current_status(each)) and _is_end(s)), None)
    return tuple(units if ended is None else (replace(each, status=ended) for each in units))


def all_units(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    """The units of all these resources, by `Entry.unit`."""
    return {unit.unit: unit for entry in entries for unit in units_of(entry)}


def _unit(entry: Entry, whole: Resource, part: int) -> Entry:
    known = entry.parts.get(part, Part())
    own = known.resource if known.resource is not None and known.resource.id == whole.id else None
    return replace(
        entry,
        resource=own or replace(whole, assignment=None, revision=0, part=part),
        resource_revision=known.resource_revision,
        status=known.status,
        decision=known.decision,
        part=part,
    )


def _is_end(status: Status) -> bool:
    return status.state is State.FINISHED


def current_status(entry: Entry) -> Status | None:
    """The owner's report if it is about the run that is wanted now."""
    status, wish, resource = entry.status, entry.wish, entry.resource
    if status is None or resource is None or status.resource_id != resource.id:
        return None
    if wish is not None and (status.run, status.resource_id) != (wish.run, wish.resource_id):
        return None
    return status


def state_of(entry: Entry, live: Collection[str]) -> tuple[State, str]:
    """What the resource is doing and why; ``live`` are the node ids of live workers.

    A run that finished stays finished, unless its schedule is paused or stopped. An error holds
    until the definition is changed. Every other report counts only under the token of the present
    assignment. Of a divided resource, the part that most needs to be looked at gives the reason.
    """
    units = units_of(entry)
    states = [state_of_unit(unit, live) for unit in units]
    if len(set(states)) == 1:
        return states[0]
    gravest = min(states, key=lambda each: _GRAVITY.index(each[0]))
    running = sum(1 for state, _ in states if state is State.RUNNING)
    state = State.RUNNING if running and gravest[0] is not State.ERROR else gravest[0]
    where = states.index(gravest)
    return state, f"{running} of {len(units)} parts run; part {where}: {gravest[1]}"


# Of what the parts of one resource may differ in, what is told first.
_GRAVITY = (
    State.ERROR,
    State.PENDING,
    State.ASSIGNED,
    State.RUNNING,
    State.FINISHED,
    State.PAUSED,
    State.STOPPED,
)


def state_of_unit(entry: Entry, live: Collection[str]) -> tuple[State, str]:
    """The same for one unit alone."""
    if entry.wish is not None and entry.wish.state is Desired.DELETED:
        return State.STOPPED, "being deleted"
    status = current_status(entry)
    if status is not None and status.state is State.FINISHED and not _is_held(entry):
        return State.FINISHED, status.reason
    if entry.wish is not None and entry.wish.state is Desired.PAUSED:
        return State.PAUSED, "paused on request"
    if entry.wish is not None and entry.wish.state is Desired.STOPPED:
        return State.STOPPED, "stopped on request"
    if status is not None and _is_standing_error(entry, status):
        return State.ERROR, status.reason
    return _state_of_assignment(entry, status, live)


def _is_held(entry: Entry) -> bool:
    """Whether no due time begins the next run, because that was asked for between two runs."""
    held = entry.wish is not None and entry.wish.state in (Desired.PAUSED, Desired.STOPPED)
    return held and schedule_of(entry.definition) is not None


def _is_standing_error(entry: Entry, status: Status) -> bool:
    assert entry.resource is not None
    if status.state is not State.ERROR or entry.definition_revision > status.revision:
        return False
    return entry.resource.assignment is None or entry.resource.revision == status.revision


def _state_of_assignment(
    entry: Entry, status: Status | None, live: Collection[str]
) -> tuple[State, str]:
    resource = entry.resource
    if resource is None:
        return State.PENDING, "its record cannot be read" if entry.resource_revision else "new"
    if resource.assignment is None:
        if live and entry.decision is not None and not entry.decision.node:
            return State.PENDING, entry.decision.reason
        return State.PENDING, "waiting for a worker" if live else "no live worker"
    node = resource.assignment.node_id
    if node not in live:
        return State.PENDING, f"{node} is gone"
    if status is not None and status.revision == resource.revision:
        return status.state, status.reason
    if entry.definition is None:
        return State.ASSIGNED, "no definition"
    return State.ASSIGNED, f"waiting for {node} to begin"
