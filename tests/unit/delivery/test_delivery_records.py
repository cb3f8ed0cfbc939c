"""What a receiver gets to see of an item."""

from __future__ import annotations

import json

from crawler.delivery.records import item_id, line_of, pack
from crawler.store.outbox import Delivery, Outgoing

DELIVERY = Delivery(7, "1621665639791857664", "shop", 3, "hook", None, 1, 0, 0)


def outgoing(seq: int = 1, fields: str = "{}", missing: str | None = None) -> Outgoing:
    return Outgoing(seq, b"\x01" * 16, 2, "https://shop.example/1", "product", fields, missing, 1.0)


def test_a_line_holds_the_fields_and_then_what_we_know() -> None:
    line = line_of(
        DELIVERY, outgoing(fields='{"name":"lämp\\n","price":null}', missing='["price"]')
    )
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert list(json.loads(line).items()) == [
        ("name", "lämp\n"),
        ("price", None),
        ("_id", f"1621665639791857664-3-{'01' * 16}-2"),
        ("_run", 3),
        ("_url", "https://shop.example/1"),
        ("_rule", "product"),
        ("_missing", ["price"]),
    ]


def test_an_item_without_fields_is_a_line_too() -> None:
    assert json.loads(line_of(DELIVERY, outgoing()))["_rule"] == "product"


def test_ids_tell_runs_resources_pages_and_ordinals_apart() -> None:
    ids = {
        item_id(resource, run, mark, ordinal)
        for resource in ("1", "2")
        for run in (1, 2)
        for mark in (b"\x00" * 16, b"\x01" * 16)
        for ordinal in (0, 1)
    }
    assert len(ids) == 16


def test_a_parcel_is_named_by_its_stretch_of_the_stream() -> None:
    parcel = pack(DELIVERY, [outgoing(seq) for seq in (5, 6, 9)])
    assert parcel.id == "1621665639791857664-3-hook-5-9"
    assert parcel.body.count(b"\n") == 3
