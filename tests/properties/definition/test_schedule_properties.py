"""Due times of any line, in any zone, from wherever one looks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.definition import latest_due, next_due
from crawler.errors import InvalidInput
from tests.unit.definition.test_definition_schedule import BERLIN, at, cron, due_times, read


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("0123456789*,-/#LW", min_size=1, max_size=6), min_size=5, max_size=5))
def test_whatever_a_cron_line_holds_is_taken_or_refused(fields: list[str]) -> None:
    try:
        schedule = read(f'schedule = "{" ".join(fields)}"')
    except InvalidInput:
        return
    assert next_due(schedule, at("2026-01-01T00:00"), 0) is not None


LINES = st.sampled_from(
    ["*/7 * * * *", "30 2 * * *", "0,30 */2 * * *", "15 0 * * SUN", "* 0 * * *", "5 1-3 25-31 * *"]
)
WHOLE_HOUR = ["UTC", BERLIN, "America/Havana", "Asia/Kolkata"]  # by which clocks are put back
WHOLE_HOUR_ZONES = st.sampled_from(WHOLE_HOUR)
ZONES = st.sampled_from([*WHOLE_HOUR, "Australia/Lord_Howe"])
MOMENTS = st.one_of(
    st.integers(at("2026-03-01T00:00"), at("2026-11-30T00:00")),
    st.sampled_from([at("2026-03-29T00:00"), at("2026-10-25T00:00"), at("2026-03-08T00:00"),
                     at("2026-11-01T00:00"), at("2026-04-04T12:00"), at("2026-10-03T12:00")]),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(LINES, WHOLE_HOUR_ZONES, MOMENTS, st.integers(0, 90_000))
def test_the_next_due_time_is_the_same_from_wherever_one_looks(
    line: str, zone: str, start: int, later: int
) -> None:
    """Two leaders that look at different moments agree on what is due."""
    schedule, moment = cron(line, zone), start + later
    found = next_due(schedule, moment, 0)
    assert found is not None
    walked = next_due(schedule, start, 0)
    while walked is not None and walked <= moment:
        walked = next_due(schedule, walked, 0)
    assert walked == found


@settings(max_examples=60, deadline=None)
@given(LINES, ZONES, MOMENTS, st.integers(0, 90_000))
def test_of_what_was_missed_the_latest_is_found(
    line: str, zone: str, start: int, later: int
) -> None:
    schedule = cron(line, zone)
    missed = due_times(schedule, start, start + later)
    assert latest_due(schedule, start, start + later, 0) == (missed[-1] if missed else None)
