"""What a schedule may say, and which due times follow from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from crawler.definition import Schedule, json_schema, latest_due, load_text, next_due, schedule_of
from crawler.errors import InvalidInput

START = 'start_urls = ["https://shop.example/"]\n'
BERLIN = "Europe/Berlin"


def read(text: str) -> Schedule:
    found = load_text(START + text).schedule
    assert found is not None
    return found


def cron(line: str, timezone: str = BERLIN) -> Schedule:
    return Schedule(cron=line, timezone=timezone)


def at(local: str, timezone: str = BERLIN, fold: int = 0) -> int:
    """Unix seconds of a local time."""
    naive = datetime.fromisoformat(local)
    return int(naive.replace(tzinfo=ZoneInfo(timezone), fold=fold).timestamp())


def due_times(schedule: Schedule, after: int, until: int, anchor: int = 0) -> list[int]:
    found = []
    due = next_due(schedule, after, anchor)
    while due is not None and due <= until:
        found.append(due)
        due = next_due(schedule, due, anchor)
    return found


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('schedule = "*/15 * * * *"', {"cron": "*/15 * * * *"}),
        ('schedule = " 0  6 * *\tMON-FRI "', {"cron": "0 6 * * MON-FRI"}),
        ('schedule = "@daily"', {"cron": "@daily"}),
        ('schedule = "every 6h"', {"every": "6h"}),
        ("schedule = { every = 90 }", {"every": "90s"}),
        ('schedule = { every = "1d", overlap = "queue" }', {"every": "1d", "overlap": "queue"}),
        (
            'schedule = { cron = "0 6 * * *", timezone = "Europe/Berlin", overlap = "skip" }',
            {"cron": "0 6 * * *", "timezone": BERLIN},
        ),
    ],
)  # fmt: skip
def test_every_way_to_say_it_has_one_canonical_form(text: str, canonical: object) -> None:
    definition = load_text(START + text)
    assert json.loads(definition.canonical())["schedule"] == canonical
    assert schedule_of(definition.canonical()) == definition.schedule
    assert load_text(definition.canonical()) == definition


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("5", "schedule", "a cron line"),
        ('"6h"', "schedule", "five fields"),
        ('"* * * * * *"', "schedule", "five fields"),
        ('"61 * * * *"', "schedule", "cannot read the minute"),
        ('"0 0 31 2 *"', "schedule", "cannot read the day-of-month"),
        ('"@dayly"', "schedule", "did you mean @daily"),
        ('"every now and then"', "schedule", '"6h"'),
        ('"every 0s"', "schedule", "from one second"),
        ('"every 99999d"', "schedule", "to ten years"),
        ("{}", "schedule", "either cron or every"),
        ('{ cron = "0 6 * * *", every = "6h" }', "schedule", "either cron or every"),
        ('{ every = true }', "schedule.every", "got True"),
        ('{ every = "6h", timezone = "Europe/Berlin" }', "schedule", "cron only"),
        ('{ cron = "0 6 * * *", timezone = "Europe/Berln" }', "schedule.timezone", BERLIN),
        ('{ cron = "0 6 * * *", timezone = "../passwd" }', "schedule.timezone", "time zone"),
        ('{ cron = "0 6 * * *", timezone = "localtime" }', "schedule.timezone", "time zone"),
        ('{ cron = "0 6 * * *", overlap = "wait" }', "schedule.overlap", "'replace'"),
        ('{ cron = "0 6 * * *", tz = "UTC" }', "schedule.tz", "timezone"),
    ],
)  # fmt: skip
def test_a_wrong_schedule_is_refused_with_field_line_and_what_would_be_right(
    text: str, field: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=r"^definition:2: schedule") as refused:
        load_text(f"{START}schedule = {text}")
    assert refused.value.field == field
    assert said in str(refused.value)


def test_what_somebody_else_wrote_into_etcd_is_no_schedule() -> None:
    assert schedule_of(None) is None
    assert schedule_of('{"start_urls":["https://shop.example/"]}') is None
    for garbage in ('{"schedule":', '["schedule"]', '{"schedule":7}', '{"schedule":{"cron":"x"}}'):
        assert schedule_of(garbage) is None


def test_the_json_schema_takes_text_and_table() -> None:
    kinds = json_schema()["properties"]["schedule"]["anyOf"]
    assert {"type": "string"} in kinds
    assert any("$ref" in kind for kind in kinds)


def test_intervals_are_counted_from_the_creation() -> None:
    schedule = read('schedule = "every 1h"')
    assert due_times(schedule, 100, 11_000, anchor=100) == [3700, 7300, 10_900]
    assert next_due(schedule, 3700, 100) == 7300
    assert next_due(schedule, 3699, 100) == 3700


def test_a_cron_line_is_read_in_its_time_zone() -> None:
    schedule = cron("0 6 * * MON")
    found = due_times(schedule, at("2026-06-01T06:00"), at("2026-06-15T06:00"))
    assert found == [at("2026-06-08T06:00"), at("2026-06-15T06:00")]
    utc = next_due(cron("0 6 * * *", "UTC"), at("2026-06-08T06:00"), 0)
    assert utc == int(datetime(2026, 6, 8, 6, tzinfo=UTC).timestamp())


def test_what_the_clock_leaves_out_is_due_when_the_hour_is_over_once() -> None:
    night, noon = at("2026-03-29T00:00"), at("2026-03-29T12:00")
    assert due_times(cron("30 2 * * *"), night, noon) == [at("2026-03-29T03:00")]
    assert due_times(cron("0,30 2 * * *"), night, noon) == [at("2026-03-29T03:00")]
    ticks = due_times(cron("*/30 * * * *"), at("2026-03-29T01:00"), at("2026-03-29T03:30"))
    assert [tick - ticks[0] for tick in ticks] == [0, 1800, 3600]


def test_what_the_clock_shows_twice_is_due_once_at_a_fixed_hour_and_on_in_the_true_time() -> None:
    night, noon = at("2026-10-25T00:00"), at("2026-10-25T12:00")
    assert due_times(cron("30 2 * * *"), night, noon) == [at("2026-10-25T02:30")]
    between = at("2026-10-25T02:10", fold=1)  # after the first 02:30, before the second
    assert next_due(cron("30 2 * * *"), between, 0) == at("2026-10-26T02:30")
    ticks = due_times(cron("*/30 * * * *"), at("2026-10-25T01:30"), at("2026-10-25T03:00"))
    assert [tick - ticks[0] for tick in ticks] == [0, 1800, 3600, 5400, 7200]


def test_a_year_of_missed_minutes_is_looked_through_in_few_steps() -> None:
    schedule, until = cron("* * 1 1 *"), at("2026-12-01T00:00")
    assert latest_due(schedule, at("2020-01-01T00:00"), until, 0) == at("2026-01-01T23:59")
    often = read('schedule = "every 1s"')
    assert latest_due(often, 0, until, 0) == until
