"""The nouns that all rooms speak: frozen values without I/O.

Times named ``*_at`` are Unix seconds as the store's clock tells them, for people; ``*_ns`` are
nanoseconds. What one side is to wait for by the word of another is a duration, ``*_s`` in seconds,
as their clocks may differ and step.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from crawler.errors import InvalidInput

MASTER_SERVICE = "go.micro.server.master"
WORKER_SERVICE = "go.micro.server.worker"

_NAME = re.compile(r"[^\W_][\w.\-]{0,127}")
_NODE_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
_STATUS = re.compile(r"[1-9]xx|[1-9][0-9]{2}|0")
MAX_REASON = 500
RESERVED_NAMES = frozenset({"election"})


def check_name(name: str) -> str:
    """Return the resource name in NFC, or raise `InvalidInput` naming the field and the rule.

    1 to 128 characters, the first a letter or digit of any script, then those and ``._-``.
    """
    normal = unicodedata.normalize("NFC", name)
    if normal in RESERVED_NAMES:
        raise InvalidInput(f"name: {normal!r} is reserved; choose another", field="name")
    if _NAME.fullmatch(normal) is None:
        raise InvalidInput(
            "name: 1 to 128 characters, starting with a letter or digit, "
            f"then letters, digits and ._- (got {name[:140]!r})",
            field="name",
        )
    return normal


def check_node_id(node_id: str) -> str:
    """Return the id given with ``--id``, or raise `InvalidInput`: letters, digits, underscore."""
    if _NODE_ID.fullmatch(node_id) is None:
        raise InvalidInput(
            f"id: 1 to 64 letters, digits or underscores (got {node_id[:80]!r})", field="id"
        )
    return node_id


def read_failures(status: str, reason: str) -> Failures:
    """The failed pages that a caller means by an HTTP status (``503``; ``5xx``: all that begin so;
    ``0``: no answer; "": any) and a text in their reason. Raises `InvalidInput`."""
    if len(reason) > MAX_REASON:
        raise InvalidInput(f"reason: at most {MAX_REASON} characters", field="reason")
    if not status:
        return Failures(reason=reason)
    if _STATUS.fullmatch(status) is None:
        raise InvalidInput(
            f"status: an HTTP status (503), a class of them (5xx), or 0 for pages that had no "
            f"answer (got {status[:40]!r})",
            field="status",
        )
    if status.endswith("xx"):
        lowest = 100 * int(status[0])
        return Failures(lowest, lowest + 99, reason)
    return Failures(int(status), int(status), reason)


def unit_name(name: str, part: int) -> str:
    """What one part of a resource is called where parts are told apart: ``shop``, ``shop/1``.
    No name of a resource holds a slash."""
    return f"{name}/{part}" if part else name


class Desired(StrEnum):
    """What the user wants of a resource; kept in ``/crawler/desired/<name>``."""

    RUNNING = "running"
    PAUSED = "paused"  # keeps its run; resume goes on where it was
    STOPPED = "stopped"  # the run is over; start begins the next
    DELETED = "deleted"  # irrevocable; a leader finishes it


class State(StrEnum):
    """What a resource is doing now, as told to people."""

    PENDING = "pending"  # wanted, but no worker has it (the reason says why)
    ASSIGNED = "assigned"  # given to a worker that has not reported on it yet
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"  # nothing pending, or a limit reached
    ERROR = "error"  # the crawl cannot go on; the reason says what to change
    STOPPED = "stopped"


class PageState(StrEnum):
    """The life of one URL. A URL that is being fetched is still pending."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    EXCLUDED = "excluded"  # refused by robots, depth or a cap


@dataclass(frozen=True, slots=True)
class Assignment:
    """The node that a resource is given to; on the wire ``<node id>|<address>``."""

    node_id: str
    address: str

    def __str__(self) -> str:
        return f"{self.node_id}|{self.address}"

    @classmethod
    def parse(cls, text: str) -> Assignment | None:
        """Read the wire form; ``""`` means unassigned, as does a text without both parts."""
        node_id, separator, address = text.partition("|")
        return cls(node_id, address) if separator and node_id and address else None


