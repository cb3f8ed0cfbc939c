"""What is shown of nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.coordination.election import DEFAULT_PREFIX
from crawler.coordination.etcd import KeyValue
from crawler.coordination.index import Index, View
from crawler.coordination.keys import load_key
from crawler.coordination.records import Load, Proxied, encode_load
from crawler.coordination.registry import native_metadata, node_record, registry_key
from crawler.coordination.signing import Seal
from crawler.master.views import show_nodes
from crawler.model import WORKER_SERVICE, Node

OURS, THEIRS = Seal(b"a secret of this cluster"), Seal(b"a secret of another one")
LEASE = 5


def node(number: int) -> Node:
    address = f"10.0.0.{number}:9090"
    return Node(f"{WORKER_SERVICE}-{number}", WORKER_SERVICE, address, native_metadata("1"))


def signed(plain: Node, seal: Seal) -> Node:
    """As it is registered; what is signed is what is read, go-micro's metadata too."""
    return seal.sign(replace(plain, metadata=view_of(plain).workers[plain.id].metadata), LEASE)


def view_of(*nodes: Node) -> View:
    index = Index(DEFAULT_PREFIX)
    for each in nodes:
        index.put(KeyValue(registry_key(each), node_record(each), 3, 3, LEASE))
    none = frozenset[str]()
    return View({}, index.workers, {}, {}, none, None, None, 3)


@pytest.mark.threat(2)
def test_nodes_that_this_cluster_did_not_sign_are_told_apart() -> None:
    view = view_of(
        signed(node(1), OURS),
        node(2),
        signed(node(3), THEIRS),
        replace(signed(node(4), OURS), address="10.6.6.6:9090"),
    )
    assert [each.unsigned for each in show_nodes(view, None, 0.0, OURS)] == [0, 1, 1, 1]
    assert not any(each.unsigned for each in show_nodes(view, None, 0.0))


def test_what_a_proxy_did_is_shown_of_workers_that_have_one() -> None:
    index = Index(DEFAULT_PREFIX)
    for number, proxied in ((1, Proxied(4, 3, 2, 1)), (2, None)):
        each = node(number)
        index.put(KeyValue(registry_key(each), node_record(each), 3, 3, LEASE))
        load = encode_load(Load(0, 0, "", proxied))
        index.put(KeyValue(load_key(each.id), load, 4, 4, LEASE))
    view = View({}, index.workers, {}, index.loads, frozenset(), None, None, 4)
    with_proxy, without = show_nodes(view, None, 0.0)
    assert (with_proxy.proxy.hits, with_proxy.proxy.stale) == (4, 1)
    assert not without.HasField("proxy")
