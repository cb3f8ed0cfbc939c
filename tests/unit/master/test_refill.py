"""What etcd is given back after it went back in time."""

from __future__ import annotations

from crawler.coordination.entries import entry_from
from crawler.coordination.entry import Entry
from crawler.coordination.etcd import KeyValue
from crawler.coordination.records import Wish
from crawler.master.batches import Change
from crawler.master.fence import Memo
from crawler.master.refill import memo_of, refill
from crawler.model import Assignment, Desired, Resource

MEMO = Memo("7", "a", 5, '{"x":1}', "paused", 3)


def written(change: Change) -> Entry:
    kvs = (KeyValue(op.key, op.value, 9, 9, 0) for op in change.ops if op.kind == "put")
    return entry_from(change.name, kvs)


def there(resource_id: str, wish: Wish | None, definition: str | None) -> Entry:
    resource = Resource(resource_id, "a", Assignment("w", "1:1"), 5, revision=4)
    return Entry("a", resource, definition, 4, wish, 4, None, None, 4)


def test_what_is_missing_is_restored_as_it_was_and_unassigned() -> None:
    (change,) = refill({}, [MEMO], 0.0, 12)
    entry = written(change)
    assert memo_of(entry) == MEMO
    assert entry.resource is not None
    assert entry.resource.assignment is None
    assert entry.decision is not None
    assert entry.decision.reason.startswith("restored from the database")
    assert entry.decision.term == 12


def test_a_resource_without_a_definition_too() -> None:
    memo = Memo("7", "a", 5, None, "running", 1)
    (change,) = refill({}, [memo], 0.0, 12)
    assert memo_of(written(change)) == memo


def test_what_is_as_it_was_is_left_alone() -> None:
    same = there("7", Wish(Desired.PAUSED, 3, "7"), '{"x":1}')
    assert refill({"a": same}, [MEMO], 0.0, 12) == []


def test_what_is_older_gives_way() -> None:
    for older in (
        there("7", Wish(Desired.RUNNING, 3, "7"), '{"x":1}'),
        there("7", Wish(Desired.PAUSED, 3, "7"), '{"x":0}'),
        there("7", None, '{"x":1}'),
        there("6", Wish(Desired.PAUSED, 3, "6"), '{"x":1}'),
        there("from elsewhere", None, None),
    ):
        (change,) = refill({"a": older}, [MEMO], 0.0, 12)
        assert memo_of(written(change)) == MEMO


def test_what_is_younger_or_on_its_way_out_does_not() -> None:
    assert refill({"a": there("8", Wish(Desired.RUNNING, 1, "8"), None)}, [MEMO], 0.0, 12) == []
    assert refill({"a": there("7", Wish(Desired.DELETED, 3, "7"), None)}, [MEMO], 0.0, 12) == []


def test_of_two_of_one_name_the_younger_counts() -> None:
    other = Memo("10", "a", 6, None, "running", 1)
    for memos in ([MEMO, other], [other, MEMO]):
        (change,) = refill({}, memos, 0.0, 12)
        assert memo_of(written(change)) == other
