"""The state of the cluster, kept up to date key by key: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import structlog

from crawler.coordination.election import Leader, leader_of
from crawler.coordination.entries import Entries
from crawler.coordination.entry import Entry
from crawler.coordination.etcd import KeyValue, Snapshot
from crawler.coordination.keys import CLUSTER_KEY, DRAINED, LOADS, NODES, name_and_part
from crawler.coordination.records import Cluster, Load, decode_cluster, decode_load
from crawler.coordination.registry import parse_node
from crawler.coordination.signing import Seal
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class View:
    """The cluster at one revision."""

    entries: Mapping[str, Entry]
    workers: Mapping[str, Node]
    masters: Mapping[str, Node]
    loads: Mapping[str, Load]
    drained: frozenset[str]
    cluster: Cluster | None
    leader: Leader | None
    revision: int


class Index:
    """Takes keys in any order and keeps the newest of each.

    Three sources overlap: lists, the watch, and what this process wrote itself. So every key is
    compared by revision: a key that is not here is known to be absent as of the last list, or as
    of its deletion where that came later. Nothing older than that is taken.
    """

    def __init__(
        self,
        election_prefix: str,
        seal: Seal = Seal(),  # noqa: B008 - frozen
        *,
        eager: bool = False,
    ) -> None:
        self._seal = seal
        self.entries = Entries(eager=eager)
        self.workers: dict[str, Node] = {}
        self.masters: dict[str, Node] = {}
        self._records: dict[str, KeyValue] = {}  # of all nodes, believed or not
        self.loads: dict[str, Load] = {}
        self.drained: frozenset[str] = frozenset()
        self.cluster: Cluster | None = None
        self._leader: Leader | None = None
        self._election = f"{election_prefix.rstrip('/')}/"
        self._candidates: dict[str, KeyValue] = {}
        self._known: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        self._listed = 0

    @property
    def leader(self) -> Leader | None:
        """Who leads. With a secret only a master that is registered, signed, under the very lease
        of its candidacy and at the address that this names: calls are forwarded there."""
        found = self._leader
        if found is None or self._seal.secret is None:
            return found
        holders = {f"{node.lease:x}": node.address for node in self.masters.values()}
        lease = found.key.rpartition("/")[2]
        return found if holders.get(lease) == found.address else None

    @property
    def candidates(self) -> list[Leader]:
        """All who stand for election, in the order in which they come to lead."""
        ordered = sorted(self._candidates.values(), key=lambda kv: kv.create_revision)
        return [found for kv in ordered if (found := leader_of([kv])) is not None]

    def reseal(self, seal: Seal) -> None:
        """Judge every node's record again, by these secrets."""
        self._seal = seal
        for key, kv in self._records.items():
            self._store_node(key, kv)

    @property
    def size(self) -> int:
        """How many keys it holds."""
        return len(self._known)

    def assigned(self, node_id: str) -> Set[str]:
        """Names of the resources of which the node was given a part."""
        return self.entries.assigned(node_id)

    def put(self, kv: KeyValue) -> bool:
        """Take a key as it was written; whether that was news."""
        return kv.mod_revision > self._revision_of(kv.key) and self._take(kv)

    def drop(self, key: str, revision: int) -> bool:
        """Take the deletion of a key; whether that was news."""
        if revision <= self._revision_of(key):
            return False
        self._gone[key] = revision
        if self._known.pop(key, None) is None:
            return False
        self._store(key, None)
        return True

    def merge(self, snapshot: Snapshot, apart: Collection[str] = ()) -> int:
        """Take a list of everything, which is right about all that is not newer than it; how many
        keys were news. A list older than one taken before says nothing.

        ``apart`` are the resources that are read on their own: it is not asked about them.
        """
        if snapshot.revision < self._listed:
            return 0
        kvs, known = snapshot.kvs, tuple(self._known)
        if apart:
            kvs = tuple(kv for kv in kvs if name_and_part(kv.key)[0] not in apart)
            known = tuple(key for key in known if name_and_part(key)[0] not in apart)
        news = self._correct(kvs, known, snapshot.revision)
        self._listed = snapshot.revision
        self._gone = {key: at for key, at in self._gone.items() if at > self._listed}
        return news

    def replace(self, names: Iterable[str], snapshot: Snapshot) -> int:
        """Take what was read of these resources alone; how many keys were news."""
        known = [key for name in names for key in self.entries.keys_of(name)]
        return self._correct(snapshot.kvs, known, snapshot.revision)

    def _correct(self, kvs: Collection[KeyValue], known: Iterable[str], revision: int) -> int:
        """Take what was read of the ``known`` keys and others; how many were news."""
        wrong = [kv for kv in kvs if self._differs(kv, revision)]
        read = {kv.key for kv in kvs}
        missing = [key for key in known if key not in read and self._known[key] <= revision]
        news = sum(self._take(kv) for kv in wrong)
        for key in missing:
            del self._known[key]
            self._store(key, None)
        return news + len(missing)

    def _differs(self, kv: KeyValue, listed: int) -> bool:
        known = self._known.get(kv.key, 0)
        return known != kv.mod_revision and max(known, self._gone.get(kv.key, 0)) <= listed

    def _take(self, kv: KeyValue) -> bool:
        if not self._store(kv.key, kv):
            return False
        self._known[kv.key] = kv.mod_revision
        self._gone.pop(kv.key, None)
        return True

    def _revision_of(self, key: str) -> int:
        """Up to which revision all that happened to the key is known."""
        return max(self._known.get(key, self._listed), self._gone.get(key, 0))

    def _store(self, key: str, kv: KeyValue | None) -> bool:
        """Put the key in its place, or remove it (None); whether it is one of ours."""
        if key.startswith(self._election):
            return self._store_candidate(key, kv)
        name, _ = name_and_part(key)
        if name:
            return self._store_part(key, name, kv)
        if key.startswith(NODES):
            return self._store_node(key, kv)
        if key.startswith(LOADS):
            return _set(self.loads, key.removeprefix(LOADS), kv and decode_load(kv))
        if key.startswith(DRAINED):
            node = {key.removeprefix(DRAINED)}
            self.drained = self.drained - node if kv is None else self.drained | node
            return True
        if key == CLUSTER_KEY:
            self.cluster = decode_cluster(kv) if kv else None
            return True
        return False

    def _store_candidate(self, key: str, kv: KeyValue | None) -> bool:
        _set(self._candidates, key, kv)
        self._leader = leader_of(self._candidates.values())
        return True

    def _store_node(self, key: str, kv: KeyValue | None) -> bool:
        service, _, node_id = key.removeprefix(NODES).partition("/")
        _set(self._records, key, kv)
        nodes = {WORKER_SERVICE: self.workers, MASTER_SERVICE: self.masters}.get(service)
        return nodes is not None and _set(nodes, node_id, kv and self._genuine(kv))

    def _genuine(self, kv: KeyValue) -> Node | None:
        """The node, unless somebody wrote it who does not have the cluster's secret."""
        node = parse_node(kv)
        if node is not None and not self._seal.genuine(node):
            log.warning("node record is not signed by this cluster", key=kv.key)
            return None
        return node

    def _store_part(self, key: str, name: str, kv: KeyValue | None) -> bool:
        """One of the keys that make up an entry."""
        if not _is_text(name):
            return False
        if kv is None:
            self.entries.drop(name, key)
        else:
            self.entries.put(name, kv)
        return True


def _set(table: dict[str, Any], key: str, value: Any) -> bool:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return True


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
