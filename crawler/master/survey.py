"""Turns what etcd holds into the situation that plans are made from."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from crawler.coordination.entry import Entry, current_status, state_of
from crawler.coordination.records import Load, Wish
from crawler.master.members import Members
from crawler.master.situation import Job, Seat, Situation
from crawler.model import Desired, Node, State

MAX_HOSTS = 4  # of one resource; more say nothing about where it belongs
_RESTING = {Desired.PAUSED: "paused", Desired.STOPPED: "stopped"}


def wish_of(entry: Entry) -> Wish | None:
    """What is wanted of this very resource: a wish for an earlier one of its name is none."""
    wish, resource = entry.wish, entry.resource
    if wish is None or (resource is not None and wish.resource_id != resource.id):
        return None
    return wish


def over(entry: Entry) -> State | None:
    """How the wanted run ended; None: it goes on, or is yet to begin."""
    own = replace(entry, wish=wish_of(entry))
    at = entry.resource.assignment if entry.resource is not None else None
    state, _ = state_of(own, (at.node_id,) if at is not None else ())
    return state if state in (State.FINISHED, State.ERROR) else None


def rest_of(entry: Entry) -> str:
    """Why it needs no worker; "": it wants one."""
    ended, wish = over(entry), wish_of(entry)
    if ended is not None:
        return ended.value
    return _RESTING.get(wish.state, "") if wish is not None else ""


@lru_cache(maxsize=128)
def hosts_of(definition: str | None) -> tuple[str, ...]:
    """Hosts of the start URLs. Read without the schema, because a new leader reads thousands."""
    if definition is None:
        return ()
    try:
        urls = json.loads(definition).get("start_urls", ())
        hosts = [urlsplit(url).netloc.lower() for url in urls]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(host for host in hosts if host))[:MAX_HOSTS]


def job_of(entry: Entry) -> Job | None:
    """The resource as placing sees it; None: there is none, or it is being deleted."""
    resource, wish = entry.resource, wish_of(entry)
    if resource is None or (wish is not None and wish.state is Desired.DELETED):
        return None
    at, status = resource.assignment, current_status(entry)
    return Job(
        entry.name,
        at.node_id if at else "",
        at.address if at else "",
        resource.revision,
        hosts_of(entry.definition),
        entry.definition is not None,
        status is not None and at is not None and status.node == at.node_id,
        rest_of(entry),
    )


class Survey:
    """Reads the catalog again and again: what did not change is not read twice, as there may be
    ten thousand resources."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Entry, Job | None]] = {}

    def jobs(self, entries: Mapping[str, Entry]) -> tuple[Job, ...]:
        """All resources that placing is concerned with."""
        before, self._known = self._known, {}
        for name, entry in entries.items():
            known = before.get(name)
            if known is None or known[0] is not entry:
                known = (entry, job_of(entry))
            self._known[name] = known
        return tuple(job for _, job in self._known.values() if job is not None)


def seats_of(
    workers: Mapping[str, Node], loads: Mapping[str, Load], drained: Collection[str]
) -> dict[str, Seat]:
    """All live workers, everybody trusted."""
    seats = {}
    for node_id, node in workers.items():
        load = loads.get(node_id)
        active = load.active if load is not None else 0
        seats[node_id] = Seat(node, active, drained=node_id in drained)
    return seats


def situation_of(
    jobs: tuple[Job, ...],
    seats: Mapping[str, Seat],
    members: Members,
    now: float,
    moves_left: int,
) -> Situation:
    """The situation, with what the leader remembers of its workers."""
    hold = members.hold(now)
    return Situation(
        jobs,
        {
            node_id: Seat(seat.node, seat.active, members.steady(node_id, now), seat.drained)
            for node_id, seat in seats.items()
        },
        members.settling(now),
        hold.reason if hold is not None else "",
        moves_left,
    )
