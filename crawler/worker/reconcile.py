"""Deciding which crawls must stop and which must start here, from what the cluster agreed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crawler.coordination.catalog import Entry, current_status
from crawler.model import Assignment, Desired, Node, Resource, State
from crawler.worker.order import JobOrder, Key


@dataclass(frozen=True, slots=True)
class Situation:
    """Who we are.

    ``cluster``: the uuid in ``/crawler/cluster``; None: none is known, so nothing may start.
    ``may_start``: there is a session with time left.
    ``overdue``: assignments older than our registration have had their time to be re-stamped.
    """

    me: Node
    cluster: str | None
    may_start: bool = True
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """What must not be started again: under a token that was fenced, or a crawl that ended."""

    fenced: Mapping[str, Key]
    ended: Mapping[str, Key]

    def forbids(self, name: str, key: Key) -> bool:
        fenced = self.fenced.get(name)
        return self.ended.get(name) == key or (fenced is not None and fenced.same_token(key))


@dataclass(frozen=True, slots=True)
class Plan:
    """``stops``: name to reason. A crawl that must be replaced is stopped in one plan and started
    in a later one, when it is gone."""

    stops: Mapping[str, str]
    starts: tuple[tuple[JobOrder, Resource], ...]


def plan(
    entries: Mapping[str, Entry], here: Situation, running: Mapping[str, Key], past: Past
) -> Plan:
    """What to do so that exactly what is assigned to us and wanted runs. ``entries`` are units, by
    the name of each; so is what runs."""
    stops = {}
    for name, key in running.items():
        if reason := stop_reason(entries.get(name), here, key):
            stops[name] = reason
    starts = []
    mine = Assignment(here.me.id, here.me.address)
    if here.may_start and here.cluster is not None:
        for name, entry in entries.items():
            resource = entry.resource
            if resource is None or resource.assignment != mine or name in running:
                continue
            order = start_order(entry, resource, here.me, here.cluster)
            if order is not None and not past.forbids(name, order.key):
                starts.append((order, resource))
    return Plan(stops, tuple(starts))


def stop_reason(entry: Entry | None, here: Situation, key: Key) -> str:
    """Why the running crawl must end; "": it goes on."""
    if entry is None or entry.resource is None:
        return "deleted"
    resource = entry.resource
    if resource.assignment != Assignment(here.me.id, here.me.address):
        return "assigned elsewhere" if resource.assignment else _unwanted(entry) or "unassigned"
    if reason := _unwanted(entry):
        return reason
    if resource.revision <= here.me.revision:
        # Assigned to an earlier registration of ours; the fence covers it until it is re-stamped.
        return "not re-stamped" if here.overdue else ""
    if here.cluster is None:
        return ""
    return _difference(key, _order(entry, resource, here.me, here.cluster))


def start_order(entry: Entry, resource: Resource, me: Node, cluster: str) -> JobOrder | None:
    """The order for a resource assigned to us; None: it must not run, or not yet.

    An assignment older than the registration never starts a crawl (it was for somebody before us
    under this name); the leader re-stamps it.
    """
    if resource.revision <= me.revision or _unwanted(entry) or _at_rest(entry, resource):
        return None
    return _order(entry, resource, me, cluster)


def _unwanted(entry: Entry) -> str:
    wish, resource = entry.wish, entry.resource
    if wish is None or resource is None or wish.resource_id != resource.id:
        return "not wanted"
    if wish.state is not Desired.RUNNING:
        return wish.state.value
    return "" if entry.definition is not None else "no definition"


def _at_rest(entry: Entry, resource: Resource) -> bool:
    """Whether the run that is wanted is over. An error is, until the definition is changed or the
    resource assigned anew: then it gets another try."""
    status = current_status(entry)
    if status is not None and status.state is State.ERROR:
        unchanged = entry.definition_revision <= status.revision
        return unchanged and status.revision == resource.revision
    return status is not None and status.state is State.FINISHED


def _order(entry: Entry, resource: Resource, me: Node, cluster: str) -> JobOrder:
    assert entry.wish is not None
    assert entry.definition is not None
    return JobOrder(
        name=resource.name,
        resource_id=resource.id,
        run=entry.wish.run,
        definition=entry.definition,
        definition_revision=entry.definition_revision,
        cluster=cluster,
        revision=resource.revision,
        node=me.id,
        part=entry.part,
        parts=entry.partitions,
        due=entry.wish.due,
        request_id=entry.decision.request_id if entry.decision is not None else "",
    )


def _difference(key: Key, order: JobOrder) -> str:
    wanted = order.key
    if key == wanted:
        return ""
    if not key.same_token(wanted):
        return "token rose"
    return "new run" if key.run != wanted.run else "definition changed"
