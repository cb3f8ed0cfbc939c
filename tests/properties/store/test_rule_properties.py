"""Tokens and turns, in whatever order they are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.store.fencing import Fence, may_claim, may_raise, outranks
from crawler.store.turns import HOLD_S, STEPPED_S, Turn, Waiter, decide, give_back, later
from tests.unit.store.test_store_rules import NOW

tokens = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(tokens, tokens, st.booleans())
def test_tokens_never_fall(
    standing: tuple[int, int], token: tuple[int, int], is_open: bool
) -> None:
    fence = Fence(standing, is_open)
    assert may_claim(fence, token) == (token > standing or (token == standing and is_open))
    assert may_raise(fence, token) == (token >= standing)
    assert outranks(token, fence) == (token > standing)
    assert may_claim(fence, token) <= may_raise(fence, token)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0.0, 2 * HOLD_S)), max_size=60
    )
)
def test_one_holder_at_a_time(asked: list[tuple[str, bool, float]]) -> None:
    turn, waiters, now = Turn(), dict[str, Waiter](), NOW
    held: dict[str, float] = {}
    for holder, release, passed in asked:
        now += passed
        if release:
            turn = give_back(turn, holder, 0.0, now)
            waiters.pop(holder, None)
            held.pop(holder, None)
            continue
        decision = decide(turn, list(waiters.values()), holder, 0.0, now)
        turn = decision.turn
        waiters.pop(holder, None)
        if decision.waiting:
            waiters[holder] = decision.waiting
        if decision.grant.held:
            assert not [other for other, until in held.items() if other != holder and until > now]
            held[holder] = now + decision.grant.left_s
        else:
            assert decision.grant.left_s > 0.0


@given(st.floats(), st.floats())
def test_the_next_request_is_within_an_hour(kept: float, wait_s: float) -> None:
    assert 0.0 <= later(kept, wait_s, NOW) <= NOW + STEPPED_S
