"""What workers are told of: exactly what they have, whatever was decided before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from crawler.coordination.entries import entry_from
from crawler.coordination.entry import Entry
from crawler.coordination.etcd import KeyValue, Op, modified_at, put
from crawler.coordination.keys import GIVEN, definition_key, given_key, given_name, resource_key
from crawler.coordination.records import decode_resource, encode_resource
from crawler.master.desk import assign, parts_unchanged, release_parts, restamp_parts
from crawler.master.resources import erase
from crawler.model import WORKER_SERVICE, Node, Resource

NODES = [Node(f"worker-{n}", WORKER_SERVICE, f"127.0.0.1:{n}", {}) for n in range(3)]
MOST_PARTS = 32
ETCD_TAKES = 128


def below(key: str, op: Op) -> bool:
    return op.prefix and key.startswith(op.key)


class Keys(dict[str, bytes]):
    """etcd, as far as this goes."""

    def do(self, ops: Iterable[Op]) -> None:
        done = list(ops)
        assert len({op.key for op in done}) == len(done) <= ETCD_TAKES
        for op in done:
            if op.kind == "put":
                self[op.key] = op.value
            else:
                for key in [each for each in self if each == op.key or below(each, op)]:
                    del self[key]

    def entry(self) -> Entry:
        return entry_from("shop", (KeyValue(key, value, 1, 1, 0) for key, value in self.items()))

    def resource(self, part: int) -> Resource:
        found = decode_resource(KeyValue(key := resource_key("shop", part), self[key], 1, 1, 0))
        assert found is not None
        return found

    def told(self) -> set[str]:
        return {key for key in self if key.startswith(GIVEN)}


def divided(parts: int) -> Keys:
    keys = Keys()
    keys.do([put(definition_key("shop"), b'{"partitions":%d}' % parts)])
    for part in range(parts):
        resource = Resource("7", "shop", None, 1, part=part)
        keys.do([put(resource_key("shop", part), encode_resource(resource))])
    return keys


def test_of_a_definition_that_changed_every_owner_is_told_anew() -> None:
    keys = divided(3)
    for part in range(3):
        keys.do(assign(keys.resource(part), NODES[part], "", 1.0, 1))
    puts = {op.key for op in restamp_parts(keys.entry()) if op.kind == "put"}
    assert puts == {
        key
        for part in (1, 2)
        for key in (resource_key("shop", part), given_key(NODES[part].id, "shop", part))
    }


def test_what_is_released_or_deleted_is_taken_from_all_within_one_transaction() -> None:
    keys = divided(MOST_PARTS)
    for part in range(MOST_PARTS):
        keys.do(assign(keys.resource(part), NODES[part % 3], "", 1.0, 1))
    assert len(keys.told()) == MOST_PARTS
    assert {given_name(key) for key in keys.told()} == {"shop"}
    released = Keys(keys)
    released.do(release_parts(released.entry(), "", 1.0, 1))
    assert released.told() == {given_key(NODES[0].id, "shop")}
    keys.do(erase(keys.entry()))
    assert not keys


def test_a_part_that_moved_meanwhile_is_compared() -> None:
    keys = divided(3)
    assert set(parts_unchanged(keys.entry())) == {
        modified_at(resource_key("shop", part), 1) for part in (1, 2)
    }


def test_a_worker_that_is_restamped_is_told_anew() -> None:
    keys = divided(1)
    keys.do(assign(keys.resource(0), NODES[0], "", 1.0, 1))
    moved = replace(NODES[0], address="127.0.0.1:9")
    ops = assign(keys.resource(0), moved, "", 1.0, 1)
    assert [op.key for op in ops if op.key.startswith(GIVEN)] == [given_key(moved.id, "shop")]
