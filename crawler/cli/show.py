"""`crawler show`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node
from crawler.cli.runs import told_next
from crawler.errors import NotFound
from crawler.model import SinkRecord, State

if TYPE_CHECKING:
    from crawler.client import SyncClient
    from crawler.client.results import LiveStatus

_RUNS_SHOWN = 10


def show(
    name: options.Name,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """Show one crawl: state, worker, counters, definition."""
    with connect(master) as client:
        found = client.resource(name)
        schedule = (found.definition or {}).get("schedule")
        more = (found.run > 1 or schedule) and not json_
        runs = client.runs(name) if more else None
        lives = _lives(client, name) if found.state == State.RUNNING else ()
        sinks = client.sinks(name) if found.definition and found.definition.get("sinks") else ()
    if json_:
        more_json = {"sinks": [as_json(each) for each in sinks]}
        more_json["live"] = [as_json(each) for each in lives]
        terminal.print_json({**as_json(found), **more_json})
        return
    lines = {
        "name": found.name,
        "id": found.id,
        "state": _state(found.state, found.reason),
        "worker": f"{short_node(found.assigned_node)} at {found.address}"
        if found.assigned_node
        else "none",
        "why there": found.decision,
        "created": _date(found.creation_time / 1e9),
        "run": str(found.run),
        "added by": found.owner,
    }
    if (counts := found.progress) is not None:
        lines["pages"] = (
            f"{counts.done:,} done, {counts.pending:,} pending, {counts.failed:,} failed, "
            f"{counts.excluded:,} excluded of {counts.known:,} known"
        )
        if counts.unchanged:
            lines["unchanged"] = f"{counts.unchanged:,} pages since the run before"
        lines["items"] = f"{counts.items:,} ({counts.incomplete_items:,} incomplete)"
        lines["fetched"] = f"{counts.fetched_bytes:,} bytes"
    elif found.progress_error:
        lines["pages"] = found.progress_error
    for number, part in enumerate(found.parts):
        owner = short_node(part.assigned_node) or "nobody"
        lines[f"part {number}"] = f"{owner}: {_state(part.state, part.reason)}"
    for live in lives:
        lines |= _going(live, divided=bool(found.parts))
    for sink in sinks:
        lines[f"sink {sink.sink}, run {sink.run}"] = sink_line(sink)
    if schedule:
        lines["schedule"] = _schedule(schedule)
    if runs is not None:
        lines["next run"] = told_next(runs)
    for each in runs.runs[:-1][-_RUNS_SHOWN:] if runs is not None else ():
        end = each.finished or "stopped"
        lines[f"run {each.run}"] = f"{each.done:,} pages, {each.items:,} items; {end}"
    for label, value in lines.items():
        if value:
            print(f"{label:10} {terminal.safe(value)}")
    if found.definition is None:
        print("no definition yet: crawler apply FILE --name " + found.name)
    else:
        print("definition")
        for line in json.dumps(found.definition, indent=2, ensure_ascii=False).splitlines():
            print("  " + terminal.safe(line))


def sink_line(sink: SinkRecord) -> str:
    """How far a sink has got."""
    rest = f"{sink.lag:,} to go" if sink.lag else "nothing left"
    if sink.lag and sink.trouble:
        rest += f"; failed {sink.failures} times: {sink.trouble}"
    elif sink.lag and not sink.holder:
        rest += "; no worker sends just now"
    return f"{sink.delivered:,} items delivered, {rest}"


def _lives(client: SyncClient, name: str) -> tuple[LiveStatus, ...]:
    """Nothing where an older master does not know, or where it has just gone."""
    try:
        return client.live(name)
    except NotFound:
        return ()


def _going(told: LiveStatus, *, divided: bool) -> dict[str, str]:
    """Lines of what a worker tells of the crawl at this moment."""
    label = f"part {told.part} now" if divided else "now"
    if told.live is None:
        return {label: f"unknown: {told.trouble}"}
    live = told.live
    going = f"{live.pages_per_s:,.1f} pages/s, {live.active:,} requests under way"
    waits = {
        f"at {each.host}": f"{each.queued:,} requests at hand; {each.reason}"
        for each in live.hosts
        if each.reason
    }
    return {label: f"{going}; {live.waiting}" if live.waiting else going, **waits}


def _state(state: State, reason: str) -> str:
    return state if reason in ("", state) else f"{state} ({reason})"


def _schedule(schedule: Mapping[str, Any]) -> str:
    """As it is defined; what a run does that goes on at a due time is told where it is chosen."""
    every = schedule.get("every")
    when = f"every {every}" if every else str(schedule.get("cron", ""))
    more = (str(schedule[key]) for key in ("timezone", "overlap") if key in schedule)
    return ", ".join((when, *more))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds > 0 else ""
