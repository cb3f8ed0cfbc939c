"""All that etcd says of one resource, and the state that follows from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from crawler.coordination.records import Decision, Status, Wish
from crawler.model import Desired, Resource, State


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource. The revisions are mod_revisions, 0 where there is no such key; a revision
    beside None means that the key is there and its value cannot be read."""

    name: str
    resource: Resource | None = None
    definition: str | None = None  # canonical JSON
    definition_revision: int = 0
    wish: Wish | None = None
    wish_revision: int = 0
    status: Status | None = None
    decision: Decision | None = None
    resource_revision: int = 0


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

    A run that finished stays finished. An error holds until the definition is changed. Every other
    report counts only under the token of the present assignment.
    """
    if entry.wish is not None and entry.wish.state is Desired.DELETED:
        return State.STOPPED, "being deleted"
    status = current_status(entry)
    if status is not None and status.state is State.FINISHED:
        return State.FINISHED, status.reason
    if entry.wish is not None and entry.wish.state is Desired.PAUSED:
        return State.PAUSED, "paused on request"
    if entry.wish is not None and entry.wish.state is Desired.STOPPED:
        return State.STOPPED, "stopped on request"
    if status is not None and _is_standing_error(entry, status):
        return State.ERROR, status.reason
    return _state_of_assignment(entry, status, live)


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
        return State.PENDING, "waiting for a worker" if live else "no live worker"
    node = resource.assignment.node_id
    if node not in live:
        return State.PENDING, f"{node} is gone"
    if status is not None and status.revision == resource.revision:
        return status.state, status.reason
    if entry.definition is None:
        return State.ASSIGNED, "no definition"
    return State.ASSIGNED, f"waiting for {node} to begin"
