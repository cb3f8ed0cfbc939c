"""`crawler logs`: what nodes log about a crawl."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import connect

if TYPE_CHECKING:
    from crawler.client.results import LogEntry

_SHOWN_APART = frozenset({"ts", "level", "msg", "node", "logger", "resource"})


def logs(
    name: options.Name,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="go on with what comes, wherever it moves")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="of so long ago: 90s, 5m, 2h")
    ] = "5m",
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """Show log lines of a crawl, from the workers that have it and the masters. Piped: as JSON."""
    as_json = json_ or not terminal.is_terminal()
    with connect(master) as client:
        if follow:
            for entry in client.follow_logs(name, since):
                print(_line(entry, as_json=as_json), flush=True)
            return
        page = client.logs(name, since)
    for entry in page.lines:
        print(_line(entry, as_json=as_json))
    for trouble in page.trouble:
        print(f"not told by {terminal.safe(trouble)}", file=sys.stderr)


def _line(entry: LogEntry, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(dict(entry.line))
    said = entry.line
    at = time.strftime("%H:%M:%S", time.localtime(entry.at))
    rest = (f"{key}={value}" for key, value in said.items() if key not in _SHOWN_APART)
    head = f"{at} {said.get('node', '')} {said.get('level', '')}: {said.get('msg', '')}"
    return terminal.safe(" ".join((head, *rest)))
