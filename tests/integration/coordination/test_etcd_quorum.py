"""Sessions, elections and reads while members of etcd are cut off, from each other or from us."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest

from tests.integration.coordination.stage import (
    CLIENTS,
    MEMBERS,
    Acting,
    Stage,
    eventually,
    now,
    others,
)
from tests.lab.tunnel import Disturbance

TTL_S = 3
ETCD_NOTICES_S = 2.5  # twice its election timeout, and what noise there is
CALL_S = 3.5  # no call takes longer: EtcdSettings.call_timeout_s, and what noise there is
ETCD_TURN_S = 4.0  # etcd has another leader after its own was cut off (measured: 2.0 to 3.0 s)


def opened(actor: Acting, since: float = 0.0) -> list[str]:
    return [one["lease"] for one in actor.told("opened", since=since)]


def live(stage: Stage) -> set[str]:
    """The leases that etcd's leader knows of."""
    listed = stage.etcd.ctl("lease", "list", member=stage.etcd.leader())
    return {lease.lstrip("0") for lease in re.findall(r"\b[0-9a-f]{16}\b", listed)}


def test_a_session_outlives_the_member_it_was_kept_by(stage: Stage) -> None:
    actor = stage.act("c1", "sessions", str(TTL_S), "3")
    actor.wait("opened", 5, number=2)
    leader = stage.leader()
    follower = actor.member() if actor.member() != leader else others(leader)[0]
    with stage.network.isolate(follower):
        time.sleep(TTL_S + 1)
    assert not actor.told("lost", "failed")
    assert set(opened(actor)) <= live(stage)


def test_a_session_outlives_etcds_leader(stage: Stage) -> None:
    ttl_s = 2 * TTL_S
    actor = stage.act("c1", "sessions", str(ttl_s), "3")
    actor.wait("opened", 5, number=2)
    with stage.network.isolate(stage.leader()):
        time.sleep(ttl_s + 1)
    assert not actor.told("lost", "failed")
    assert set(opened(actor)) <= live(stage)


def test_without_a_quorum_a_session_ends_in_time_and_another_follows(stage: Stage) -> None:
    sessions = stage.act("c1", "sessions", str(TTL_S), "1")
    reader = stage.act("c1", "reader", "/ruler")
    writer = stage.act("c1", "writer", "/w")
    sessions.wait("opened", 5)
    cut_at = now()
    stage.network.cut("e1", "e2", "e3")
    stage.network.cut("e2", "e3")
    # etcd's old leader grants keepalives until it notices, too; its successor would do so anew.
    sessions.wait("lost", TTL_S + ETCD_NOTICES_S, since=cut_at)
    assert reader.wait("failed", 2 * CALL_S, since=cut_at)["why"] == "EtcdUnavailable"
    writer.wait("failed", 2 * CALL_S, since=cut_at)
    stage.network.heal()
    healed_at = now()
    sessions.wait("opened", 2 * TTL_S + ETCD_TURN_S, since=healed_at)
    for actor, good in ((reader, "read"), (writer, "wrote")):
        actor.wait(good, 2 * TTL_S + ETCD_TURN_S, since=healed_at)
        assert longest(actor) < CALL_S
        assert_no_gap(actor, good)


def longest(actor: Acting) -> float:
    """How long the longest of its calls took."""
    calls = actor.told("read", "wrote", "failed")
    return max(float(one["at"]) - float(one["began"]) for one in calls)


def assert_no_gap(actor: Acting, good: str) -> None:
    """It never hung: whatever it did, the next answer came soon."""
    times = [one["at"] for one in actor.told(good, "failed")]
    assert max(later - before for before, later in pairwise(times)) < CALL_S + 1


def test_a_short_loss_of_the_quorum_costs_no_session(stage: Stage) -> None:
    ttl_s = 3 * TTL_S
    actor = stage.act("c1", "sessions", str(ttl_s), "2")
    actor.wait("opened", 5, number=1)
    with stage.network.cut("e1", "e2", "e3"), stage.network.cut("e2", "e3"):
        time.sleep(TTL_S)  # at least one keepalive fails
    time.sleep(ttl_s / 2)  # and at least one succeeds again
    assert not actor.told("lost", "failed")
    assert set(opened(actor)) <= live(stage)


