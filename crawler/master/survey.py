"""Turns what etcd holds into the situation that plans are made from."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from crawler.coordination.entry import Entry, current_status, state_of, state_of_unit, units_of
from crawler.coordination.records import Load, Wish
from crawler.master.members import Members
from crawler.master.situation import Job, Seat, Situation
from crawler.model import Desired, Node, State

MAX_HOSTS = 4  # of one resource; more say nothing about where it belongs
Units = tuple[tuple[Entry, Job | None], ...]
_RESTING = {Desired.PAUSED: "paused", Desired.STOPPED: "stopped"}


def wish_of(entry: Entry) -> Wish | None:
    """What is wanted of this very resource: a wish for an earlier one of its name is none."""
    wish, resource = entry.wish, entry.resource
    if wish is None or (resource is not None and wish.resource_id != resource.id):
        return None
    return wish


def over(entry: Entry) -> State | None:
    """How the wanted run ended; None: it goes on, or is yet to begin."""
    return _end(state_of(*_own(entry))[0])


def rest_of(unit: Entry) -> str:
    """Why the unit needs no worker; "": it wants one."""
    ended, wish = _end(state_of_unit(*_own(unit))[0]), wish_of(unit)
    if ended is not None:
        return ended.value
    return _RESTING.get(wish.state, "") if wish is not None else ""


def _own(entry: Entry) -> tuple[Entry, tuple[str, ...]]:
    """Without a wish for an earlier resource of its name, and as if its worker lived."""
    at = entry.resource.assignment if entry.resource is not None else None
    return replace(entry, wish=wish_of(entry)), (at.node_id,) if at is not None else ()


def _end(state: State) -> State | None:
    return state if state in (State.FINISHED, State.ERROR) else None


@lru_cache(maxsize=128)
def hosts_of(definition: str | None) -> tuple[str, ...]:
    """Hosts of the start URLs and sitemaps. Read without the schema, because a new leader reads
    thousands."""
    if definition is None:
        return ()
    try:
        data = json.loads(definition)
        urls = [*data.get("start_urls", ()), *data.get("sitemaps", ())]
        hosts = [urlsplit(url).netloc.lower() for url in urls]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(host for host in hosts if host))[:MAX_HOSTS]


def job_of(entry: Entry) -> Job | None:
    """The unit as placing sees it; None: there is none, or it is being deleted.

    Parts of one resource are to be apart, so hosts draw none of them to another.
    """
    resource, wish = entry.resource, wish_of(entry)
    if resource is None or (wish is not None and wish.state is Desired.DELETED):
        return None
    at, status = resource.assignment, current_status(entry)
    return Job(
        entry.unit,
        at.node_id if at else "",
        at.address if at else "",
        resource.revision,
        hosts_of(entry.definition) if entry.partitions == 1 else (),
        entry.definition is not None,
        status is not None and at is not None and status.node == at.node_id,
        rest_of(entry),
    )


class Survey:
    """Reads the catalog again and again: what did not change is not read twice, as there may be
    ten thousand resources."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Entry, Units]] = {}

    def jobs(self, entries: Mapping[str, Entry]) -> tuple[Job, ...]:
        """All units that placing is concerned with."""
        before, self._known = self._known, {}
        for name, entry in entries.items():
            known = before.get(name)
            if known is None or known[0] is not entry:
                known = (entry, _units(entry))
            self._known[name] = known
        return tuple(
            job for _, units in self._known.values() for _, job in units if job is not None
        )

    def update(self, entries: Sequence[Entry]) -> tuple[Job, ...]:
        """The units of these only; what is gone is still remembered."""
        for entry in entries:
            self._known[entry.name] = (entry, _units(entry))
        read = (self._known[entry.name][1] for entry in entries)
        return tuple(job for units in read for _, job in units if job is not None)

    def unit(self, name: str) -> Entry:
        """The unit of that name, as of the last look."""
        _, units = self._known[name.partition("/")[0]]
        return next(unit for unit, _ in units if unit.unit == name)


def _units(entry: Entry) -> Units:
    return tuple((unit, job_of(unit)) for unit in units_of(entry))


def seats_of(
    workers: Mapping[str, Node], loads: Mapping[str, Load], drained: Collection[str]
) -> dict[str, Seat]:
    """All live workers, everybody trusted."""
    seats = {}
    for node_id, node in workers.items():
        load = loads.get(node_id)
        active, trouble = (load.active, load.trouble) if load is not None else (0, "")
        seats[node_id] = Seat(node, active, drained=node_id in drained, trouble=trouble)
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
            node_id: replace(
                seat, steady=members.steady(node_id, now), given_up=members.given_up(node_id, now)
            )
            for node_id, seat in seats.items()
        },
        members.settling(now),
        hold.reason if hold is not None else "",
        moves_left,
    )
