"""Who lives: node records as go-micro keeps them in etcd, one live node per id.

Record and key: go-micro v4, plugins/registry/etcd, as quoted in the design's wire facts. The key
is ``/micro/registry/<service>/<node id>``, the node id is ``<service>-<id>``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import structlog

from crawler import failpoint
from crawler.clock import Backoff
from crawler.coordination.addresses import advertise_address
from crawler.coordination.etcd import (
    Etcd,
    KeyValue,
    absent,
    created_at,
    delete,
    fetch,
    modified_at,
    put,
)
from crawler.coordination.session import Session
from crawler.coordination.signing import Keyring, Seal
from crawler.errors import IdTaken, OutcomeUnknown, Unavailable
from crawler.model import Assignment, Node

__all__ = [
    "REGISTRY_PREFIX",
    "advertise_address",
    "bears_mark",
    "deregister",
    "host_identity",
    "keep_signed",
    "marked",
    "native_metadata",
    "node_id",
    "node_record",
    "parse_node",
    "register",
    "registry_key",
]

log = structlog.get_logger(__name__)

REGISTRY_PREFIX = "/micro/registry/"

# Our own metadata keys. A record without VERSION was not written by us.
VERSION = "crawler"
HOST = "host"
HTTP = "http"
PROXY = "proxy"  # where the caching proxy of a worker is reached, by other workers, too
MARK = "mark"  # by which other masters know the calls that a master sends on

_MICRO_METADATA = {
    "broker": "http",
    "protocol": "grpc",
    "registry": "etcd",
    "server": "grpc",
    "transport": "grpc",
}

_MAX_ATTEMPTS = 5


def node_id(service: str, given: str) -> str:
    """The node id of ``--id``: ``go.micro.server.worker-2``."""
    return f"{service}-{given}"


def registry_key(node: Node) -> str:
    """Where the node's record stands."""
    return f"{REGISTRY_PREFIX}{node.service}/{node.id}"


def host_identity() -> str:
    """What two processes share only if they cannot listen on the same port at once: this boot of
    the machine and its network namespace, as 16 hex digits."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    network = os.stat("/proc/self/ns/net").st_ino
    return hashlib.sha256(f"{boot}/{network}".encode()).hexdigest()[:16]


def native_metadata(version: str, *, http: str = "") -> dict[str, str]:
    """The metadata that marks a node as ours. ``http``: its advertised HTTP address, if any."""
    metadata = {VERSION: version, HOST: host_identity()}
    return metadata | {HTTP: http} if http else metadata


def marked(node: Node, mark: str) -> Node:
    """The node as it is to be registered with its mark. Who can read etcd can use it, which saves
    being counted and nothing else."""
    return replace(node, metadata={**node.metadata, MARK: mark})


def bears_mark(nodes: Iterable[Node], mark: str) -> bool:
    """Whether the mark is of one of these; "" is nobody's."""
    given = mark.encode("utf-8", "replace")
    known = (node.metadata.get(MARK, "").encode() for node in nodes)
    return any(hmac.compare_digest(each, given) for each in known if each)


def _value(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "values": None}


