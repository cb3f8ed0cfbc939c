"""What a due time that has come calls for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from crawler.coordination.catalog import Entry, Status, Wish
from crawler.coordination.etcd import KeyValue
from crawler.coordination.records import decode_wish, encode_wish
from crawler.definition import Schedule, schedule_of
from crawler.master.refill import memo_of, refill
from crawler.master.schedule import (
    Call,
    Turn,
    begun,
    call_of,
    rescheduled,
    run_for,
    settled_until,
)
from crawler.model import Assignment, Desired, Resource, State

CREATED = 1_700_000_000
NODE = "go.micro.server.worker-1"
HOUR = 3600
AFTER = {  # the third hour has come
    "created": CREATED,
    "third": CREATED + 3 * HOUR,
    "now": CREATED + 3 * HOUR + 20,
}


def definition(overlap: str = "skip", every: str = "1h") -> str:
    schedule = {"every": every, "overlap": overlap}
    return json.dumps({"schedule": schedule, "start_urls": ["https://shop.example/"]})


def entry(
    overlap: str = "skip",
    *,
    state: State | None = None,
    ended_at: float = 0.0,
    wish: Wish | None = None,
) -> Entry:
    """Run 4, which the second hour began; ``state`` is what was reported of it last."""
    wanted = wish or Wish(Desired.RUNNING, 4, "7", CREATED + 2 * HOUR, CREATED + 2 * HOUR)
    resource = Resource("7", "shop", Assignment(NODE, "x"), CREATED * 10**9 + 5, 20)
    status = Status(state, "", wanted.run, "7", 20, NODE, ended_at) if state else None
    return Entry("shop", resource, definition(overlap), 3, wanted, 19, status, None, 20)


def schedule(overlap: str = "skip") -> Schedule:
    found = schedule_of(definition(overlap))
    assert found is not None
    return found


def call(which: Entry, now: int = AFTER["now"]) -> Call | None:
    found = schedule_of(which.definition)
    assert found is not None
    return call_of(which, found, settled_until(which, found, now), now)


@pytest.mark.parametrize("state", [State.FINISHED, State.ERROR])
@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_what_is_over_begins_when_it_is_due(overlap: str, state: State) -> None:
    over = entry(overlap, state=state, ended_at=AFTER["third"] - 60)
    assert call(over) == Call(AFTER["third"], Turn.START)
    assert call(over, AFTER["third"]) == Call(AFTER["third"], Turn.START)
    assert call(over, AFTER["third"] - 1) is None


@pytest.mark.parametrize(
    ("overlap", "turn"), [("skip", Turn.SKIP), ("queue", Turn.WAIT), ("replace", Turn.REPLACE)]
)
@pytest.mark.parametrize("state", [None, State.RUNNING, State.ASSIGNED])
def test_a_run_that_goes_on_is_met_as_its_policy_says(
    overlap: str, turn: Turn, state: State | None
) -> None:
    assert call(entry(overlap, state=state, ended_at=1.0)) == Call(AFTER["third"], turn)


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_of_due_times_that_were_missed_the_latest_counts(overlap: str) -> None:
    over = entry(overlap, state=State.FINISHED, ended_at=AFTER["third"] - 60)
    found = call(over, AFTER["third"] + 1000 * HOUR + 5)
    assert found == Call(AFTER["third"] + 1000 * HOUR, Turn.START)


def test_what_came_due_while_the_run_went_on_is_skipped_also_by_the_next_leader() -> None:
    for overlap, expected in (("skip", None), ("queue", Call(AFTER["third"], Turn.START))):
        over = entry(overlap, state=State.FINISHED, ended_at=AFTER["third"] + 60.0)
        assert call(over, AFTER["third"] + 120) == expected


def test_a_due_time_that_began_its_run_begins_no_other() -> None:
    over = entry("queue", state=State.FINISHED, ended_at=AFTER["third"] + 1.0)
    assert over.wish is not None
    began = begun(over.wish, 5, AFTER["third"])
    assert began == Wish(Desired.RUNNING, 5, "7", AFTER["third"], AFTER["third"])
    assert call(replace(over, wish=began)) is None
    # Also where clocks disagree, and this leader's is behind.
    assert call_of(replace(over, wish=began), schedule("queue"), 0, AFTER["third"]) is None


@pytest.mark.parametrize("state", [Desired.PAUSED, Desired.STOPPED, Desired.DELETED])
def test_what_is_paused_stopped_or_deleted_is_left_alone(state: Desired) -> None:
    resting = entry("replace", wish=Wish(state, 4, "7"))
    assert call_of(resting, schedule("replace"), 0, AFTER["now"]) is None


def test_a_run_that_goes_on_again_makes_up_for_all_before() -> None:
    resumed = entry("replace", wish=Wish(Desired.RUNNING, 4, "7", 0, AFTER["now"]))
    assert call(resumed) is None
    assert call(resumed, AFTER["third"] + HOUR) == Call(AFTER["third"] + HOUR, Turn.REPLACE)


def test_times_from_a_clock_that_went_ahead_do_not_count() -> None:
    """A leader whose clock is put right goes on from now on, not from what it wrote before."""
    ahead = Wish(Desired.RUNNING, 4, "7", AFTER["now"] + 10**6, AFTER["now"] + 10**6)
    over = entry("queue", state=State.FINISHED, ended_at=1.0, wish=ahead)
    assert settled_until(over, schedule("queue"), AFTER["now"]) == AFTER["now"]
    late = entry("skip", state=State.FINISHED, ended_at=AFTER["now"] + 1e6)
    assert settled_until(late, schedule(), AFTER["now"]) == AFTER["now"]


def test_a_resource_that_was_created_under_a_clock_that_went_ahead_is_begun_all_the_same() -> None:
    over = entry("queue", state=State.FINISHED, wish=Wish(Desired.RUNNING, 1, "7"))
    early = CREATED - 10 * HOUR
    assert settled_until(over, schedule("queue"), early) == early
    assert call_of(over, schedule("queue"), early, early + HOUR) == Call(early + HOUR, Turn.START)


def test_the_first_run_is_begun_by_hand_and_due_times_come_after_the_creation() -> None:
    first = entry("queue", state=State.FINISHED, ended_at=1.0, wish=Wish(Desired.RUNNING, 1, "7"))
    assert settled_until(first, schedule("queue"), AFTER["now"]) == CREATED
    assert call(first, CREATED + HOUR - 1) is None
    assert call(first, CREATED + HOUR) == Call(CREATED + HOUR, Turn.START)


def test_a_part_that_ended_ends_the_run_and_parts_are_asked_for_the_latest_report() -> None:
    over = replace(entry("skip", state=State.FINISHED, ended_at=AFTER["third"] + 9.0), partitions=3)
    assert call(over, AFTER["now"]) is None
    assert call(over, AFTER["third"] + HOUR) == Call(AFTER["third"] + HOUR, Turn.START)


@pytest.mark.parametrize(
    ("holder", "highest", "run"),
    [(0, 0, 5), (0, 4, 5), (0, 9, 10), (8, 9, 8), (5, 5, 5), (4, 4, None), (2, 4, None)],
)
def test_a_due_time_that_the_database_knows_keeps_its_run(
    holder: int, highest: int, run: int | None
) -> None:
    assert run_for(Wish(Desired.RUNNING, 4, "7"), holder, highest) == run


def test_a_new_schedule_counts_from_now_on_and_another_change_changes_no_due_time() -> None:
    wish = Wish(Desired.RUNNING, 4, "7", 5, 6)
    hourly, daily = definition(every="1h"), definition(every="1d")
    plain = '{"start_urls":["https://shop.example/"]}'
    for before in (hourly, plain, None):
        assert rescheduled(wish, before, daily, 99) == replace(wish, since=99)
    assert rescheduled(wish, hourly, definition(every="1h"), 99) == wish
    assert rescheduled(wish, hourly, plain, 99) == wish


def test_wishes_keep_their_times_and_old_ones_have_none() -> None:
    for wish in (Wish(Desired.RUNNING, 4, "7", 5, 6), Wish(Desired.PAUSED, 1, "7")):
        kv = KeyValue("/crawler/desired/shop", encode_wish(wish), 1, 1, 0)
        assert decode_wish(kv) == wish
    old = b'{"state":"running","run":4,"resource_id":"7"}'
    assert encode_wish(Wish(Desired.RUNNING, 4, "7")) == old


def test_a_wiped_etcd_gets_its_due_times_back() -> None:
    there = entry()
    memo = memo_of(there)
    assert memo is not None
    (change,) = refill({}, [memo], 0.0, 12)
    restored = next(op for op in change.ops if op.key == "/crawler/desired/shop")
    assert decode_wish(KeyValue(restored.key, restored.value, 1, 1, 0)) == there.wish
