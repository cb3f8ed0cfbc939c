"""What goes in and out as JSON. The models validate, and the OpenAPI document is made of them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from crawler.errors import InvalidInput, NotFound
from crawler.model import (
    Event,
    Figure,
    ItemRecord,
    JournalRecord,
    LiveRecord,
    PageRecord,
    PageState,
    SinkRecord,
    State,
    check_name,
)

MAX_LIMIT = 1000
CURSOR = "`next` of the answer before"
NEXT = "give it as `cursor` to go on; empty at the end"

_INT64 = re.compile(r"-?[0-9]{1,19}")
_INT64_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"type": "string", "pattern": "^-?[0-9]{1,19}$"},
        {"type": "null"},
    ],
    "default": 0,
}

# Where null means absent.
Word = Annotated[StrictStr, WithJsonSchema({"type": ["string", "null"], "default": ""})]


def _name(text: str) -> str:
    try:
        return check_name(text)
    except InvalidInput as error:
        raise ValueError(str(error).removeprefix("name: ")) from error


def _int64(value: object) -> int:
    """A number, or one in a string, as the JSON mapping of proto3 has it."""
    if isinstance(value, str) and _INT64.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    raise ValueError("must be a 64-bit integer, as a number or a string")


class Taken(BaseModel):
    """What comes in: snake_case or lowerCamel, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Given(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True)


class Nothing(Taken):
    """No field at all."""


class ResourceSpec(Taken):
    """A resource to add or delete, as clients of the Go original send it. Null means absent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "zjx", "name": "task-test-4"}]}
    )

    id: Word = Field("", description="the caller's own mark; the resource's id is issued")
    name: Annotated[StrictStr, AfterValidator(_name)]
    assigned_node: Word = Field("", description="ignored")
    creation_time: Annotated[int, BeforeValidator(_int64), WithJsonSchema(_INT64_SCHEMA)] = Field(
        0, description="ignored"
    )
    definition: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {key: each for key, each in value.items() if each is not None}


class DefinitionBody(RootModel[dict[str, Any]]):
    """A definition; its fields are checked by the leader."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"start_urls": ["https://shop.example/"]}]}
    )


class Drain(Taken):
    model_config = ConfigDict(json_schema_extra={"examples": [{"undo": False}]})

    undo: StrictBool = Field(False, description="let the node have work again")


class Greeting(Taken):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "world"}]})

    name: StrictStr = ""


class ResourceQuery(Taken):
    cursor: str = Field("", max_length=512, description=CURSOR)
    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT)
    state: State | None = None
    prefix: str = Field("", max_length=512, description="only those whose names begin so")
    contains: str = Field(
        "", max_length=512, description="only those whose names hold this, in whatever case"
    )


class NodeQuery(Taken):
    cursor: str = Field("", max_length=128, description=CURSOR)
    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT)


class RecordQuery(Taken):
    cursor: int = Field(0, ge=0, lt=2**63, description=CURSOR)
    limit: int = Field(100, ge=1, le=MAX_LIMIT)


class WatchQuery(Taken):
    since: str = Field("", max_length=100, description="an `id` of the stream; empty: from now on")


class LogQuery(Taken):
    since: str = Field(
        "5m", max_length=40, description="only lines of so long ago (90s, 5m, 2h), or Unix seconds"
    )


class RunQuery(RecordQuery):
    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT)


class ExportQuery(Taken):
    since: str = Field("", max_length=64, description="`cursor` of the export before")
    run: int | None = Field(None, ge=1, lt=2**31, description="that one alone")


class ItemQuery(RecordQuery):
    after: int = Field(0, ge=0, lt=2**63, description="the seq to begin behind")
    until: int = Field(2**63 - 1, ge=0, lt=2**63, description="the seq to end with")
    text: str = Field("", max_length=200, description="what one of their fields holds")
    run: int | None = Field(None, ge=1, lt=2**31, description="the latest unless said")


class StatsQuery(Taken):
    run: int | None = Field(None, ge=1, lt=2**31, description="the latest unless said")


class PageQuery(Taken):
    run: int | None = Field(None, ge=1, lt=2**31, description="the latest unless said")
    cursor: str = Field("", max_length=512, description=CURSOR)
    limit: int = Field(100, ge=1, le=MAX_LIMIT)
    state: PageState | None = None
    status: int | None = Field(None, ge=0, le=999, description="HTTP status; 0: no answer")
    text: str = Field("", max_length=200, description="what their URL or reason holds")


class NodeSpec(Given):
    """Where a resource went; both empty while no worker lives (the status is then 202)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "go.micro.server.worker-2", "Address": "192.168.0.107:9089"}]
        }
    )

    id: str
    Address: str


class Changed(Given):
    """What a PUT did. ``changed``: there was another definition, or none."""

    id: str
    name: str
    assigned_node: str
    address: str
    created: bool
    changed: bool


class Desired(Given):
    """What a pause, resume, stop or start did. ``changed`` false: it was so already; ``run`` is
    the run that is wanted now."""

    changed: bool
    run: int


class Retry(Taken):
    """Which failed pages of the latest run are tried again. Null means absent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "5xx", "dry_run": True}]})

    status: str | StrictInt | None = Field(
        None, description="HTTP status, or a class of them as `5xx`; 0: no answer; all unless said"
    )
    reason: StrictStr | None = Field(None, description="a text in their reason; all unless said")
    run: StrictInt | None = Field(
        None, ge=1, lt=2**31, description="refused unless it is the latest"
    )
    dry_run: StrictBool = Field(False, description="only count them")
    after: StrictInt = Field(0, ge=0, lt=2**63, description="`next` of the answer before")


