"""`crawler runs`: when a crawl ran, and when it is due again."""

from __future__ import annotations

import sys
import time
import zoneinfo
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect

if TYPE_CHECKING:
    from crawler.client import RunPage

COLUMNS = (">RUN", "DUE", "STARTED", "FINISHED", ">PAGES", ">UNCHANGED", ">ITEMS", ">FAILED", "END")


def runs(
    name: options.Name,
    limit: Annotated[int, typer.Option("--limit", min=1, help="the last so many")] = 20,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """List a crawl's runs: when each was due, began and ended, and what came of it.

    Piped: the columns with tabs between. When it is due again is said on standard error.
    """
    with connect(master) as client:
        found = client.runs(name)
    shown = found.runs[-limit:]
    if json_:
        terminal.print_json({**as_json(found), "runs": [as_json(each) for each in shown]})
        return
    rows = [
        (
            each.run,
            told(each.due_at, found.timezone) if each.due_at else "by hand",
            _date(each.started_at),
            _date(each.finished_at),
            terminal.count(each.done),
            terminal.count(each.unchanged),
            terminal.count(each.items),
            terminal.count(each.failed),
            each.finished or "-",
        )
        for each in shown
    ]
    terminal.print_rows(COLUMNS, rows)
    if next_ := told_next(found):
        print(f"next: {next_}", file=sys.stderr)


def told_next(found: RunPage) -> str:
    """When the next run is due, in the schedule's time zone; "": none is."""
    return "" if found.next_due is None else told(found.next_due, found.timezone)


def told(due: int, timezone: str) -> str:
    """A due time in that zone, with its offset; in UTC where this machine does not know it."""
    zone: tzinfo = UTC
    if timezone not in ("", "UTC"):
        try:
            zone = zoneinfo.ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            timezone = ""
    at = datetime.fromtimestamp(due, zone)
    return f"{at:%Y-%m-%d %H:%M:%S} {timezone or 'UTC'}"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds > 0 else "-"
