"""`crawler events`: what happened to crawls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node

if TYPE_CHECKING:
    from crawler.client import SyncClient
    from crawler.model import Event

COLUMNS = ("TIME", "NAME", "EVENT", "NODE", "DETAIL")


def events(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="of one resource instead of all")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="the last so many")] = 50,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """List what happened: claims, moves, pauses, ends. With tabs between when piped."""
    with connect(master) as client:
        names = [name] if name is not None else [each.name for each in client.resources()]
        found = [entry for each in names for entry in _of_one(client, each, limit)]
    latest = sorted(found, key=lambda entry: (entry[1].at, entry[1].seq))[-limit:]
    if json_:
        terminal.print_json([{"name": which, **as_json(event)} for which, event in latest])
    elif terminal.is_terminal():
        rows = [_row(which, event) for which, event in latest]
        terminal.print_rows(COLUMNS, rows, ())
    else:
        for which, event in latest:
            print("\t".join(map(terminal.safe, _row(which, event))))


def _of_one(client: SyncClient, name: str, limit: int) -> list[tuple[str, Event]]:
    return [(name, event) for event in client.events(name)][-limit:]


def _row(name: str, event: Event) -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
    return at, name, event.kind, short_node(event.node), event.detail
