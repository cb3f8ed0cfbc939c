"""`crawler apply`: create a crawl or change it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, look_after, standing
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
    """Create a crawl, or change it; shows the difference, without values of cookies and secrets.

    Piped, standard output is the crawl's name; the difference goes to standard error.

    `crawler apply shop.toml -s download_delay=0.5`
    """
    from crawler.app.source import name_for, read_definition
    from crawler.definition import doubts, masked

    definition = read_definition(source, settings or ())
    terminal.warn(source, doubts(definition))
    wanted = json.loads(definition.canonical())
    resource = name_for(source, name)
    with connect(master) as client:
        try:
            before = client.resource(resource).definition
        except NotFound:
            before = None
        change = client.put(resource, wanted)
        now = look_after(client, resource)
    if json_:
        terminal.print_json(as_json(change))
        return
    piped = not terminal.is_terminal()
    if piped:
        print(change.name)
    lines = terminal.difference(before, masked(wanted))
    terminal.print_difference(lines, stderr=piped)
    if change.changed and not change.created and not lines:
        print("only values that are not shown differ", file=sys.stderr if piped else sys.stdout)
    print(_told(change, now), file=sys.stderr if piped else sys.stdout)


def _told(change: Change, now: ResourceStatus | None) -> str:
    what = "created" if change.created else "changed" if change.changed else "unchanged"
    way = _RESTING.get(now.state) if now is not None else None
    return f"{change.name} {what}{standing(now)}" + (f"; {way} {change.name}`" if way else "")


# How a crawl that rests comes to be crawled by its definition.
_RESTING = {
    State.ERROR: "begin its next run with `crawler start",
    State.FINISHED: "begin its next run with `crawler start",
    State.STOPPED: "begin its next run with `crawler start",
    State.PAUSED: "go on with `crawler resume",
}
