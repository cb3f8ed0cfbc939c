"""What a run under faults leaves to be judged, as values.

All times are Unix seconds by the one clock of the machine that everything runs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class EtcdWrite:
    """One key in one revision. ``value`` None: deleted, and then ``create_revision`` is 0.

    ``at`` is when a recorder heard of it, which is never before it happened.
    """

    revision: int
    key: str
    value: bytes | None
    create_revision: int
    at: float


class Kind(StrEnum):
    """What a caller asked for."""

    ADD = "add"
    PUT = "put"
    DELETE = "delete"
    GET = "get"


class Outcome(StrEnum):
    """What a caller was told."""

    OK = "ok"
    FAIL = "fail"  # a definite error: no effect, ever
    INFO = "info"  # anything else: it may have had an effect, or may have one yet


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a sequential client. ``spec`` is the canonical definition ("": none was given,
    or none was read); ``resource_id`` is the answer's ("": none, or not there)."""

    client: str
    name: str
    kind: Kind
    spec: str
    invoked: float
    returned: float
    outcome: Outcome
    resource_id: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """A pending page that one transaction changed. ``seq`` rises in the order of the commits.

    ``node`` is what the session was called, ``fence_node`` whom the fence row named at the moment
    of the commit; ``epoch``, ``revision`` and ``open`` are that row's, too.
    """

    seq: int
    at: float
    resource_id: str
    part: int
    run: int
    url: str
    state: str
    node: str
    epoch: int
    revision: int
    fence_node: str
    open: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that the site answered, by whom it was sent."""

    url: str
    start: float
    end: float
    worker: str


@dataclass(frozen=True, slots=True)
class PageRow:
    """A URL of a run as the database has it in the end."""

    resource_id: str
    run: int
    url: str
    state: str


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item as the database has it in the end; ``fields`` as JSON with sorted keys."""

    resource_id: str
    run: int
    url: str
    ordinal: int
    fields: str


@dataclass(frozen=True, slots=True)
class Met:
    """What the run met, counted in the logs: commits and claims refused by a fence, commits with a
    lost answer, and watches that found their history compacted."""

    refusals: int = 0
    ambiguous: int = 0
    compactions: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """A whole run. ``writes`` are in etcd's order, of one etcd that was never wiped; None: its
    history was compacted before a recorder had heard all of it. ``first_fault`` None: none.
    ``converged_s``: from the last fault's end until every node worked; None: never."""

    began: float
    ended: float
    first_fault: float | None = None
    writes: tuple[EtcdWrite, ...] | None = ()
    commits: tuple[Commit, ...] = ()
    calls: tuple[Call, ...] = ()
    hits: tuple[Hit, ...] = ()
    pages: tuple[PageRow, ...] = ()
    items: tuple[ItemRow, ...] = ()
    met: Met = Met()
    converged_s: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise: what of the run was looked at, and each violation in words."""

    promise: str
    looked_at: str
    violations: tuple[str, ...] = ()
