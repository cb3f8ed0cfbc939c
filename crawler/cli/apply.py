"""`crawler apply`: create a crawl or change it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node
from crawler.errors import NotFound
from crawler.model import State

if TYPE_CHECKING:
    from crawler.client import Change, ResourceStatus


def apply(
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="a definition, a site, or - for stdin")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="[default: the file's name or the URL's host]")
    ] = None,
    settings: options.Settings = None,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """Create a crawl, or change it; shows the difference.

    `crawler apply shop.toml -s download_delay=0.5`
    """
    from crawler.app.source import name_for, read_definition
    from crawler.definition import doubts

    definition = read_definition(source, settings or ())
    terminal.warn(source, doubts(definition))
    wanted = json.loads(definition.canonical())
    resource = name_for(source, name)
    with connect(master) as client:
        try:
            before = client.resource(resource)
        except NotFound:
            before = None
        change = client.put(resource, wanted)
    if json_:
        terminal.print_json(as_json(change))
        return
    piped = not terminal.is_terminal()
    if piped:
        print(change.name)
    terminal.print_difference(
        terminal.difference(before.definition if before else None, wanted), stderr=piped
    )
    print(_told(change, before), file=sys.stderr if piped else sys.stdout)


def _told(change: Change, before: ResourceStatus | None) -> str:
    what = "created" if change.created else "changed" if change.changed else "unchanged"
    if before is not None and before.state in _OVER:
        return f"{change.name} {what}; it is {before.state}: {_OVER[before.state]} {change.name}`"
    where = short_node(change.assigned_node) if change.assigned_node else "no worker yet"
    return f"{change.name} {what} ({where})"


_OVER = {
    State.FINISHED: "begin its next run with `crawler start",
    State.STOPPED: "begin its next run with `crawler start",
    State.PAUSED: "go on with `crawler resume",
}
