"""The values that we keep in etcd, and their JSON: strict going out, tolerant coming in.

A value that cannot be read is None and one log line: whoever writes garbage into etcd must not be
able to stop the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import structlog

from crawler.coordination.etcd import KeyValue
from crawler.coordination.keys import name_and_part
from crawler.model import Assignment, Desired, Resource, State

log = structlog.get_logger(__name__)

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of a resource. ``run`` counts from 1; a start begins the next.

    ``due`` is the due time that began this run (Unix seconds, 0: somebody did by hand). ``since``:
    no due time up to that one will begin another.
    """

    state: Desired
    run: int
    resource_id: str
    due: int = 0
    since: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """What the owner reports. ``revision`` is the token it crawls under, ``at`` Unix seconds."""

    state: State
    reason: str
    run: int
    resource_id: str
    revision: int
    node: str
    at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What the leader last decided on a resource: the node ("" for none) and why.

    ``term`` is the create revision of its election key: which leader wrote this (0: unknown).
    ``request_id`` is that of the request by which somebody last had something decided on it.
    """

    node: str
    reason: str
    at: float
    term: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Proxied:
    """Requests that a worker's proxy answered since it was started, by what they came to: from what
    it keeps, by its origin, from what it keeps after its origin confirmed it, and stale."""

    hits: int = 0
    misses: int = 0
    revalidated: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a worker is: pages being fetched, resources it has; and what keeps it from its work
    ("": nothing does). ``proxy`` None: it has none."""

    active: int
    resources: int
    trouble: str = ""
    proxy: Proxied | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which history of etcd this is (a uuid of ours), and the id of the store it belongs to."""

    uuid: str
    store: str


def _dump(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a reason may quote what somebody else wrote
        return text.encode("utf-8", "replace")


def encode_resource(resource: Resource) -> bytes:
    """The record of the Go original: these four fields, in this order, without blanks."""
    return _dump(
        {
            "ID": resource.id,
            "Name": resource.name,
            "AssignedNode": str(resource.assignment) if resource.assignment else "",
            "CreationTime": resource.created_ns,
        }
    )


def encode_wish(wish: Wish) -> bytes:
    record = {"state": wish.state, "run": wish.run, "resource_id": wish.resource_id}
    times = {"due": wish.due, "since": wish.since} if wish.due or wish.since else {}
    return _dump({**record, **times})


def encode_status(status: Status) -> bytes:
    return _dump(
        {
            "state": status.state,
            "reason": status.reason,
            "run": status.run,
            "resource_id": status.resource_id,
            "revision": status.revision,
            "node": status.node,
            "at": status.at,
        }
    )


def encode_decision(decision: Decision) -> bytes:
    record = {
        "node": decision.node,
        "reason": decision.reason,
        "at": decision.at,
        "term": decision.term,
    }
    return _dump({**record, "request_id": decision.request_id} if decision.request_id else record)


def encode_load(load: Load) -> bytes:
    record = {"active": load.active, "resources": load.resources, "trouble": load.trouble}
    return _dump(record if load.proxy is None else {**record, "proxy": asdict(load.proxy)})


def encode_cluster(cluster: Cluster) -> bytes:
    return _dump({"uuid": cluster.uuid, "store": cluster.store})


def _decoder(
    what: str, read: Callable[[KeyValue, Mapping[str, Any]], R]
) -> Callable[[KeyValue], R | None]:
    def decode(kv: KeyValue) -> R | None:
        try:
            return read(kv, json.loads(kv.value))
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            OverflowError,
        ) as error:
            log.warning("unreadable record", what=what, key=kv.key, error=str(error)[:200])
            return None

    return decode


def _text(record: Mapping[str, Any], field: str) -> str:
    value = record[field]
    if not isinstance(value, str):
        raise TypeError(f"{field} is no text")
    value.encode()  # a lone surrogate would break whoever passes it on
    return value


def _number(record: Mapping[str, Any], field: str, *, bits: int = 63) -> int:
    value = record[field]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{field} is no whole number")
    if abs(value) >= 1 << bits:  # neither SQL nor the wire could hold it
        raise ValueError(f"{field} is too large")
    return value


def _time(record: Mapping[str, Any], field: str) -> float:
    value = record[field]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{field} is no number")
    return float(value)


def _resource(kv: KeyValue, record: Mapping[str, Any]) -> Resource:
    # The key names the resource; a name in the value that differs is somebody's mistake.
    name, part = name_and_part(kv.key)
    return Resource(
        id=_text(record, "ID"),
        name=name,
        assignment=Assignment.parse(_text(record, "AssignedNode")),
        created_ns=_number(record, "CreationTime"),
        revision=kv.mod_revision,
        part=part,
    )


def _status(_: KeyValue, record: Mapping[str, Any]) -> Status:
    return Status(
        State(record["state"]),
        _text(record, "reason"),
        _number(record, "run", bits=31),
        _text(record, "resource_id"),
        _number(record, "revision"),
        _text(record, "node"),
        _time(record, "at"),
    )


def _wish(_: KeyValue, record: Mapping[str, Any]) -> Wish:
    return Wish(
        Desired(record["state"]),
        _number(record, "run", bits=31),
        _text(record, "resource_id"),
        _number(record, "due") if "due" in record else 0,
        _number(record, "since") if "since" in record else 0,
    )


def _decision(_: KeyValue, record: Mapping[str, Any]) -> Decision:
    # Records of leaders before this one's version say nothing of a term.
    term = _number(record, "term") if "term" in record else 0
    request_id = _text(record, "request_id") if "request_id" in record else ""
    node, reason, at = _text(record, "node"), _text(record, "reason"), _time(record, "at")
    return Decision(node, reason, at, term, request_id)


def _load(_: KeyValue, record: Mapping[str, Any]) -> Load:
    # Workers before this one's version say nothing of trouble.
    trouble = _text(record, "trouble") if "trouble" in record else ""
    proxy = _proxied(record["proxy"]) if "proxy" in record else None
    return Load(_number(record, "active"), _number(record, "resources"), trouble, proxy)


def _proxied(record: Mapping[str, Any]) -> Proxied:
    known = [field.name for field in fields(Proxied) if field.name in record]
    return Proxied(**{name: _number(record, name) for name in known})


decode_resource = _decoder("resource", _resource)
decode_status = _decoder("status", _status)
decode_wish = _decoder("wish", _wish)
decode_decision = _decoder("decision", _decision)
decode_load = _decoder("load", _load)
decode_cluster = _decoder(
    "cluster", lambda _, record: Cluster(_text(record, "uuid"), _text(record, "store"))
)


def decode_definition(kv: KeyValue) -> str | None:
    """The text as it is; what it says is checked by whoever crawls by it."""
    try:
        return kv.value.decode()
    except UnicodeDecodeError as error:
        log.warning("unreadable record", what="definition", key=kv.key, error=str(error)[:200])
        return None


def decode_owner(kv: KeyValue) -> str:
    """The name of a token as it is; "" for what is no text."""
    try:
        return kv.value.decode()
    except UnicodeDecodeError as error:
        log.warning("unreadable record", what="owner", key=kv.key, error=str(error)[:200])
        return ""


def home_of(kv: KeyValue) -> str:
    """The id of the node that a resource or a part is given to, read without the rest; "" for
    nobody. That a record cannot be read is said by `decode_resource`."""
    try:
        home = Assignment.parse(json.loads(kv.value)["AssignedNode"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    return home.node_id if home is not None else ""
