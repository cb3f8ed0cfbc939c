"""`crawler apply`: create a crawl or change it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node
from crawler.errors import NotFound

if TYPE_CHECKING:
    from crawler.client import Change


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

    definition = read_definition(source, settings or ())
    wanted = json.loads(definition.canonical())
    resource = name_for(source, name)
    with connect(master) as client:
        try:
            before = client.resource(resource).definition
        except NotFound:
            before = None
        change = client.put(resource, wanted)
    if json_:
        terminal.print_json(as_json(change))
    elif terminal.is_terminal():
        terminal.print_difference(terminal.difference(before, wanted))
        print(_told(change))
    else:
        print(change.name)
        print(_told(change), file=sys.stderr)


def _told(change: Change) -> str:
    what = "created" if change.created else "changed" if change.changed else "unchanged"
    where = short_node(change.assigned_node) if change.assigned_node else "no worker yet"
    return f"{change.name} {what} ({where})"