@dataclass(frozen=True, slots=True)
class Resource:
    """A crawl job as it stands under ``/resources/<name>``, or one more part of a divided one
    under ``/crawler/parts/<name>/<part>``.

    ``revision`` is the key's mod_revision: the token of this assignment (0: not stored yet).
    """

    id: str
    name: str
    assignment: Assignment | None
    created_ns: int
    revision: int = 0
    part: int = 0

    @property
    def unit(self) -> str:
        """See `unit_name`."""
        return unit_name(self.name, self.part)


@dataclass(frozen=True, slots=True)
class Node:
    """A live process as it stands in the registry.

    ``revision`` is the create_revision of the registration: it names the incarnation.
    ``native`` is False for a node that does not speak our fences (a Go master or worker).
    """

    id: str
    service: str
    address: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    lease: int = 0
    native: bool = True


@dataclass(frozen=True, slots=True)
class Stamp:
    """The right to crawl one part of a resource, as etcd issued it.

    The store turns ``cluster`` (the uuid in ``/crawler/cluster``) into an epoch; the token it
    compares is (epoch, revision).
    """

    cluster: str
    resource_id: str
    part: int
    revision: int


@dataclass(frozen=True, slots=True)
class Imprint:
    """What is kept of a page's content, so that a later run can ask whether it has changed.

    ``digest``: 16 bytes over the content. ``etag`` and ``last_modified`` as the server said them
    ("": it did not). For ``interval_s`` after its commit the page is not asked again (0.0: every
    run asks it).
    """

    digest: bytes
    etag: str = ""
    last_modified: str = ""
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Before:
    """What the run that this one builds on made of a page that is reached in the same way, by rule
    and carried values. ``depth`` is that of then, ``rule`` the one that took it, ``links`` how many
    pages were first found on it; ``due_at``: it is not to be asked before (0.0: it may be now)."""

    imprint: Imprint
    depth: int
    rule: str = ""
    content_type: str = ""
    links: int = 0
    due_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One URL to fetch. ``fingerprint`` is 16 bytes over method, canonical URL and body.

    ``parent`` is the fingerprint of the page that first linked here (None: a start URL).
    ``rule`` is the rule a link was sent to (None: the first whose ``match`` fits). ``bound``: it
    means nothing to a later run, because an unfinished item travels with it. ``before`` is told
    by the store, None where nothing can be taken over.
    """

    fingerprint: bytes
    url: str
    host: str
    depth: int = 0
    priority: int = 0
    method: str = "GET"
    body: bytes | None = None
    rule: str | None = None
    carry: Mapping[str, Any] = field(default_factory=dict)
    parent: bytes | None = None
    attempts: int = 0
    strikes: int = 0
    bound: bool = False
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One record taken from a page. ``missing`` names required fields that were not found."""

    rule: str
    fields: Mapping[str, Any]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """What one attempt at a `Request` came to; the unit that is committed.

    ``state`` PENDING means "again, not sooner than ``retry_after_s`` after its commit"; every other
    state is final.
    ``links`` are requests found on the page, each already in scope (or EXCLUDED, in
    ``excluded`` with its reason).

    ``imprint``: the page may be compared with it in a later run; None: it may not. ``unchanged``:
    the page is as ``request.before`` says, so its items and what was first found on it are taken
    over from that run, and ``items``, ``links`` and ``excluded`` are empty. ``due_at`` (not 0.0):
    it was not even asked, because it is not due before. ``share``: which of what was first found on
    it are taken over, as they were found: from so many on, so many (None: all that are left). A
    PENDING visit takes its share over ahead of the one that ends the page.
    """

    request: Request
    state: PageState
    reason: str = ""
    status: int = 0
    final_url: str = ""
    content_type: str = ""
    size_bytes: int = 0
    elapsed_s: float = 0.0
    retry_after_s: float = 0.0
    rule: str = ""
    items: tuple[Item, ...] = ()
    links: tuple[Request, ...] = ()
    excluded: tuple[tuple[Request, str], ...] = ()
    imprint: Imprint | None = None
    unchanged: bool = False
    due_at: float = 0.0
    share: tuple[int, int | None] = (0, None)


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's counters, read in one statement: known = done + failed + pending + excluded.
    ``unchanged`` are those of ``done`` that were as the run before had left them."""

    known: int = 0
    done: int = 0
    failed: int = 0
    excluded: int = 0
    items: int = 0
    incomplete_items: int = 0
    fetched_bytes: int = 0
    seeded: bool = False
    finished: str = ""  # the reason; "" while the run goes on
    unchanged: int = 0

    @property
    def pending(self) -> int:
        return self.known - self.done - self.failed - self.excluded


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a resource, for people to look at. Times are Unix seconds; ``due_at`` is the due
    time that began it (0: somebody did by hand), ``finished_at`` 0.0 while it goes on."""

    run: int
    due_at: int
    started_at: float
    finished_at: float
    progress: Progress


