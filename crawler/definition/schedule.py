"""When a crawl is begun again: what a definition may say of it, and the due times that follow.

Times are whole Unix seconds. Cron lines are those of Debian's cron, read in a time zone. Where its
clock is put forward, what would have been due in the hour that is left out is due when that hour
is over, once; where the clock is put back, what is due at a fixed hour is due the first time only.
A line whose minute or hour begins with ``*`` follows the true time instead: nothing is due in an
hour that there is not, and in one that comes twice it is due in both.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import structlog
from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from crawler.definition.checks import shortened, suggestion, wrong

log = structlog.get_logger(__name__)

LONGEST_S: Final = 10 * 366 * 86_400
_MAX_CHARS: Final = 200
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_EVERY: Final = re.compile(r"(?=\d)(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
_NICKNAMES: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SOME_DAY: Final = datetime(2001, 1, 1, tzinfo=UTC)
_HOW: Final = 'a cron line like "0 6 * * *", or "every 6h"'


def _cron(text: str) -> str:
    """A cron line of five fields, or a nickname of one; its blanks made single."""
    line = " ".join(text.split())
    if line.startswith("@"):
        if line not in _NICKNAMES:
            hint = suggestion(line, _NICKNAMES) or f"; there is: {', '.join(_NICKNAMES)}"
            raise wrong(f"there is no {shortened(line)}{hint}")
        return line
    if len(line) > _MAX_CHARS or len(line.split()) != 5:
        raise wrong(
            "must have five fields: minute, hour, day of month, month, day of week, like "
            f'"0 6 * * MON" (got {shortened(line)})'
        )
    try:
        never = next(CronSim(line, _SOME_DAY), None) is None
    except CronSimError as error:
        reason = str(error).removeprefix("Bad ")
        raise wrong(f"cannot read the {reason} (got {shortened(line)})") from error
    if never:
        raise wrong(f"there is no such day (got {shortened(line)})")
    return line


def duration(value: Any) -> str:
    """``90s``, ``15m``, ``6h``, ``1d12h``; a bare number counts seconds."""
    text = f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or _EVERY.fullmatch(text) is None:
        raise wrong(f'must be a time like "90s", "15m", "6h" or "1d12h" (got {shortened(value)})')
    if not 1 <= seconds_of(text) <= LONGEST_S:
        raise wrong(f"must be from one second to ten years (got {shortened(value)})")
    return text


def seconds_of(every: str) -> int:
    """Of a `duration`."""
    match = _EVERY.fullmatch(every)
    assert match is not None
    return sum(
        int(each or 0) * unit for each, unit in zip(match.groups(), _UNITS.values(), strict=True)
    )


def _timezone(name: str) -> str:
    """A name of the IANA data base."""
    try:
        zone_of(name)
    except (KeyError, ValueError, OSError) as error:
        hint = suggestion(name, zoneinfo.available_timezones()) if len(name) <= 64 else ""
        raise wrong(
            f'must be the name of a time zone, like "Europe/Berlin"{hint} (got {shortened(name)})'
        ) from error
    return name


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo:
    """Raises `KeyError`, `ValueError` or `OSError` for what is no zone. That of this machine is
    none: masters would disagree on it."""
    if name == "localtime":
        raise ValueError("the time zone of a machine")
    return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


class Schedule(BaseModel):
    """When a crawl is begun again, and what happens when its last run still goes on then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cron: Annotated[str, AfterValidator(_cron)] | None = Field(
        default=None, description="minute, hour, day of month, month, day of week; or @daily"
    )
    every: Annotated[str, BeforeValidator(duration, json_schema_input_type=str | int)] | None = (
        Field(
            default=None,
            description="90s, 15m, 6h, 1d12h, or seconds; counted from the resource's creation",
        )
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="UTC", description="of the cron line, like Europe/Berlin"
    )
    overlap: Literal["skip", "queue", "replace"] = Field(
        default="skip",
        description="when a run goes on at a due time: skip it, queue one run, or replace the run",
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Schedule:
        if (self.cron is None) == (self.every is None):
            raise wrong(f"needs either cron or every: {_HOW}")
        if self.every is not None and self.timezone != "UTC":
            raise wrong("timezone goes with cron only: every counts seconds")
        return self

    def __str__(self) -> str:
        """As people say it."""
        if self.every is not None:
            return f"every {self.every}"
        return f"{self.cron} ({self.timezone})"


def as_schedule(value: Any) -> Any:
    """A bare text is a cron line, or an interval after "every"."""
    if isinstance(value, str):
        word, _, rest = value.strip().partition(" ")
        return {"every": rest.strip()} if word == "every" else {"cron": value}
    if not isinstance(value, Mapping | Schedule):
        raise wrong(f"must be {_HOW}, or a table with one of them (got {shortened(value)})")
    return value


def schedule_of(definition: str | None) -> Schedule | None:
    """The schedule of a definition's canonical JSON, read without the rest, because a new leader
    reads thousands; None: there is none, or somebody wrote what is none."""
    if definition is None or '"schedule"' not in definition:
        return None
    try:
        found = json.loads(definition).get("schedule")
        return None if found is None else Schedule.model_validate(as_schedule(found))
    except (ValueError, AttributeError, RecursionError) as error:  # pydantic's is a ValueError
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        log.warning("unreadable schedule", error=reason[:200])
        return None


def next_due(schedule: Schedule, after: int, anchor: int) -> int | None:
    """The first due time later than ``after``; None: it never comes. ``anchor`` is what intervals
    are counted from.

    Where clocks are put back by less than an hour (Lord Howe Island's), cronsim 2.8 may pass over
    a time of the two hours that follow, if it begins to look before that.
    """
    if schedule.every is not None:
        step = seconds_of(schedule.every)
        return anchor + ((after - anchor) // step + 1) * step
    assert schedule.cron is not None
    line = _NICKNAMES.get(schedule.cron, schedule.cron)
    start = datetime.fromtimestamp(after, zone_of(schedule.timezone))
    # In the second of two equal hours the first of them is offered once more.
    times = (int(each.timestamp()) for each in CronSim(line, start))
    return next((each for each in times if each > after), None)


def latest_due(schedule: Schedule, after: int, until: int, anchor: int) -> int | None:
    """The last due time that is later than ``after`` and not later than ``until``, however many
    there are; None: there is none."""
    found, last = None, until
    due = next_due(schedule, after, anchor)
    while due is not None and due <= last:
        found = due
        middle = (found + last) // 2
        later = next_due(schedule, middle, anchor)
        if later is not None and later <= until:
            due = later
        else:
            last = middle
            due = next_due(schedule, found, anchor)
    return found
