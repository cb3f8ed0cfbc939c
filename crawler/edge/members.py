"""Who is behind a door, read out of keys of etcd, whoever wrote them: no I/O."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crawler.coordination.election import leader_of
from crawler.coordination.etcd import KeyValue
from crawler.coordination.keys import DRAINED
from crawler.coordination.registry import parse_node
from crawler.coordination.signing import Seal
from crawler.edge.names import host_name
from crawler.edge.settings import Pool
from crawler.model import Node

_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")
_DRAINING = frozenset({"draining", "drain", "down", "maintenance"})


@dataclass(frozen=True, slots=True)
class Member:
    """One server. ``id`` is safe in any configuration, and unique in its pool; ``host`` is an IP
    address. ``draining``: it gets nothing new. ``check_port`` 0: the port itself. ``name``: what
    its host is registered by ("": its address)."""

    id: str
    host: str
    port: int
    draining: bool = False
    check_port: int = 0
    name: str = ""

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backends:
    """A pool as it is to be balanced; members sorted by id. ``leader``: the id of the one among
    them that leads, where the pool wants to know and one does. ``held``: why members stay in it
    that are not registered any more ("": none do). ``unresolved``: names of hosts that are left
    out, as no address of them was ever known."""

    pool: Pool
    members: tuple[Member, ...]
    leader: str | None = None
    held: str = ""
    unresolved: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[Member, ...]:
        """Those that get new requests: all, where every one is draining."""
        active = tuple(each for each in self.members if not each.draining)
        return active or self.members

    def resting(self, member: Member) -> bool:
        """Whether it is to get nothing new."""
        return member not in self.usable


Pools = Mapping[str, Backends]


@dataclass(frozen=True, slots=True)
class Found:
    """What the registry says of a pool; members with a name have no ``host`` yet. ``names``: the
    revision of the newest record that has it, by name; ``unread``: keys that say nothing that could
    be used."""

    members: tuple[Member, ...]
    leader: str | None = None
    names: Mapping[str, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def read_members(
    pool: Pool,
    kvs: Iterable[KeyValue],
    *,
    drained: Collection[str] = (),
    candidates: Collection[KeyValue] = (),
    seal: Seal = Seal(),  # noqa: B008 - frozen
) -> Found:
    """The pool out of its keys. ``drained``: ids of nodes that are to get no work; ``candidates``
    the keys of the election, which only a pool with a leader needs."""
    members: dict[str, Member] = {}
    names: dict[str, int] = {}
    leader, unread = None, []
    first = leader_of(candidates) if pool.leader else None
    for kv in sorted(kvs, key=lambda kv: kv.key):
        node = parse_node(kv) if pool.service else None
        if node is not None and not seal.genuine(node):
            node = None
        member = _of_node(pool, node) if pool.service else _of_key(pool, kv)
        if member is None:
            unread.append(kv.key)
            continue
        if node is not None and node.id in drained:
            member = replace(member, draining=True)
        member = replace(member, id=_unique(member.id, members))
        members[member.id] = member
        if member.name:
            names[member.name] = max(kv.mod_revision, names.get(member.name, 0))
        if node is not None and first is not None and node.address == first.address:
            leader = member.id
    ordered = tuple(members[each] for each in sorted(members))
    return Found(ordered, leader, names, tuple(unread))


def place_member(member: Member, address: Callable[[str], str]) -> Member:
    """The member at the address that its name has now; ``host`` "" where that has none."""
    return replace(member, host=address(member.name)) if member.name else member


def drained_nodes(kvs: Iterable[KeyValue]) -> frozenset[str]:
    """The ids in the keys that `crawler drain` writes."""
    return frozenset(kv.key.removeprefix(DRAINED) for kv in kvs)


def _unique(name: str, taken: Collection[str]) -> str:
    safe = _UNSAFE.sub("_", name)[:100] or "_"
    number, unique = 1, safe
    while unique in taken:
        number += 1
        unique = f"{safe}.{number}"
    return unique


def _of_node(pool: Pool, node: Node | None) -> Member | None:
    if node is None:
        return None
    place = _port_of(node, pool.node_port)
    _, check = pool.health
    probed = _port_of(node, check) if check is not None else None
    if place is None:
        return None
    draining = node.metadata.get("state", "").lower() in _DRAINING
    return _member(node.id, place, draining, probed[1] if probed else 0)


def _port_of(node: Node, port: str | int) -> tuple[str, int] | None:
    if port == "http":
        return read_place(node.metadata.get("http", ""))
    place = read_place(node.address)
    return (place[0], port) if place is not None and isinstance(port, int) else place


def _of_key(pool: Pool, kv: KeyValue) -> Member | None:
    """A key of somebody else's registry: the address stands in JSON as ``Addr`` (etcd's own naming
    for gRPC), ``address`` or ``host`` and ``port``; or is the whole value; or ends the key. A name
    outside of JSON needs its port, as any word could be one."""
    name, draining = kv.key.removeprefix(pool.prefix), False
    port = pool.port if isinstance(pool.port, int) else 0
    text = kv.value.decode("utf-8", "replace").strip()
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        given = {str(key).lower(): value for key, value in data.items()}
        address = given.get("addr") or given.get("address") or given.get("host")
        if not isinstance(address, str):
            return None
        own = given.get("port")
        place = read_place(address) or read_place(address, own if type(own) is int else port)
        draining = str(given.get("state", given.get("status", ""))).lower() in _DRAINING
    else:
        end = name.rpartition("/")[2]
        place = read_address(text, port) or read_address(end, port)
        place = place or read_place(text) or read_place(end)
    if place is None:
        return None
    probe = pool.check_port if isinstance(pool.check_port, int) else 0
    return _member(name, place, draining, probe)


def _member(name: str, place: tuple[str, int], draining: bool, check_port: int) -> Member:
    host, port = place
    known = _address(host)
    return Member(name, known or "", port, draining, check_port, "" if known else host)


def read_address(text: str, port: int = 0) -> tuple[str, int] | None:
    """``IP:PORT``, or ``IP`` alone where a port is given; None for anything else."""
    host, port = _parts(text, port)
    address = _address(host)
    return (address, port) if address is not None and 0 < port <= 65535 else None


def read_place(text: str, port: int = 0) -> tuple[str, int] | None:
    """As `read_address`, or the same with the name of a host."""
    host, port = _parts(text, port)
    place = _address(host) or host_name(host)
    return (place, port) if place is not None and 0 < port <= 65535 else None


def _parts(text: str, port: int) -> tuple[str, int]:
    """Host and port; the port is ``port`` where the text has none, 0 where it is no number."""
    host, separator, number = text.rpartition(":")
    if not separator or (":" in host and not host.endswith("]")):
        host, number = text, ""
    if number:
        port = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0
    return host, port


def _address(host: str) -> str | None:
    try:
        address = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None
    return address if "%" not in address else None
