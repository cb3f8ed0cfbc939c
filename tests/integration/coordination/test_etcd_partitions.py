"""Watches between hosts whose network breaks: noticed in time, nothing missed, nothing twice."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.coordination.stage import MEMBERS, Stage

TTL_S = 3
NOTICED_S = 3 * TTL_S + 1  # a stream that went silent is given up, and another has caught up
AT_ONCE_S = 1.5


def revision(stage: Stage) -> int:
    """One that a watch can start from: nothing below /w/ was written at or after it."""
    fields = stage.etcd.ctl("put", "/mark", "", "--write-out=fields")
    return next(int(line.split()[-1]) for line in fields.splitlines() if '"Revision"' in line)


@pytest.mark.fault(26)
@pytest.mark.parametrize("way", ["neither", "client", "member"])
def test_a_watch_behind_a_silent_line_is_noticed(stage: Stage, way: str) -> None:
    watcher = stage.act("c1", "watch", str(revision(stage)))
    stage.put("/w/before", beside="e1")
    watcher.wait("event", 5, key="/w/before")
    member = watcher.member()
    if way == "neither":
        stage.network.cut("c1", member)
    elif way == "client":
        stage.network.deafen("c1", member)
    else:
        stage.network.deafen(member, "c1")
    stage.put("/w/cut", beside=member)
    watcher.wait("event", NOTICED_S, key="/w/cut")
    stage.network.heal()
    stage.put("/w/after", beside=member)
    watcher.wait("event", 5, key="/w/after")
    assert [one["key"] for one in watcher.told("event")] == ["/w/before", "/w/cut", "/w/after"]


def test_a_watch_with_one_member_catches_up_after_the_healing(stage: Stage) -> None:
    watcher = stage.act("c1", "watch", str(revision(stage)), members=["e1"])
    stage.put("/w/before", beside="e1")
    watcher.wait("event", 5, key="/w/before")
    with stage.network.cut("c1", "e1"):
        keys = [f"/w/{number}" for number in range(20)]
        for key in keys:
            stage.put(key, beside="e1")
        time.sleep(NOTICED_S)  # the stream is given up, and no other can be had
        assert len(watcher.told("event")) == 1
    watcher.wait("event", TTL_S, key=keys[-1])
    assert [one["key"] for one in watcher.told("event")] == ["/w/before", *keys]


def test_a_watch_that_was_reset_is_back_at_once(stage: Stage) -> None:
    watcher = stage.act("c1", "watch", str(revision(stage)))
    stage.put("/w/before", beside="e1")
    watcher.wait("event", 5, key="/w/before")
    member = watcher.member()
    stage.network.reset(member, "c1")
    stage.put("/w/cut", beside=member)
    watcher.wait("event", AT_ONCE_S, key="/w/cut")
    assert [one["key"] for one in watcher.told("event")] == ["/w/before", "/w/cut"]


@pytest.mark.fault(26)
def test_a_watch_whose_member_alone_was_reset_is_noticed(stage: Stage) -> None:
    watcher = stage.act("c1", "watch", str(revision(stage)))
    stage.put("/w/before", beside="e1")
    watcher.wait("event", 5, key="/w/before")
    member = watcher.member()
    stage.network.reset("c1", member)
    stage.put("/w/cut", beside=member)
    watcher.wait("event", NOTICED_S, key="/w/cut")
    assert [one["key"] for one in watcher.told("event")] == ["/w/before", "/w/cut"]


def test_what_was_compacted_behind_a_cut_is_listed_again(stage: Stage) -> None:
    for name in ("stays", "goes"):
        stage.put(f"/resources/{name}", record(name), beside="e1")
    knower = stage.act("c1", "catalog")
    knower.wait("knows", 5, names=["goes", "stays"])
    watcher = stage.act("c2", "watch", str(revision(stage)))
    for member in MEMBERS:
        stage.network.reset(member, "c1", "c2")
    time.sleep(1)  # the streams are broken, and no others can be had
    stage.put("/resources/comes", record("comes"), beside="e1")
    stage.put("/w/lost", beside="e1")
    stage.etcd.ctl("del", "/resources/goes")
    stage.etcd.ctl("compaction", str(revision(stage)))
    stage.network.heal()
    # Whoever only watches is told that history is gone; the catalog lists, and knows all of it.
    assert watcher.wait("ended", 2 * TTL_S)["why"] == "Compacted"
    knower.wait("knows", 2 * TTL_S, names=["comes", "stays"])
    stage.put("/resources/later", record("later"), beside="e1")
    knower.wait("knows", AT_ONCE_S, names=["comes", "later", "stays"])


def record(name: str) -> str:
    """A resource as etcd keeps it."""
    return json.dumps({"ID": "1", "Name": name, "AssignedNode": "", "CreationTime": 1})