def _message(name: str, *values: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": name, "values": list(values) or None}


def _endpoint(
    name: str, request: dict[str, Any], response: dict[str, Any], method: str, path: str
) -> dict[str, Any]:
    return {
        "name": name,
        "request": request,
        "response": response,
        "metadata": {"endpoint": name, "handler": "rpc", "method": method, "path": path},
    }


_GREETER = (
    _endpoint(
        "Greeter.Hello",
        _message("Request", _value("name", "string")),
        _message("Response", _value("greeting", "string")),
        "POST",
        "/greeter/hello",
    ),
)


def node_record(node: Node) -> bytes:
    """The record as Go's encoder writes it: this order of fields, sorted metadata, no blanks."""
    record = {
        "name": node.service,
        "version": "latest",
        "metadata": None,
        "endpoints": _GREETER,
        "nodes": [
            {
                "id": node.id,
                "address": node.address,
                "metadata": dict(sorted({**_MICRO_METADATA, **node.metadata}.items())),
            }
        ],
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def parse_node(kv: KeyValue) -> Node | None:
    """Read a record, whoever wrote it; None, and one log line, where it is no node's."""
    try:
        record = json.loads(kv.value)
        (entry,) = record["nodes"]
        node = _to_node(kv, record["name"], entry)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        node = None
    if node is None or registry_key(node) != kv.key:
        log.warning("unreadable node record", key=kv.key, bytes=len(kv.value))
        return None
    return node


def _to_node(kv: KeyValue, service: Any, entry: Mapping[str, Any]) -> Node | None:
    identity, address = entry["id"], entry["address"]
    metadata = entry.get("metadata") or {}
    texts = (service, identity, address, *metadata.keys(), *metadata.values())
    if not all(isinstance(text, str) for text in texts):
        return None
    "".join(texts).encode()  # a lone surrogate would break whoever passes it on
    home = Assignment(identity, address)
    if Assignment.parse(str(home)) != home:
        return None  # what is given to it could not be read back, and would be given for ever
    return Node(
        id=identity,
        service=service,
        address=address,
        metadata=dict(metadata),
        revision=kv.create_revision,
        lease=kv.lease,
        native=VERSION in metadata,
    )


async def register(
    etcd: Etcd,
    session: Session,
    node: Node,
    seal: Seal = Seal(),  # noqa: B008 - frozen
) -> Node:
    """Take the place of ``node.id`` under the session's lease, signed; the node with its revision.

    Create-if-absent. A record of the same id, address and host identity was left by a process
    that is gone, because its port is ours now: its lease is revoked and its place taken. Every
    other live record raises `IdTaken`.
    """
    # What is signed is what is read: a record holds the metadata of go-micro too.
    node = seal.sign(replace(node, metadata={**_MICRO_METADATA, **node.metadata}), session.lease)
    key, record = registry_key(node), node_record(node)
    lost: OutcomeUnknown | None = None
    await failpoint.hit("registry.before_register")
    for _ in range(_MAX_ATTEMPTS):
        try:
            result = await etcd.txn([absent(key)], [put(key, record, session.lease)], [fetch(key)])
        except OutcomeUnknown as error:
            lost = error  # the next look tells whether it is there
            continue
        if result.succeeded:
            log.info("registered", node=node.id, address=node.address, revision=result.revision)
            return _placed(node, result.revision, session.lease)
        (kv,) = result.responses[0]
        if kv.lease == session.lease:
            return _placed(node, kv.create_revision, session.lease)
        await _evict(etcd, node, kv)
    if lost is not None:
        raise lost  # etcd answers too badly to tell anything about the id
    raise IdTaken(f"{node.id} is claimed again and again by another process")


async def keep_signed(etcd: Etcd, node: Node, keyring: Keyring, seal: Seal) -> NoReturn:
    """Sign the record of this incarnation anew whenever the secrets change; ``seal`` is what it is
    signed with. Its create revision stays, by which others know it."""
    key = registry_key(node)
    while True:
        seal = await keyring.changed(seal)
        record = node_record(seal.sign(node, node.lease))
        own = created_at(key, node.revision)
        for delay_s in Backoff(base_s=0.1, cap_s=2.0).delays():
            try:
                await etcd.txn([own], [put(key, record, node.lease)], guarded=True)
            except (Unavailable, OutcomeUnknown) as error:
                log.warning("not signed anew yet", error=str(error))
                await asyncio.sleep(delay_s)
            else:
                break
        log.info("signed anew", node=node.id)


async def deregister(etcd: Etcd, node: Node) -> None:
    """Remove the record of this incarnation and of no other. Idempotent."""
    key = registry_key(node)
    await etcd.txn([created_at(key, node.revision)], [delete(key)])


def _placed(node: Node, revision: int, lease: int) -> Node:
    metadata = {**_MICRO_METADATA, **node.metadata}
    native = VERSION in metadata
    return replace(node, metadata=metadata, revision=revision, lease=lease, native=native)


async def _evict(etcd: Etcd, node: Node, kv: KeyValue) -> None:
    """Remove what a dead predecessor of ``node`` left; `IdTaken` if it is no predecessor."""
    other = parse_node(kv)
    if other is None:
        raise IdTaken(f"{node.id} is taken by a record that cannot be read ({kv.key})")
    host = node.metadata.get(HOST)
    if other.address != node.address or host is None or other.metadata.get(HOST) != host:
        raise IdTaken(
            f"another node with the id {node.id} is live at {other.address}; "
            "give this one another --id, or stop that one"
        )
    log.info("taking the place of a predecessor", node=node.id, lease=f"{other.lease:x}")
    if other.lease:
        await etcd.revoke(other.lease)
    else:
        await etcd.txn([modified_at(kv.key, kv.mod_revision)], [delete(kv.key)])
