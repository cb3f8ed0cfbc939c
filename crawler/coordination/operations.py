"""What can be asked of etcd, as values: keys, comparisons, operations, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from crawler.coordination.pb import etcd_pb2 as pb

EVERYTHING_AFTER: Final = "\0"


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as etcd holds it. ``lease`` is 0 where the key hangs on none."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys in order, all as of ``revision``."""

    kvs: tuple[KeyValue, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A key was written, or deleted: then ``kv`` has the key, and as ``mod_revision`` the
    revision of the deletion, and nothing else."""

    kv: KeyValue
    deleted: bool


@dataclass(frozen=True, slots=True)
class TxnResult:
    """What a transaction did. ``responses`` has one entry per operation of the branch taken:
    the keys of a fetch, ``()`` for a put or delete."""

    succeeded: bool
    revision: int
    responses: tuple[tuple[KeyValue, ...], ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction: this revision of ``key`` is ``revision`` (0: no such key)."""

    key: str
    aspect: Literal["created", "modified"]
    revision: int


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a transaction. ``prefix``: on every key that begins with ``key``."""

    kind: Literal["put", "delete", "fetch"]
    key: str
    value: bytes = b""
    lease: int = 0
    prefix: bool = False


def absent(key: str) -> Compare:
    """There is no such key."""
    return Compare(key, "created", 0)


def created_at(key: str, revision: int) -> Compare:
    """The key exists since exactly this revision."""
    return Compare(key, "created", revision)


def modified_at(key: str, revision: int) -> Compare:
    """The key was last written at exactly this revision."""
    return Compare(key, "modified", revision)


def put(key: str, value: bytes, lease: int = 0) -> Op:
    """Write a key."""
    return Op("put", key, value, lease)


def delete(key: str, prefix: bool = False) -> Op:
    """Delete a key, or all below a prefix; it is no error if there is none."""
    return Op("delete", key, prefix=prefix)


def fetch(key: str, prefix: bool = False) -> Op:
    """Read a key, or all below a prefix."""
    return Op("fetch", key, prefix=prefix)


def to_bytes(key: str) -> bytes:
    """A key as etcd holds it: keys written by others need not be UTF-8."""
    return key.encode("utf-8", "surrogateescape")


def prefix_end(prefix: str) -> bytes:
    """The first key after all that begin with ``prefix``: its last byte below 0xff raised by one
    and the rest cut (etcd API reference, "range_end"); ``\\0`` means there is no end."""
    raw = to_bytes(prefix).rstrip(b"\xff")
    return raw[:-1] + bytes([raw[-1] + 1]) if raw else to_bytes(EVERYTHING_AFTER)


def from_wire(kv: pb.KeyValue) -> KeyValue:
    """Read etcd's message."""
    return KeyValue(
        kv.key.decode("utf-8", "surrogateescape"),
        kv.value,
        kv.create_revision,
        kv.mod_revision,
        kv.lease,
    )


def compare_to_wire(compare: Compare) -> pb.Compare:
    """Write etcd's message."""
    if compare.aspect == "created":
        return pb.Compare(
            result=pb.Compare.EQUAL,
            target=pb.Compare.CREATE,
            key=to_bytes(compare.key),
            create_revision=compare.revision,
        )
    return pb.Compare(
        result=pb.Compare.EQUAL,
        target=pb.Compare.MOD,
        key=to_bytes(compare.key),
        mod_revision=compare.revision,
    )


def op_to_wire(op: Op) -> pb.RequestOp:
    """Write etcd's message."""
    key, end = to_bytes(op.key), prefix_end(op.key) if op.prefix else b""
    if op.kind == "put":
        return pb.RequestOp(request_put=pb.PutRequest(key=key, value=op.value, lease=op.lease))
    if op.kind == "delete":
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=end))
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, range_end=end))


def result_from_wire(response: pb.TxnResponse) -> TxnResult:
    """Read etcd's message."""
    return TxnResult(
        response.succeeded,
        response.header.revision,
        tuple(tuple(map(from_wire, each.response_range.kvs)) for each in response.responses),
    )
