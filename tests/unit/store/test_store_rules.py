"""The pure rules: tokens and turns."""

from __future__ import annotations

from crawler.store.fencing import may_claim, may_raise
from crawler.store.turns import LONGEST_ASK_S, WAIT_S, Turn, Waiter, decide

NOW = 1000.0


def test_anybody_may_be_first() -> None:
    assert may_claim(None, (1, 1))
    assert may_raise(None, (1, 1))


def test_marks_of_the_dead_are_deleted_and_the_living_keep_theirs() -> None:
    dead = [Waiter(f"dead {n}", NOW - 60, NOW - WAIT_S - n) for n in (1, 2)]
    patient = Waiter("patient", NOW - 5, NOW + LONGEST_ASK_S)
    for turn in (Turn(), Turn("b", NOW + 1)):
        made = decide(turn, [*dead, patient], "a", 0.0, NOW)
        assert made.gone == ("dead 1", "dead 2")
        assert made.waiting == Waiter("a", NOW, NOW + 0.5)  # it asks after the patient one


def test_nobody_waits_for_the_dead() -> None:
    dead = Waiter("dead", NOW - 10, NOW - WAIT_S - 0.1)
    assert decide(Turn(), [dead], "a", 0.0, NOW).grant.held
    future = Waiter("stepped", NOW + 100, NOW + 100)
    assert decide(Turn(), [future], "a", 0.0, NOW).grant.held
