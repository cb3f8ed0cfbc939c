"""Ids and delays, whatever the clock and chance do."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from crawler.clock import Backoff, IdSource
from tests.unit.test_clock import SetClock


@given(st.lists(st.floats(min_value=-3600, max_value=3600), min_size=1, max_size=50))
def test_ids_rise_strictly_although_the_clock_steps(steps: list[float]) -> None:
    clock = SetClock(1_700_000_000.0)
    ids = IdSource(7, clock=clock)
    seen = [int(ids.next())]
    for step in steps:
        clock.now += step
        seen.append(int(ids.next()))
    assert seen == sorted(set(seen))


@given(st.integers(min_value=0, max_value=10_000), st.integers())
def test_backoff_stays_between_floor_and_cap(attempt: int, seed: int) -> None:
    backoff = Backoff(base_s=0.1, cap_s=5.0, floor_s=0.02)
    assert 0.02 <= backoff.delay(attempt, random.Random(seed)) <= 5.0
