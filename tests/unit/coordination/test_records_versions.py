"""Records of other versions: what we do not know is passed over, what they do not is absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from crawler.coordination import records
from crawler.coordination.etcd import KeyValue
from crawler.coordination.keys import resource_key
from crawler.coordination.records import Decision, Load, Proxied, Status, Wish
from crawler.model import Assignment, Desired, Resource, State

LATER = {"later": [1, {"x": None}]}


def kv(value: bytes) -> KeyValue:
    return KeyValue(resource_key("a"), value, 3, 3, 0)


@pytest.mark.parametrize(
    ("record", "encode", "decode"),
    [
        (
            Resource("1", "a", Assignment("w", "127.0.0.1:1"), 5, 3),
            records.encode_resource,
            records.decode_resource,
        ),
        (Wish(Desired.RUNNING, 2, "1"), records.encode_wish, records.decode_wish),
        (
            Status(State.RUNNING, "", 2, "1", 9, "w", 1.5),
            records.encode_status,
            records.decode_status,
        ),
        (Decision("w", "free", 1.5, 4), records.encode_decision, records.decode_decision),
        (Load(1, 2, "", Proxied(3, 4)), records.encode_load, records.decode_load),
    ],
)
def test_fields_of_later_versions_are_passed_over(
    record: Any, encode: Callable[[Any], bytes], decode: Callable[[KeyValue], Any]
) -> None:
    later = json.dumps({**json.loads(encode(record)), **LATER}).encode()
    assert decode(kv(later)) == decode(kv(encode(record))) == record


def test_figures_that_an_earlier_version_does_not_tell_are_zero() -> None:
    load = records.decode_load(kv(b'{"active":1,"resources":2,"proxy":{"hits":3,"later":1}}'))
    assert load == Load(1, 2, "", Proxied(3))
