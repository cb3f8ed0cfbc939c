"""Ids never repeat, whatever the clock does."""

from __future__ import annotations

from snowflake import MAX_SEQ, Snowflake

from crawler.clock import SNOWFLAKE_EPOCH_MS, IdSource


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
