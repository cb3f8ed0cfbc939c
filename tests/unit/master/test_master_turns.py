"""What pause, resume, stop and start come to, wherever a resource stands."""

from __future__ import annotations

import pytest

from crawler.coordination.entry import Entry
from crawler.coordination.records import Status, Wish
from crawler.errors import Conflict, InvalidInput
from crawler.master.wishes import Action, Turn, check_action, turn_of
from crawler.model import Desired, Resource, State

RESOURCE = Resource("7", "a", None, 1, revision=20)


def turn(action: Action, wish: Desired | None, status: State | None = None) -> Turn:
    report = None if status is None else Status(status, "", 3, "7", 20, "w", 0.0)
    wanted = None if wish is None else Wish(wish, 3, "7")
    entry = Entry("a", RESOURCE, "{}", 1, wanted, 5, report, None, 20)
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


def test_a_resource_of_a_stranger_counts_as_wanted() -> None:
    assert turn(Action.PAUSE, None) == Turn(Wish(Desired.PAUSED, 1, "7"), change=True, halt=True)


def test_an_unknown_action_is_named() -> None:
    assert check_action("stop") is Action.STOP
    with pytest.raises(InvalidInput, match="one of pause, resume, stop, start") as caught:
        check_action("delete")
    assert caught.value.field == "action"
