"""Ids never repeat, whatever the clock does; backoff stays within its bounds."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from snowflake import MAX_SEQ, Snowflake

from crawler.clock import SNOWFLAKE_EPOCH_MS, Backoff, IdSource


class SetClock:
    """A clock that shows what the test sets."""

    def __init__(self, wall: float) -> None:
        self.now = wall

    def elapsed(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.lists(st.floats(min_value=-3600, max_value=3600), min_size=1, max_size=50))
def test_ids_rise_strictly_although_the_clock_steps(steps: list[float]) -> None:
    clock = SetClock(1_700_000_000.0)
    ids = IdSource(7, clock=clock)
    seen = [int(ids.next())]
    for step in steps:
        clock.now += step
        seen.append(int(ids.next()))
    assert seen == sorted(set(seen))


def test_ids_stand_above_the_floor_reserved_by_a_predecessor() -> None:
    clock = SetClock(1_700_000_000.0)
    floor_ms = 1_700_000_900_000
    flake = Snowflake.parse(int(IdSource(3, floor_ms=floor_ms, clock=clock).next()))
    assert flake.timestamp + SNOWFLAKE_EPOCH_MS > floor_ms
    assert flake.instance == 3


def test_more_ids_than_a_millisecond_holds_borrow_from_the_next() -> None:
    ids = IdSource(0, clock=SetClock(1_700_000_000.0))
    made = [int(ids.next()) for _ in range(2 * MAX_SEQ + 10)]
    assert len(set(made)) == len(made)


def test_an_id_reads_as_the_original_wrote_it() -> None:
    flake = Snowflake.parse(1621665639791857664, SNOWFLAKE_EPOCH_MS)
    # The record in the reference was created at 1675470192274 ms, minutes after its id.
    assert flake.milliseconds // 86_400_000 == 1675470192274 // 86_400_000


@given(st.integers(min_value=0, max_value=10_000), st.integers())
def test_backoff_stays_between_floor_and_cap(attempt: int, seed: int) -> None:
    backoff = Backoff(base_s=0.1, cap_s=5.0, floor_s=0.02)
    assert 0.02 <= backoff.delay(attempt, random.Random(seed)) <= 5.0
