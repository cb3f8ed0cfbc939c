"""What the API answers, as values. Fields that a newer master adds are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from crawler.errors import OutcomeUnknown
from crawler.model import (
    Event,
    Figure,
    ItemRecord,
    JournalRecord,
    LiveRecord,
    PageRecord,
    SinkRecord,
    State,
)
from crawler.story import Story

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an added resource went; both empty while no worker lives."""

    id: str
    Address: str

    @property
    def node(self) -> str:
        """The worker's node id."""
        return self.id

    @property
    def address(self) -> str:
        """Its gRPC address."""
        return self.Address


@dataclass(frozen=True, slots=True)
class Change:
    """What a put did. ``changed``: there was another definition, or none."""

    id: str
    name: str
    assigned_node: str
    address: str
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of a run, the latest unless said: known = done + failed + pending + excluded."""

    run: int
    known: int
    done: int
    failed: int
    pending: int
    excluded: int
    items: int
    incomplete_items: int
    fetched_bytes: int
    seeded: bool
    finished: str
    unchanged: int = 0  # of those done: as the run before had left them


@dataclass(frozen=True, slots=True)
class Wished:
    """What a pause, resume, stop or start did. ``changed`` False: it was so already; ``run``: the
    run that is wanted now."""

    changed: bool
    run: int


@dataclass(frozen=True, slots=True)
class Retried:
    """``pages`` of ``run`` are pending again, or would be."""

    run: int
    pages: int


@dataclass(frozen=True, slots=True)
class RetryPage:
    """An answer to a retry; ``next``: where to go on (0: these were all)."""

    run: int
    pages: int
    next: int


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part of a divided resource."""

    assigned_node: str
    address: str
    state: State
    reason: str
    revision: int
    decision: str
    decided_at: float


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """A resource as it stands. ``creation_time`` is in Unix nanoseconds, ``decided_at`` in Unix
    seconds. ``progress`` is None before the first claim, and where ``progress_error`` says why it
    could not be read. ``definition`` is None in lists, and where there is none. ``owner`` is the
    name of the token that added it, "" where nobody was asked."""

    id: str
    name: str
    assigned_node: str
    address: str
    creation_time: int
    state: State
    reason: str
    run: int
    revision: int
    definition_revision: int
    decision: str
    decided_at: float
    progress: Counters | None
    progress_error: str
    parts: tuple[PartStatus, ...] = ()  # from part 0; none where there is one only
    definition: Mapping[str, Any] | None = None
    owner: str = ""
    next_due: int | None = None  # Unix seconds; None: no schedule, or it is left alone


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """Requests that a worker's caching proxy answered since it was started: from what it keeps, by
    the origin, from what it keeps after the origin confirmed it, and from what is stale."""

    hits: int
    misses: int
    revalidated: int
    stale: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A live process; ``native`` is False for one of the Go original, ``unsigned`` is True for one
    that is given nothing, because it does not have the cluster's secret; ``trouble`` says what
    keeps a worker from its work."""

    id: str
    service: str
    address: str
    leader: bool
    active: int
    resources: int
    drained: bool
    native: bool
    uptime_s: float
    version: str
    unsigned: bool = False
    trouble: str = ""
    proxy: ProxyStatus | None = None  # None: it has none, or its masters are older


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """How one part of a crawl goes at this moment. ``live`` is None where its worker, ``node``, did
    not tell, for ``trouble``."""

    part: int
    node: str
    live: LiveRecord | None
    trouble: str


@dataclass(frozen=True, slots=True)
class LivePage:
    parts: tuple[LiveStatus, ...]


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """One answer of a list; ``next`` is the cursor, "" at the end. So are the other pages.
    ``totals``: how many are in which state, of all whose names fit."""

    resources: tuple[ResourceStatus, ...]
    next: str
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemPage:
    items: tuple[ItemRecord, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """The items of one run with a seq above ``after`` and up to ``until``."""

    run: int
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Export:
    """One snapshot: its stretches, one after the other. ``cursor`` is where the next one goes on,
    once all of this one is in safety."""

    stretches: tuple[Stretch, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class StoryPage:
    story: Story


@dataclass(frozen=True, slots=True)
class PagePage:
    pages: tuple[PageRecord, ...]
    next: str


@dataclass(frozen=True, slots=True)
class RunStatus(Counters):
    """One run. Times are Unix seconds: ``due_at`` is the due time that began it (0: somebody did by
    hand), ``finished_at`` is 0.0 while it goes on."""

    due_at: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class RunPage:
    """The last thousand runs, the first one first. ``next_due`` is when the schedule begins the
    next (Unix seconds; None: none does), ``timezone`` that of the schedule ("": there is none)."""

    runs: tuple[RunStatus, ...]
    next_due: int | None = None
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class StatsPage:
    stats: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class SinkPage:
    sinks: tuple[SinkRecord, ...]


@dataclass(frozen=True, slots=True)
class EventPage:
    events: tuple[Event, ...]
    next: str


@dataclass(frozen=True, slots=True)
class NodePage:
    nodes: tuple[NodeStatus, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log, as ``node`` has written it at Unix seconds."""

    at: float
    node: str
    line: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines by time, and why some nodes did not tell theirs."""

    lines: tuple[LogEntry, ...]
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalPage:
    events: tuple[JournalRecord, ...]
    next: str


class Shape(Generic[T]):
    """Reads answers of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter = TypeAdapter(kind)

    def read(self, answer: bytes) -> T:
        """The value; `OutcomeUnknown` where the answer makes no sense."""
        try:
            return self._adapter.validate_json(answer)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise OutcomeUnknown(f"cannot read the answer: {where}: {first['msg']}") from error


PLACEMENT = Shape(Placement)
CHANGE = Shape(Change)
WISHED = Shape(Wished)
RETRY = Shape(RetryPage)
RESOURCE = Shape(ResourceStatus)
RESOURCES = Shape(ResourcePage)
ITEMS = Shape(ItemPage)
PAGES = Shape(PagePage)
EVENTS = Shape(EventPage)
EXPORT = Shape(Export)
RUNS = Shape(RunPage)
STATS = Shape(StatsPage)
STORY = Shape(StoryPage)
LIVES = Shape(LivePage)
SINKS = Shape(SinkPage)
NODES = Shape(NodePage)
JOURNAL = Shape(JournalPage)
LOGS = Shape(LogPage)
LOG_ENTRY = Shape(LogEntry)