@pytest.mark.fault(25)
def test_a_bad_line_costs_time_but_no_session_and_no_event(stage: Stage) -> None:
    stage.put("/mark", beside="e1")
    sessions = stage.act("c1", "sessions", str(2 * TTL_S), "3")
    writer = stage.act("c1", "writer", "/w")
    watcher = stage.act("c2", "watch", "0")
    sessions.wait("opened", 5, number=2)
    writer.wait("wrote", 5)
    watcher.wait("event", 5)
    bad = Disturbance(latency_s=0.1, jitter_s=0.04, duplicates=0.05, losses=0.1)
    for client in CLIENTS:
        stage.network.disturb(client, bad)
    bad_at = now()
    time.sleep(3 * TTL_S)
    assert not sessions.told("lost", "failed")
    assert longest(writer) < CALL_S
    wrote = [one["number"] for one in writer.told("wrote", since=bad_at)]
    assert len(wrote) > 2 * TTL_S
    watcher.wait("event", TTL_S, key=f"/w/{wrote[-1]}")
    heard = [int(one["key"].removeprefix("/w/")) for one in watcher.told("event")]
    assert heard == sorted(set(heard))
    assert set(wrote) <= set(heard)


@pytest.mark.fault(17)
def test_a_member_of_the_minority_serves_nothing_stale(stage: Stage) -> None:
    stage.put("/ruler", "old", beside="e1")
    reader = stage.act("c1", "reader", "/ruler", members=["e1"])
    sessions = stage.act("c1", "sessions", str(TTL_S), "1", members=["e1"])
    watcher = stage.act("c1", "watch", "0", members=["e1"])
    reader.wait("read", 5, value="old")
    cut_at = now()
    stage.network.cut("e1", "e2", "e3")
    changed_at = written(stage, "/ruler", "new")
    written(stage, "/w/unheard", "")
    sessions.wait("lost", TTL_S + 2, since=cut_at)
    time.sleep(TTL_S)
    # The member would tell the old value to whoever asks it for less than the truth.
    serializable = ("get", "/ruler", "--consistency=s", "--print-value-only")
    assert stage.etcd.ctl(*serializable, member=0).strip() == "old"
    assert reader.told("failed", since=changed_at)
    assert not reader.told("read", since=changed_at + 1)
    stage.network.heal()
    reader.wait("read", 2 * TTL_S + ETCD_TURN_S, value="new")
    watcher.wait("event", 3 * TTL_S + 1, key="/w/unheard")
    read = [one for one in reader.told("read") if one["began"] > changed_at]
    assert {one["value"] for one in read} == {"new"}


def written(stage: Stage, key: str, value: str) -> float:
    """Write through the majority of e2 and e3, which may first have to elect a leader."""

    def attempt() -> float | None:
        try:
            return stage.put(key, value, beside="e2")
        except RuntimeError:
            return None

    return eventually(attempt, "write of the majority", 30)


def test_a_leader_that_is_cut_off_stops_before_another_begins(stage: Stage) -> None:
    first = stage.act("c1", "candidate", "1", str(TTL_S))
    first.wait("elected", 5)
    second = stage.act("c2", "candidate", "2", str(TTL_S))
    second.wait("opened", 5)
    cut_at = now()
    stage.network.cut("c1", *MEMBERS)
    first.wait("over", TTL_S + 2, since=cut_at)
    begun = second.wait("elected", TTL_S + 2, since=cut_at)
    assert begun["at"] - cut_at < TTL_S + 1.5
    # It learns from its own clock, not from etcd, that it may have been replaced.
    assert first.told("believes")[-1]["at"] <= begun["at"]
    stage.network.heal()
    first.wait("opened", 2 * TTL_S, since=begun["at"])
    assert not first.told("elected", since=begun["at"])
    assert stage.etcd.ctl("get", "/ruler", "--print-value-only").strip() == "2"


def test_sessions_that_a_paused_leader_of_etcd_revokes_are_noticed(stage: Stage) -> None:
    """etcd 3.4 may end healthy leases when its leader wakes from a pause longer than they live
    (etcd-io/etcd#15247); whoever holds one must learn it and start over."""
    count = 10
    actor = stage.act("c1", "sessions", str(TTL_S), str(count))
    actor.wait("opened", 5, number=count - 1)
    member = MEMBERS.index(stage.leader())
    stage.etcd.pause(member)
    time.sleep(TTL_S + 2)
    stage.etcd.resume(member)
    time.sleep(TTL_S)  # a third of it for the next keepalive, and as long for the next session
    quiet_at = now()
    time.sleep(TTL_S / 2)
    newest = {one["number"]: one["lease"] for one in actor.told("opened")}
    assert len(newest) == count
    assert set(newest.values()) <= live(stage)
    assert not actor.told("lost", "failed", since=quiet_at)
