"""Lists page by page: what is on them, where they go on, and what they cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from crawler.coordination.entry import Entry
from crawler.coordination.records import Wish
from crawler.errors import InvalidInput
from crawler.master.listing import Listing, Wanted, page_of
from crawler.model import Assignment, Desired, Resource, State
from crawler.rpc.pb.control_pb2 import NodeView

LIVE = frozenset({"go.micro.server.worker-1"})
HOME = Assignment("go.micro.server.worker-1", "10.0.0.1:9090")


def entry(name: str, *, paused: bool = False) -> Entry:
    resource = Resource("1", name, None if paused else HOME, 1, 5)
    wish = Wish(Desired.PAUSED if paused else Desired.RUNNING, 1, "1")
    return Entry(name, resource, "{}", 4, wish, 5, resource_revision=5)


ENTRIES: Mapping[str, Entry] = {
    name: entry(name, paused=name.endswith("2"))
    for name in ("b2", "a1", "A2", "shop-1", "Shop-2", "b1")
}


def names(wanted: Wanted, of: Mapping[str, Entry] = ENTRIES) -> list[str]:
    return [each.name for each in Listing().page(of, LIVE, wanted).entries]


def test_pages_follow_one_another_without_gap_or_repetition() -> None:
    found, cursor, calls = [], "", Listing()
    while True:
        page = calls.page(ENTRIES, LIVE, Wanted(limit=4, cursor=cursor))
        found += [each.name for each in page.entries]
        assert page.totals == {"assigned": 3, "paused": 3}
        if not page.next:
            break
        cursor = page.next
    assert found == sorted(ENTRIES)
    assert names(Wanted()) == found
    assert names(Wanted(limit=6)) == found


def test_filters_and_totals() -> None:
    assert names(Wanted(state="paused")) == ["A2", "Shop-2", "b2"]
    assert names(Wanted(prefix="b")) == ["b1", "b2"]
    assert names(Wanted(contains="SHOP")) == ["Shop-2", "shop-1"]
    page = Listing().page(ENTRIES, LIVE, Wanted(contains="shop", state="running"))
    assert (page.entries, page.next) == ([], "")
    assert page.totals == {"assigned": 1, "paused": 1}


def test_what_is_no_resource_is_not_listed() -> None:
    assert names(Wanted(), {"left": Entry("left", definition="{}")}) == []


def test_a_change_is_seen_and_nothing_else_is_looked_at() -> None:
    looked: list[str] = []

    def look(each: Entry, live: Collection[str]) -> tuple[State, str]:
        looked.append(each.name)
        return State.RUNNING, ""

    calls = Listing(look)
    calls.page(ENTRIES, LIVE, Wanted())
    assert sorted(looked) == sorted(ENTRIES)
    looked.clear()
    changed = {**ENTRIES, "b1": replace(ENTRIES["b1"], owner="me")}
    calls.page(changed, LIVE, Wanted())
    assert looked == ["b1"]
    calls.page(changed, frozenset(), Wanted())
    assert len(looked) == 1 + len(ENTRIES)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("limit", Wanted(limit=-1)),
        ("state", Wanted(state="busy")),
        ("cursor", Wanted(cursor="x" * 513)),
        ("prefix", Wanted(prefix="x" * 513)),
        ("contains", Wanted(contains="x" * 513)),
    ],
)
def test_what_cannot_be_meant_is_refused(field: str, wanted: Wanted) -> None:
    with pytest.raises(InvalidInput) as caught:
        names(wanted)
    assert caught.value.field == field


def test_nodes_page_by_page() -> None:
    nodes = [
        NodeView(id=f"go.micro.server.{kind}-{n}", service=f"go.micro.server.{kind}")
        for kind in ("master", "worker")
        for n in (1, 2, 3)
    ]
    assert page_of(nodes, 0, "") == {"nodes": nodes, "next": ""}
    assert page_of(nodes, 4, "") == {"nodes": nodes[:4], "next": nodes[3].id}
    assert page_of(nodes, 4, nodes[3].id) == {"nodes": nodes[4:], "next": ""}
    gone = nodes[:3] + nodes[4:]
    assert page_of(gone, 1, nodes[3].id)["nodes"] == nodes[4:5]
    with pytest.raises(InvalidInput):
        page_of(nodes, -1, "")
