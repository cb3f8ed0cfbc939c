"""The index: what belongs together, what is ignored, and that nothing old undoes something new."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from crawler.coordination.catalog import (
    Cluster,
    Decision,
    Load,
    Status,
    Wish,
    decision_key,
    definition_key,
    drain_key,
    encode_cluster,
    encode_decision,
    encode_load,
    encode_resource,
    encode_status,
    encode_wish,
    load_key,
    pause_between_lists,
    resource_key,
    status_key,
    wish_key,
)
from crawler.coordination.entry import Part, units_of
from crawler.coordination.etcd import KeyValue, Snapshot
from crawler.coordination.index import Index
from crawler.coordination.keys import in_span
from crawler.coordination.records import Proxied, decode_decision, decode_resource
from crawler.coordination.registry import node_record, registry_key
from crawler.model import WORKER_SERVICE, Assignment, Desired, Node, Resource, State

PREFIX = "/resources/election"
DOUBAN = (
    b'{"ID":"1621665639791857664","Name":"douban_book_list","AssignedNode":'
    b'"go.micro.server.worker-2|10.156.157.194:9089","CreationTime":1675470192274320000}'
)


def kv(key: str, value: bytes, revision: int, *, created: int = 0, lease: int = 0) -> KeyValue:
    return KeyValue(key, value, created or revision, revision, lease)


def resource(name: str = "shop", node: str | None = None) -> Resource:
    assignment = Assignment(node, "10.0.0.1:1") if node else None
    return Resource("7", name, assignment, 1)


def test_a_resource_is_read_and_written_byte_by_byte_as_the_go_original_does() -> None:
    read = decode_resource(kv("/resources/douban_book_list", DOUBAN, 42))
    assert read == Resource(
        "1621665639791857664",
        "douban_book_list",
        Assignment("go.micro.server.worker-2", "10.156.157.194:9089"),
        1675470192274320000,
        42,
    )
    assert encode_resource(read) == DOUBAN
    idle = Resource("1", "книга", None, 5)
    text = '{"ID":"1","Name":"книга","AssignedNode":"","CreationTime":5}'
    assert encode_resource(idle) == text.encode()


def test_the_keys_of_a_resource_make_up_one_entry() -> None:
    index = Index(PREFIX)
    wish = Wish(Desired.RUNNING, 1, "7")
    status = Status(State.RUNNING, "", 1, "7", 3, "w", 1.5)
    decision = Decision("w", "least loaded", 1.0)
    index.put(kv(resource_key("shop"), encode_resource(resource()), 3))
    index.put(kv(definition_key("shop"), b"{}", 4))
    index.put(kv(wish_key("shop"), encode_wish(wish), 5))
    index.put(kv(status_key("shop"), encode_status(status), 6))
    index.put(kv(decision_key("shop"), encode_decision(decision), 7))
    entry = index.entries["shop"]
    assert entry.resource == Resource("7", "shop", None, 1, 3)
    assert (entry.definition, entry.definition_revision) == ("{}", 4)
    assert (entry.wish, entry.wish_revision) == (wish, 5)
    assert (entry.status, entry.decision) == (status, decision)
    keys = (resource_key, definition_key, wish_key, status_key, decision_key)
    for revision, key in enumerate(keys, 10):
        assert "shop" in index.entries
        assert index.drop(key("shop"), revision)
    assert index.entries == {}


def test_the_keys_of_parts_stand_beside_those_of_the_resource() -> None:
    index = Index(PREFIX)
    one = replace(resource(), part=1)
    status = Status(State.RUNNING, "", 1, "7", 5, "w", 1.5)
    index.put(kv(resource_key("shop"), encode_resource(resource()), 3))
    index.put(kv(definition_key("shop"), b'{"partitions":2}', 4))
    index.put(kv(resource_key("shop", 1), encode_resource(one), 5))
    index.put(kv(status_key("shop", 1), encode_status(status), 6))
    index.put(kv(decision_key("shop", 1), encode_decision(Decision("w", "", 1.0)), 7))
    entry = index.entries["shop"]
    assert (entry.partitions, entry.resource_revision, entry.status) == (2, 3, None)
    assert entry.parts == {1: Part(replace(one, revision=5), 5, status, Decision("w", "", 1.0))}
    assert [unit.unit for unit in units_of(entry)] == ["shop", "shop/1"]
    for revision, key in enumerate((resource_key, status_key, decision_key), 10):
        assert index.drop(key("shop", 1), revision)
    assert index.entries["shop"].parts == {}


def test_what_a_node_has_is_known_by_name_and_follows_every_part() -> None:
    index = Index(PREFIX)
    index.put(kv(resource_key("shop"), encode_resource(resource(node="w1")), 3))
    index.put(kv(resource_key("news"), encode_resource(resource("news", "w1")), 4))
    one = replace(resource(node="w2"), part=1)
    index.put(kv(resource_key("shop", 1), encode_resource(one), 5))
    assert (index.assigned("w1"), index.assigned("w2")) == ({"shop", "news"}, {"shop"})
    index.put(kv(resource_key("shop"), encode_resource(resource(node="w2")), 6))
    assert (index.assigned("w1"), index.assigned("w2")) == ({"news"}, {"shop"})
    index.drop(resource_key("shop", 1), 7)
    assert index.assigned("w2") == {"shop"}  # it has the other part
    index.merge(Snapshot((), 8))
    assert (index.assigned("w1"), index.assigned("w2")) == (set(), set())


@pytest.mark.parametrize("number", ["0", "01", "100", "x", "", "1/2", "-1", "\u0661"])
def test_keys_that_name_no_part_are_skipped(number: str) -> None:
    index = Index(PREFIX)
    assert not index.put(kv(f"/crawler/parts/shop/{number}", DOUBAN, 3))
    assert not index.put(kv(f"/crawler/status/shop/{number}", b"{}", 4))
    assert index.entries == {}


LOAD = Load(3, 2, "no store", Proxied(4, 3, 2, 1))


def test_nodes_loads_drains_cluster_and_leader_have_their_places() -> None:
    index = Index(PREFIX)
    node = Node(f"{WORKER_SERVICE}-1", WORKER_SERVICE, "10.0.0.1:1")
    index.put(kv(registry_key(node), node_record(node), 3))
    index.put(kv(load_key(node.id), encode_load(LOAD), 4))
    index.put(kv(drain_key(node.id), b"", 5))
    index.put(kv("/crawler/cluster", encode_cluster(Cluster("u", "s")), 6))
    index.put(kv(f"{PREFIX}/bb", b"master2-10.0.0.2:9091", 8))
    index.put(kv(f"{PREFIX}/aa", b"master_x-10.0.0.1:9091", 9))
    assert index.workers[node.id].revision == 3
    assert index.loads == {node.id: LOAD}
    index.put(kv(load_key(node.id), b'{"active":1,"resources":1}', 10))  # of an earlier version
    assert index.loads == {node.id: Load(1, 1)}
    assert index.drained == {node.id}
    assert index.cluster == Cluster("u", "s")
    assert index.leader is not None
    assert (index.leader.id, index.leader.address) == ("2", "10.0.0.2:9091")
    assert index.leader.revision == 8
    index.drop(f"{PREFIX}/bb", 10)
    assert index.leader is not None
    assert index.leader.id == "_x"
    keys = (registry_key(node), load_key(node.id), drain_key(node.id), "/crawler/cluster")
    assert all(index.drop(key, 11) for key in (*keys, f"{PREFIX}/aa"))
    assert not any(_held(index))


def _held(index: Index) -> tuple[object, ...]:
    return (index.workers, index.loads, index.drained, index.cluster, index.leader)


@pytest.mark.parametrize(
    "key",
    [
        "/resources/",
        "/resources/election/3f358619bf221967",
        "/resources/a/b",
        "/resources/\udcff",
        "/crawler/unknown",
        "/crawler/ids",
        "/micro/registry/another.service/another.service-1",
        "/registry/pods/x",
    ],
)
def test_keys_of_others_are_skipped(key: str) -> None:
    index = Index("/crawler/election")
    assert not index.put(kv(key, DOUBAN, 3))
    assert index.entries == {}


@pytest.mark.threat(2)
@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"null", b"[]", b"7", b"{}", b"[" * 100_000, b'{"state":"odd"}']
)
def test_garbage_is_none_with_its_revision(value: bytes) -> None:
    index = Index(PREFIX)
    for key in (resource_key, wish_key, status_key, decision_key):
        index.put(kv(key("shop"), value, 3))
    entry = index.entries["shop"]
    assert (entry.resource, entry.wish, entry.status, entry.decision) == (None, None, None, None)
    assert (entry.resource_revision, entry.wish_revision) == (3, 3)
    assert index.put(kv(load_key("w"), value, 3))
    assert index.put(kv("/crawler/cluster", value, 3))
    assert (index.loads, index.cluster) == ({}, None)


@pytest.mark.threat(2)
def test_a_text_that_cannot_be_passed_on_is_garbage() -> None:
    assert decode_resource(kv("/resources/a", DOUBAN.replace(b"1621", rb"\ud800"), 3)) is None


@pytest.mark.threat(2)
@pytest.mark.parametrize("digits", [19, 400])
def test_a_number_that_sql_cannot_hold_is_garbage(digits: int) -> None:
    huge, index = b"9" * digits, Index(PREFIX)
    index.put(kv("/resources/a", DOUBAN.replace(b'Time":1', b'Time":1%b' % huge), 3))
    wish = b'{"state":"running","run":%d,"resource_id":"1"}'
    index.put(kv(wish_key("a"), wish % 2**31, 3))
    index.put(kv(decision_key("a"), b'{"node":"","reason":"","at":1%b}' % huge, 3))
    index.put(kv(load_key("w"), b'{"active":1%b,"resources":1}' % huge, 3))
    entry = index.entries["a"]
    assert (entry.resource, entry.wish, index.loads) == (None, None, {})
    assert entry.decision is None or entry.decision.at < 1e20


@pytest.mark.parametrize(("written", "term"), [(b"", 0), (b',"term":12', 12)])
def test_a_decision_names_its_term_or_comes_from_before_terms(written: bytes, term: int) -> None:
    record = b'{"node":"w","reason":"","at":1.0%b}' % written
    assert decode_decision(kv(decision_key("a"), record, 3)) == Decision("w", "", 1.0, term)


def test_a_reason_that_utf8_cannot_hold_is_written_all_the_same() -> None:
    record = encode_decision(Decision("w", "crawls \ud800 already", 1.0))
    decision = decode_decision(kv(decision_key("a"), record, 3))
    assert decision is not None
    assert decision.reason == "crawls ? already"


def test_older_events_do_not_undo_newer_writes() -> None:
    index = Index(PREFIX)
    key = definition_key("shop")
    assert index.put(kv(key, b"own", 10))
    assert not index.put(kv(key, b"older", 9))
    assert not index.drop(key, 9)
    assert index.entries["shop"].definition == "own"
    assert index.drop(key, 11)
    assert not index.put(kv(key, b"own", 10))
    assert index.entries == {}
    assert index.put(kv(key, b"again", 12))


def test_an_older_list_does_not_undo_newer_writes() -> None:
    index = Index(PREFIX)
    index.put(kv(definition_key("new"), b"{}", 10))
    index.put(kv(definition_key("old"), b"{}", 3))
    index.drop(definition_key("old"), 11)
    assert index.merge(Snapshot((kv(definition_key("old"), b"{}", 3),), 9)) == 0
    assert set(index.entries) == {"new"}
    assert index.merge(Snapshot((), 12)) == 1
    assert index.entries == {}
    assert index.merge(Snapshot((kv(definition_key("old"), b"{}", 3),), 9)) == 0
    # The watch comes later to events that the list has already taken into account.
    assert not index.put(kv(definition_key("old"), b"{}", 3))


def test_a_list_corrects_what_it_is_newer_than() -> None:
    index = Index(PREFIX)
    index.drop(definition_key("here"), 5)
    index.put(kv(definition_key("never"), b"{}", 5))
    assert index.merge(Snapshot((kv(definition_key("here"), b"{}", 3),), 6)) == 2
    assert set(index.entries) == {"here"}


@pytest.mark.parametrize("eager", [False, True])
def test_any_order_of_sources_ends_in_the_same_state(eager: bool) -> None:
    """History replayed with lists, own writes and late events mixed in ends as etcd ended."""
    chance = random.Random(4)
    for _ in range(200):
        history, truth = _random_history(chance)
        index = Index(PREFIX, eager=eager)
        watched = 0
        while watched < len(history):
            step = chance.random()
            if step < 0.2:  # an own write that the watch has not told yet
                _apply(index, chance.choice(history[watched:]))
            elif step < 0.4:  # a list that is ahead of the watch
                at = chance.randrange(watched, len(history) + 1)
                index.merge(_list_at(history, at))
            else:
                _apply(index, history[watched])
                watched += 1
        found = {name: entry.definition for name, entry in index.entries.items()}
        assert found == truth


History = list[tuple[str, bytes | None, int]]


def _random_history(chance: random.Random) -> tuple[History, dict[str, str]]:
    history: History = []
    for revision in range(1, 31):
        value = None if chance.random() < 0.4 else b"%d" % revision
        history.append((chance.choice("abc"), value, revision))
    last = _list_at(history, len(history))
    return history, {kv.key[-1]: kv.value.decode() for kv in last.kvs}


def _apply(index: Index, event: tuple[str, bytes | None, int]) -> None:
    name, value, revision = event
    if value is None:
        index.drop(definition_key(name), revision)
    else:
        index.put(kv(definition_key(name), value, revision))


def _list_at(history: History, count: int) -> Snapshot:
    held: dict[str, KeyValue] = {}
    for name, value, revision in history[:count]:
        held.pop(name, None)
        if value is not None:
            held[name] = kv(definition_key(name), value, revision)
    return Snapshot(tuple(held.values()), count)


def test_an_entry_is_made_once_until_one_of_its_keys_changes() -> None:
    index = Index(PREFIX)
    index.put(kv(resource_key("shop"), encode_resource(resource()), 3))
    index.put(kv(definition_key("news"), b"{}", 4))
    shop, news = index.entries["shop"], index.entries["news"]
    index.put(kv(definition_key("shop"), b"{}", 5))
    assert index.entries["shop"] == replace(shop, definition="{}", definition_revision=5)
    assert index.entries["news"] is news


def shop_definition(index: Index) -> str | None:
    return index.entries["shop"].definition


def test_what_is_read_on_its_own_is_right_although_a_list_knew_nothing_of_it() -> None:
    index = Index(PREFIX)
    shop = kv(resource_key("shop"), encode_resource(resource(node="w1")), 3)
    old = kv(definition_key("shop"), b"{}", 2)
    index.merge(Snapshot((shop,), 10))
    assert not index.put(old)  # as far as the list knows, it is not there any more
    assert index.replace(["shop"], Snapshot((shop, old), 11)) == 1
    assert shop_definition(index) == "{}"
    index.merge(Snapshot((shop,), 12), {"shop"})
    assert shop_definition(index) == "{}"
    assert index.replace(["shop"], Snapshot((shop,), 13)) == 1
    assert shop_definition(index) is None
    assert index.replace(["shop"], Snapshot((), 14)) == 1
    assert "shop" not in index.entries


def test_an_older_read_undoes_nothing() -> None:
    index = Index(PREFIX)
    index.put(kv(resource_key("shop"), encode_resource(resource(node="w1")), 9))
    assert index.replace(["shop"], Snapshot((), 8)) == 0
    older = kv(resource_key("shop"), encode_resource(resource(node="w2")), 7)
    assert index.replace(["shop"], Snapshot((older,), 8)) == 0
    assert index.assigned("w1") == {"shop"}


def test_what_changed_since_is_told_without_what_is_gone() -> None:
    index = Index(PREFIX)
    entries = index.entries
    for revision, name in enumerate(("a", "b", "c", "a"), 3):
        index.put(kv(definition_key(name), b"{}", revision))
    names, change = entries.changed_since(0)
    assert names == ["a", "c", "b"]
    assert entries.changed_since(change) == ([], change)
    index.put(kv(wish_key("b"), b"{}", 9))
    index.drop(definition_key("c"), 10)
    index.drop(definition_key("b"), 11)
    assert entries.changed_since(change)[0] == ["b"]
    index.drop(wish_key("b"), 12)
    assert entries.changed_since(change)[0] == []
    assert entries.changed_since(0)[0] == ["a"]


def test_the_more_there_is_to_list_the_less_often_it_is_listed() -> None:
    assert pause_between_lists(600) == 60.0
    nodes, keys = 100, 50_000
    assert nodes * keys / pause_between_lists(keys) <= 10_000  # a second, of etcd


def test_an_election_prefix_must_be_within_the_watched_span() -> None:
    assert in_span("/resources/election/")
    assert in_span("/crawler/election/")
    assert not in_span("/elsewhere/election/")
    assert not in_span("/registry/election/")