class Retried(Given):
    """``pages`` of ``run`` are pending again (with dry_run: would be); asked again, none are."""

    run: int
    pages: int
    next: int = Field(description="give it as `after` to go on; 0 at the end")


class Counters(Given):
    """Counters of a run, the latest unless said: at every instant
    known = done + failed + pending + excluded.

    ``finished`` is the reason why it ended, empty while it goes on. ``unchanged`` are those of
    ``done`` that were as the run before had left them."""

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
    unchanged: int


class Part(Given):
    """One part of a divided resource: who crawls it, and how it stands."""

    assigned_node: str
    address: str
    state: str
    reason: str
    revision: int
    decision: str
    decided_at: float


class Resource(Given):
    """A resource as etcd and the store know it. ``creation_time`` is in Unix nanoseconds, as a
    string, because it is above what a JSON number holds exactly. ``progress`` is null before the
    first claim, and where ``progress_error`` says why it cannot be read."""

    id: str
    name: str
    assigned_node: str
    address: str
    creation_time: str
    state: str
    reason: str
    run: int
    revision: int
    definition_revision: int
    decision: str
    decided_at: float
    progress: Counters | None
    progress_error: str
    parts: tuple[Part, ...] = Field(description="from part 0; empty where there is one only")
    owner: str = Field(description="name of the token that added it; empty: nobody was asked")
    next_due: int | None = Field(
        description="Unix seconds of its schedule's next due time; null: none, or it is left alone"
    )


class ResourceDetail(Resource):
    """One resource, with its definition (null: it has none yet)."""

    definition: dict[str, Any] | None


class ResourceList(Given):
    resources: tuple[Resource, ...]
    next: str = Field(description=NEXT)
    totals: dict[str, int] = Field(
        description="how many are in which state, of all whose names fit"
    )


class Live(Given):
    """How one part of a crawl goes at this moment, as ``node``, which crawls it, tells. ``live`` is
    null where it does not, and ``trouble`` says why."""

    part: int
    node: str
    live: LiveRecord | None
    trouble: str


class LogEntry(Given):
    """One line as ``node`` has written it, at Unix seconds."""

    at: float
    node: str
    line: dict[str, Any]


class LogPage(Given):
    lines: tuple[LogEntry, ...] = Field(description="by time, the last 10,000")
    trouble: tuple[str, ...] = Field(description="nodes that did not tell theirs, and why")


class LiveList(Given):
    parts: tuple[Live, ...] = Field(description="those that a worker has")


class ItemList(Given):
    items: tuple[ItemRecord, ...]
    next: str = Field(description=NEXT)


class StretchOfItems(Given):
    run: int
    after: int
    until: int


class ExportPlan(Given):
    stretches: tuple[StretchOfItems, ...] = Field(
        description="ask for `items` with these, one after the other"
    )
    cursor: str = Field(description="give it as `since` to go on behind them")


class PageList(Given):
    pages: tuple[PageRecord, ...]
    next: str = Field(description=NEXT)


class Run(Counters):
    """One run. Times are Unix seconds: ``due_at`` is the due time that began it (0: somebody did by
    hand), ``finished_at`` is 0 while it goes on."""

    due_at: int
    started_at: float
    finished_at: float


class RunList(Given):
    runs: tuple[Run, ...]
    next_due: int | None = Field(
        description="Unix seconds of its schedule's next due time; null: none, or it is left alone"
    )
    next: str = Field(description=NEXT)
    timezone: str = Field(description="of the schedule; empty without one")


class StatsAnswer(Given):
    """Figures of one run by name; times are ISO 8601."""

    stats: dict[str, Figure]


class SinkList(Given):
    sinks: tuple[SinkRecord, ...]


class EventList(Given):
    events: tuple[Event, ...]
    next: str = Field(description=NEXT)


class JournalList(Given):
    """Events of all resources, the newest first."""

    events: tuple[JournalRecord, ...]
    next: str = Field(description=NEXT)


class Happening(Given):
    """One event of the stream: ``kind`` says what happened (resource_changed, task_finished,
    resource_deleted, node_joined, node_lost, leader_changed; reset: what happened since the cursor
    is not known, so look at everything). ``name``, ``id``, ``state``, ``reason`` and ``run`` are
    of the resource; of a node there are ``name`` and ``address``. Unix seconds in ``at``."""

    kind: str
    at: float
    name: str
    id: str
    state: str
    reason: str
    run: int
    address: str


class ProxyFigures(Given):
    """Requests that a worker's caching proxy answered since it was started: from what it keeps, by
    the origin, from what it keeps after the origin confirmed it, and from what is stale."""

    hits: int
    misses: int
    revalidated: int
    stale: int


class Node(Given):
    """A live process. ``native`` is false for one of the Go original; ``uptime_s`` counts since
    it registered. ``unsigned``: its record is not signed by this cluster, which has a secret, and
    so it is given nothing. ``trouble`` says what keeps a worker from its work."""

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
    unsigned: bool
    trouble: str
    proxy: ProxyFigures | None = Field(description="null: it has no caching proxy")


class NodeList(Given):
    nodes: tuple[Node, ...]
    next: str = Field(description=NEXT)


class Greeted(Given):
    greeting: str


class Alive(Given):
    ok: bool


class Checked(Given):
    ok: bool
    words: str


class Ready(Given):
    ok: bool
    checks: dict[str, Checked]


class ErrorAnswer(Given):
    """Every failure. ``code`` is the gRPC status code; ``details`` names the field, and says what
    to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": 5,
                    "message": "there is no resource shop",
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.Help",
                            "links": [{"description": NotFound.help, "url": "/docs"}],
                        }
                    ],
                }
            ]
        }
    )

    code: int
    message: str
    details: tuple[dict[str, Any], ...]
