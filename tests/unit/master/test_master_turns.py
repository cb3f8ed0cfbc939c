"""What pause, resume, stop and start come to, wherever a resource stands."""

from __future__ import annotations

import pytest

from crawler.coordination.entry import Entry
from crawler.coordination.records import Status, Wish
from crawler.errors import Conflict, InvalidInput
from crawler.master.wishes import Action, Turn, check_action, turn_of
from crawler.model import Desired, Resource, State

RESOURCE = Resource("7", "a", None, 1, revision=20)
HOURLY = '{"schedule":{"every":"1h"}}'


def turn(
    action: Action, wish: Desired | None, status: State | None = None, definition: str = "{}"
) -> Turn:
    report = None if status is None else Status(status, "", 3, "7", 20, "w", 0.0)
    wanted = None if wish is None else Wish(wish, 3, "7")
    entry = Entry("a", RESOURCE, definition, 1, wanted, 5, report, None, 20)
    return turn_of(entry, RESOURCE, action)


@pytest.mark.parametrize(
    ("action", "wish", "status", "wanted", "run", "change", "halt"),
    [
        (Action.PAUSE, Desired.RUNNING, None, Desired.PAUSED, 3, True, True),
        (Action.PAUSE, Desired.PAUSED, None, Desired.PAUSED, 3, False, True),
        (Action.STOP, Desired.RUNNING, None, Desired.STOPPED, 3, True, True),
        (Action.STOP, Desired.PAUSED, None, Desired.STOPPED, 3, True, True),
        (Action.STOP, Desired.STOPPED, None, Desired.STOPPED, 3, False, True),
        (Action.STOP, Desired.RUNNING, State.FINISHED, Desired.STOPPED, 3, False, False),
        (Action.STOP, Desired.RUNNING, State.ERROR, Desired.STOPPED, 3, True, True),
        (Action.RESUME, Desired.PAUSED, None, Desired.RUNNING, 3, True, False),
        (Action.RESUME, Desired.RUNNING, None, Desired.RUNNING, 3, False, False),
        (Action.START, Desired.RUNNING, State.RUNNING, Desired.RUNNING, 3, False, False),
        (Action.START, Desired.STOPPED, None, Desired.RUNNING, 4, True, False),
        (Action.START, Desired.RUNNING, State.FINISHED, Desired.RUNNING, 4, True, False),
        (Action.START, Desired.RUNNING, State.ERROR, Desired.RUNNING, 4, True, False),
        (Action.START, Desired.STOPPED, State.FINISHED, Desired.RUNNING, 4, True, False),
    ],
)
def test_an_action_that_the_state_allows(
    action: Action,
    wish: Desired,
    status: State | None,
    wanted: Desired,
    run: int,
    change: bool,
    halt: bool,
) -> None:
    assert turn(action, wish, status) == Turn(Wish(wanted, run, "7"), change, halt)


@pytest.mark.parametrize(
    ("action", "wish", "status", "said"),
    [
        (Action.PAUSE, Desired.STOPPED, None, "a is stopped: start begins its next run"),
        (Action.PAUSE, Desired.RUNNING, State.FINISHED, "a is finished: start begins"),
        (Action.RESUME, Desired.STOPPED, None, "a is stopped: start begins its next run"),
        (Action.RESUME, Desired.RUNNING, State.ERROR, "a is error: start begins its next run"),
        (Action.START, Desired.PAUSED, None, "a is paused: resume it, or stop it first"),
    ],
)
def test_an_action_that_it_does_not(
    action: Action, wish: Desired, status: State | None, said: str
) -> None:
    with pytest.raises(Conflict, match=said):
        turn(action, wish, status)


@pytest.mark.parametrize(
    ("action", "wish", "wanted", "change", "halt"),
    [
        (Action.PAUSE, Desired.RUNNING, Desired.PAUSED, True, True),
        (Action.STOP, Desired.RUNNING, Desired.STOPPED, True, True),
        (Action.STOP, Desired.PAUSED, Desired.STOPPED, True, True),
        (Action.RESUME, Desired.PAUSED, Desired.RUNNING, True, False),
        (Action.RESUME, Desired.RUNNING, Desired.RUNNING, False, False),
    ],
)
def test_a_schedule_is_paused_and_stopped_between_two_runs(
    action: Action, wish: Desired, wanted: Desired, change: bool, halt: bool
) -> None:
    found = turn(action, wish, State.FINISHED, HOURLY)
    assert found == Turn(Wish(wanted, 3, "7"), change, halt)


def test_what_is_begun_by_hand_or_goes_on_is_enough_for_all_due_times_before() -> None:
    wish = Wish(Desired.PAUSED, 3, "7", due=50, since=50)
    entry = Entry("a", RESOURCE, HOURLY, 1, wish, 5, None, None, 20)
    resumed = turn_of(entry, RESOURCE, Action.RESUME, 99).wish
    assert resumed == Wish(Desired.RUNNING, 3, "7", due=50, since=99)
    stopped = turn_of(entry, RESOURCE, Action.STOP, 99).wish
    assert stopped == Wish(Desired.STOPPED, 3, "7", due=50, since=50)
    entry = Entry("a", RESOURCE, HOURLY, 1, stopped, 5, None, None, 20)
    started = turn_of(entry, RESOURCE, Action.START, 99).wish
    assert started == Wish(Desired.RUNNING, 4, "7", due=0, since=99)


def test_a_resource_of_a_stranger_counts_as_wanted() -> None:
    assert turn(Action.PAUSE, None) == Turn(Wish(Desired.PAUSED, 1, "7"), change=True, halt=True)


def test_an_unknown_action_is_named() -> None:
    assert check_action("stop") is Action.STOP
    with pytest.raises(InvalidInput, match="one of pause, resume, stop, start") as caught:
        check_action("delete")
    assert caught.value.field == "action"
