"""The pure rules: tokens and turns."""

from __future__ import annotations

from crawler.store.fencing import may_claim, may_raise
from crawler.store.turns import WAIT_S, Turn, Waiter, decide

NOW = 1000.0


def test_anybody_may_be_first() -> None:
    assert may_claim(None, (1, 1))
    assert may_raise(None, (1, 1))


def test_nobody_waits_for_the_dead() -> None:
    dead = Waiter("dead", NOW - 10, NOW - WAIT_S - 0.1)
    assert decide(Turn(), [dead], "a", 0.0, NOW).grant.held
    future = Waiter("stepped", NOW + 100, NOW + 100)
    assert decide(Turn(), [future], "a", 0.0, NOW).grant.held
