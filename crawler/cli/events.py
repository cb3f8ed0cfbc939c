"""`crawler events`: what happened to crawls."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node
from crawler.model import Event

if TYPE_CHECKING:
    from crawler.client import SyncClient

PAGE_SIZE = 500  # events that one answer brings
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
        latest = _of_all(client, limit) if name is None else _of_one(client, name, limit)
    if json_:
        terminal.print_json([{"name": which, **as_json(event)} for which, event in latest])
    elif terminal.is_terminal():
        rows = [_row(which, event) for which, event in latest]
        terminal.print_rows(COLUMNS, rows, ())
    else:
        for which, event in latest:
            print("\t".join(map(terminal.safe, _row(which, event))))


def _of_one(client: SyncClient, name: str, limit: int) -> list[tuple[str, Event]]:
    return [(name, event) for event in deque(client.events(name), maxlen=limit)]


def _of_all(client: SyncClient, limit: int) -> list[tuple[str, Event]]:
    newest = islice(client.journal(page_size=min(limit, PAGE_SIZE)), limit)
    return [
        (
            each.name or each.resource_id,
            Event(each.seq, each.at, each.kind, each.detail, each.node, each.request_id),
        )
        for each in reversed(list(newest))
    ]


def _row(name: str, event: Event) -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
    return at, name, event.kind, short_node(event.node), event.detail