@dataclass(frozen=True, slots=True)
class HostWait:
    """``queued``: requests at hand. ``reason``: why the next of them waits ("": it does not)."""

    host: str
    queued: int
    reason: str


Figure = int | float | str
Stats = Mapping[str, Figure]  # of a run, by name


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """How a crawl goes at this moment. ``active``: requests under way. ``waiting``: why the next
    request waits ("": it does not). ``hosts``: those for which most requests are at hand.
    ``latency_s``: how long the latest answers took, on average (0.0: none came lately)."""

    active: int
    pages_per_s: float
    waiting: str
    hosts: tuple[HostWait, ...] = ()
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Failures:
    """Which failed pages are meant: those whose HTTP status (0: no answer) is from ``lowest`` to
    ``highest``, and whose reason holds ``reason`` ("": any)."""

    lowest: int = 0
    highest: int = 999
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a retry: ``pages`` are pending again. ``open``: the run goes on now;
    ``reopened``: it was over before."""

    pages: int
    open: bool
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept of a resource that goes on: the newest ``runs`` with their items, of the newest
    ``pages`` of them every page, too, and the newest ``events``. The latest run is always kept."""

    runs: int = 100
    pages: int = 10
    events: int = 1_000


@dataclass(frozen=True, slots=True)
class HostGrant:
    """The answer to one host reservation.

    ``held``: this crawl alone, in the whole cluster, may fetch from the host for ``left_s``,
    counted from the moment of asking; its next request not sooner than ``wait_s`` after the answer.
    ``wanted``: another crawl waits for the host, so drain and release it after a short turn. Not
    held: ask again after ``left_s``.
    ``idle_s``: for how long, at least, whoever had it before could have sent the next request and
    did not (infinite: nobody had it). ``lost``: that one never gave it back, so that all one knows
    is that it has sent nothing since.
    """

    held: bool
    left_s: float
    wait_s: float = 0.0
    wanted: bool = False
    idle_s: float = 0.0
    lost: bool = False


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A URL of a run as the store keeps it, for people to look at."""

    url: str
    state: PageState
    reason: str
    status: int
    attempts: int
    depth: int
    priority: int
    host: str
    rule: str
    content_type: str
    size_bytes: int
    elapsed_s: float
    found_on: str  # URL of the discovering page; "" for a start URL
    fetched_at: float  # 0.0: never
    key: str = ""  # its fingerprint in hex: of its method, URL and body


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item as the store keeps it. ``seq`` rises with every commit: a stable cursor."""

    seq: int
    url: str
    rule: str
    ordinal: int
    definition_revision: int
    fields: Mapping[str, Any]
    missing: tuple[str, ...]
    stored_at: float


@dataclass(frozen=True, slots=True)
class SinkRecord:
    """How far a sink has got with the items of a run. ``lag``: how many it has yet to get;
    ``holder``: who sends them just now ("": nobody); ``failures``: how often in a row that failed,
    the last time for ``trouble``; ``delivered_at`` 0.0: never."""

    sink: str
    run: int
    delivered: int
    lag: int
    holder: str
    trouble: str
    failures: int
    delivered_at: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource, for people to read. ``request_id``: of the request
    that it goes back to ("": of none, or of one that came without)."""

    seq: int
    at: float
    kind: str
    detail: str
    node: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """An event beside those of other resources. ``name`` is "" for a resource that the store does
    not know by name yet."""

    seq: int
    at: float
    kind: str
    detail: str
    node: str
    resource_id: str
    name: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What is kept of a request that may come again. ``digest`` is that of the request, ``plan``
    what was decided before it was carried out. ``status`` 0: no definite answer is known."""

    digest: bytes
    plan: str
    status: int = 0
    body: str = ""
